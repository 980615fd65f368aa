# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One change of an application under way: its steps, how long they took, and the journal that survives a crash."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import read_json, timestamp
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout

# The steps in their order, and what a person reads while they run. Each is written down, and on the disk, before it
# begins. Up to "switch" a crash is undone by the next run; from there on it is finished.
STEPS: Mapping[str, str] = MappingProxyType(
    {
        "source": "getting the source",
        "python": "preparing the Python environment",
        "build": "building",
        "seal": "sealing the release",
        "check": "loading the application, running its commands",
        "record": "writing the release down",
        "units": "loading its units",
        "start": "starting it beside the live release",
        "probe": "waiting for a good answer",
        "processes": "starting its processes",
        "enable": "enabling it at boot",
        "switch": "switching to it",
        "timers": "changing the timers over",
        "drain": "letting the old release finish",
        "stop": "stopping the old release",
        "history": "writing the history",
        "prune": "deleting old releases",
    }
)

# What was done, for the action that was begun.
DONE: Mapping[str, str] = MappingProxyType(
    {
        "deploy": "deployed",
        "reactivate": "reactivated",
        "start": "started",
        "rollback": "rolled_back",
        "none": "none",
    }
)


class Run:
    """What one change does at the moment.

    ``report`` takes a line for the person who waits; ``seconds`` holds how long each step took.
    """

    def __init__(self, layout: Layout, by: str, report: Callable[[str], None] | None = None) -> None:
        self.layout = layout
        self.by = by
        self.report = report or (lambda line: None)
        self.seconds: dict[str, float] = {}
        self.began = time.time()
        self._started = time.monotonic()
        self._facts: dict[str, object] = {}

    def begin(self, action: str, release_id: str, **more: object) -> None:
        """Say which release is to go live, and how: the journal begins with the first step."""
        self._facts = {
            "release": release_id,
            "action": action,
            "by": self.by,
            "since": timestamp(self.began),
            "pid": os.getpid(),
            **more,
        }

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Write the step down, tell it, and take its time."""
        self.report(STEPS[name])
        self._write(name)
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)

    def _write(self, name: str) -> None:
        text = json.dumps({**self._facts, "step": name}, sort_keys=True) + "\n"
        os.makedirs(self.layout.base, mode=0o711, exist_ok=True)
        replace_file(self.layout.journal, text.encode())

    def elapsed(self) -> float:
        return round(time.monotonic() - self._started, 2)

    def end(self) -> None:
        """Nothing is left to finish."""
        end_journal(self.layout)


def read_journal(layout: Layout) -> dict[str, object]:
    """Return what was under way when its process died, or is under way now; {} when nothing is."""
    return read_json(layout.journal)


def end_journal(layout: Layout) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(layout.journal)
