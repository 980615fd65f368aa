# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a file_set is asked for, and what a path looks like now. Nothing here changes anything."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OWNER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KINDS = ("content", "link", "directory", "absent")
_KEYS = frozenset({*_KINDS, "owner", "group", "mode", "sensitive", "shared"})
_OTHER_TYPES = (
    ("directory", bool, "true or false"),
    ("absent", bool, "true or false"),
    ("sensitive", bool, "true or false"),
    ("shared", bool, "true or false"),
    ("owner", str, "a name"),
    ("group", str, "a name"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class FileSetError(Exception):
    """A set that can't be applied; the message is for a person."""


@dataclass(frozen=True)
class Wanted:
    """What one path shall be. ``kind`` is file, link, directory or absent; ``mode`` holds permission bits.

    ``shared``: other owners may list the path as well; the last one to stop doing so removes it.
    """

    path: str
    kind: str
    content: bytes = b""
    target: str = ""
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    sensitive: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Seen:
    """What one path is. ``kind`` is file, link, directory, other or none."""

    kind: str
    content: bytes = b""
    target: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0


NOTHING = Seen("none")


def look(path: str) -> Seen:
    """Return what lies at a path, without following a link. Raises FileSetError when it can't be read."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Seen("link", target=os.readlink(path), uid=status.st_uid, gid=status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        return Seen("directory", uid=status.st_uid, gid=status.st_gid, mode=mode)
    if not stat.S_ISREG(status.st_mode):
        return Seen("other", uid=status.st_uid, gid=status.st_gid, mode=mode)
    with open(path, "rb") as stream:
        return Seen("file", stream.read(), uid=status.st_uid, gid=status.st_gid, mode=mode)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def user_id(name: str) -> int | None:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def group_id(name: str) -> int | None:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def differs(wanted: Wanted, seen: Seen) -> bool:
    """Tell whether a path has to change. A user that does not exist yet counts as a difference."""
    if wanted.kind == "absent":
        return seen.kind != "none"
    if wanted.kind != seen.kind:
        return True
    if wanted.kind == "link":
        return wanted.target != seen.target
    if (user_id(wanted.owner), group_id(wanted.group), wanted.mode) != (seen.uid, seen.gid, seen.mode):
        return True
    return wanted.kind == "file" and wanted.content != seen.content


def parse(files: Mapping[str, Any], sealed: Mapping[str, str]) -> list[Wanted]:
    """Return the wanted state of every path, sorted by path. Raises FileSetError with all problems at once.

    sealed: the content of files, by path, that travels apart from the rest of their entries
    """
    wanted, problems = [], []
    for path, entry in sorted(files.items()):
        found = _problems(path, entry, sealed)
        problems += [f"{path}: {problem}" for problem in found]
        if not found:
            wanted.append(_wanted(path, entry, sealed))
    if not problems:
        kinds = {entry.path: entry.kind for entry in wanted}
        problems = [
            f"{entry.path}: {parent} is to be a {kinds[parent]} in the same set, so nothing can lie below it"
            for entry in wanted
            for parent in parents(entry.path)
            if entry.kind != "absent" and kinds.get(parent, "directory") != "directory"
        ]
    if problems:
        raise FileSetError("\n".join(problems))
    return wanted


def parents(path: str) -> list[str]:
    """Return the directories above a path, the nearest first, without the root."""
    found = []
    while (path := os.path.dirname(path)) not in ("/", ""):
        found.append(path)
    return found


def _problems(path: str, entry: Any, sealed: Mapping[str, str]) -> list[str]:
    if not isinstance(entry, Mapping):
        return ["is not a dictionary: give content, template, link, directory or absent"]
    problems = []
    if not os.path.isabs(path) or os.path.normpath(path) != path or path == "/" or _CONTROL.search(path):
        problems.append("is not a plain absolute path: no '..', no double or trailing slash, no line break")
    if unknown := sorted(set(entry) - _KEYS):
        problems.append(
            f"unknown key {', '.join(unknown)}; there are {', '.join(sorted(_KEYS))} and template with vars"
        )
    kinds = [kind for kind in _KINDS if entry.get(kind) is not None and entry.get(kind) is not False]
    if path in sealed:
        kinds.append("content")
    if len(kinds) != 1:
        problems.append("needs exactly one of content, template, link, directory or absent")
    mode = entry.get("mode", "0644")
    # YAML reads an unquoted 0644 as the number 420.
    if not isinstance(mode, str) or not re.fullmatch(r"0?[0-7]{3,4}", mode):
        meant = f'; "{mode:04o}"?' if isinstance(mode, int) and 0 < mode < 0o10000 else ""
        problems.append(f'mode {mode!r} is not an octal number in quotes, such as "0644"{meant}')
    for key, kind, name in (("content", str, "a text"), ("link", str, "a text"), *_OTHER_TYPES):
        if entry.get(key) is not None and not isinstance(entry[key], kind):
            problems.append(f"{key} is not {name}")
    if isinstance(entry.get("link"), str) and (not entry["link"] or _CONTROL.search(entry["link"])):
        problems.append("link is not the path of anything")
    return problems


def _wanted(path: str, entry: Mapping[str, Any], sealed: Mapping[str, str]) -> Wanted:
    if entry.get("absent"):
        return Wanted(path, "absent")
    if entry.get("link"):
        return Wanted(path, "link", target=str(entry["link"]), shared=bool(entry.get("shared")))
    kind = "directory" if entry.get("directory") else "file"
    content = sealed.get(path, entry.get("content") or "") if kind == "file" else ""
    return Wanted(
        path,
        kind,
        content=str(content).encode(),
        owner=str(entry.get("owner", "root")),
        group=str(entry.get("group", "root")),
        mode=int(str(entry.get("mode", "0755" if kind == "directory" else "0644")), 8),
        sensitive=bool(entry.get("sensitive")),
        shared=bool(entry.get("shared")),
    )


def unsafe_parent(path: str) -> str | None:
    """Return what is wrong with a directory above the path: its user could lead what root writes there elsewhere.

    A link that is not root's, and a directory in which others can rename what is in it, are such places.
    """
    trusted = {0, os.geteuid()}
    for parent in parents(path):
        try:
            status = os.lstat(parent)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISLNK(status.st_mode):
            if status.st_uid not in trusted:
                return f"{parent} is a link that is not root's, so its user could lead it anywhere"
            if not os.path.isdir(parent):
                return f"{parent} is a link to something that is not a directory"
            status = os.stat(parent)
        if not stat.S_ISDIR(status.st_mode):
            return f"{parent} is not a directory"
        if status.st_uid not in trusted:
            return f"{parent} is not root's, so its user could replace what is written there"
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            return f"{parent} can be written by everybody, so anybody could replace what is written there"
    return None
