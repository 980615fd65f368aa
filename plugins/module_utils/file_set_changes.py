# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what is wanted and what is there to a list of changes, and carrying single changes out and back.

An original is kept as a second name (a hard link) of the same file until the transaction ends. So putting it back is
one rename, which needs no space on the disk, loses no attribute, and keeps the content of secrets out of the journal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import staging_name, sync_directory, write_new
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import (
    NOTHING,
    FileSetError,
    Seen,
    Wanted,
    differs,
    digest,
    group_id,
    look,
    parents,
    user_id,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import (
    is_leftover,
    kept_name,
)

Look = Callable[[str], Seen]


@dataclass(frozen=True)
class Change:
    """One path: what it was and what it shall be.

    hidden   neither content may be shown
    implied  a directory that nobody listed, made because something below it is wanted
    """

    before: Seen
    wanted: Wanted
    hidden: bool = False
    implied: bool = False

    @property
    def path(self) -> str:
        return self.wanted.path


def find_changes(
    wanted: Iterable[Wanted], managed: Mapping[str, Any], look: Look, others: Collection[str] = ()
) -> list[Change]:
    """Compare the set with the host. Paths that the owner managed and no longer lists are wanted absent.

    A directory that is no longer listed goes only when nothing but what goes as well is in it, and no other owner
    manages it (``others``).
    Order: missing parents first, then directories, files and links, then removals from the deepest on.
    """
    listed = {entry.path: entry for entry in wanted}
    used = {parent for entry in listed.values() if entry.kind != "absent" for parent in parents(entry.path)}
    gone = [
        Wanted(path, "absent")
        for path, entry in managed.items()
        if path not in listed and path not in used and path not in others and _is_ours(entry["kind"], look(path).kind)
    ]
    entries = [entry for entry in (*listed.values(), *gone) if differs(entry, look(entry.path))]
    removals = sorted(
        (entry for entry in entries if entry.kind == "absent"), key=lambda entry: entry.path, reverse=True
    )
    kept = [entry for entry in entries if entry.kind != "absent"]
    missing = sorted({parent for entry in kept for parent in parents(entry.path) if look(parent).kind == "none"})
    made = [Wanted(path, "directory", mode=0o755) for path in missing if path not in listed]
    ordered = sorted((*made, *kept), key=lambda entry: (entry.kind != "directory", entry.path))
    going: dict[str, Wanted] = {}
    for entry in removals:
        # What is below a directory was decided before it: something of another owner keeps all above it.
        if entry.path in listed or _is_removable(entry.path, going.keys(), look):
            going[entry.path] = entry
    implied = {entry.path for entry in made}
    return [
        _change(entry, look(entry.path), managed.get(entry.path), entry.path in implied)
        for entry in (*ordered, *going.values())
    ]


def _is_ours(recorded: str, found: str) -> bool:
    """Tell whether what is found can be what was recorded: a directory in place of a file is somebody else's."""
    return (recorded == "directory") == (found == "directory") and found != "other"


def _change(wanted: Wanted, before: Seen, known: Mapping[str, Any] | None, implied: bool) -> Change:
    """A file that is in no record and that its mode hides from others may hold a secret as well."""
    secret = bool(known["sensitive"]) if known else before.kind == "file" and not before.mode & 0o004
    return Change(before, wanted, wanted.sensitive or secret, implied)


def _is_removable(path: str, going: Collection[str], look: Look) -> bool:
    if look(path).kind != "directory":
        return True
    if os.path.ismount(path):
        return False
    # What look does not see is the leftover of a run that was cut off.
    inside = [f"{path}/{name}" for name in _names(path)]
    return all(inner in going for inner in inside if look(inner).kind != "none")


def _names(path: str) -> list[str]:
    try:
        return [name for name in os.listdir(path) if not is_leftover(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def check_changes(changes: Sequence[Change], look: Look = look, users: bool = True) -> None:
    """Raise FileSetError for changes that can't be made, all at once.

    users: also for users and groups that do not exist, which in check mode may only not exist yet
    """
    problems = []
    going = {change.path for change in changes if change.wanted.kind == "absent"}
    for change in changes:
        wanted, before = change.wanted, change.before
        is_replaced = wanted.kind not in (before.kind, "absent") and before.kind != "none"
        if before.kind == "other":
            problems.append(f"{change.path} is neither a file nor a link nor a directory: move it away first")
        elif is_replaced and "directory" in (wanted.kind, before.kind):
            problems.append(f"{change.path} is a {before.kind} and can't become a {wanted.kind}: move it away first")
        elif wanted.kind == "absent" and not _is_removable(change.path, going, look):
            problems.append(f"{change.path} is a directory with something in it, which only you can remove")
        if users and wanted.kind in ("file", "directory"):
            if user_id(wanted.owner) is None:
                problems.append(f"{change.path}: the user {wanted.owner} does not exist on this host")
            if group_id(wanted.group) is None:
                problems.append(f"{change.path}: the group {wanted.group} does not exist on this host")
    if problems:
        raise FileSetError("\n".join(problems))


def stage(changes: Iterable[Change]) -> None:
    """Make missing directories and write every new file under a name that no program reads. Nothing is live yet."""
    touched = set()
    for change in changes:
        wanted = change.wanted
        if wanted.kind == "directory" and change.before.kind == "none":
            with contextlib.suppress(FileExistsError):
                os.mkdir(change.path, 0o700)
            _own(wanted)
        elif wanted.kind == "file":
            write_new(staging_name(change.path), wanted.content, wanted.mode, *_ids(wanted))
        elif wanted.kind == "link":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staging_name(change.path))
            os.symlink(wanted.target, staging_name(change.path))
        touched.add(os.path.dirname(change.path))
    _sync(touched)


def keep(changes: Iterable[Change]) -> None:
    """Give every original that goes a second name."""
    touched = set()
    for change in changes:
        if change.before.kind not in ("file", "link"):
            continue
        name = kept_name(change.path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        try:
            os.link(change.path, name, follow_symlinks=False)
        except OSError:
            _copy(change.path, change.before, name)
        touched.add(os.path.dirname(change.path))
    _sync(touched)


def swap(change: Change) -> None:
    """Put one staged change in its place. A directory that goes is still there: see finish."""
    wanted = change.wanted
    if wanted.kind == "directory":
        _own(wanted)
    elif wanted.kind != "absent":
        os.rename(staging_name(change.path), change.path)
    elif change.before.kind != "directory":
        _unlink(change.path)
    sync_directory(os.path.dirname(change.path))


def finish(entry: Mapping[str, Any]) -> None:
    """End one change for good: forget the original, and remove a directory that is to go. Can be repeated."""
    _unlink(kept_name(entry["path"]))
    if entry["wanted"] == "absent" and entry["before"]["kind"] == "directory":
        # Somebody may have put something into it by now: then it stays.
        with contextlib.suppress(OSError):
            os.rmdir(entry["path"])


def put_back(entry: Mapping[str, Any]) -> None:
    """Make a path what it was. Can be repeated, also after it was cut off half-way."""
    path, before = entry["path"], entry["before"]
    _unlink(staging_name(path))
    kept = kept_name(path)
    if os.path.lexists(kept):
        os.rename(kept, path)
        # rename(2) does nothing when both names are the same file: the change had not been made yet.
        _unlink(kept)
    elif before["kind"] == "none":
        _remove_ours(entry)
    elif before["kind"] == "directory" and os.path.isdir(path) and not os.path.islink(path):
        os.chown(path, before["uid"], before["gid"], follow_symlinks=False)
        os.chmod(path, before["mode"])
    if os.path.isdir(os.path.dirname(path)):
        sync_directory(os.path.dirname(path))


def _remove_ours(entry: Mapping[str, Any]) -> None:
    """Remove what the transaction made; what somebody else has put there by now stays."""
    path = entry["path"]
    now = look(path)
    if now.kind == "directory" == entry["wanted"]:
        with contextlib.suppress(OSError):
            os.rmdir(path)
    elif now.kind == entry["wanted"] and _print(now.kind, now.content, now.target) == entry["print"]:
        _unlink(path)


def changes_as_text(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Return what a journal needs to undo or finish the changes; no content is in it."""
    return [
        {
            "path": change.path,
            "before": {
                "kind": change.before.kind,
                "uid": change.before.uid,
                "gid": change.before.gid,
                "mode": change.before.mode,
            },
            "wanted": change.wanted.kind,
            "print": _print(change.wanted.kind, change.wanted.content, change.wanted.target),
        }
        for change in changes
    ]


def look_before(entry: Mapping[str, Any]) -> Seen:
    """Return what a path was before a transaction that is not finished."""
    before = entry["before"]
    if before["kind"] == "none":
        return NOTHING
    if before["kind"] == "directory":
        return Seen("directory", uid=before["uid"], gid=before["gid"], mode=before["mode"])
    kept = look(kept_name(entry["path"]))
    return look(entry["path"]) if kept.kind == "none" else kept


def _print(kind: str, content: bytes, target: str) -> str:
    return digest(content if kind == "file" else target.encode())


def _ids(wanted: Wanted) -> tuple[int, int]:
    uid, gid = user_id(wanted.owner), group_id(wanted.group)
    if uid is None or gid is None:
        raise FileSetError(f"{wanted.path}: the user {wanted.owner} or the group {wanted.group} is gone")
    return uid, gid


def _own(wanted: Wanted) -> None:
    os.chown(wanted.path, *_ids(wanted), follow_symlinks=False)
    os.chmod(wanted.path, wanted.mode)


def _copy(path: str, seen: Seen, name: str) -> None:
    """Keep an original on a file system without hard links."""
    if seen.kind == "link":
        os.symlink(os.readlink(path), name)
    else:
        write_new(name, look(path).content, seen.mode, seen.uid, seen.gid)
        shutil.copystat(path, name)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def _sync(folders: Iterable[str]) -> None:
    for folder in folders:
        sync_directory(folder)
