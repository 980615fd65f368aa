# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The locations of a site: what answers below which prefix, and what holds there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_access import address_lines, is_open
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_headers import Headers
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import below, directory, quoted

Entry = Mapping[str, Any]

_HOUR = 3600
# Put before the URL of a file that one directory of a list lacks. nginx merges the slashes of what visitors ask for
# (merge_slashes), so nobody gets there by himself, and no URL is taken from the application.
_NEXT = "//next"
# A part of one or two dots in what a visitor asked for, however it is written.
DOTS = "^[^?]*(?:/|%2[fF])(?:[.]|%2[eE])(?:[.]|%2[eE])?(?:/|%2[fF]|[?]|$)"


def alias_views(site: Entry, headers: Headers) -> list[dict[str, Any]]:
    """Return the locations of all aliases, in their order."""
    made = [alias for url, paths in sorted(site["aliases"].items()) for alias in _aliases(url, paths)]
    for alias in made:
        url = _place(alias)
        over = inherited(url, site["locations"])
        uploads = url in [directory(prefix) for prefix in site["uploads"]]
        alias |= {
            "addresses": address_lines(over),
            "open": is_open(url, site.get("basic_auth")),
            "headers": headers.place(over.get("headers")),
            "cache": site["static_cache"]["enabled"] and not headers.says("cache-control", over.get("headers")),
            "uploads": uploads,
            # nginx looks up the directory without the slash.
            "trusted": site["uploads_root"].rstrip("/") or alias["directory"].rstrip("/"),
            # A copy there could be somebody else's than the file.
            "compressed": [] if uploads else site["static_compressed"],
        }
    return made


def closed_pages(alias: Mapping[str, Any], pages: list[dict[str, str]], auth: Entry | None) -> list[dict[str, str]]:
    """Return the error pages that lie in an alias which refuses them for the same reason: they would lead to themselves
    until nginx gives up with 500.
    """
    refused = ({"401"} if auth and not alias["open"] else set()) | ({"403"} if alias["addresses"] else set())
    return [page for page in pages if page["status"] in refused and page["to"].startswith(_place(alias))]


def _place(alias: Mapping[str, Any]) -> str:
    """Return the URL prefix of an alias as visitors know it."""
    return str(alias["url"]).replace(_NEXT, "")


def _aliases(url: str, paths: str | list[str]) -> list[dict[str, Any]]:
    """Return the locations of one alias, in their order: ``url``, ``directory``, ``next``, ``rest``.

    ``next`` is where a file that is not there is looked for, or an empty text. ``rest`` is set for all but the first.
    """
    directories = [directory(path) for path in ([paths] if isinstance(paths, str) else paths)]
    return [
        {
            "url": _NEXT * position + directory(url),
            "directory": path,
            "next": f"{_NEXT}$uri" if position < len(directories) - 1 else "",
            "rest": position > 0,
        }
        for position, path in enumerate(directories)
    ]


def location_views(site: Entry, headers: Headers, zones: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the locations that lead to the application, by prefix or by ``= path``.

    ``zones``: limits of requests by the prefix where they begin; that of the site by an empty text.
    """
    auth = site.get("basic_auth")
    said: dict[str, Entry] = {"/": {}, **site["locations"]}
    open_urls = (auth or {}).get("except", [])
    taken = [directory(url) for url in site["aliases"]]
    made = {}
    for url in sorted({*said, *(free for free in open_urls if free.endswith("/") and free not in taken)}):
        made[url] = _view(url, said.get(url), site, headers, zones) | {"open": is_open(url, auth)}
    for url in sorted(free for free in open_urls if not free.endswith("/")):
        made[f"= {url}"] = _view(url, said.get(url), site, headers, zones) | {"open": True}
    guarded = [view["addresses"] for view in made.values() if view["addresses"]]
    for view in made.values():
        # nginx resolves dots and the application does not: /private/../health is no part of what is guarded for the
        # one, and for the other it may be.
        otherwise = any(addresses != view["addresses"] for addresses in guarded)
        view["dots"] = quoted(DOTS) if (auth and view["open"]) or otherwise else ""
    return made


def inherited(url: str, locations: Mapping[str, Entry]) -> dict[str, Any]:
    """Return what holds for addresses, limits and headers at a prefix.

    nginx looks at the longest prefix alone. Here a location passes on to those below it what restricts visitors: else
    an exception for a part would open it.
    """
    over: dict[str, Any] = {}
    for parent in sorted(
        (parent for parent in locations if below(url, parent)), key=lambda parent: len(directory(parent))
    ):
        location = locations[parent]
        if location.get("allow"):
            over |= {"allow": location["allow"], "deny": location.get("deny")}
        elif location.get("deny"):
            # Nobody reads that as opening what the place around it closes.
            over["deny"] = list(dict.fromkeys([*location["deny"], *(over.get("deny") or [])]))
        if location.get("rate_limit"):
            over["rate_limit"] = parent
        if location.get("headers"):
            over["headers"] = {**over.get("headers", {}), **location["headers"]}
    return over


def _view(url: str, said: Entry | None, site: Entry, headers: Headers, zones: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template reads of one location; one that nobody described is as the one around it."""
    if said is None:
        around = [parent for parent in site["locations"] if below(url, parent)]
        said = site["locations"][max(around, key=len)] if around else {}
    over = inherited(url, site["locations"])
    endless = bool(said.get("stream") or said.get("websocket"))
    patience = max(_HOUR, site["timeouts"]["read"]) if endless else 0
    read = said.get("read_timeout") or patience
    return {
        "stream": bool(said.get("stream")),
        "websocket": bool(said.get("websocket")),
        "max_body": said.get("max_body") or "",
        "read_timeout": read,
        "send_timeout": said.get("send_timeout") or (read if said.get("websocket") else 0),
        "buffering": said.get("buffering") is not False and not said.get("stream"),
        "request_buffering": said.get("request_buffering") is not False,
        "addresses": address_lines(over),
        "limit": zones.get(over.get("rate_limit", "")),
        "headers": headers.place(over["headers"]) if over.get("headers") else [],
    }
