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
# The system's, and those of other programs: no site is to write there, and opening some of them cures nothing.
_SYSTEM = (
    *("/usr", "/boot", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/sys", "/dev", "/root"),
    *("/run", "/srv", "/tmp", "/var/run", "/var/lock", "/var/tmp", "/var/backups", "/var/mail"),
)
# Each program has its own in there, by its name (Filesystem Hierarchy Standard, 5).
_BY_NAME = ("/var/lib", "/var/cache", "/var/log", "/var/spool", "/var/www")
# Everybody's: one below may be an application's own.
_COMMON = ("/", "/opt", "/mnt", "/media", "/home", "/var", "/var/opt", "/var/local")
_RUNTIME = ("/run", "/var/run")
_OWN_DATA = "say shared: [data], and write to data/ in the source"
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
        return f"only shared directories are an application's own: {_OWN_DATA}"
    path = posixpath.normpath(re.sub("^/+", "/", path))
    home = f"/srv/{app}/"
    source = _SOURCE.fullmatch(path) if path.startswith(home) else None
    inside = source[1] if source else "" if path.startswith("/") else posixpath.normpath(path)
    if inside and not inside.startswith(".."):
        return _needs_shared(inside)
    if path.startswith(home) and (variable := _HOMES.get(path.removeprefix(home).partition("/")[0])):
        return f"its home is the code's: set env: {{{variable}: {home}shared/{variable.split('_')[1].lower()}}}"
    directory = posixpath.dirname(path)
    if is_below(path, f"/srv/{app}") or not path.startswith("/") or directory == "/":
        return f"only shared directories are an application's own: {_OWN_DATA}"
    if any(is_below(path, top) for top in _RUNTIME):
        return f"{directory} is the system's: turn its pid file off, which systemd does not need, or {_OWN_DATA}"
    if _is_of_others(app, directory):
        return f"{directory} is not {app}'s own: {_OWN_DATA}"
    # Whose it is can't be seen in its name. Somebody else's is not to become the application's.
    listed = ", ".join([*writable, directory])
    given = f"{directory} is read-only in the sandbox: set systemd: {{Service: {{ReadWritePaths: [{listed}]}}}}"
    return f"{given} if it is {app}'s own; else make {app} a new directory in it, and open and write that one alone"


def _is_of_others(app: str, directory: str) -> bool:
    """Tell whether a directory is the system's, everybody's, or that of a program with another name."""
    if directory in (*_COMMON, *_BY_NAME) or any(is_below(directory, top) for top in _SYSTEM):
        return True
    return any(is_below(directory, top) and not is_below(directory, f"{top}/{app}") for top in _BY_NAME)


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
