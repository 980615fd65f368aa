# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The headers that a site's answers get, beside those of the application."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_extra import bare, directives
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import identifier, quoted

Entry = Mapping[str, Any]

DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
# They describe the message or the connection, or have a key of their own.
_NOT_HERE = re.compile(
    "connection|content-(encoding|length|range|type)|date|etag|keep-alive|last-modified|location|proxy-authenticate"
    "|retry-after|server|set-cookie|te|trailer|transfer-encoding|upgrade|www-authenticate|x-request-id"
)
_NOT_HIDDEN = re.compile("connection|content-(length|type)|location|set-cookie|transfer-encoding|x-request-id")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
# nginx reads no word of over 4096 bytes (NGX_CONF_BUFFER), and a backslash becomes two.
_VALUE_LENGTH = 2000


def header_faults(site: Entry) -> Iterator[tuple[str, str]]:
    """Return what is wrong with the headers of a site and of its locations, each with its key."""
    places = [("headers", site["headers"])]
    places += [(f"locations.{url}.headers", place.get("headers") or {}) for url, place in site["locations"].items()]
    for key, headers in places:
        names = [str(name).lower() for name in headers]
        for name, value in headers.items():
            if fault := _name_fault(name, _NOT_HERE) or _value_fault(value):
                yield f"{key}.{name}", fault
            elif names.count(name.lower()) > 1:
                yield f"{key}.{name}", "is there twice, in different spellings: keep one"
    for name in site["hide_headers"]:
        if fault := _name_fault(name, _NOT_HIDDEN):
            yield "hide_headers", f"{name!r} {fault}"


def _name_fault(name: Any, refused: re.Pattern[str]) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "is no name of a header: use letters, digits and -"
    return "is set by nginx and the application alone: leave it out" if refused.fullmatch(name.lower()) else ""


def _value_fault(value: Any) -> str:
    if isinstance(value, bool):
        said = "on" if value else "off"
        return f'is the yes/no value {str(value).lower()}: write "{said}" in quotes, or "" to send no such header'
    if not isinstance(value, str):
        return "is no text: put it in quotes"
    if "$" in value:
        return "has a '$', which nginx would read as a variable: leave it out, or let the application send this header"
    if value and (not _VALUE.fullmatch(value) or len(value) > _VALUE_LENGTH):
        return f"is no value for a header: write one line of up to {_VALUE_LENGTH} printable ASCII characters"
    return ""


def default_maps() -> list[dict[str, str]]:
    """Return the defaults as maps, which all sites share."""
    return [_map(_variable("default", name), name, value) for name, value in DEFAULTS.items()]


class Headers:
    """The headers of one site as lines of nginx; ``maps`` are the variables of those that are not the defaults.

    A header is left out where the application sent one of that name, unless that one is hidden.
    """

    def __init__(self, name: str, site: Entry) -> None:
        self.maps: list[dict[str, str]] = []
        self._identifier = identifier(name)
        self._hidden = {header.lower() for header in site["hide_headers"]}
        by_hand = [words for words in directives(site["extra"], "add_header") if len(words) > 1]
        self._by_hand = [(bare(words[1]).lower(), f"{' '.join(words)};") for words in by_hand]
        # A line by hand takes the place of a default.
        known = {header for header, dummy in self._by_hand}
        defaults = {header: value for header, value in DEFAULTS.items() if header.lower() not in known}
        self._site = _merged(defaults, site["headers"])

    def site(self) -> list[str]:
        """Return the lines of the server block, in which those by hand stand as well."""
        return self._lines(self._site)

    def place(self, own: Mapping[str, str] | None = None, without: Collection[str] = ()) -> list[str]:
        """Return the lines of a place that adds a header of its own: nginx hands none down to it.

        ``own``: what is said for this place; ``without``: names in small letters that the place says itself.
        """
        merged = _merged(self._site, own or {})
        said = {*without, *(header.lower() for header in own or {})}
        lines = self._lines({header: value for header, value in merged.items() if header.lower() not in without})
        return lines + [line for header, line in self._by_hand if header not in said]

    def says(self, header: str, own: Mapping[str, str] | None = None) -> bool:
        """Tell whether the inventory speaks of a header in a place, be it that nobody is to get it."""
        named = {name.lower() for name in _merged(self._site, own or {})}
        return header in named | {name for name, dummy in self._by_hand}

    def _lines(self, headers: Mapping[str, str]) -> list[str]:
        return [f"add_header {name} {self._value(name, value)} always;" for name, value in headers.items() if value]

    def _value(self, name: str, value: str) -> str:
        if name.lower() in self._hidden:
            return quoted(value)
        if DEFAULTS.get(name) == value:
            return _variable("default", name)
        for known in self.maps:
            if (known["header"], known["value"]) == (name, quoted(value)):
                return known["variable"]
        self.maps.append(_map(f"$nginx_sites_header_{self._identifier}_{len(self.maps) + 1}", name, value))
        return self.maps[-1]["variable"]


def _merged(base: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Return ``over`` put over ``base``; names of headers don't care for case."""
    said = {name.lower() for name in over}
    return {**{name: value for name, value in base.items() if name.lower() not in said}, **over}


def _variable(kind: str, name: str) -> str:
    return f"$nginx_sites_{kind}_{name.lower().replace('-', '_')}"


def _map(variable: str, name: str, value: str) -> dict[str, str]:
    """Return a variable that is empty when the answer has the header already; nginx sends no empty header."""
    source = f"$sent_http_{name.lower().replace('-', '_')}"
    return {"variable": variable, "source": source, "header": name, "value": quoted(value)}
