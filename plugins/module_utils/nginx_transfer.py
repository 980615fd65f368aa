# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How bytes go over the line: compression, buffers, time limits for clients, caches of browsers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_locations import inherited
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import (
    BUFFER_SIZE,
    DAY,
    below,
    directory,
    number_fault,
    quoted,
    size_bytes,
    url_fault,
)

Entry = Mapping[str, Any]
Faults = Iterator[tuple[str, str]]

_TYPE = re.compile(r"\*|[a-z0-9-]+/[a-z0-9.+-]+")
_YEAR = 365 * DAY
# Eight and more hexadecimal digits, letters and figures among them (a date has no letters), behind '.', '-' or '_' and
# before an ending: main.55e7cbb9.css.
_HASHED = r"[._-](?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,64}(\.[A-Za-z0-9]{1,8}){1,2}$"
# A file that one directory of a list lacks is looked for below this (nginx_locations).
_NEXT = "^(//next)*"


def gzip_faults(site: Entry) -> Faults:
    gzip = site["gzip"]
    if fault := number_fault(gzip["level"], 1, 9):
        yield "gzip.level", fault + ("; write enabled: false to switch it off" if gzip["level"] == 0 else "")
    if fault := number_fault(gzip["min_length"], 0, 1 << 30, " bytes"):
        yield "gzip.min_length", fault
    for kind in gzip["types"]:
        if not _TYPE.fullmatch(kind):
            yield "gzip.types", f"{kind!r} is no media type: write it like application/json, or '*' for all"
    if site["static_compressed"] and len(set(site["static_compressed"])) < len(site["static_compressed"]):
        yield "static_compressed", "names one way twice: remove one"


def gzip_types(site: Entry) -> list[str]:
    """Return the types for nginx, which always compresses text/html, and warns of a type that is there twice."""
    return [kind for kind in dict.fromkeys(site["gzip"]["types"]) if kind != "text/html"]


def buffer_faults(site: Entry) -> Faults:
    """Return what is wrong with sizes of buffers, and with their sum (ngx_http_proxy_merge_loc_conf)."""
    buffers = site["buffers"]
    right = True
    for name in ("size", "header", "request"):
        if buffers[name] and not BUFFER_SIZE.fullmatch(buffers[name]):
            right = False
            yield f"buffers.{name}", f"{buffers[name]!r} is no size of a buffer: write digits and k or m, like 16k"
    if fault := number_fault(buffers["number"], 2, 1024):
        right = False
        yield "buffers.number", fault
    if right and _largest(buffers) > _to_spare(buffers):
        lacking = -(-_largest(buffers) // size_bytes(buffers["size"])) + 1
        few = f"{buffers['number']} buffers of {buffers['size']} are too few beside one of {buffers['header']}"
        yield "buffers.number", f"{few} for headers: take {lacking}"
    if fault := _request_fault(site["client"]):
        yield "client.header_buffers", fault


def busy(site: Entry) -> int:
    """Return proxy_busy_buffers_size in bytes, or 0 where nginx's own choice, twice the larger buffer, fits."""
    buffers = site["buffers"]
    return _to_spare(buffers) if 2 * _largest(buffers) > _to_spare(buffers) else 0


def _largest(buffers: Entry) -> int:
    return max(size_bytes(buffers["size"]), size_bytes(buffers["header"]))


def _to_spare(buffers: Entry) -> int:
    return int((buffers["number"] - 1) * size_bytes(buffers["size"]))


def _request_fault(client: Entry) -> str:
    given = client["header_buffers"]
    if not given:
        return ""
    number, dummy, size = given.partition(" ")
    if not re.fullmatch(r"[1-9][0-9]?", number) or not BUFFER_SIZE.fullmatch(size):
        return f"{given!r} is no number and size of buffers: write them like '4 8k'"
    return "" if 1024 <= size_bytes(size) <= 1 << 20 else f"buffers of {size} are not between 1k and 1m"


def client_faults(site: Entry) -> Faults:
    """Return what is wrong with the times that nginx gives a client."""
    for name in ("header_timeout", "body_timeout", "send_timeout", "keepalive"):
        seconds = site["client"].get(name)
        lowest = 0 if name == "keepalive" else 1
        if seconds is not None and (fault := number_fault(seconds, lowest, DAY, " seconds")):
            yield f"client.{name}", fault


def client_lines(client: Entry) -> list[str]:
    """Return the directives for what was said; the others stay nginx's own."""
    names = {
        "client_header_timeout": "header_timeout",
        "client_body_timeout": "body_timeout",
        "send_timeout": "send_timeout",
        "keepalive_timeout": "keepalive",
    }
    lines = [f"{word} {client[name]}s;" for word, name in names.items() if client.get(name) is not None]
    return lines + ([f"large_client_header_buffers {client['header_buffers']};"] if client["header_buffers"] else [])


def cache_faults(site: Entry, static: Collection[str]) -> Faults:
    cache = site["static_cache"]
    if fault := number_fault(cache["others"], 0, _YEAR, " seconds"):
        yield "static_cache.others", fault
    for url in cache["immutable"]:
        if fault := url_fault(url):
            yield "static_cache.immutable", fault
        elif not url.endswith("/") or not any(below(url, prefix) for prefix in static):
            named = ", ".join(sorted(static)) or "there is none"
            yield "static_cache.immutable", f"{url!r} is no static path with a slash at its end ({named})"


def cache_map(site: Entry) -> list[tuple[str, str]]:
    """Return patterns of nginx's $uri with the Cache-Control of such a file. The first that fits counts."""
    cache = site["static_cache"]
    if not cache["enabled"]:
        return []
    # "public" lets a cache on the way show to all what somebody got for a password (RFC 9111, section 3.5).
    around = [inherited(directory(url), site["locations"]) for url in site["aliases"]]
    closed = site.get("basic_auth") or any(over.get("allow") or over.get("deny") for over in around)
    whose = "private" if closed else "public"
    immutable = f"{whose}, max-age={_YEAR}, immutable"
    others = f"{whose}, max-age={cache['others']}" if cache["others"] else "no-cache"
    found = [("~" + _NEXT + re.escape(url), immutable) for url in sorted(cache["immutable"], key=len, reverse=True)]
    found += [("~" + _NEXT + re.escape(directory(url)), others) for url in sorted(site["uploads"])]
    found += [("~" + _HASHED, immutable), ("default", others)]
    return [(pattern if pattern == "default" else quoted(pattern), quoted(value)) for pattern, value in found]
