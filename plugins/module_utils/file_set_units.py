# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd units as a transaction needs them: what state they are in, and bringing them to another."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
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
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import UNIT_DIRECTORY

SUFFIXES = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".slice", ".automount", ".swap")
# How long a started service is watched before it counts as running, in seconds.
SETTLE = 1.2
_UNIT_NAME = re.compile(rf"[A-Za-z0-9:_.\\@-]+({'|'.join(map(re.escape, SUFFIXES))})")
# Where a message of systemd-analyze says whose fault it is.
_IN_FILE = re.compile(r"(?P<path>/[^:]+):\d+: ")
_IN_UNIT = re.compile(rf"(?P<unit>[A-Za-z0-9:_.\\@-]+(?:{'|'.join(map(re.escape, SUFFIXES))}))[: ]")


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit; see systemctl(1), "show"."""

    load: str
    active: str
    sub: str
    file: str
    reload: bool
    kind: str
    result: str
    pid: str
    restarts: str
    triggers: str

    @property
    def runs(self) -> bool:
        finished = self.kind == "oneshot" and self.active == "inactive" and self.result == "success"
        return self.active in ("active", "reloading", "refreshing", "activating") or finished

    @property
    def live(self) -> bool:
        """Whether a restart would replace a process; a job that ran to its end is not run again by one."""
        return self.active in ("active", "reloading", "refreshing") or (
            self.active == "activating" and self.kind != "oneshot"
        )

    @property
    def enabled(self) -> bool:
        return self.file in ("enabled", "enabled-runtime", "static", "indirect", "alias", "generated")


_FIELDS = {
    "load": "LoadState",
    "active": "ActiveState",
    "sub": "SubState",
    "file": "UnitFileState",
    "kind": "Type",
    "result": "Result",
    "pid": "MainPID",
    "restarts": "NRestarts",
    "triggers": "Triggers",
}


def states(units: Iterable[str]) -> dict[str, UnitState]:
    """Ask for the state of several units in one call."""
    names = sorted(units)
    if not names:
        return {}
    done = must(["systemctl", "show", f"--property=NeedDaemonReload,{','.join(_FIELDS.values())}", *names])
    found = {}
    # A unit of which systemd knows nothing has a block as well.
    for name, block in zip(names, done.stdout.strip().split("\n\n"), strict=True):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        fields = {key: values.get(field, "") for key, field in _FIELDS.items()}
        found[name] = UnitState(reload=values.get("NeedDaemonReload") == "yes", **fields)
    return found


def parse_units(units: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the wanted states. Raises FileSetError with all that is wrong with them."""
    problems = []
    for name, entry in units.items():
        if not _UNIT_NAME.fullmatch(name):
            problems.append(f"units.{name} is not the name of a unit, such as nginx.service")
        if not isinstance(entry, Mapping):
            problems.append(f"units.{name} is not a dictionary of enabled, active and on_change")
            continue
        if unknown := sorted(set(entry) - {"enabled", "active", "on_change"}):
            problems.append(f"units.{name}: unknown key {', '.join(unknown)}; there are active, enabled and on_change")
        problems += [
            f"units.{name}: {key} is not true or false"
            for key in ("enabled", "active")
            if entry.get(key) is not None and not isinstance(entry[key], bool)
        ]
        if entry.get("on_change") not in (None, "none", "restart", "reload"):
            problems.append(f"units.{name}: on_change is not none, restart or reload")
    if problems:
        raise FileSetError("\n".join(problems))
    return {name: dict(entry) for name, entry in units.items()}


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

    default_on_change = "none"

    def __init__(self, units: Mapping[str, Mapping[str, Any]]) -> None:
        self.units = units
        self.started: set[str] = set()
        self.touched: set[str] = set()

    def drift(self) -> list[str]:
        if not self.units:
            return []
        if not installed("systemctl"):
            return [f"{name} can't run: systemd is not installed" for name in self.units]
        reasons = []
        for name, state in states(self.units).items():
            wanted = self.units[name]
            if wanted.get("active") is not None and wanted["active"] != state.runs:
                reasons.append(f"{name} is {state.active}")
            if wanted.get("enabled") is not None and wanted["enabled"] != state.enabled and state.file != "":
                reasons.append(f"{name} is {state.file}")
            if state.reload:
                reasons.append(f"systemd has not read the file of {name} since it changed")
        return reasons

    def snapshot(self, changes: Sequence[Change]) -> dict[str, Any]:
        changed = self._of(changes)
        found = states({*self.units, *changed}) if installed("systemctl") else {}
        return {
            "units": {
                name: {
                    "load": state.load,
                    "active": state.active,
                    "file": state.file,
                    "kind": state.kind,
                    "on_change": self._on_change(name) if name in changed else "none",
                }
                for name, state in found.items()
            }
        }

    def _of(self, changes: Sequence[Change]) -> set[str]:
        """Return the units that the changes are about."""
        return set(self.units) if changes else set()

    def _on_change(self, name: str) -> str:
        return str(self.units.get(name, {}).get("on_change") or self.default_on_change)

    def apply(self, changes: Sequence[Change]) -> None:
        self.bring(self._of(changes) & set(self.units))

    def bring(self, changed: set[str]) -> None:
        """Enable, disable, start, stop, restart or reload; units whose file changed as their ``on_change`` says."""
        before = states(self.units)
        if any(state.reload for state in before.values()):
            must(["systemctl", "daemon-reload"])
        self._all(
            "disable",
            {name for name in self.units if self.units[name].get("enabled") is False and before[name].enabled},
        )
        # What an [Install] section says now may differ from what it said when the unit was enabled.
        stale = {name for name in changed if before[name].file == "enabled"}
        boot = {name for name, wanted in self.units.items() if wanted.get("enabled") is True}
        self._all("reenable", (name for name in boot if name in stale or not before[name].enabled))
        runs = {name for name, wanted in self.units.items() if wanted.get("active") is True}
        ends = {name for name, wanted in self.units.items() if wanted.get("active") is False and before[name].runs}
        self._all("stop", ends)
        for verb in ("reload", "restart"):
            again = {name for name in changed if self._on_change(name) == verb and name not in ends}
            # Reloading or restarting does not start what nobody wants to run.
            self._start(verb, (name for name in again if before[name].live))
        self._start("start", (name for name in runs if not before[name].runs))

    def _all(self, verb: str, names: Iterable[str]) -> None:
        if units := sorted(names):
            self.touched.update(units)
            must(["systemctl", "--quiet", verb, *units])

    def _start(self, verb: str, names: Iterable[str]) -> None:
        """Start, restart or reload units; sockets first, as systemd refuses one whose service runs already."""
        units = sorted(names)
        sockets = [name for name in units if name.endswith(".socket")]
        for group in (sockets, [name for name in units if name not in sockets]):
            if group:
                self._start_all(verb, group)

    def _start_all(self, verb: str, units: Sequence[str]) -> None:
        self.touched.update(units)
        if verb != "reload":
            # Starts by hand count toward the start limit: see StartLimitBurst= in systemd.unit(5).
            run(["systemctl", "reset-failed", *units])
        waiting = running_services(units) if verb == "restart" else []
        if waiting:
            must(["systemctl", "stop", *waiting])
        # What ends while it starts is to be seen, not started again and again by systemd until then.
        self.started.update(units)
        done = run(["systemctl", verb, *units])
        if done.returncode != 0:
            failed = [name for name, state in states(units).items() if not state.runs]
            tails = "\n".join(last_words(name) for name in failed or units)
            raise FileSetError(f"systemctl {verb} {' '.join(units)} failed:\n{words(done)}\n{tails}")
        if waiting:
            self._start("start", waiting)

    def verify(self) -> None:
        """Watch what was started for a moment: a service that ends at once or starts again and again does not run."""
        first = states(self.started)
        deadline = time.monotonic() + SETTLE
        while self.started:
            for name, state in states(self.started).items():
                if not state.runs or state.sub.startswith("auto-restart") or state.restarts != first[name].restarts:
                    raise FileSetError(
                        f"{name} does not stay up: it is {state.active} ({state.sub}, result {state.result})\n"
                        f"{last_words(name)}"
                    )
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)

    def withdraw(self, before: Mapping[str, Any]) -> None:
        """Units that were not there go before their files do: systemd can't disable what has no file."""
        for name, was in before["units"].items():
            if was["load"] == "not-found":
                run(["systemctl", "--quiet", "disable", name])
                run(["systemctl", "stop", name])
                run(["systemctl", "reset-failed", name])

    def restore(self, before: Mapping[str, Any]) -> None:
        """Enable, disable, start and stop until every unit is what it was."""
        problems = []
        now = states(before["units"])
        self.touched.update(now)
        for name, was in before["units"].items():
            if was["load"] == "not-found":
                continue
            # The restored file may say something else about what enabled means.
            stale = before["swapped"] and was["on_change"] != "none"
            if was["file"] == "enabled" and (stale or not now[name].enabled):
                run(["systemctl", "--quiet", "reenable", name])
            elif was["file"] == "disabled" and now[name].enabled:
                run(["systemctl", "--quiet", "disable", name])
            if was["active"] in ("active", "reloading", "refreshing"):
                problems += self._again(was["on_change"] if stale and now[name].live else "start", name)
            elif was["kind"] != "oneshot" and now[name].live:
                run(["systemctl", "stop", name])
        if problems:
            raise FileSetError("\n".join(problems))

    def _again(self, verb: str, name: str) -> list[str]:
        run(["systemctl", "reset-failed", name])
        if waiting := running_services([name]) if verb == "restart" else []:
            run(["systemctl", "stop", *waiting])
        done = run(["systemctl", verb, name])
        return [] if done.returncode == 0 else [f"{name} could not be started again: {words(done)}", last_words(name)]

    def describe(self) -> list[str]:
        found = states(self.touched)
        return [f"{name} is {state.active}" for name, state in found.items() if state.load != "not-found"]


def running_services(units: Iterable[str]) -> list[str]:
    """Return the services behind the sockets among the units that run now."""
    sockets = [name for name in units if name.endswith(".socket")]
    services = {service for state in states(sockets).values() for service in state.triggers.split()}
    return sorted(name for name, state in states(services).items() if state.active in ("active", "activating"))


class Systemd(Units):
    """Unit files: verified in context, loaded, and their units brought to the wanted state."""

    default_on_change = "restart"

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("systemctl"):
            raise FileSetError("systemd is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        written = [change.path for change in changes if change.wanted.kind != "absent"]
        units = sorted({name for path in written if (name := unit_of(path))})
        if units:
            own = {change.path for change in changes}
            in_context([UNIT_DIRECTORY], changes, lambda context: _verify_units(units, own, context))

    def _of(self, changes: Sequence[Change]) -> set[str]:
        names = {name for change in changes if (name := unit_of(change.path))}
        found = {name for name in names if "@." not in name}
        if templates := [name.replace("@.", "@*.") for name in names - found]:
            done = must(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", *templates])
            found.update(line.split()[0] for line in done.stdout.splitlines() if line.strip())
        return found

    def prepare(self, changes: Sequence[Change]) -> None:
        """Stop and disable units whose file goes, as long as systemd still knows them."""
        going = [
            change
            for change in changes
            if change.wanted.kind == "absent" and change.path == f"{UNIT_DIRECTORY}/{unit_of(change.path)}"
        ]
        names = self._of(going)
        if not going:
            return
        self._all("disable", {os.path.basename(change.path) for change in going})
        self._all("stop", (name for name, state in states(names).items() if state.load != "not-found"))
        if names:
            run(["systemctl", "reset-failed", *sorted(names)])

    def apply(self, changes: Sequence[Change]) -> None:
        must(["systemctl", "daemon-reload"])
        super().apply(changes)

    def restore(self, before: Mapping[str, Any]) -> None:
        must(["systemctl", "daemon-reload"])
        super().restore(before)


def _verify_units(units: Sequence[str], own: set[str], context: dict[str, str]) -> None:
    """Refuse units about which systemd-analyze says anything, unless it is about a unit that is none of these."""
    candidate = _analyze(units, context)
    if not candidate:
        return
    # Without the context the units are the old ones, or not there.
    known = Counter(line for line in _analyze(units, {}) if not _is_about(line, units, own))
    new = []
    for line in candidate:
        if known[line] > 0:
            known[line] -= 1
        elif _is_about(line, units, own) or not (_IN_FILE.match(line) or _IN_UNIT.match(line)):
            new.append(line)
    if new:
        raise FileSetError("systemd-analyze verify refuses the units:\n" + "\n".join(new))


def _is_about(line: str, units: Sequence[str], own: set[str]) -> bool:
    """Tell whether a message is about one of these units or files; templates are verified as an instance."""
    if found := _IN_FILE.match(line):
        return found["path"] in own
    stems = [name.replace("@.", "@") if "@." in name else name for name in units]
    return any(stem.partition("@")[0] + "@" in line if "@" in stem else stem in line for stem in stems)


def _analyze(units: Sequence[str], context: dict[str, str]) -> list[str]:
    return words(run(["systemd-analyze", "--man=no", "verify", *units], context)).splitlines()
