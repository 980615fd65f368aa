# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The units of releases: their text, their place on the host, their states. The suffix of a unit says who runs it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    release_units_cron,
    release_units_supervisor,
    release_units_systemd,
    release_units_tmpfiles,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import RELEASE_ID, Layout, instance_name
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units_systemd import forget_stamps

__all__ = ["forget_stamps"]


class Manager(Protocol):
    """What is done with units of one suffix. No function is called without names."""

    def path_of(self, name: str) -> str:
        """Return where a unit lies."""

    def found(self, app: str) -> list[str]:
        """Return the application's own units on the host."""

    def text(self, name: str, sections: Mapping[str, Any]) -> str:
        """Return the text of a unit's template, with ``%i`` for the release. Raises ReleaseError."""

    def instance_text(self, template: str, release_id: str) -> str:
        """Return the text of one release's unit."""

    def load(self, names: Sequence[str]) -> None:
        """Make units known that were written, if there is nothing wrong with them. Raises ReleaseError."""

    def show(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        """Return unit -> property -> value, in systemd's words (systemctl show)."""

    def start(self, names: Sequence[str], step: str) -> None:
        """Start units. Raises ReleaseError."""

    def enable(self, names: Sequence[str]) -> None:
        """Have units started at boot. Raises ReleaseError."""

    def stop(self, names: Collection[str]) -> None:
        """Stop units and wait for their end."""

    def stop_soon(self, names: Collection[str]) -> None:
        """Ask units to stop and don't wait for them."""

    def remove(self, names: Collection[str]) -> None:
        """Stop units, forget and delete them."""

    def log_words(
        self, names: Collection[str], lines: int | None, since: float | None, follows: bool
    ) -> list[list[str]]:
        """Return the commands that print what units have said: the last ``lines``, or all since a moment."""


# In the order in which units are started.
MANAGERS: tuple[tuple[Manager, frozenset[str]], ...] = (
    (release_units_tmpfiles, frozenset({"tmpfiles"})),
    (release_units_systemd, frozenset({"service", "socket", "timer"})),
    (release_units_supervisor, frozenset({"conf"})),
    (release_units_cron, frozenset({"cron"})),
)
# The process manager of an inventory -> the suffix of what it runs.
PROGRAMS: Mapping[str, str] = MappingProxyType({"systemd": "service", "supervisor": "conf", "cron": "cron"})

NOT_FOR_PRODUCTION = (
    "runs under cron, which is not for production: what died stays down for up to a minute, and nothing limits its"
    " memory. Use process_manager: systemd"
)


def _manager_of(name: str) -> Manager:
    suffix = name.rpartition(".")[2]
    return next((manager for manager, suffixes in MANAGERS if suffix in suffixes), release_units_systemd)


def _managed(names: Iterable[str]) -> Iterator[tuple[Manager, list[str]]]:
    """Yield each manager that has something to do with its units, in the order of starting."""
    listed = sorted(set(names))
    for manager, dummy in MANAGERS:
        if own := [name for name in listed if _manager_of(name) is manager]:
            yield manager, own


def unit_texts(app: Mapping[str, Any]) -> dict[str, str]:
    """Return template name -> text of the application's units. Raises ReleaseError for units that can't be written."""
    texts = {}
    for name, sections in app["units"].items():
        if "@." not in name:
            raise ReleaseError("definition", f"the unit {name} must be a template like {name.replace('.', '@.')}")
        texts[name] = _manager_of(name).text(name, sections)
    return texts


def instance_texts(texts: Mapping[str, str], release_id: str) -> dict[str, str]:
    """Return unit name -> text for one release."""
    return {
        instance_name(name, release_id): _manager_of(name).instance_text(text, release_id)
        for name, text in texts.items()
    }


def installed_path(name: str) -> str:
    """Return where a unit lies when it is installed."""
    return _manager_of(name).path_of(name)


def installed_instances(app: str) -> dict[str, list[str]]:
    """Return release id -> the application's own units that are installed."""
    found: dict[str, list[str]] = {}
    for manager, dummy in MANAGERS:
        for name in manager.found(app):
            instance = name.partition("@")[2].rpartition(".")[0]
            if RELEASE_ID.match(instance):
                found.setdefault(instance, []).append(name)
    return found


@dataclass(frozen=True)
class Kinds:
    """The units of one release by what they do: ``jobs`` are what the timers start."""

    web: list[str]
    processes: list[str]
    timers: list[str]
    jobs: list[str]

    @property
    def lasting(self) -> list[str]:
        """Those that run all the time, and come back after a boot."""
        return [*self.web, *self.processes, *self.timers]


def kinds_of(app: str, names: Iterable[str]) -> Kinds:
    """Sort the units of one release."""
    ordered = in_start_order(names)
    web = [name for name in ordered if name.startswith(f"{app}@")]
    timers = [name for name in ordered if name.endswith(".timer")]
    jobs = [name for name in ordered if name.endswith(".service") and name[:-8] + ".timer" in timers]
    return Kinds(web, [name for name in ordered if name not in {*web, *timers, *jobs}], timers, jobs)


def release_units(layout: Layout, release_id: str) -> list[str]:
    """Return the names of a release's units in the order in which they are started."""
    names: set[str] = set()
    if os.path.isdir(layout.units(release_id)):
        names.update(os.listdir(layout.units(release_id)))
    return in_start_order(names)


def main_unit(layout: Layout, release_id: str) -> str:
    """Return the unit that is a release's server."""
    names = {f"{layout.app}@{release_id}.{suffix}" for suffix in PROGRAMS.values()}
    return next(iter(sorted(names.intersection(release_units(layout, release_id)))), layout.service(release_id))


def in_start_order(names: Iterable[str]) -> list[str]:
    """Return units sorted for starting."""
    return [name for dummy, own in _managed(names) for name in release_units_systemd.in_start_order(own)]


def install_units(layout: Layout, release_id: str) -> list[str]:
    """Copy a release's units to their places and have them loaded; return their names. Raises ReleaseError."""
    names = release_units(layout, release_id)
    for manager, own in _managed(names):
        for name in own:
            if not os.path.isdir(folder := os.path.dirname(manager.path_of(name))):
                text = f"{folder} does not exist: the process manager of this release is not installed on the host"
                raise ReleaseError("units", f"{text} (site.yml does it)")
            with open(f"{layout.units(release_id)}/{name}", "rb") as stream:
                replace_file(manager.path_of(name), stream.read(), 0o644, 0, 0)
        manager.load(own)
    return names


def show_units(names: Collection[str]) -> dict[str, dict[str, str]]:
    """Return unit -> property -> value in systemd's words, one call for all of each manager."""
    return {name: facts for manager, own in _managed(names) for name, facts in manager.show(own).items()}


def unit_states(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return unit -> (ActiveState, UnitFileState)."""
    shown = show_units(names).items()
    return {name: (facts.get("ActiveState", ""), facts.get("UnitFileState", "")) for name, facts in shown}


def restarts(names: Collection[str]) -> dict[str, int]:
    """Return how often each unit was started again by itself."""
    return {name: int(facts.get("NRestarts") or 0) for name, facts in show_units(names).items()}


def start_units(names: Collection[str], step: str = "start") -> None:
    """Start units in their order. Raises ReleaseError."""
    for manager, own in _managed(names):
        manager.start(own, step)


def enable_units(names: Collection[str]) -> None:
    """Have units started at boot."""
    for manager, own in _managed(names):
        manager.enable(own)


def stop_units(names: Collection[str]) -> None:
    """Stop units and wait for their end."""
    for manager, own in _managed(names):
        manager.stop(own)


def stop_soon(names: Collection[str]) -> None:
    """Ask services to stop and don't wait for them."""
    for manager, own in _managed(names):
        manager.stop_soon(own)


def remove_units(names: Collection[str]) -> None:
    """Stop units, forget and delete them; the directories that they run in last."""
    for manager, own in reversed(list(_managed(names))):
        manager.remove(own)


def log_words(
    names: Collection[str], lines: int | None = None, since: float | None = None, *, follows: bool = False
) -> list[list[str]]:
    """Return the commands that print what units have said: the last ``lines``, or all since a moment."""
    return [words for manager, own in _managed(names) for words in manager.log_words(own, lines, since, follows)]


def unit_journal(unit: str, since: float, chosen: Sequence[str] = ()) -> str:
    """Return the unit's lines since a moment (seconds since 1970); ``chosen`` says which of those in the journal."""
    commands = log_words([unit], since=since)
    shown = [run([*words, "--output=cat", *chosen] if words[0] == "journalctl" else words) for words in commands]
    return "".join(result.stdout for result in shown if result.returncode == 0)
