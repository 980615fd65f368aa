# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What survives a crash: the record of what an owner manages, and the journal of a transaction under way."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file, sync_directory
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError

STATE = "/var/lib/flaskworks/file_set"
LOCK = "/run/flaskworks/file_set.lock"

# The steps of a transaction in their order; each is written down, and on the disk, before the next begins.
# Before "kept" the host has not changed. Up to "verified" a crash is undone, from there on the rest is finished.
STEPS = ("begun", "staged", "validated", "kept", "swapped", "applied", "verified", "recorded")
# Written down while a transaction is undone, when the files are back and only the program has yet to take them.
RESTORED = "restored"


def kept_name(path: str) -> str:
    """The second name of an original until the transaction ends; no program reads it either."""
    folder, name = os.path.split(path)
    return f"{folder}/.{name}.flaskworks-kept~"


def is_leftover(name: str) -> bool:
    """Tell whether a file of this name is a transaction's own."""
    return name.startswith(".") and name.endswith((".flaskworks~", ".flaskworks-kept~"))


@contextlib.contextmanager
def host_lock(owner: str, wait: float = 60.0) -> Iterator[None]:
    """Let one transaction at a time run on a host. Raises FileSetError when another takes over ``wait`` seconds."""
    os.makedirs(os.path.dirname(LOCK), mode=0o700, exist_ok=True)
    with open(LOCK, "a+", encoding="utf-8") as stream:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    stream.seek(0)
                    raise FileSetError(
                        f"another run ({stream.read().strip() or 'unknown'}) has been changing this host's files "
                        f"for over {wait:.0f} s: nothing was changed, try again later"
                    ) from None
                time.sleep(0.05)
        stream.truncate(0)
        stream.write(f"{owner}, process {os.getpid()}, since {time.strftime('%H:%M:%S')}")
        stream.flush()
        for left in glob.glob(f"{os.path.dirname(LOCK)}/context.*"):
            shutil.rmtree(left, ignore_errors=True)
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
        """Write down what the owner manages; an owner that manages nothing leaves nothing behind."""
        if paths or pending:
            self._make_folder()
            replace_file(f"{self.folder}/record.json", _text({"paths": dict(paths), "pending": pending}))
        elif os.path.exists(f"{self.folder}/record.json"):
            os.unlink(f"{self.folder}/record.json")
            sync_directory(self.folder)
            self._drop_folder()

    def others(self) -> Iterator[Store]:
        """The stores of the other owners on this host."""
        for owner in sorted(os.listdir(self.root)) if os.path.isdir(self.root) else []:
            if owner != self.owner and os.path.isdir(f"{self.root}/{owner}"):
                yield Store(owner, self.root)

    def claimed_by_others(self) -> dict[str, tuple[str, str]]:
        """Return what other owners on this host manage: path -> (owner, kind). The kind of what is shared is shared."""
        return {
            path: (store.owner, "shared" if entry.get("shared") else entry["kind"])
            for store in self.others()
            for path, entry in store.record()["paths"].items()
        }

    def journal(self) -> dict[str, Any] | None:
        journal: dict[str, Any] | None = _read(f"{self.folder}/journal.json")
        return journal

    def advance(self, journal: dict[str, Any], step: str) -> None:
        """Write down that a step was reached."""
        if step not in (*STEPS, RESTORED):
            raise ValueError(step)
        journal.setdefault("steps", []).append(step)
        self._make_folder()
        replace_file(f"{self.folder}/journal.json", _text(journal))

    def forget_journal(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.folder}/journal.json")
            sync_directory(self.folder)
        self._drop_folder()

    def _drop_folder(self) -> None:
        """Remove the owner's folder unless there is a record or a journal in it."""
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)

    def _make_folder(self) -> None:
        """Make the owner's folder and wait until it is on the disk; only root may look into it."""
        missing = [self.folder]
        while not os.path.isdir(os.path.dirname(missing[-1])):
            missing.append(os.path.dirname(missing[-1]))
        for folder in reversed(missing):
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o700)
                # Whatever umask sudo passes on: the build user reads beside the root of all owners.
                os.chmod(folder, 0o700 if folder in (self.folder, self.root) else 0o755)
                sync_directory(os.path.dirname(folder))
        os.chmod(self.root, 0o700)


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
