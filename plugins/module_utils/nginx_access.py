# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may come to a site, and how often: limits of requests, addresses, names with passwords."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_extra import bare, directives
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import (
    below,
    identifier,
    network_fault,
    number_fault,
    url_fault,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.sha512_crypt import salt_from, sha512_crypt

Entry = Mapping[str, Any]
Faults = Iterator[tuple[str, str]]

HTPASSWD = "/etc/nginx/htpasswd"
# ngx_http_limit_req_module counts in thousandths of a request a second, in 32 bits.
_RATE_MAX = 100_000
_BURST_MAX = 100_000
# Files that come with some pages.
_PAGES = 200
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
# What crypt(3) of Debian 12 and 13 reads, and apr1, which nginx has itself.
_HASH = re.compile(r"\$(6|5|y|7|gy|2[aby]|apr1)\$[A-Za-z0-9./$=,]{8,200}")
_REALM = re.compile(r"[A-Za-z0-9 ._,:()!?'/@+-]{1,100}")


def limit_faults(site: Entry) -> Faults:
    """Return what is wrong with the limits of a site and of its locations, each with its key."""
    for key, limit in [("rate_limit", site.get("rate_limit")), *_of_locations(site, "rate_limit")]:
        if not limit:
            continue
        lowest = 1 if key == "rate_limit" else 0
        if fault := number_fault(limit["rate"], lowest, _RATE_MAX, f" requests a {limit['per']}"):
            yield f"{key}.rate", fault
        if fault := number_fault(limit["burst"], 0, _BURST_MAX, " requests"):
            yield f"{key}.burst", fault


def address_faults(site: Entry) -> Faults:
    """Return what is wrong with the networks that locations allow and deny."""
    for name in ("allow", "deny"):
        for key, networks in _of_locations(site, name):
            for network in networks:
                if fault := network_fault(network):
                    yield key, fault
                elif networks.count(network) > 1:
                    yield key, f"{network!r} is listed twice: remove one"
    yield from _by_hand_faults(site)


def _by_hand_faults(site: Entry) -> Faults:
    """nginx hands lines of the server block down to no place that has one of its own: there they would be gone."""
    by_hand = directives(site["extra"], "allow", "deny")
    own = [key for name in ("allow", "deny") for key, dummy in _of_locations(site, name)]
    if by_hand and own:
        line = " ".join(by_hand[0])
        networks = {name: _networks(by_hand, name) for name in ("allow", "deny")}
        wanted = ", ".join(f"{name}: {json.dumps(given)}" for name, given in networks.items() if given)
        text = (
            f"'{line};' would not hold where {own[0]} is, since nginx hands down no such line to a place that has one:"
            f" write locations: {{/: {{{wanted or 'allow: [10.0.0.0/8]'}}}}} instead, which holds everywhere"
        )
        yield "extra", text


def _networks(lines: list[list[str]], name: str) -> list[str]:
    named = [bare(word) for line in lines if bare(line[0]) == name for word in line[1:]]
    return [network for network in named if network != "all"]


def password_faults(site: Entry, static: Collection[str]) -> Faults:
    """Return what is wrong with the names and passwords; no password is ever part of it.

    ``static``: the URL prefixes that nginx serves itself, with a slash at their end.
    """
    auth = site.get("basic_auth")
    if not auth:
        return
    if not _REALM.fullmatch(auth["realm"]) or auth["realm"] == "off":
        text = "is no text for a browser's question: up to 100 letters, digits, blanks and . _ , : ( ) ! ? ' / @ + -"
        yield "basic_auth.realm", text + ("; nginx reads 'off' as no question at all" if auth["realm"] == "off" else "")
    if not auth["users"]:
        yield (
            "basic_auth.users",
            "is empty, so nobody could get in: name a user with a password, or leave basic_auth out",
        )
    for user, password in auth["users"].items():
        key = f"basic_auth.users.{user}"
        if not isinstance(user, str) or not _USER.fullmatch(user):
            yield key, "is no name for a user: use letters, digits and . _ @ + -"
        if not isinstance(password, str):
            yield key, "is no text: put the password in quotes"
        elif not password or re.search(r"[\x00-\x1f\x7f]", password):
            yield key, "is empty or has a control character, such as a line break: no browser sends that"
    for url in auth["except"]:
        if fault := url_fault(url):
            yield "basic_auth.except", fault
        elif url == "/":
            yield "basic_auth.except", "'/' is the whole site: leave basic_auth out instead"
        elif around := [prefix for prefix in static if url != prefix and below(url, prefix)]:
            yield "basic_auth.except", f"{url!r} is a part of the static path '{around[0]}': name that as a whole"


def _of_locations(site: Entry, name: str) -> list[tuple[str, Any]]:
    given = [(url, location.get(name)) for url, location in site["locations"].items()]
    return [(f"locations.{url}.{name}", value) for url, value in given if value]


def zone(name: str, url: str, limit: Entry) -> dict[str, Any]:
    """Return ``name``, ``rate`` and ``burst`` of one zone. The name follows the place, whatever the numbers are."""
    place = f"_at_{identifier(url)}" if url else ""
    rate = f"{limit['rate']}r/{limit['per'][0]}"
    return {"name": f"nginx_sites_{identifier(name)}{place}", "rate": rate, "burst": limit["burst"]}


def guesses(name: str, site: Entry) -> dict[str, Any]:
    """Return ``variable`` and the zone of requests with a password for files, for a site that limits others.

    A page brings many files with it, for each of which a browser sends the password, so this is wider than the limit
    of the site; without one each guess would be free.
    """
    limit = site.get("rate_limit")
    if not limit or not site.get("basic_auth"):
        return {}
    wider = {**limit, "rate": min(10 * limit["rate"], _RATE_MAX), "burst": max(10 * limit["burst"], _PAGES)}
    made = zone(name, "", wider)
    return {**made, "name": f"{made['name']}_guesses", "variable": f"$nginx_sites_guesses_{identifier(name)}"}


def address_lines(location: Entry) -> list[str]:
    """Return the lines of ngx_http_access_module, of which the first that fits decides."""
    lines = [f"deny {network};" for network in location.get("deny") or []]
    lines += [f"allow {network};" for network in location.get("allow") or []]
    return [*lines, "deny all;"] if location.get("allow") else lines


def htpasswd_path(name: str) -> str:
    return f"{HTPASSWD}/{name}"


def htpasswd(name: str, users: Mapping[str, str]) -> str:
    """Return the file of a site's users. What looks like a hash already is taken as one.

    A salt comes from the names of site and user, so the same password gives the same file. It must not come from the
    password: a salt is readable, and would be a hash of it without any rounds.
    """
    lines = []
    for user, password in sorted(users.items()):
        salt = salt_from(f"{name}\0{user}")
        lines.append(f"{user}:{password if _HASH.fullmatch(password) else sha512_crypt(password, salt)}\n")
    return "".join(lines)


def is_open(url: str, auth: Entry | None) -> bool:
    """Tell whether all below a prefix needs no password: only an exception that ends in a slash says so."""
    return any(free.endswith("/") and url.startswith(free) for free in (auth or {"except": []})["except"])
