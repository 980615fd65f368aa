# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What survives a crash: the record of what an owner manages, and the journal of a transaction under way."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, Seen

STATE = "/var/lib/flaskworks/file_set"
LOCK = "/run/flaskworks/file_set.lock"

# The steps of a transaction in their order; each is written down before the next begins.
STEPS = ("begun", "staged", "validated", "swapping", "swapped", "applied", "verified", "recorded")


def write_durably(path: str, data: bytes, mode: int = 0o600, uid: int = 0, gid: int = 0) -> None:
    """Replace a file so that after a crash it holds either all of the old or all of the new."""
    temporary = staging_name(path)
    write_new(temporary, data, mode, uid, gid)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def write_new(path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
    """Write a new file and wait until it is on the disk. Only root can read it before its owner and mode are set."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def staging_name(path: str) -> str:
    """A name beside the target that no program reads: hidden, with an ending that logrotate and run-parts ignore."""
    folder, name = os.path.split(path)
    return f"{folder}/.{name}.flaskworks~"


def sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def host_lock(wait: float = 60.0) -> Iterator[None]:
    """Let one transaction at a time run on a host. Raises FileSetError when another takes over ``wait`` seconds."""
    os.makedirs(os.path.dirname(LOCK), mode=0o700, exist_ok=True)
    with open(LOCK, "a", encoding="utf-8") as stream:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise FileSetError(
                        f"another run has been changing this host's files for over {wait:.0f} s; try again later"
                    ) from None
                time.sleep(0.1)
        yield


class Store:
    """The state of one owner, below /var/lib/flaskworks/file_set/<owner>/ (root's alone)."""

    def __init__(self, owner: str, state: str = STATE) -> None:
        self.owner = owner
        self.root = state
        self.folder = f"{state}/{owner}"

    def record(self) -> dict[str, Any]:
        """Return ``{"paths": {path: {kind, sensitive}}, "pending": bool}``; pending: restored, but not applied yet."""
        found = _read(f"{self.folder}/record.json")
        return found or {"paths": {}, "pending": False}

    def write_record(self, paths: Mapping[str, Any], pending: bool) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        os.chmod(self.root, 0o700)
        write_durably(f"{self.folder}/record.json", _text({"paths": dict(paths), "pending": pending}))

    def claimed_by_others(self) -> dict[str, str]:
        """Return the files and links that other owners on this host manage: path -> owner."""
        claimed = {}
        for owner in sorted(os.listdir(self.root)) if os.path.isdir(self.root) else []:
            if owner != self.owner:
                record = _read(f"{self.root}/{owner}/record.json") or {"paths": {}}
                claimed.update({path: owner for path, entry in record["paths"].items() if entry["kind"] != "directory"})
        return claimed

    def journal(self) -> dict[str, Any] | None:
        journal: dict[str, Any] | None = _read(f"{self.folder}/journal.json")
        return journal

    def advance(self, journal: dict[str, Any], step: str) -> None:
        """Write down that a step was reached."""
        journal["step"] = step
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        os.chmod(self.root, 0o700)
        write_durably(f"{self.folder}/journal.json", _text(journal))

    def forget_journal(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.folder}/journal.json")
            sync_directory(self.folder)

    def forget(self) -> None:
        """Leave nothing behind of an owner that manages nothing any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(self.root)


def seen_as_text(seen: Seen) -> dict[str, Any]:
    """Return a form of what was seen that JSON can hold."""
    return {**seen.__dict__, "content": base64.b64encode(seen.content).decode()}


def seen_from_text(text: Mapping[str, Any]) -> Seen:
    return Seen(**{**text, "content": base64.b64decode(text["content"])})


def private_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory below /run that only root reads."""
    os.makedirs(os.path.dirname(LOCK), mode=0o700, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="context.", dir=os.path.dirname(LOCK))


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _read(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None
