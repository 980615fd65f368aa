# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of what visitors meet: domains, ports, static files, locations, health, nginx."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_edge import edge_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import (
    Entry,
    Report,
    below,
    path_fault,
    texts,
)

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# What a location can hold without quotes or a meaning of its own; '+' stands for '/' in public_name.
_URL = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_MAX_BODY = re.compile(r"[0-9]+[kKmMgG]?")
_HEADER = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_TARGET_KINDS = ("src", "shared", "package")
# nginx's own limit for the time to connect (ngx_http_proxy_module).
_CONNECT_MAX = 75


def domain_fault(domain: str) -> str:
    """Return what is wrong with a domain and what to write instead, or an empty text."""
    if "://" in domain:
        return f"'{domain}' is a URL: write the host name alone"
    if not domain.isascii():
        return _not_ascii(domain)
    if domain in ("_", "*", ""):
        return (
            f"'{domain}' is no domain: for a site that answers every name write domains: [] and give it a port of"
            " its own"
        )
    if re.fullmatch(r"\[?[0-9a-fA-F:]*::?[0-9a-fA-F:]*\]?", domain) and domain.count(":") > 1:
        return f"'{domain}' is an IPv6 address: write a name, or domains: [] and a port of its own"
    if re.search(r":\d+$", domain):
        return f"'{domain}' has a port: write '{domain.rpartition(':')[0]}', and the port under nginx.listen"
    if "/" in domain:
        return f"'{domain}' has a path: write '{domain.partition('/')[0]}', and the path under nginx.locations"
    if domain.endswith("."):
        return f"'{domain}' ends in a dot: write '{domain.rstrip('.')}'"
    name = domain.lower().removeprefix("*.")
    if "*" in name:
        return f"'{domain}': only a whole first part can be a wildcard, as in '*.example.org'"
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        return f"{domain!r} is no host name: use letters, digits and '-', parts of at most 63 characters joined by dots"
    return ""


def _not_ascii(domain: str) -> str:
    try:
        encoded = domain.encode("idna").decode()
        kept = encoded.encode().decode("idna").lower() == domain.lower()
    except UnicodeError:
        return f"'{domain}' is not ASCII and can't be encoded as a domain"
    # Python's codec is that of IDNA 2003, to which 'ß' is 'ss': another domain for today's registries (IDNA 2008).
    form = f", '{encoded}'" if kept else " as its registry has it, which begins with 'xn--'"
    return f"'{domain}' is not ASCII: write its encoded form{form}"


def check_domains(report: Report, entry: Entry) -> None:
    """Each domain by itself, and no domain twice."""
    seen: set[str] = set()
    for index, domain in enumerate(entry["domains"]):
        if fault := domain_fault(domain):
            report.add("domain", f"domains[{index}]", fault)
        elif domain.lower() in seen:
            report.add("domain-duplicate", f"domains[{index}]", f"'{domain}' is listed twice: remove one")
        seen.add(domain.lower())


def check_ports(report: Report, entry: Entry) -> None:
    """Each port by itself."""
    if not entry["nginx"]["listen"]:
        report.add("port", "nginx.listen", "is empty: name the port on which the site is to be reached, like [80]")
    for index, port in enumerate(entry["nginx"]["listen"]):
        key = f"nginx.listen[{index}]"
        if not 1 <= port <= 65535:
            report.add("port", key, f"{port} is no port: they go from 1 to 65535")
        elif port == 22:
            report.add(
                "port-reserved", key, "22 is the port of SSH: the site would lock you out of the host, take another"
            )
        elif port == 443 and entry["tls"]["mode"] == "off":
            report.add(
                "port-reserved", key, "443 is for TLS, and browsers would fail without: set tls.mode, or remove it"
            )


def public_name(url: str) -> str:
    """Return the name below ``public/`` for a static path. '+' can't be part of a path, so two never share a name."""
    return url.strip("/").replace("/", "+")


def check_static(report: Report, entry: Entry) -> None:
    """Static maps: both sides, what is shared, what is also a location."""
    locations = {url.rstrip("/") for url in entry["nginx"]["locations"]}
    for url, target in texts(report, "static-target", "static", entry["static"]).items():
        key = f"static.{url}"
        if not _URL.fullmatch(url.rstrip("/")) or not url.endswith("/") or url.endswith("//"):
            proposal = "/" + url.strip("/") + "/"
            right = f": write '{proposal}'" if _URL.fullmatch(proposal[:-1]) and proposal != url else ""
            text = (
                f"{url!r} is no static path: it begins and ends with '/' and has letters, digits and . _ ~ -"
                f" between{right}"
            )
            report.add("static-url", key, text)
        elif any(part.strip(".") == "" for part in url.strip("/").split("/")):
            report.add("static-url", key, f"'{url}' has a part of dots only: browsers resolve it, nginx never sees it")
        elif url.rstrip("/") in locations:
            report.add(
                "static-location",
                key,
                f"'{url}' is under nginx.locations too: decide who answers, and remove the other",
            )
        _check_target(report, key, target, entry)
        _check_shared_within(report, url, target, entry)


def _check_target(report: Report, key: str, target: str, entry: Entry) -> None:
    kind, colon, path = target.partition(":")
    if not colon or kind not in _TARGET_KINDS:
        where = path if colon else target
        text = (
            f"'{target}' does not say where the directory is: write 'src:{where.strip('/')}/', 'shared:...' or"
            " 'package:...'"
        )
        report.add("static-target", key, text)
    elif fault := path_fault(path):
        report.add("static-target", key, fault)
    elif not path.endswith("/"):
        report.add(
            "static-target", key, f"'{target}' has no slash at its end, as every directory here: write '{target}/'"
        )
    elif kind == "shared" and not any(below(path, name) for name in entry["shared"]):
        name = path.split("/")[0]
        report.add("static-shared", key, f"'{name}' is no shared directory: add it to the list under shared")
    elif kind == "src" and any(below(path, name) for name in entry["shared"]):
        report.add("static-target", key, f"'{path}' is shared, not part of the source: write 'shared:{path}'")


def _check_shared_within(report: Report, url: str, target: str, entry: Entry) -> None:
    """A shared directory in a static one of the source is served as what it is: the application may put links there,
    which nginx follows in files of the source, to whatever it can read itself.
    """
    kind, dummy, path = target.partition(":")
    for name in entry["shared"] if kind == "src" else ():
        if below(path, name) or not below(name, path):
            continue
        own = f"{url.rstrip('/')}/{name.removeprefix(path).strip('/')}/"
        if not str(entry["static"].get(own, "")).startswith("shared:"):
            text = f"'{name}' in it is shared, so visitors are to get it apart: add '{own}': 'shared:{name}/'"
            report.add("static-shared", f"static.{url}", text)


def check_nginx(report: Report, entry: Entry) -> None:
    """Sizes, timeouts, proxies, locations."""
    nginx = entry["nginx"]
    _check_max_body(report, "nginx.max_body", nginx["max_body"])
    for name, seconds in nginx["timeouts"].items():
        highest = _CONNECT_MAX if name == "connect" else 86400
        if not 1 <= seconds <= highest:
            report.add("nginx-timeout", f"nginx.timeouts.{name}", f"{seconds} is not between 1 and {highest} seconds")
    for index, proxy in enumerate(nginx["trusted_proxies"]):
        try:
            network = ipaddress.ip_network(proxy)
        except ValueError as error:
            text = f"'{proxy}' is no address or network: {error}; write 192.0.2.10 or 192.0.2.0/24"
            report.add("trusted-proxy", f"nginx.trusted_proxies[{index}]", text)
        else:
            if network.prefixlen == 0:
                text = f"'{proxy}' is everybody: any client could then choose its own address; name the proxies"
                report.add("trusted-proxy", f"nginx.trusted_proxies[{index}]", text)
    if "\0" in nginx["extra"]:
        report.add("location", "nginx.extra", "holds a NUL character")
    for url, location in nginx["locations"].items():
        key = f"nginx.locations.{url}"
        if url != "/" and not _URL.fullmatch(url.removesuffix("/")):
            text = f"{url!r} is no path: it begins with '/' and has letters, digits and . _ ~ - between slashes"
            report.add("location", key, text)
        if location.get("stream") and location.get("websocket"):
            report.add("location", key, "is a stream and a websocket at once: keep one, a websocket is never buffered")
        if location.get("max_body"):
            _check_max_body(report, f"{key}.max_body", location["max_body"])
        if location.get("read_timeout") is not None and not 1 <= location["read_timeout"] <= 86400:
            report.add(
                "nginx-timeout", f"{key}.read_timeout", f"{location['read_timeout']} is not between 1 and 86400 seconds"
            )
        if location.get("send_timeout") is not None and not 1 <= location["send_timeout"] <= 86400:
            report.add(
                "nginx-timeout", f"{key}.send_timeout", f"{location['send_timeout']} is not between 1 and 86400 seconds"
            )
    urls = [url.rstrip("/") for url in nginx["locations"]]
    for url in sorted({url for url in urls if urls.count(url) > 1}):
        report.add("location", f"nginx.locations.{url}", "is there with and without a slash at the end: keep one")


def check_edge(report: Report, entry: Entry) -> None:
    """What nginx does for a site by itself; the rules are those of nginx_edge."""
    for rule, key, text in edge_faults(entry["nginx"], entry["static"]):
        report.add(rule, f"nginx.{key}", text)


def _check_max_body(report: Report, key: str, size: str) -> None:
    if not _MAX_BODY.fullmatch(size):
        report.add(
            "max-body", key, f"{size!r} is no size for nginx: write digits and k, m or g, like 10m; 0 means no limit"
        )


def check_health(report: Report, entry: Entry) -> None:
    """The request that decides about a release."""
    health = entry["health"]
    path = health["path"]
    if not path.startswith("/"):
        report.add(
            "health", "health.path", f"{path!r} is no path: it begins with '/', host and scheme have keys of their own"
        )
    elif not path.isascii() or re.search(r"[\x00-\x20\x7f#]", path):
        report.add(
            "health", "health.path", f"{path!r} can't be sent as it is: encode blanks and other characters, without '#'"
        )
    for url in entry["static"]:
        if url.strip("/") and (path.split("?")[0] + "/").startswith(url.rstrip("/") + "/"):
            text = (
                f"'{path}' is a static file below '{url}': nginx serves it while the application is down; name a page"
            )
            report.add("health-static", "health.path", text)
    if not health["status"]:
        report.add("health", "health.status", "is empty: name the status codes of a healthy answer, like [200]")
    for index, status in enumerate(health["status"]):
        if not 200 <= status <= 499:
            report.add(
                "health",
                f"health.status[{index}]",
                f"{status} is no status of a healthy answer: write one from 200 to 499",
            )
    if not 1 <= health["timeout"] <= 3600:
        report.add("health", "health.timeout", f"{health['timeout']} is not between 1 and 3600 seconds")
    if health["host"] and not _HEADER.fullmatch(health["host"]):
        report.add(
            "health",
            "health.host",
            f"{health['host']!r} can't be a Host header: write a host name, with a port if need be",
        )


def check_together(sites: dict[str, Entry], reports: dict[str, Report]) -> None:
    """What only shows when all applications are seen: domains and ports that two of them claim.

    Names only sites whose own domains and ports are all right.
    """
    by_port: dict[int, list[str]] = {}
    for name, entry in sites.items():
        for port in sorted({*entry["nginx"]["listen"], *([443] if entry["tls"]["mode"] != "off" else [])}):
            by_port.setdefault(port, []).append(name)
    for port, names in by_port.items():
        owners: dict[str, str] = {}
        for name in names:
            names_of = [*sites[name]["domains"], *sites[name]["nginx"]["redirect_from"]]
            for domain in sorted({domain.lower() for domain in names_of}):
                owner = owners.setdefault(domain, name)
                if owner != name:
                    text = (
                        f"'{domain}' on port {port} belongs to '{owner}' already: give one of them another domain or"
                        " port"
                    )
                    reports[name].add("domain-duplicate", "domains", text)
        for name in names:
            others = ", ".join(other for other in names if other != name)
            if others and not sites[name]["domains"]:
                text = (
                    f"without a domain the site answers every name on port {port}, where {others} is too: name its"
                    " domains, or give it a port of its own under nginx.listen"
                )
                reports[name].add("domain-missing", "domains", text)
