# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What nginx reads as one word, a size or a URL, and how a text becomes such a word."""

from __future__ import annotations

import ipaddress
import re

# Free of everything that nginx reads as more than a character.
URL = re.compile(r"(/[A-Za-z0-9._~+-]+)*/?")
# A buffer knows no 'g' (ngx_parse_size), a body does (ngx_parse_offset).
BODY_SIZE = re.compile(r"[0-9]+[kKmMgG]?")
BUFFER_SIZE = re.compile(r"[1-9][0-9]{0,8}[kKmM]?")
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
DAY = 86400


def quoted(text: str) -> str:
    """Return one word of nginx's configuration that stands for the text; the caller has seen to '$'.

    Inside double quotes nginx takes a backslash away before a quote and before another backslash (ngx_conf_read_token).
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def size_bytes(size: str) -> int:
    """Return the bytes of a size that BODY_SIZE or BUFFER_SIZE has let through."""
    unit = _UNITS.get(size[-1].lower())
    return int(size[:-1]) * unit if unit else int(size)


def identifier(name: str) -> str:
    """Return a name for nginx's variables and zones; two names never get the same."""
    return re.sub(r"[^a-z0-9]", lambda found: f"_{ord(found[0]):02x}", name)


def directory(path: str) -> str:
    """Return the path with one slash at its end. With it on one side only, ``/static../x`` leaves the directory."""
    return path.rstrip("/") + "/"


def below(url: str, parent: str) -> bool:
    """Tell whether one URL prefix is another one or a part of it."""
    return directory(url).startswith(directory(parent))


def url_fault(url: str) -> str:
    """Return why this is no URL prefix, or an empty text."""
    if not url or not URL.fullmatch(url):
        return f"{url!r} is no path: it begins with '/' and has letters, digits and . _ ~ + - between slashes"
    if any(part and not part.strip(".") for part in url.split("/")):
        return f"{url!r} has a part of dots only, which no browser sends"
    return ""


def network_fault(network: str) -> str:
    """Return why this is no address or network, or an empty text."""
    try:
        ipaddress.ip_network(network if "%" not in network else "")
    except ValueError:
        return f"{network!r} is no address or network; write 192.0.2.10, 2001:db8::1 or 192.0.2.0/24"
    return ""


def number_fault(value: int, lowest: int, highest: int, unit: str = "") -> str:
    """Return why a number is out of bounds, or an empty text."""
    return "" if lowest <= value <= highest else f"{value} is not between {lowest} and {highest}{unit}"
