# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Paths that an application could not use in its sandbox, and the words of the inventory that make them its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

_SOURCE = re.compile(r"/srv/[^/]+/(?:current|releases/[^/]+)/src/(.+)")
# What an application writes into its log becomes words for the inventory: nothing that YAML or systemd reads.
_PLAIN = re.compile(r"[\w./@+~=-]+")
# The system's: no site is to write there, and opening some of them cures nothing.
_SYSTEM = ("/usr", "/boot", "/etc", "/bin", "/sbin", "/lib", "/proc", "/sys", "/dev", "/root")
# What PrivateDevices leaves as it is: a file that is missing there is missing anyway.
_KEPT_DEVICES = ("/dev/shm", "/dev/mqueue", "/dev/hugepages", "/dev/pts", "/dev/fd")
# What programs keep in a home directory, and the variable that moves it (XDG Base Directory Specification).
_HOMES = {".cache": "XDG_CACHE_HOME", ".config": "XDG_CONFIG_HOME", ".local": "XDG_DATA_HOME"}


def is_below(path: str, directory: str) -> bool:
    """Tell whether a path is a directory or lies in it."""
    return path == directory or path.startswith(f"{directory}/")


def writable_paths(service: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the directories that a unit opens for writing."""
    return [word for words in service.get("ReadWritePaths", []) for word in words.split()]


def needs_write(app: str, path: str, writable: Sequence[str]) -> str:
    """Return how a file becomes writable; ``writable``: what the unit opens already.

    A path that is not absolute is one of the source, where an application starts.
    """
    if not _PLAIN.fullmatch(path):
        return "only shared directories are an application's own: say shared: [data], and write to data/ in the source"
    path = posixpath.normpath(re.sub("^/+", "/", path))
    source = _SOURCE.fullmatch(path)
    inside = source[1] if source else "" if path.startswith("/") else posixpath.normpath(path)
    home = f"/srv/{app}/"
    if inside and not inside.startswith(".."):
        return _needs_shared(inside)
    if path.startswith(home) and (variable := _HOMES.get(path.removeprefix(home).partition("/")[0])):
        return f"its home is the code's: set env: {{{variable}: {home}shared/{variable.split('_')[1].lower()}}}"
    directory = posixpath.dirname(path)
    if is_below(path, f"/srv/{app}") or directory in ("", "/"):
        return "only shared directories are an application's own: say shared: [data], and write to data/ in the source"
    if any(is_below(path, top) for top in _SYSTEM):
        return f"{directory} is the system's: say shared: [data], and write to data/ in the source"
    listed = ", ".join([*writable, directory])
    text = f"{directory} is read-only in the sandbox"
    return f"{text}: set systemd: {{Service: {{ReadWritePaths: [{listed}]}}}} (it has to exist, and be {app}'s)"


def _needs_shared(inside: str) -> str:
    """Return the cure for a file of the source, which no release may change."""
    directory = posixpath.dirname(inside)
    if not directory:
        return f"the code can't change itself: say shared: [data], and write data/{inside}"
    return f"the code can't change itself, its data outlives releases: say shared: [{directory}]"


def needs_device(path: str) -> str:
    """Return how an application gets a device; an empty text for what PrivateDevices does not hide."""
    if not _PLAIN.fullmatch(path) or ".." in path or any(is_below(path, kept) for kept in _KEPT_DEVICES):
        return ""
    given = f'systemd: {{Service: {{PrivateDevices: false, DeviceAllow: "{path} rw"}}}}'
    return f"PrivateDevices hides it: set {given}, where its user may open it"


def needs_proc(path: str) -> str:
    """Return how an application gets to read the host's numbers; those of a process are not what ProcSubset hides."""
    numbers = re.fullmatch(r"/proc/[a-z][\w-]*", path)
    return f"ProcSubset hides {path}: set systemd: {{Service: {{ProcSubset: all}}}}" if numbers else ""
