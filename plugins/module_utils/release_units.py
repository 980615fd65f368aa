# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The units of releases: their text, their place in systemd, their states."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    RELEASE_ID,
    UNIT_DIRECTORY,
    Layout,
    instance_name,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import UnitError, render_unit

TIMER_STAMPS = "/var/lib/systemd/timers"
# Sockets first: a service that is started without its socket would wait for it.
_ORDER = {"socket": 0, "service": 1, "timer": 2}


def unit_texts(app: Mapping[str, Any]) -> dict[str, str]:
    """Return template name -> text of the application's units. Raises ReleaseError for units that can't be written."""
    texts = {}
    for name, sections in app["units"].items():
        if "@." not in name:
            raise ReleaseError("definition", f"the unit {name} must be a template like {name.replace('.', '@.')}")
        try:
            texts[name] = render_unit(sections, name)
        except UnitError as error:
            raise ReleaseError("definition", f"the unit {name} can't be written: {error}") from error
    return texts


def installed_instances(app: str) -> dict[str, list[str]]:
    """Return release id -> the application's own units that lie in systemd's directory."""
    found: dict[str, list[str]] = {}
    # A dot ends an application's name: ``blog.worker.1@...`` is the blog's, ``blog-api@...`` is not.
    for path in [*glob.glob(f"{UNIT_DIRECTORY}/{app}@*.*"), *glob.glob(f"{UNIT_DIRECTORY}/{app}.*@*.*")]:
        name = os.path.basename(path)
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


def in_start_order(names: Iterable[str]) -> list[str]:
    """Return units sorted for starting: sockets, services, timers."""
    return sorted(names, key=lambda name: (_ORDER.get(name.rpartition(".")[2], 9), name))


def install_units(layout: Layout, release_id: str) -> list[str]:
    """Copy a release's units to systemd's directory, check them there and load them; return their names.

    Raises ReleaseError.
    """
    names = release_units(layout, release_id)
    for name in names:
        with open(f"{layout.units(release_id)}/{name}", "rb") as stream:
            replace_file(f"{UNIT_DIRECTORY}/{name}", stream.read(), 0o644, 0, 0)
    verify_units(names)
    _systemctl("units", "daemon-reload")
    return names


def verify_units(names: Sequence[str]) -> None:
    """Raise ReleaseError when systemd has anything to say about these units that it does not say without them."""
    said = _verify([f"{UNIT_DIRECTORY}/{name}" for name in names])
    if said:
        new = [line for line in said if line not in _verify(["basic.target"])]
        if new:
            raise ReleaseError("units", "systemd finds fault with the release's units", "\n".join(new))


def _verify(units: Sequence[str]) -> list[str]:
    result = run(["systemd-analyze", "verify", "--man=no", *units])
    return [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]


def instance_texts(texts: Mapping[str, str], release_id: str) -> dict[str, str]:
    """Return unit name -> text for one release."""
    return {instance_name(name, release_id): text for name, text in texts.items()}


def unit_states(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return unit -> (ActiveState, UnitFileState), one call for all."""
    if not names:
        return {}
    shown = run(["systemctl", "show", "--property=Id,ActiveState,UnitFileState", *sorted(names)])
    return states_of(shown.stdout)


def states_of(text: str) -> dict[str, tuple[str, str]]:
    """Parse the blocks of ``systemctl show``."""
    blocks = blocks_of(text).items()
    return {name: (facts.get("ActiveState", ""), facts.get("UnitFileState", "")) for name, facts in blocks}


def blocks_of(text: str) -> dict[str, dict[str, str]]:
    """Return unit -> property -> value from the output of ``systemctl show`` with the property Id among them."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return {facts["Id"]: facts for facts in blocks if "Id" in facts}


def start_units(names: Sequence[str], step: str = "start") -> None:
    """Start units in their order. Starts by hand count towards the start limit, so it is reset. Raises ReleaseError."""
    run(["systemctl", "reset-failed", *names])
    for name in in_start_order(names):
        _systemctl(step, "start", name)


def enable_units(names: Sequence[str]) -> None:
    """Have units started at boot, those that say where in [Install]. The links are enough: nothing is reloaded."""
    if names:
        _systemctl("enable", "enable", "--quiet", "--no-reload", *names)


def restarts(names: Collection[str]) -> dict[str, int]:
    """Return how often systemd has started each service again by itself."""
    shown = run(["systemctl", "show", "--property=Id,NRestarts", *sorted(names)])
    return {name: int(facts.get("NRestarts") or 0) for name, facts in blocks_of(shown.stdout).items()}


def stop_units(names: Collection[str]) -> None:
    """Stop units and wait for their end."""
    if names:
        run(["systemctl", "stop", *sorted(names)])


def stop_soon(names: Collection[str]) -> None:
    """Ask services to stop and don't wait for them."""
    if names:
        run(["systemctl", "stop", "--no-block", *sorted(names)])


def forget_stamps(names: Collection[str]) -> None:
    """Forget when persistent timers last ran (systemd.timer(5), Persistent=): each release has timers of its own, and
    one that was away has missed nothing.
    """
    for name in names:
        if name.endswith(".timer"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{TIMER_STAMPS}/stamp-{name}")


def remove_units(names: Collection[str]) -> None:
    """Stop units, forget and delete them. Timers and sockets first: they would start their services again."""
    if not names:
        return
    starters = [name for name in names if not name.endswith(".service")]
    for group in (starters, [name for name in names if name not in starters]):
        stop_units(group)
    forget_stamps(names)
    run(["systemctl", "disable", "--quiet", "--no-reload", *sorted(names)])
    run(["systemctl", "reset-failed", *sorted(names)])
    for name in names:
        if os.path.lexists(f"{UNIT_DIRECTORY}/{name}"):
            os.unlink(f"{UNIT_DIRECTORY}/{name}")
    _systemctl("stop", "daemon-reload")


def unit_journal(unit: str, since: float) -> str:
    """Return the unit's lines since a moment (seconds since 1970).

    ``--lines`` beside ``--since`` gives the first lines on systemd 252 and the last ones on 257: the caller cuts.
    """
    shown = run(["journalctl", "--no-pager", "--output=cat", f"--unit={unit}", f"--since=@{since:.0f}"])
    return shown.stdout if shown.returncode == 0 else ""


def _systemctl(step: str, *arguments: str) -> None:
    result = run(["systemctl", *arguments])
    if result.returncode != 0:
        raise ReleaseError(step, f"systemctl {' '.join(arguments)} failed", result.stderr)
