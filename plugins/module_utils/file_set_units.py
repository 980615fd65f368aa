# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd units as a transaction needs them: what state they are in, and bringing them to another."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import (
    Program,
    in_context,
    installed,
    must,
    run,
    words,
)

UNIT_DIRECTORY = "/etc/systemd/system"
SUFFIXES = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".slice", ".automount", ".swap")
# How long a started service is watched before it counts as running, in seconds.
SETTLE = 1.2


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit; see systemctl(1), "show"."""

    active: str
    file: str
    reload: bool
    kind: str
    result: str
    pid: str

    @property
    def runs(self) -> bool:
        finished = self.kind == "oneshot" and self.active == "inactive" and self.result == "success"
        return self.active in ("active", "reloading", "activating") or finished

    @property
    def enabled(self) -> bool:
        return self.file in ("enabled", "enabled-runtime", "static", "indirect", "alias", "generated")


def states(units: Iterable[str]) -> dict[str, UnitState]:
    """Ask for the state of several units in one call."""
    names = sorted(units)
    if not names:
        return {}
    fields = "Id,ActiveState,UnitFileState,NeedDaemonReload,Type,Result,MainPID"
    found = {}
    done = must(["systemctl", "show", f"--property={fields}", *names])
    for name, block in zip(names, done.stdout.strip().split("\n\n"), strict=False):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[name] = UnitState(
            values.get("ActiveState", ""),
            values.get("UnitFileState", ""),
            values.get("NeedDaemonReload") == "yes",
            values.get("Type", ""),
            values.get("Result", ""),
            values.get("MainPID", ""),
        )
    return found


def unit_of(path: str) -> str | None:
    """Return the unit that a file below /etc/systemd/system belongs to; a drop-in belongs to its unit."""
    if not path.startswith(f"{UNIT_DIRECTORY}/"):
        return None
    parts = path[len(UNIT_DIRECTORY) + 1 :].split("/")
    name = (
        parts[0].removesuffix(".d")
        if len(parts) == 2 and parts[0].endswith(".d")
        else parts[0]
        if len(parts) == 1
        else ""
    )
    return name if name.endswith(SUFFIXES) else None


def last_words(unit: str) -> str:
    done = run(["journalctl", "--unit", unit, "--lines=10", "--no-pager", "--output=cat"])
    return f"The last lines of {unit}:\n{done.stdout.strip()}" if done.stdout.strip() else ""


class Units(Program):
    """Brings units to the wanted state: ``{name: {enabled, active, on_change}}``."""

    def __init__(self, units: Mapping[str, Mapping[str, Any]]) -> None:
        self.units = units
        self.started: dict[str, str] = {}

    def drift(self, check: bool) -> list[str]:
        if not installed("systemctl"):
            return [f"{name} can't run: systemd is not installed" for name in self.units]
        reasons = []
        for name, state in states(self.units).items():
            wanted = self.units[name]
            if wanted.get("active") is not None and bool(wanted["active"]) != state.runs:
                reasons.append(f"{name} is {state.active}")
            if wanted.get("enabled") is not None and bool(wanted["enabled"]) != state.enabled and state.file != "":
                reasons.append(f"{name} is {state.file}")
            if state.reload:
                reasons.append(f"systemd has not read the file of {name} since it changed")
        return reasons

    def bring(self, changed: set[str]) -> None:
        """Enable, disable, start, stop, restart or reload; units whose file changed as their ``on_change`` says."""
        before = states(self.units)
        for name, wanted in self.units.items():
            if wanted.get("enabled") is not None and bool(wanted["enabled"]) != before[name].enabled:
                must(["systemctl", "--quiet", "enable" if wanted["enabled"] else "disable", name])
            if wanted.get("active") is None:
                continue
            if not wanted["active"]:
                if before[name].runs:
                    must(["systemctl", "stop", name])
            elif not before[name].runs:
                self._start("start", name)
            elif name in changed and wanted.get("on_change", "none") != "none":
                self._start(str(wanted["on_change"]), name)

    def _start(self, verb: str, name: str) -> None:
        if verb != "reload":
            # Starts by hand count toward the start limit: see StartLimitBurst= in systemd.unit(5).
            run(["systemctl", "reset-failed", name])
        done = run(["systemctl", verb, name])
        if done.returncode != 0:
            raise FileSetError(f"systemctl {verb} {name} failed:\n{words(done)}\n{last_words(name)}")
        self.started[name] = ""

    def verify(self) -> None:
        """Watch what was started for a moment: a service that ends at once or starts again and again does not run."""
        if not self.started:
            return
        first = states(self.started)
        deadline = time.monotonic() + SETTLE
        while True:
            now = states(self.started)
            for name, state in now.items():
                if not state.runs or (state.active == "activating" and time.monotonic() > deadline):
                    raise FileSetError(
                        f"{name} does not stay up: it is {state.active} ({state.result})\n{last_words(name)}"
                    )
                if state.kind not in ("oneshot", "") and state.pid != first[name].pid and first[name].pid != "0":
                    raise FileSetError(f"{name} does not stay up: it was started again\n{last_words(name)}")
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)


class Systemd(Units):
    """Unit files: verified in context, loaded, and their units brought to the wanted state."""

    def __init__(self, units: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(units)
        self.before: dict[str, UnitState] = {}

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("systemctl"):
            raise FileSetError("systemd is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        names = {unit_of(change.path) for change in changes if change.wanted.kind != "absent"}
        units = sorted(name for name in names if name and "@." not in name)
        if units:
            in_context([UNIT_DIRECTORY], changes, lambda context: _verify_units(units, context))

    def prepare(self, changes: Sequence[Change]) -> None:
        touched = {name for change in changes if (name := unit_of(change.path))}
        self.before = states({*touched, *self.units})
        for change in changes:
            name = unit_of(change.path)
            if name and change.wanted.kind == "absent" and change.path == f"{UNIT_DIRECTORY}/{name}":
                if self.before[name].enabled and self.before[name].file == "enabled":
                    must(["systemctl", "--quiet", "disable", name])
                if self.before[name].active not in ("inactive", "failed", ""):
                    must(["systemctl", "stop", name])

    def apply(self, changes: Sequence[Change]) -> None:
        must(["systemctl", "daemon-reload"])
        self.bring({name for change in changes if (name := unit_of(change.path))})

    def reapply(self, changes: Sequence[Change]) -> None:
        must(["systemctl", "daemon-reload"])
        changed = {name for change in changes if (name := unit_of(change.path))}
        for name, state in self.before.items():
            run(["systemctl", "reset-failed", name])
            if state.file == "enabled":
                run(["systemctl", "--quiet", "enable", name])
            elif state.file == "disabled":
                run(["systemctl", "--quiet", "disable", name])
            if state.active == "active" and state.kind != "oneshot":
                run(["systemctl", "restart" if name in changed and name in self.started else "start", name])
            elif os.path.exists(f"{UNIT_DIRECTORY}/{name}") or name in self.started:
                run(["systemctl", "stop", name])


def _verify_units(units: Sequence[str], context: dict[str, str]) -> None:
    """Refuse units about which systemd-analyze says anything that it does not say without them."""
    candidate = _analyze(units, context)
    if not candidate:
        return
    existing = [name for name in units if os.path.exists(f"{UNIT_DIRECTORY}/{name}")]
    baseline = _analyze([*existing, "multi-user.target"], {})
    if new := [line for line in candidate if line not in baseline]:
        raise FileSetError("systemd-analyze verify refuses the units:\n" + "\n".join(new))


def _analyze(units: Sequence[str], context: dict[str, str]) -> list[str]:
    return words(run(["systemd-analyze", "--man=no", "verify", *units], context)).splitlines()
