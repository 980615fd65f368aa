# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines of a file that are for some versions of nginx only, so that a controller need not know which one a host has."""

from __future__ import annotations

import dataclasses
import platform
import re
from collections.abc import Callable, Sequence

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import Wanted
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import installed, run, words

Version = tuple[int, ...]

_MARK = b"#nginx"
_LINE = re.compile(rb"#nginx(<|>=)([0-9]+(?:\.[0-9]+)*) (.*)", re.DOTALL)
# What a Debian release has, for a prediction before nginx is there; packages.debian.org/nginx.
_OF_DEBIAN = {"12": (1, 22, 1)}
_NEWEST = (1, 26, 3)


def suited(wanted: Sequence[Wanted], version: Callable[[], Version] | None = None) -> list[Wanted]:
    """Return the set with each line that begins with ``#nginx>=1.25.1 `` or ``#nginx<1.25.1 `` taken or left out.

    ``version`` is asked only when there is such a line; it is that of the host unless given.
    """
    if not any(_MARK in entry.content for entry in wanted):
        return list(wanted)
    found = (version or nginx_version)()
    return [
        dataclasses.replace(entry, content=_suited(entry.content, found)) if _MARK in entry.content else entry
        for entry in wanted
    ]


def _suited(content: bytes, version: Version) -> bytes:
    lines = []
    for line in content.splitlines(keepends=True):
        mark = _LINE.fullmatch(line)
        if mark is None:
            lines.append(line)
            continue
        limit = tuple(map(int, mark[2].split(b".")))
        if (version < limit) == (mark[1] == b"<"):
            lines.append(mark[3])
    return b"".join(lines)


def nginx_version() -> Version:
    """Return the version of nginx on this host, or the one that its Debian is going to have."""
    if installed("nginx"):
        found = re.search(r"nginx/([0-9]+(?:\.[0-9]+)*)", words(run(["nginx", "-v"])))
        if found:
            return tuple(map(int, found[1].split(".")))
    try:
        release = platform.freedesktop_os_release().get("VERSION_ID", "")
    except OSError:
        release = ""
    return _OF_DEBIAN.get(release, _NEWEST)
