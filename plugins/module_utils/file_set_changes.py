# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what is wanted and what is there to a list of changes, and carrying single changes out and back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import (
    NOTHING,
    FileSetError,
    Seen,
    Wanted,
    differs,
    group_id,
    user_id,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import (
    seen_as_text,
    seen_from_text,
    staging_name,
    sync_directory,
    write_durably,
    write_new,
)

Look = Callable[[str], Seen]


@dataclass(frozen=True)
class Change:
    """One path: what it was and what it shall be."""

    before: Seen
    wanted: Wanted

    @property
    def path(self) -> str:
        return self.wanted.path


def find_changes(wanted: Iterable[Wanted], managed: Mapping[str, Any], look: Look) -> list[Change]:
    """Compare the set with the host. Paths that the owner managed and no longer lists are wanted absent.

    A directory that is no longer listed goes only when nothing but what goes as well is in it.
    Order: missing parents first, then directories, files and links, then removals from the deepest on.
    """
    listed = {entry.path: entry for entry in wanted}
    used = {parent for entry in listed.values() if entry.kind != "absent" for parent in parents(entry.path)}
    gone = [
        Wanted(path, "absent", sensitive=bool(entry.get("sensitive")))
        for path, entry in managed.items()
        if path not in listed and path not in used
    ]
    entries = [entry for entry in (*listed.values(), *gone) if differs(entry, look(entry.path))]
    removals = sorted(
        (entry for entry in entries if entry.kind == "absent"), key=lambda entry: entry.path, reverse=True
    )
    kept = [entry for entry in entries if entry.kind != "absent"]
    missing = sorted({parent for entry in kept for parent in parents(entry.path) if look(parent).kind == "none"})
    made = [Wanted(path, "directory", mode=0o755) for path in missing if path not in listed]
    ordered = sorted((*made, *kept), key=lambda entry: (entry.kind != "directory", entry.path))
    going = {entry.path for entry in removals}
    removable = [entry for entry in removals if entry.path in listed or _is_removable(entry.path, going, look)]
    return [Change(look(entry.path), entry) for entry in (*ordered, *removable)]


def parents(path: str) -> list[str]:
    """Return the directories above a path, the nearest first, without the root."""
    found = []
    while (path := os.path.dirname(path)) != "/":
        found.append(path)
    return found


def _is_removable(path: str, going: set[str], look: Look) -> bool:
    if look(path).kind != "directory":
        return True
    return all(f"{path}/{name}" in going for name in os.listdir(path))


def check_changes(changes: Iterable[Change]) -> None:
    """Raise FileSetError for changes that can't be made, all at once."""
    problems = []
    for change in changes:
        wanted, before = change.wanted, change.before
        is_replaced = wanted.kind not in (before.kind, "absent") and before.kind != "none"
        if before.kind == "other" or (is_replaced and "directory" in (wanted.kind, before.kind)):
            problems.append(f"{change.path} is a {before.kind} and can't become a {wanted.kind}: move it away first")
        if wanted.kind in ("file", "directory"):
            if user_id(wanted.owner) is None:
                problems.append(f"{change.path}: the user {wanted.owner} does not exist on this host")
            if group_id(wanted.group) is None:
                problems.append(f"{change.path}: the group {wanted.group} does not exist on this host")
    if problems:
        raise FileSetError("\n".join(problems))


def stage(changes: Iterable[Change]) -> None:
    """Make missing directories and write every new file under a name that no program reads. Nothing is live yet."""
    for change in changes:
        wanted = change.wanted
        if wanted.kind == "directory" and change.before.kind == "none":
            os.mkdir(change.path, wanted.mode)
            _own(wanted)
        elif wanted.kind == "file":
            write_new(staging_name(change.path), wanted.content, wanted.mode, *_ids(wanted))
        elif wanted.kind == "link":
            _new_link(change.path, wanted.target)


def swap(change: Change) -> None:
    """Put one staged change in its place."""
    wanted = change.wanted
    if wanted.kind == "directory":
        _own(wanted)
    elif wanted.kind == "absent":
        _drop(change.path)
    else:
        os.rename(staging_name(change.path), change.path)
    sync_directory(os.path.dirname(change.path))


def put_back(path: str, before: Seen) -> None:
    """Make a path what it was. Can be repeated, also after it was cut off half-way."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(staging_name(path))
    if before.kind == "none":
        # A directory in which somebody else has put something by now stays.
        with contextlib.suppress(OSError):
            _drop(path)
    elif before.kind == "file":
        write_durably(path, before.content, before.mode, before.uid, before.gid)
    elif before.kind == "link":
        _new_link(path, before.target)
        os.lchown(staging_name(path), before.uid, before.gid)
        os.rename(staging_name(path), path)
    elif before.kind == "directory":
        if not os.path.isdir(path):
            os.mkdir(path)
        os.chown(path, before.uid, before.gid)
        os.chmod(path, before.mode)


def changes_as_text(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Return what a journal needs to undo the changes."""
    return [{"path": change.path, "before": seen_as_text(change.before)} for change in changes]


def befores(journal: Mapping[str, Any]) -> dict[str, Seen]:
    """Return what the paths of a journal were, in the order of the changes."""
    return {entry["path"]: seen_from_text(entry["before"]) for entry in journal.get("changes", [])}


def difference(change: Change) -> dict[str, str]:
    """Return one entry of Ansible's diff; the content of a sensitive file is not in it."""
    wanted, before = change.wanted, change.before
    hidden = wanted.sensitive
    after = NOTHING if wanted.kind == "absent" else _as_seen(wanted)
    texts = [_shown(before, hidden), _shown(after, hidden)]
    if hidden and before.kind == after.kind == "file" and before.content != after.content:
        texts[1] += "(the content changes; it is not shown)\n"
    return {
        "before_header": f"{change.path}{_attributes(before)}",
        "after_header": f"{change.path}{_attributes(after)}",
        "before": texts[0],
        "after": texts[1],
    }


def _as_seen(wanted: Wanted) -> Seen:
    uid, gid = user_id(wanted.owner), group_id(wanted.group)
    return Seen(
        wanted.kind, wanted.content, wanted.target, -1 if uid is None else uid, -1 if gid is None else gid, wanted.mode
    )


def _shown(seen: Seen, hidden: bool) -> str:
    if seen.kind == "link":
        return f"link to {seen.target}\n"
    if seen.kind == "file":
        return "(sensitive)\n" if hidden else seen.content.decode(errors="replace")
    return "" if seen.kind == "none" else f"{seen.kind}\n"


def _attributes(seen: Seen) -> str:
    if seen.kind not in ("file", "directory"):
        return f" ({seen.kind})" if seen.kind == "none" else ""
    return f" ({seen.mode:04o} {_name(seen.uid)}:{_name(seen.gid)})"


def _name(number: int) -> str:
    return "root" if number == 0 else "new" if number < 0 else str(number)


def _ids(wanted: Wanted) -> tuple[int, int]:
    uid, gid = user_id(wanted.owner), group_id(wanted.group)
    if uid is None or gid is None:
        raise FileSetError(f"{wanted.path}: the user {wanted.owner} or the group {wanted.group} is gone")
    return uid, gid


def _own(wanted: Wanted) -> None:
    os.chown(wanted.path, *_ids(wanted), follow_symlinks=False)
    os.chmod(wanted.path, wanted.mode)


def _new_link(path: str, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staging_name(path))
    os.symlink(target, staging_name(path))


def _drop(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
