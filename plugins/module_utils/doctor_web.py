# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What stands between a visitor and an application: names, ports, answers, cookies, the address behind the proxy.

Pure functions of the facts that doctor_facts gathers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding

Facts = Mapping[str, Any]
WEB_SERVER = "nginx"
# Sent as a visitor would be named; of the networks for documentation (RFC 5737), so nobody's.
TEST_ADDRESS = "192.0.2.77"
# The address from which nginx is asked (doctor_facts_web).
ASKED_FROM = "127.0.0.1"
# Addresses that lead to a host from nearby only (RFC 1918, 6598, 3927, 4193).
NOT_ROUTED = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7")
PROXY_FIX = "x_for=1, x_proto=1, x_host=1"


def names(facts: Facts) -> list[Finding]:
    """Each domain leads to this host, in IPv4 and IPv6 as far as it has addresses of that kind."""
    own = set(facts["addresses"]) | set(facts["known_as"])
    found: list[Finding] = []
    for app, wanted in facts["plan"].items():
        for domain in wanted["domains"]:
            there, here = facts["names"].get(domain), facts["names_here"].get(domain) or []
            if there:
                found += _about_addresses(app, domain, there, own, wanted)
            elif there is not None:
                found.append(_unknown_name(app, domain, here, own))
    return found


def unanswered(facts: Facts) -> str:
    """Of which domains nothing is known: a resolver that is silent says nothing about them."""
    silent = [domain for domain, there in facts["names"].items() if there is None]
    named = ", ".join(silent[:3]) + (f" and {len(silent) - 3} more" if len(silent) > 3 else "")
    return f"the resolver of this host (/etc/resolv.conf) does not answer for {named}" if silent else ""


def _unknown_name(app: str, domain: str, here: list[str], own: set[str]) -> Finding:
    if here:
        evidence = f"{domain} is {', '.join(here)} on this host, out of its /etc/hosts, and unknown to DNS"
        return Finding("info", app, "dns", evidence, "see from elsewhere whether visitors find it")
    fix = f"add a record for {domain} that leads to this host ({_ours(own)}), or correct the name in the inventory"
    return Finding("error", app, "dns", f"{domain} has no address, asked on this host", fix)


def _ours(own: set[str]) -> str:
    return ", ".join(sorted(own)) or "unknown"


def _about_addresses(app: str, domain: str, there: list[str], own: set[str], wanted: Facts) -> Iterator[Finding]:
    for version, record in ((4, "A"), (6, "AAAA")):
        family = [address for address in there if ipaddress.ip_address(address).version == version]
        if not family or own.intersection(family) or _all_within(family, wanted["trusted_proxies"]):
            continue
        # Behind NAT a host does not know its address, and behind a proxy the name leads to that.
        here = [address for address in own if ipaddress.ip_address(address).version == version]
        hidden = bool(here) and _all_within(here, NOT_ROUTED)
        level = "warning" if hidden or wanted["trusted_proxies"] or len(family) < len(there) else "error"
        evidence = f"{domain} leads to {', '.join(family)} ({record}), and this host is {_ours(own)}"
        fix = f"change the {record} record; behind NAT or a proxy make sure that it passes visitors on to this host"
        if hidden or wanted["trusted_proxies"]:
            fix += ", and name a proxy in nginx.trusted_proxies"
        yield Finding(level, app, "dns", evidence, fix)


def _all_within(addresses: Iterable[str], networks: Iterable[str]) -> bool:
    known = [ipaddress.ip_network(network, strict=False) for network in networks]
    return all(any(ipaddress.ip_address(address) in network for network in known) for address in addresses)


def ports(facts: Facts) -> list[Finding]:
    """The ports of the sites are nobody else's."""
    found = []
    wanted: dict[int, list[str]] = {}
    for app, said in facts["plan"].items():
        for port in said["ports"]:
            wanted.setdefault(port, []).append(app)
    for port, apps in sorted(wanted.items()):
        taken = [item for item in facts["listeners"] if item["port"] == port and item["program"] != WEB_SERVER]
        for program, pid in sorted({(item["program"], item["pid"]) for item in taken}):
            evidence = f"port {port}, which {' and '.join(apps)} want{'s'[: len(apps) == 1]}, is in use by"
            # systemd listens for a unit that it starts with the first visitor; of the kernel and of containers there is
            # no process.
            how = {
                1: f"systemctl list-sockets | grep :{port} names its unit",
                0: f"ss -ltnp sport = :{port} shows it, on the machine around a container perhaps",
            }.get(pid, f"systemctl status {pid} names its unit")
            fix = f"stop it ({how}), or choose another port under nginx.listen"
            found.append(Finding("error", "", "port-taken", f"{evidence} {program} (pid {pid})", fix))
    return found


def answers(facts: Facts) -> list[Finding]:
    """A visitor who comes through nginx gets an answer of the application."""
    found = []
    for app, said in facts["apps"].items():
        page = said.get("page")
        if not page or (said["status"] or {}).get("maintenance"):
            continue
        where = f"{page['host']}{page['path']} on port {page['port']}"
        if page["error"]:
            fix = "systemctl status nginx; nginx -t; then run site.yml, which writes the site"
            found.append(Finding("error", app, "site-answers", f"no answer from {where}: {page['error']}", fix))
        elif page["status"] >= 500:
            evidence = f"{where} answers {page['status']} to a visitor"
            fix = f"flaskworks {app} logs; tail /var/log/nginx/{app}.error.log"
            found.append(Finding("error", app, "site-answers", evidence, fix))
    return found


def cookies(facts: Facts) -> list[Finding]:
    """Flags of the session cookie: those that the site sent, else those that its settings promise."""
    found = []
    for app, said in facts["apps"].items():
        tls = _behind_tls(facts["plan"].get(app, {}))
        inside = said.get("inside") or {}
        session = (inside.get("cookie") or {}).get("name") or "session"
        sent = [cookie for cookie in (said.get("page") or {}).get("cookies", []) if cookie["name"] == session]
        flags, seen = (sent[0], "was sent") if sent else (inside.get("cookie"), "would be sent")
        if not flags:
            continue
        lacks = []
        if tls and not flags["secure"]:
            lacks.append(("Secure", "SESSION_COOKIE_SECURE=True", "goes over plain HTTP as well, for others to read"))
        if not flags["httponly"]:
            lacks.append(("HttpOnly", "SESSION_COOKIE_HTTPONLY=True", "can be read by every script on a page"))
        for flag, setting, why in lacks:
            evidence = f"the cookie {session!r} {seen} without {flag}: it {why}"
            found.append(Finding("warning", app, "session-cookie", evidence, f"app.config.update({setting})"))
        if not flags["samesite"]:
            evidence = f"the cookie {session!r} {seen} without SameSite: it is up to browsers which sites may use it"
            fix = 'app.config.update(SESSION_COOKIE_SAMESITE="Lax")'
            found.append(Finding("info", app, "session-cookie", evidence, fix))
    return found


def _behind_tls(wanted: Facts) -> bool:
    """Tell whether visitors come by https: to nginx here, or to a proxy in front of it."""
    return bool(wanted.get("tls") or wanted.get("trusted_proxies") or wanted.get("scheme") == "https")


def proxy(facts: Facts) -> list[Finding]:
    """The application sees the visitor's address and scheme, not those of the proxy.

    nginx sends X-Forwarded-For with exactly one address, however many proxies stand before it: the visitor's.
    """
    found = []
    for app, said in facts["apps"].items():
        inside = said.get("inside") or {}
        if not (seen := inside.get("seen")):
            continue
        hops = inside.get("proxy_fix")
        wrong = []
        if seen["address"] != TEST_ADDRESS:
            wrong.append(f"{seen['address'] or 'no address'} in place of the visitor's address")
        if seen["scheme"] != "https":
            wrong.append(f"{seen['scheme']} in place of https")
        if not wrong:
            continue
        flask = inside.get("flask")
        there = f"ProxyFix({_hops(hops)}) is there" if hops else "no ProxyFix is there"
        evidence = f"behind nginx the application sees {' and '.join(wrong)}; {there}"
        target = "app.wsgi_app" if flask else "application"
        fix = f"from werkzeug.middleware.proxy_fix import ProxyFix; {target} = ProxyFix({target}, {PROXY_FIX})"
        level = "warning" if flask or hops else "info"
        found.append(Finding(level, app, "proxy-hops", evidence, fix))
    return found


def _hops(hops: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={count}" for name, count in hops.items())


def forged(facts: Facts) -> list[Finding]:
    """A header of the client does not become its address."""
    found = []
    for app, said in facts["apps"].items():
        page = said.get("page") or {}
        # The doctor asks from this host: where that is a proxy which is believed, nothing is forged.
        if _all_within([ASKED_FROM], (facts["plan"].get(app) or {}).get("trusted_proxies") or []):
            continue
        if page.get("logged_address") == TEST_ADDRESS:
            evidence = f"a request with a forged X-Forwarded-For is from {TEST_ADDRESS} for the application's own log"
            fix = "run site.yml, which writes the site; look for proxy_set_header X-Forwarded-For under nginx.extra"
            found.append(Finding("error", app, "forged-address", evidence, fix))
    return found


def debugger(facts: Facts) -> list[Finding]:
    """Nobody is offered a debugger."""
    found = []
    for app, said in facts["apps"].items():
        where = [place for place in ("page", "socket") if (said.get(place) or {}).get("debugger")]
        if where:
            evidence = "Werkzeug's debugger answers " + ("visitors" if "page" in where else "on the release's socket")
            fix = "take DebuggedApplication, app.run(debug=True) and use_debugger out of the code, and deploy"
            found.append(Finding("error", app, "debugger", f"{evidence}: with its PIN they run code as {app}", fix))
    return found
