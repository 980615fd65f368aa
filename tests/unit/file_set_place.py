"""A place for transactions: real files in a temporary directory, a program that remembers, a store that is killed."""

from __future__ import annotations

import getpass
import grp
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_engine import Outcome, apply_set
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, parse
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import STEPS, Store
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import Program

# From this step on a crash is not undone any more, but finished.
DONE = STEPS[STEPS.index("verified") :]
ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


class Recorder(Program):
    """A program that remembers what it was asked, and refuses what it is told to refuse."""

    def __init__(self, refuse: str = "") -> None:
        self.calls: list[str] = []
        self.refuse = refuse

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.refuse == name:
            raise FileSetError(f"{name} refuses")

    def validate(self, changes: Sequence[Change]) -> None:
        self._called("validate")

    def apply(self, changes: Sequence[Change]) -> None:
        self._called("apply")

    def verify(self) -> None:
        self._called("verify")

    def withdraw(self, before: Mapping[str, Any]) -> None:
        self._called("withdraw")

    def restore(self, before: Mapping[str, Any]) -> None:
        self._called("restore")


class Place:
    """A directory for files and one for state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = root / "etc"
        self.files.mkdir()

    def run(
        self, entries: Mapping[str, Any], program: Program | None = None, owner: str = "me", check: bool = False
    ) -> Outcome:
        wanted = parse({f"{self.files}/{name}": self.entry(entry) for name, entry in entries.items()}, {})
        return apply_set(Store(owner, f"{self.root}/state"), wanted, [program or Recorder()], check)

    @staticmethod
    def entry(entry: Any) -> dict[str, Any]:
        if isinstance(entry, str):
            return {"content": entry, **ME}
        return {**ME, **entry} if not {"link", "absent"} & set(entry) else dict(entry)

    def tree(self) -> dict[str, str]:
        """All that is below files: contents, `-> target` of links and `/` for directories."""
        found = {}
        for path in sorted(self.files.rglob("*")):
            name = str(path.relative_to(self.files))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            else:
                found[name] = "/" if path.is_dir() else path.read_text()
        return found


class Killed(Store):
    """A store whose process is killed as soon as it has written down a certain step."""

    def __init__(self, owner: str, state: str, step: str) -> None:
        super().__init__(owner, state)
        self.step = step

    def advance(self, journal: dict[str, Any], step: str) -> None:
        super().advance(journal, step)
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def in_killed_child(call: Any) -> bool:
    """Run a call in a child process; tell whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
