# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of the entries of nginx_sites: what nginx would misread, and what two sites claim."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_edge import edge_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_tls import claimed, tls_faults, tls_ports
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import (
    BODY_SIZE,
    URL,
    below,
    directory,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint

Entry = Mapping[str, Any]

_NAME = re.compile(
    r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*(\.\*)?|\[[0-9a-f:]+\]"
)
_UNIX = re.compile(r"unix:(/[A-Za-z0-9_.@+-]+)+")
_TCP = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")
_DIRECTORY = re.compile(r"(/[A-Za-z0-9._~@+-]+)+/?")
# nginx's own limit (ngx_http_proxy_module).
_CONNECT_MAX = 75
# An error page leads to another at most ten times (NGX_HTTP_MAX_URI_CHANGES).
_DIRECTORIES_MAX = 5
# Files that a server block reads; '*' stands for any name in the last part.
_INCLUDE = re.compile(r"/etc/nginx(/[A-Za-z0-9_.@+-]+)*/[A-Za-z0-9_.@+*-]+")


def check_sites(sites: Mapping[str, Entry], variable: str = "nginx_sites") -> list[Problem]:
    """Return all that is wrong with the values of the sites, and with the sites side by side."""
    problems = []
    for name, site in sites.items():
        problems += [Problem(f"{variable}.{name}.{key}", text, "nginx-site") for key, text in _site_faults(site)]
    taken: dict[tuple[int, str], str] = {}
    for name, site in sites.items():
        ports, names = claimed(site)
        for port in sorted(ports):
            for claim in sorted(names | ({""} if site["default_server"] else set())):
                other = taken.setdefault((port, claim), name)
                if other == name:
                    continue
                what = f"'{claim}' on port {port}" if claim else f"to be the default server of port {port}"
                key = "server_names" if claim else "default_server"
                text = (
                    f"{what} is claimed by '{other}' already: nginx would ignore one of them, remove it here or there"
                )
                problems.append(Problem(f"{variable}.{name}.{key}", text, "nginx-site"))
    problems += [Problem(f"{variable}.{name}.tls.ports", text, "nginx-site") for name, text in _mixed_ports(sites)]
    return problems


def _mixed_ports(sites: Mapping[str, Entry]) -> Iterator[tuple[str, str]]:
    """Yield the site with TLS and what is wrong: nginx opens a port in one way, whichever site a visitor asks for."""
    plain = {port: name for name, site in sites.items() for port in site["listen"]}
    for name, site in sites.items():
        for port in tls_ports(site):
            # What a site says twice itself is told by tls_faults.
            if port in plain and port not in site["listen"]:
                text = "a port is either for TLS or for plain HTTP, take another one here or there"
                yield name, f"{port} is under listen of '{plain[port]}': {text}"


def _site_faults(site: Entry) -> Iterator[tuple[str, str]]:
    for server_name in site["server_names"]:
        if not _NAME.fullmatch(server_name.lower()):
            yield "server_names", f"{server_name!r} is no host name; a wildcard is a whole part, as in '*.example.org'"
    if not site["server_names"] and not site["default_server"]:
        yield "server_names", "is empty: name a host, or set default_server to answer for every name on the ports"
    if not site["listen"] and not site.get("tls"):
        yield "listen", "is empty: name a port"
    for port in site["listen"]:
        if not 1 <= port <= 65535:
            yield "listen", f"{port} is no port: they go from 1 to 65535"
    yield from tls_faults(site, _NAME)
    tcp = _TCP.fullmatch(site["upstream"])
    if not _UNIX.fullmatch(site["upstream"]) and not (tcp and 1 <= int(tcp[2]) <= 65535):
        yield "upstream", f"{site['upstream']!r} is neither 'unix:/path' nor 'address:port'"
    yield from _path_faults(site)
    if not BODY_SIZE.fullmatch(site["max_body"]):
        yield "max_body", f"{site['max_body']!r} is no size for nginx: write digits and k, m or g"
    for name, seconds in site["timeouts"].items():
        highest = _CONNECT_MAX if name == "connect" else 86400
        if not 1 <= seconds <= highest:
            yield f"timeouts.{name}", f"{seconds} is not between 1 and {highest} seconds"
    for proxy in site["trusted_proxies"]:
        if fault := _proxy_fault(proxy):
            yield "trusted_proxies", fault
    if "\0" in site["extra"]:
        yield "extra", "holds a NUL character"
    for dummy, key, text in edge_faults(site, site["aliases"]):
        yield key, text
    for path in site["includes"]:
        if not _INCLUDE.fullmatch(path) or ".." in path.split("/"):
            yield "includes", f"{path!r} is no file below /etc/nginx; '*' may stand for names in the last part only"


def _path_faults(site: Entry) -> Iterator[tuple[str, str]]:
    aliases = [directory(url) for url in site["aliases"]]
    for url, paths in site["aliases"].items():
        if not URL.fullmatch(url) or not url.strip("/"):
            yield f"aliases.{url}", "is no URL prefix: write it like /static/"
        elif ".." in url.split("/") or "." in url.split("/"):
            yield f"aliases.{url}", "has a part of dots only, which no browser sends"
        if aliases.count(directory(url)) > 1:
            yield f"aliases.{url}", "is there with and without a slash at its end: keep one"
        tried = paths if isinstance(paths, list) else [paths]
        if not 1 <= len(tried) <= _DIRECTORIES_MAX:
            yield f"aliases.{url}", f"has {len(tried)} directories: name one to {_DIRECTORIES_MAX}"
        for path in tried:
            if not isinstance(path, str) or not _DIRECTORY.fullmatch(path) or ".." in path.split("/"):
                text = f"{path!r} is no absolute path of a directory, or has characters that nginx reads"
                yield f"aliases.{url}", text
            elif tried.count(path) > 1:
                yield f"aliases.{url}", f"{path!r} is listed twice: a file that it lacks is not there the second time"
    for url in site["uploads"]:
        if directory(url) not in aliases:
            yield "uploads", f"{url!r} is none of the aliases; {hint(directory(url), aliases)}"
    yield from _uploads_root_faults(site)
    for url, location in site["locations"].items():
        key = f"locations.{url}"
        if not url or not URL.fullmatch(url):
            yield key, "is no URL prefix: write it like /events"
        elif url in aliases:
            yield key, "is under aliases too: decide who answers"
        if location["stream"] and location["websocket"]:
            yield key, "is a stream and a websocket at once: keep one, a websocket is never buffered"
        if location["max_body"] and not BODY_SIZE.fullmatch(location["max_body"]):
            yield f"{key}.max_body", f"{location['max_body']!r} is no size for nginx: write digits and k, m or g"
        for name in ("read_timeout", "send_timeout"):
            if not 0 <= location[name] <= 86400:
                yield f"{key}.{name}", f"{location[name]} is not between 0 and 86400 seconds"


def _uploads_root_faults(site: Entry) -> Iterator[tuple[str, str]]:
    root = site["uploads_root"]
    if not root:
        return
    if not _DIRECTORY.fullmatch(root) or ".." in root.split("/"):
        yield "uploads_root", f"{root!r} is no absolute path of a directory, or has characters that nginx reads"
        return
    uploads = {directory(url) for url in site["uploads"]}
    for url, paths in site["aliases"].items():
        for path in paths if isinstance(paths, list) else [paths]:
            if directory(url) in uploads and not below(str(path), root):
                yield "uploads_root", f"{path!r}, which is under uploads, is not below {root!r}"


def _proxy_fault(proxy: str) -> str:
    try:
        network = ipaddress.ip_network(proxy)
    except ValueError as error:
        return f"{proxy!r} is no address or network: {error}"
    return f"{proxy!r} is everybody: any client could choose its own address" if network.prefixlen == 0 else ""
