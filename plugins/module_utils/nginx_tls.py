# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS of nginx_sites: what is wrong with it, and the servers that a site has besides its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

Entry = Mapping[str, Any]

# Settings that all sites share, since nginx takes some of them from the default server of a port.
COMMON = "/etc/nginx/conf.d/00-tls.conf"
_PATH = re.compile(r"(/[A-Za-z0-9_.@+-]+)+")
# Two years; hstspreload.org asks for no more than one.
HSTS_MAX = 63072000


def with_hsts(site: Entry) -> Entry:
    """Return a site whose headers tell browsers to keep to TLS; a header of that name in the site's own words stays."""
    said = _hsts(site.get("tls") or {})
    if not said or "strict-transport-security" in {str(name).lower() for name in site["headers"]}:
        return site
    return {**site, "headers": {**site["headers"], "Strict-Transport-Security": said}}


def tls_ports(site: Entry) -> list[int]:
    """Return the ports on which a site is reached by TLS."""
    return sorted(set(site["tls"]["ports"])) if site.get("tls") else []


def claimed(site: Entry) -> tuple[set[int], set[str]]:
    """Return the ports of a site and the names that lead to it, each of which nobody else may have there."""
    names = {*site["server_names"], *site["redirect_from"]}
    return {*site["listen"], *tls_ports(site)}, {name.lower() for name in names}


def tls_faults(site: Entry, host_name: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield (key, words) for all that is wrong. ``host_name`` is what a server name has to look like."""
    for name in site["redirect_from"]:
        if not host_name.fullmatch(name.lower()):
            yield "redirect_from", f"{name!r} is no host name; a wildcard is a whole part, as in '*.example.org'"
        elif name.lower() in {other.lower() for other in site["server_names"]}:
            yield "redirect_from", f"'{name}' is among server_names too: a name is either served or led elsewhere"
    if site["redirect_from"] and (not site["server_names"] or "*" in site["server_names"][0]):
        yield "redirect_from", "leads to the first of server_names, which has to be there and without a wildcard"
    if site["acme_webroot"] and not _is_path(site["acme_webroot"]):
        yield "acme_webroot", f"{site['acme_webroot']!r} is no absolute path, or has characters that nginx reads"
    tls = site.get("tls")
    if not tls:
        return
    for key in ("certificate", "key"):
        if not _is_path(tls[key]):
            yield f"tls.{key}", f"{tls[key]!r} is no absolute path on the host, or has characters that nginx reads"
    if not tls["ports"]:
        yield "tls.ports", "is empty: name a port, like [443]"
    for port in tls["ports"]:
        if not 1 <= port <= 65535:
            yield "tls.ports", f"{port} is no port: they go from 1 to 65535"
        elif port in site["listen"]:
            yield "tls.ports", f"{port} is under listen too: a port is either for TLS or for plain HTTP"
    if tls["hsts"] and site["listen"] and not tls["redirect"]:
        yield (
            "tls.hsts",
            "is told to browsers although the site is served by plain HTTP too: set redirect: true, or hsts: 0",
        )
    if not 0 <= tls["hsts"] <= HSTS_MAX:
        yield "tls.hsts", f"{tls['hsts']} is no number of seconds from 0 (off) to {HSTS_MAX} (two years)"


def _is_path(text: str) -> bool:
    return bool(_PATH.fullmatch(text)) and ".." not in text.split("/")


def tls_files(sites: Mapping[str, Entry], *, catch_all: bool, ipv6: bool) -> dict[str, dict[str, Any]]:
    """Return the files that TLS needs besides those of the sites, as file_set takes them."""
    secured = [site for site in sites.values() if site.get("tls")]
    if not secured:
        return {}
    files: dict[str, dict[str, Any]] = {COMMON: {"template": "tls.conf.j2", "shared": True}}
    taken = {port for site in secured if site["default_server"] for port in tls_ports(site)}
    for port in sorted({port for site in secured for port in tls_ports(site)} - taken) if catch_all else []:
        files[f"/etc/nginx/conf.d/00-unknown-hosts-{port}.conf"] = {
            "template": "unknown_tls.conf.j2",
            "vars": {"listens": listens([port], ipv6)},
            "shared": True,
        }
    return files


def tls_view(site: Entry, *, ipv6: bool, scheme: str = "$scheme") -> dict[str, Any]:
    """Return what the templates of a site read of TLS, and of names that lead to it. ``scheme``: the visitor's.

    listens   plain addresses of the site itself
    secure    addresses with TLS, and ``tls`` what belongs there; empty without it
    moved     servers that do nothing but lead to the site
    """
    tls = site.get("tls") or {}
    suffix = " default_server" if site["default_server"] else ""
    plain, secure = listens(site["listen"], ipv6), listens(tls_ports(site), ipv6)
    redirected = bool(tls and tls["redirect"])
    moved = []
    if redirected and plain:
        moved.append(_server(_names(site["server_names"]), plain, [], f"https://$host{_port(tls)}", suffix))
    moved += _from_other_names(site, plain, secure, ipv6, scheme)
    return {
        "listens": [] if redirected else [listen + suffix for listen in plain],
        "secure": secure,
        "secure_suffix": suffix,
        "tls": {"certificate": tls["certificate"], "key": tls["key"]} if tls else {},
        "hsts": _hsts(tls),
        "challenges": site["acme_webroot"],
        "moved": moved,
    }


def _from_other_names(
    site: Entry, plain: list[str], secure: list[str], ipv6: bool, scheme: str
) -> list[dict[str, Any]]:
    """Return the servers of the names that lead to the first one, in one step."""
    if not site["redirect_from"]:
        return []
    names, first, tls = _names(site["redirect_from"]), site["server_names"][0].lower(), site.get("tls")
    if tls:
        # Apart, since what browsers are to remember of TLS is said by TLS only (RFC 6797, section 7.2).
        target = f"https://{first}{_port(tls)}"
        apart: tuple[tuple[list[str], list[str]], ...] = ((plain, []), ([], secure))
        return [_server(names, *where, target) for where in apart if any(where)]
    return [
        # Behind a proxy the port of this host is not the visitor's.
        _server(
            names,
            listens([port], ipv6),
            [],
            f"{scheme}://{first}" + ("" if port == 80 or site["trusted_proxies"] else f":{port}"),
        )
        for port in sorted(set(site["listen"]))
    ]


def _server(names: str, plain: list[str], secure: list[str], target: str, suffix: str = "") -> dict[str, Any]:
    return {"names": names, "listens": [listen + suffix for listen in plain], "secure": secure, "target": target}


def _names(names: Collection[str]) -> str:
    return " ".join(name.lower() for name in names) or '""'


def _port(tls: Entry) -> str:
    port = min(tls["ports"], key=lambda number: (number != 443, number))
    return "" if port == 443 else f":{port}"


def _hsts(tls: Entry) -> str:
    if not tls or not tls["hsts"]:
        return ""
    return f"max-age={tls['hsts']}" + ("; includeSubDomains" if tls["hsts_subdomains"] else "")


def listens(ports: Collection[int], ipv6: bool) -> list[str]:
    """Return the addresses of ports, in nginx's notation."""
    return [form.format(port) for port in sorted(set(ports)) for form in (("{}", "[::]:{}") if ipv6 else ("{}",))]
