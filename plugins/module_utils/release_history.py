# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is remembered: the history of each application, its finished releases, the applications of an owner; and what
may go.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    KEY_FILE,
    OWNERS_DIRECTORY,
    RUN_DIRECTORY,
    Layout,
)

OWNER_NAME = re.compile(r"^[A-Za-z0-9_.-]+$")


def read_json(path: str) -> dict[str, Any]:
    """Return a record, or {} when there is none or it was cut short by a crash."""
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_text_if_any(path: str) -> str:
    """Return the text of a file, or an empty one when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def finished_releases(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the records of all releases that were built to the end and sealed, oldest first."""
    records = {release_id: read_json(layout.record(release_id)) for release_id in layout.ids()}
    return {release_id: record for release_id, record in records.items() if record.get("seal")}


def append_history(layout: Layout, entry: Mapping[str, Any], group: int) -> None:
    """Add one line to the application's history."""
    descriptor = os.open(layout.history, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o640)
    with open(descriptor, "r+b") as stream:
        os.fchown(descriptor, 0, group)
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(end - 1, 0))
        # A line that a crash has cut short takes no other with it.
        torn = stream.read(1) not in (b"", b"\n")
        stream.seek(end)
        line = json.dumps({"time": timestamp(), **entry}, sort_keys=True) + "\n"
        stream.write(b"\n" * torn + line.encode())
        stream.flush()
        os.fsync(descriptor)


def read_history(layout: Layout) -> list[dict[str, Any]]:
    """Return the history, oldest first; a line that a crash cut short is left out."""
    try:
        with open(layout.history, encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def previous_good(
    history: Sequence[Mapping[str, Any]], live: str | None, finished: Collection[str], marked: Collection[str]
) -> str | None:
    """Return the release to go back to: the one that was live last, is still there, and was not rolled back from."""
    for entry in reversed(history):
        release_id = entry.get("release")
        if (
            entry.get("outcome") == "live"
            and release_id != live
            and release_id in finished
            and release_id not in marked
        ):
            return str(release_id)
    return None


def read_marks(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the releases that were rolled back from: id -> when, by whom, to which; and their two digests."""
    return {name: mark for name, mark in read_json(layout.marks).items() if isinstance(mark, dict)}


def write_marks(layout: Layout, marks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the marks when they differ from what is there."""
    if dict(marks) != read_marks(layout):
        replace_file(layout.marks, (json.dumps(marks, indent=1, sort_keys=True) + "\n").encode(), 0o600, 0, 0)


def mark_of(marks: Mapping[str, Mapping[str, Any]], digest: str, secrets: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return the mark of a release with these inputs, even when the release itself was pruned."""
    for release_id, mark in marks.items():
        if mark.get("digest") == digest and mark.get("secrets_digest") == secrets:
            return release_id, mark
    return None


def timestamp(moment: float | None = None) -> str:
    """Return a time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def releases_to_remove(
    ids: Collection[str], history: Sequence[Mapping[str, Any]], keep: int, in_use: Collection[str]
) -> list[str]:
    """Return the releases to delete: all but the ``keep`` that were live last. Those in use never go, whatever
    ``keep`` says.

    When it was live counts, not when its directory was touched: a release that was activated again is young.
    """
    live_order = [
        str(entry["release"]) for entry in history if entry.get("outcome") == "live" and entry.get("release") in ids
    ]
    by_use = sorted(ids, key=lambda name: (_last_index(live_order, name), name), reverse=True)
    kept = {*in_use, *by_use[: max(keep, 1)]}
    return sorted(name for name in ids if name not in kept)


def _last_index(order: Sequence[str], name: str) -> int:
    return len(order) - 1 - order[::-1].index(name) if name in order else -1


def host_key() -> bytes | None:
    """Return the host's key for digests of secrets, or None before the first release."""
    try:
        with open(KEY_FILE, "rb") as stream:
            key = stream.read()
    except OSError:
        return None
    return key if len(key) >= 32 else None


def make_host_key() -> bytes:
    """Return the host's key; makes it when there is none."""
    with host_wide():
        key = host_key()
        if key is None:
            key = os.urandom(32).hex().encode()
            os.makedirs(os.path.dirname(KEY_FILE), mode=0o755, exist_ok=True)
            replace_file(KEY_FILE, key)
    return key


@contextlib.contextmanager
def host_wide() -> Iterator[None]:
    """Hold, for a moment, what all applications of the host share."""
    os.makedirs(RUN_DIRECTORY, mode=0o700, exist_ok=True)
    with open(f"{RUN_DIRECTORY}/.host.lock", "a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def owner_apps(owner: str) -> dict[str, str]:
    """Return the applications of an owner: name -> ``active`` or ``stopped``."""
    apps = read_json(_owner_file(owner)).get("apps", {})
    return {str(name): str(state) for name, state in apps.items()}


def other_owner(owner: str, app: str) -> str | None:
    """Return another owner that has this application, if any."""
    try:
        records = sorted(os.listdir(OWNERS_DIRECTORY))
    except OSError:
        return None
    others = [name.removesuffix(".json") for name in records if name.endswith(".json") and name != f"{owner}.json"]
    return next((other for other in others if app in owner_apps(other)), None)


def record_owner(owner: str, app: str, state: str | None) -> None:
    """Write down that an application is the owner's; ``state`` None takes it off the list."""
    with host_wide():
        apps = owner_apps(owner)
        if apps.get(app) == state:
            return
        if state is None:
            apps.pop(app)
        else:
            apps[app] = state
        _write_owner(owner, apps)


def _write_owner(owner: str, apps: Mapping[str, str]) -> None:
    os.makedirs(OWNERS_DIRECTORY, mode=0o755, exist_ok=True)
    replace_file(_owner_file(owner), (json.dumps({"apps": apps}, indent=1, sort_keys=True) + "\n").encode(), 0o644)


def _owner_file(owner: str) -> str:
    if not OWNER_NAME.match(owner):
        raise ReleaseError("definition", f"an owner's name has letters, digits and _.- only: {owner!r}")
    return f"{OWNERS_DIRECTORY}/{owner}.json"
