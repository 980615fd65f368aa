# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Instances that a launcher of a release starts: where they leave their traces below /run, and what these tell.

``/run/<app>/<id>`` is the application's, so root only reads there, follows no link and believes no more than a number.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

RUN = "/run"
# What the launcher (launcher.py) leaves there is shorter.
_MOST = 128


@dataclass(frozen=True)
class Instance:
    """One program of a release: ``process`` is ``web`` or like ``worker.1``; ``name`` is its unit without suffix."""

    app: str
    release: str
    process: str

    @classmethod
    def of_unit(cls, unit: str) -> Instance:
        """Return the instance that a unit such as ``blog.worker.1@<id>.conf`` runs."""
        name, dummy, instance = unit.partition("@")
        app, dummy, process = name.partition(".")
        return cls(app, instance.rpartition(".")[0], process or "web")

    @property
    def name(self) -> str:
        return f"{self.app}{'' if self.process == 'web' else f'.{self.process}'}@{self.release}"

    @property
    def directory(self) -> str:
        return f"{RUN}/{self.app}/{self.release}"

    def running(self) -> int:
        """Return the process that runs, 0 when none does.

        Its start time proves that it is the one that was started, its user that it is nobody else's.
        """
        pid, start = (*self._text("pid").split(), "", "")[:2]
        known = (
            pid.isdigit() and start and start_time(pid) == start and _owner(f"/proc/{pid}") == _owner(self.directory)
        )
        return int(pid) if known else 0

    def since(self) -> float | None:
        """Return when it was started last (seconds since 1970)."""
        with contextlib.suppress(OSError):
            return os.lstat(f"{self.directory}/{self.process}.pid").st_mtime
        return None

    def known(self) -> bool:
        """Tell whether it was started since the host booted."""
        return os.path.lexists(f"{self.directory}/{self.process}.pid")

    def stopped(self) -> bool:
        """Tell whether it was stopped on purpose."""
        return os.path.lexists(f"{self.directory}/{self.process}.stopped")

    def restarts(self) -> int:
        """Return how often it was started again since restarts_begin()."""
        starts = (*self._text("starts").split(), "")[0]
        return max(0, int(starts) - 1) if starts.isdigit() else 0

    def restarts_begin(self) -> None:
        """Count the starts anew."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self.directory}/{self.process}.starts")

    def _text(self, kind: str) -> str:
        try:
            opened = os.open(f"{self.directory}/{self.process}.{kind}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return ""
        with open(opened, "rb") as stream:
            return stream.read(_MOST).decode("ascii", "replace")


def _owner(path: str) -> int:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return -1


def start_time(pid: int | str) -> str:
    """Return when a process began (clock ticks since boot: proc(5), stat, field 22); empty when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
