# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From checked entries of nginx_sites to the files of nginx's configuration."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint

Entry = Mapping[str, Any]

_NAME = re.compile(
    r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*(\.\*)?|\[[0-9a-f:]+\]"
)
_UNIX = re.compile(r"unix:(/[A-Za-z0-9_.@+-]+)+")
_TCP = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")
_URL = re.compile(r"(/[A-Za-z0-9._~+-]+)*/?")
_DIRECTORY = re.compile(r"(/[A-Za-z0-9._~@+-]+)+/?")
_SIZE = re.compile(r"[0-9]+[kKmMgG]?")
# nginx's own limit (ngx_http_proxy_module).
_CONNECT_MAX = 75
_HOUR = 3600
# Put before the URL of a file that one directory of a list lacks. nginx merges the slashes of what visitors ask for
# (merge_slashes), so nobody gets there by himself, and no URL is taken from the application.
_NEXT = "//next"
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
        for port in sorted(set(site["listen"])):
            claims = [server_name.lower() for server_name in site["server_names"]]
            claims += [""] if site["default_server"] else []
            for claim in sorted(set(claims)):
                other = taken.setdefault((port, claim), name)
                if other == name:
                    continue
                what = f"'{claim}' on port {port}" if claim else f"to be the default server of port {port}"
                key = "server_names" if claim else "default_server"
                text = (
                    f"{what} is claimed by '{other}' already: nginx would ignore one of them, remove it here or there"
                )
                problems.append(Problem(f"{variable}.{name}.{key}", text, "nginx-site"))
    return problems


def site_files(
    sites: Mapping[str, Entry],
    *,
    worker_connections: int,
    remove_default: bool,
    catch_all: bool,
    ipv6: bool,
) -> dict[str, dict[str, Any]]:
    """Return path -> entry, as file_set takes them, for sites that check_sites found right."""
    files: dict[str, dict[str, Any]] = {
        "/etc/nginx/nginx.conf": {
            "template": "nginx.conf.j2",
            "vars": {"worker_connections": worker_connections},
            "shared": True,
        },
        "/etc/nginx/conf.d/00-visitors.conf": {"template": "visitors.conf.j2", "shared": True},
    }
    # A port has one default server, whoever serves on it: so the file is named after the port, and the owners share it.
    for port in sorted(_ports_without_default(sites, welcome=not remove_default)) if catch_all else []:
        files[f"/etc/nginx/conf.d/00-unknown-hosts-{port}.conf"] = {
            "template": "unknown_hosts.conf.j2",
            "vars": {"listens": _listens({port}, ipv6)},
            "shared": True,
        }
    if remove_default:
        files["/etc/nginx/sites-enabled/default"] = {"absent": True}
    for name, site in sites.items():
        files[f"/etc/nginx/sites-available/{name}.conf"] = {
            "template": "site.conf.j2",
            "vars": {"site": site_view(name, site, ipv6=ipv6)},
        }
        files[f"/etc/nginx/sites-enabled/{name}.conf"] = {"link": f"../sites-available/{name}.conf"}
    return files


def site_view(name: str, site: Entry, *, ipv6: bool) -> dict[str, Any]:
    """Return what the template of one site reads, in the words of nginx."""
    upstream = site["upstream"]
    identifier = _identifier(name)
    trusted = site["trusted_proxies"]
    suffix = " default_server" if site["default_server"] else ""
    locations = {url: _location(location, site) for url, location in site["locations"].items()}
    return {
        "name": name,
        "listens": [listen + suffix for listen in _listens(set(site["listen"]), ipv6)],
        "server_names": [server_name.lower() for server_name in site["server_names"]],
        "upstream": f"http://{upstream}",
        "aliases": [
            {**alias, "uploads": _directory(url) in map(_directory, site["uploads"])}
            for url, paths in sorted(site["aliases"].items())
            for alias in _aliases(url, paths)
        ],
        "includes": site["includes"],
        "locations": dict(sorted({"/": _location({}, site), **locations}.items())),
        "max_body": site["max_body"],
        "timeouts": site["timeouts"],
        "trusted_proxies": trusted,
        "trusted": f"$nginx_sites_trusted_{identifier}" if trusted else "",
        "access_log": _access_log(name, site),
        "scheme": f"$nginx_sites_scheme_{identifier}" if trusted else "$scheme",
        "extra": site["extra"].strip("\n").splitlines(),
    }


def _aliases(url: str, paths: str | list[str]) -> list[dict[str, Any]]:
    """Return the locations of one alias, in their order: ``url``, ``directory``, ``next``, ``rest``.

    ``next`` is where a file that is not there is looked for, or an empty text. ``rest`` is set for all but the first.
    """
    directories = [_directory(path) for path in ([paths] if isinstance(paths, str) else paths)]
    return [
        {
            "url": _NEXT * position + _directory(url),
            "directory": directory,
            "next": f"{_NEXT}$uri" if position < len(directories) - 1 else "",
            "rest": position > 0,
        }
        for position, directory in enumerate(directories)
    ]


def _location(location: Mapping[str, Any], site: Entry) -> dict[str, Any]:
    endless = bool(location.get("stream") or location.get("websocket"))
    return {
        "stream": bool(location.get("stream")),
        "websocket": bool(location.get("websocket")),
        "max_body": location.get("max_body") or "",
        "read_timeout": location.get("read_timeout") or (max(_HOUR, site["timeouts"]["read"]) if endless else 0),
    }


def _access_log(name: str, site: Entry) -> str:
    kind = {"json": "nginx_sites_json"}.get(site["access_log"], site["access_log"])
    return "off" if kind == "none" else f"/var/log/nginx/{name}.access.log {kind}"


def _identifier(name: str) -> str:
    """Return a name for nginx's variables; two sites never get the same."""
    return re.sub(r"[^a-z0-9]", lambda found: f"_{ord(found[0]):02x}", name)


def _directory(path: str) -> str:
    """Return the path with one slash at its end. With it on one side only, ``/static../x`` leaves the directory."""
    return path.rstrip("/") + "/"


def _listens(ports: set[int], ipv6: bool) -> list[str]:
    return [form.format(port) for port in sorted(ports) for form in (("{}", "[::]:{}") if ipv6 else ("{}",))]


def _ports_without_default(sites: Mapping[str, Entry], *, welcome: bool) -> set[int]:
    own = {port for site in sites.values() if site["default_server"] for port in site["listen"]}
    if welcome:
        # Debian's welcome site is the default server of this one.
        own.add(80)
    return {port for site in sites.values() for port in site["listen"]} - own


def _site_faults(site: Entry) -> Iterator[tuple[str, str]]:
    for server_name in site["server_names"]:
        if not _NAME.fullmatch(server_name.lower()):
            yield "server_names", f"{server_name!r} is no host name; a wildcard is a whole part, as in '*.example.org'"
    if not site["server_names"] and not site["default_server"]:
        yield "server_names", "is empty: name a host, or set default_server to answer for every name on the ports"
    if not site["listen"]:
        yield "listen", "is empty: name a port"
    for port in site["listen"]:
        if not 1 <= port <= 65535:
            yield "listen", f"{port} is no port: they go from 1 to 65535"
    tcp = _TCP.fullmatch(site["upstream"])
    if not _UNIX.fullmatch(site["upstream"]) and not (tcp and 1 <= int(tcp[2]) <= 65535):
        yield "upstream", f"{site['upstream']!r} is neither 'unix:/path' nor 'address:port'"
    yield from _path_faults(site)
    if not _SIZE.fullmatch(site["max_body"]):
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
    for path in site["includes"]:
        if not _INCLUDE.fullmatch(path) or ".." in path.split("/"):
            yield "includes", f"{path!r} is no file below /etc/nginx; '*' may stand for names in the last part only"


def _path_faults(site: Entry) -> Iterator[tuple[str, str]]:
    aliases = [_directory(url) for url in site["aliases"]]
    for url, paths in site["aliases"].items():
        if not _URL.fullmatch(url) or not url.strip("/"):
            yield f"aliases.{url}", "is no URL prefix: write it like /static/"
        elif ".." in url.split("/") or "." in url.split("/"):
            yield f"aliases.{url}", "has a part of dots only, which no browser sends"
        if aliases.count(_directory(url)) > 1:
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
        if _directory(url) not in aliases:
            yield "uploads", f"{url!r} is none of the aliases; {hint(_directory(url), aliases)}"
    for url, location in site["locations"].items():
        key = f"locations.{url}"
        if not url or not _URL.fullmatch(url):
            yield key, "is no URL prefix: write it like /events"
        elif url in aliases:
            yield key, "is under aliases too: decide who answers"
        if location["stream"] and location["websocket"]:
            yield key, "is a stream and a websocket at once: keep one, a websocket is never buffered"
        if location["max_body"] and not _SIZE.fullmatch(location["max_body"]):
            yield f"{key}.max_body", f"{location['max_body']!r} is no size for nginx: write digits and k, m or g"
        if not 0 <= location["read_timeout"] <= 86400:
            yield f"{key}.read_timeout", f"{location['read_timeout']} is not between 0 and 86400 seconds"


def _proxy_fault(proxy: str) -> str:
    try:
        network = ipaddress.ip_network(proxy)
    except ValueError as error:
        return f"{proxy!r} is no address or network: {error}"
    return f"{proxy!r} is everybody: any client could choose its own address" if network.prefixlen == 0 else ""
