"""The hosts of the scenario, each with a victim and one application for each sandbox that tries to get at it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from e2e.machine import Machine, debians
from e2e.playbooks import ROOT

DEBIANS = debians("12,13")
SITE = ROOT / "tests" / "apps" / "attempts"
# Application -> what is said of it beside what all have.
KINDS: dict[str, dict[str, Any]] = {
    "off": {"systemd": {"hardening": False}},
    "standard": {"systemd": {"hardening": "standard"}},
    "strict": {},
    "isolated": {"systemd": {"hardening": "isolated"}},
    "supervisor": {"process_manager": "supervisor"},
    "cron": {"process_manager": "cron"},
}
# What one host shows of the two is true of the other: neither has a sandbox of its own.
ELSEWHERE = {"12": "cron", "13": "supervisor"}


def kinds(debian: str) -> list[str]:
    """What there is on a host."""
    return [kind for kind in KINDS if kind != ELSEWHERE[debian]]


def entries(debian: str) -> dict[str, Any]:
    """The applications of a host."""
    attacker = {
        "source": {"path": str(SITE)},
        "wsgi": "attempts:app",
        "server": {"workers": 1, "threads": 2},
        "shared": ["data"],
        "python": {"packages": ["cffi"]},
        "processes": {"spy": {"run": "python attempts.py always data/process.json"}},
        "timers": {"once": {"run": "python attempts.py once data/timer.json", "calendar": "2030-01-01 00:00:00 UTC"}},
    }
    victim = {
        **attacker,
        "wsgi": "victim:app",
        "secrets": {"TOKEN": "not-for-others"},
        "processes": {"listener": {"run": "python victim.py"}},
        "timers": {},
        "domains": ["victim.test"],
    }
    return {
        "victim": victim,
        **{
            f"a-{kind}": {**attacker, "domains": [f"{kind}.test"], **more}
            for kind, more in KINDS.items()
            if kind in kinds(debian)
        },
    }


class SandboxHost(Machine):
    """One of the hosts."""

    def __init__(self, name: str, inventory: Path, folder: Path) -> None:
        super().__init__(name, inventory, folder)
        # Application -> its live release, as far as somebody asked.
        self.releases: dict[str, str] = {}

    def wait_for(self, path: str, token: str) -> Any:
        """Return the JSON in a file as soon as it has the token."""
        until = time.monotonic() + 60
        while True:
            text = self.root(f"cat {path} 2>/dev/null", check=False)
            if token in text:
                return json.loads(text)
            assert time.monotonic() < until, f"{path} never had {token}: {text}"
            time.sleep(0.2)


class SandboxHosts:
    """The hosts by their Debian."""

    def __init__(self, machines: dict[str, SandboxHost]) -> None:
        self.machines = machines

    def each(self, work: Callable[[SandboxHost], Any]) -> dict[str, Any]:
        """Do the same on both hosts at once; return Debian -> what came of it."""
        with ThreadPoolExecutor(len(self.machines)) as pool:
            found = {debian: pool.submit(work, machine) for debian, machine in self.machines.items()}
            return {debian: future.result() for debian, future in found.items()}
