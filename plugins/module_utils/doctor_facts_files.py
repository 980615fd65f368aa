# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files below /srv that others than root, or the application in its own directory, own or may write."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import BUILD_USER
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_units import read_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_seal import MARKER

ROOT = "/srv"
# A million uploads take ten seconds; beyond that the rest is left alone, and named.
MOST = 500_000
# Types of file systems that are looked at.
OF_THE_HOST = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "overlay", "tmpfs")


def file_facts(apps: Mapping[str, Any], root: str = ROOT) -> list[dict[str, Any]]:
    """Return one fact for each kind and application: ``kind``, ``app``, ``path`` (the first), ``start`` (how far root
    can name it safely), ``count``, ``owner``, ``uid``, ``wanted``. The kind ``unseen`` has ``count`` (what was looked
    at below ``path``) and ``rest`` (the directories of which not everything was).

    ``apps``: the applications of this host by their names.
    """
    ids, builder = {name: _user_id(name) for name in apps}, _user_id(BUILD_USER)
    groups = {name: _groups_of(name) for name in apps}
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    waiting, rest = [root], set()
    for seen, (path, entry) in enumerate(_walk(waiting)):
        if seen >= MOST:
            rest = {_part(root, directory) for directory in (os.path.dirname(path), *waiting)}
            break
        relative = os.path.relpath(path, root)
        app = relative.partition("/")[0]
        app = app if app in apps else ""
        inside = relative.partition("/")[2]
        at_work = builder if entry.st_uid == builder and _is_being_built(f"{root}/{app}", inside) else None
        for kind in kinds_of(entry, inside, ids.get(app), at_work, groups.get(app, ())):
            key = kind, app, str(entry.st_uid) if kind != "world-writable" else ""
            if key not in found:
                fact = {"kind": kind, "app": app, "path": path, "count": 0, "owner": _name(entry.st_uid)}
                shared = f"{root}/{app}/shared" if app and inside.split("/")[0] == "shared" else ""
                start, wanted = (shared, app) if shared else (_start(root, path), "root")
                found[key] = {**fact, "start": start, "uid": entry.st_uid, "wanted": wanted}
            found[key]["count"] += 1
    unseen = {"kind": "unseen", "app": "", "path": root, "count": MOST, "rest": sorted(rest)}
    return [*found.values(), *([unseen] if rest else [])]


def kinds_of(
    entry: os.stat_result, inside: str, user: int | None, builder: int | None, groups: Collection[int] = ()
) -> Iterator[str]:
    """Yield what is wrong with one file. ``inside``: its path below the application's directory.

    ``user``: the application's user id, None for a file of no application; then only its mode is judged. ``builder``:
    who may own it as well, while it is built. ``groups``: those of the application's user.
    """
    if stat.S_ISLNK(entry.st_mode):
        return
    sticky = stat.S_ISDIR(entry.st_mode) and entry.st_mode & stat.S_ISVTX
    # Who reaches a socket is said by its directory and its mode; in /srv there are none of ours.
    if entry.st_mode & stat.S_IWOTH and not sticky:
        yield "world-writable"
    if user is None or not inside:
        return
    shared = inside.split("/")[0] == "shared"
    if shared and inside == "shared":
        return
    if not shared and entry.st_uid != user and entry.st_mode & stat.S_IWGRP and entry.st_gid in groups:
        yield "group-code"
    if entry.st_uid in ((user,) if shared else (0, builder)):
        return
    yield "own-code" if entry.st_uid == user else "foreign"


def _start(root: str, path: str) -> str:
    """Return the first directory on the way to a file whose entries others than root can swap; if none, the file."""
    place = root
    for part in os.path.relpath(path, root).split("/")[:-1]:
        place = os.path.join(place, part)
        try:
            entry = os.lstat(place)
        except OSError:
            return place
        by_group = entry.st_mode & stat.S_IWGRP and entry.st_gid
        if entry.st_uid or by_group or entry.st_mode & stat.S_IWOTH or not stat.S_ISDIR(entry.st_mode):
            return place
    return path


def _part(root: str, directory: str) -> str:
    """Return what a person looks for it by: ``/srv/blog/shared`` for all that is below it."""
    return os.path.join(root, *os.path.relpath(directory, root).split("/")[:2]) if directory != root else root


def _is_being_built(base: str, inside: str) -> bool:
    """Tell whether the build user works there: nothing that was sealed is his any more. git's mirror is for good."""
    kind, dummy, below = inside.partition("/")
    sealed = {"releases": "release.json", "venvs": MARKER}.get(kind)
    if sealed is None or not below:
        return kind == "repo.git"
    return not os.path.lexists(f"{base}/{kind}/{below.partition('/')[0]}/{sealed}")


def mounted_elsewhere(mountinfo: str) -> frozenset[str]:
    """Return where file systems are mounted that are not of this host's disks, of /proc/self/mountinfo (proc(5)).

    One of another machine may never answer, not even to stat().
    """
    found = set()
    for line in mountinfo.splitlines():
        before, dummy, after = line.partition(" - ")
        if after.split(" ")[0] not in OF_THE_HOST and len(before.split(" ")) > 4:
            found.add(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split(" ")[4]))
    return frozenset(found)


def _walk(waiting: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield all files and directories below directories on this host's disks, without following links.

    ``waiting`` loses a directory when its entries are about to be yielded, and gets those that are found in it.
    """
    skipped = mounted_elsewhere(read_text("/proc/self/mountinfo"))
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.path in skipped:
                    continue
                with contextlib.suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    yield entry.path, facts
                    if stat.S_ISDIR(facts.st_mode):
                        waiting.append(entry.path)


def _user_id(name: str) -> int | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name).pw_uid
    return None


def _groups_of(name: str) -> list[int]:
    with contextlib.suppress(KeyError):
        return os.getgrouplist(name, pwd.getpwnam(name).pw_gid)
    return []


def _name(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"the user id {uid}, which nobody has"
