# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Going live: start the new release beside the old one, ask it, switch one link, let the old one finish."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import sync_directory
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_drain import drain
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import finished_releases
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import (
    Health,
    ProbeError,
    wait_until_healthy,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import Run
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    enable_units,
    forget_stamps,
    install_units,
    installed_instances,
    kinds_of,
    main_unit,
    release_units,
    remove_units,
    restarts,
    start_units,
    stop_soon,
    stop_units,
    unit_journal,
    unit_states,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import GRACEFUL_TIMEOUT

# A process that ends within this time (seconds) after its start is no good.
SETTLE = 2.0
PAUSE = 0.1
_ALIVE = ("active", "activating", "reloading")


@dataclass(frozen=True)
class Candidate:
    """A finished release that is to go live, with what is asked of it.

    ``graceful`` is how long (seconds) its requests may take when it is stopped.
    """

    layout: Layout
    release: str
    health: Health
    graceful: float = GRACEFUL_TIMEOUT

    @classmethod
    def of_record(cls, layout: Layout, record: Mapping[str, Any]) -> Candidate:
        """Return a kept release with what was asked of it when it was built."""
        graceful = float(record.get("graceful_timeout", GRACEFUL_TIMEOUT))
        return cls(layout, str(record["id"]), Health.of(record.get("health", {})), graceful)


def go_live(candidate: Candidate, run: Run) -> None:
    """Put a finished release live. Raises ReleaseError; before the step "switch" the live one was not touched."""
    layout, release_id = candidate.layout, candidate.release
    with run.step("units"):
        units = kinds_of(layout.app, install_units(layout, release_id))
    with run.step("start"):
        start_units(units.web)
    with run.step("probe"):
        _probe(candidate, run)
    if units.processes:
        with run.step("processes"):
            _start_processes(units.processes, run.began)
    with run.step("enable"):
        enable_units(units.lasting)
    was_live = layout.live() == release_id
    with run.step("switch"):
        switch(layout, release_id)
    old = [name for names in others(layout).values() for name in names if name.endswith(".timer")]
    if units.timers or old:
        with run.step("timers"):
            # The old first: no moment of the calendar is served twice.
            stop_units(old)
            forget_stamps([] if was_live else units.timers)
            start_units(units.timers, "timers")


def _probe(candidate: Candidate, run: Run) -> None:
    service = main_unit(candidate.layout, candidate.release)

    def is_alive() -> bool:
        return unit_states([service]).get(service, ("", ""))[0] in _ALIVE

    try:
        path = candidate.layout.socket_path(candidate.release)
        wait_until_healthy(path, candidate.health, is_alive, run.report)
    except ProbeError as failed:
        raise ReleaseError("probe", str(failed)) from failed


def _start_processes(names: list[str], began: float) -> None:
    """Start background processes, and see that they stay."""
    before = restarts(names)
    start_units(names, "processes")
    until = time.monotonic() + SETTLE
    while True:
        states, now = unit_states(names), restarts(names)
        for name in names:
            # While it waits to be started again it is "activating".
            if states.get(name, ("", ""))[0] != "active" or now.get(name, 0) > before.get(name, 0):
                raise ReleaseError("processes", f"{name} ended by itself", unit_journal(name, began))
        if time.monotonic() > until:
            return
        time.sleep(PAUSE)


def switch(layout: Layout, release_id: str) -> None:
    """Point ``current`` to a release: one rename, on the disk before anything else happens.

    ``previous`` then leads to the release that was live.
    """
    live = layout.live()
    if live not in (None, release_id):
        _point(layout.previous, f"releases/{live}")
    _point(layout.current, f"releases/{release_id}")
    sync_directory(layout.base)


def _point(link: str, target: str) -> None:
    temporary = f"{link}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, link)


def others(layout: Layout) -> dict[str, list[str]]:
    """Return the instances on the host that are not the live one: release id -> units."""
    live = layout.live()
    found = installed_instances(layout.app).items()
    return {
        release_id: sorted({*names, *release_units(layout, release_id)})
        for release_id, names in found
        if release_id != live
    }


def retire_others(layout: Layout, run: Run) -> None:
    """Let every other instance finish what it has in hand, as long as it was promised, then stop and forget it."""
    old = others(layout)
    if not old:
        return
    with run.step("drain"):
        records = finished_releases(layout)
        for release_id, names in old.items():
            record = records.get(release_id, {"id": release_id})
            let_finish(layout, release_id, names, Candidate.of_record(layout, record).graceful, run)
    with run.step("stop"):
        remove_units([name for names in old.values() for name in names])


def let_finish(layout: Layout, release_id: str, names: list[str], graceful: float, run: Run) -> None:
    """Wait until a release that is no longer live has answered its requests and ended its timers' jobs; its processes
    are told to end meanwhile.
    """
    units = kinds_of(layout.app, names)
    stop_soon(units.processes)
    stop_units(units.timers)
    # A launcher makes its socket elsewhere, and has a link here.
    drain(os.path.realpath(layout.socket_path(release_id)), graceful, run.report)
    until = time.monotonic() + graceful
    while time.monotonic() < until:
        busy = [name for name, state in unit_states(units.jobs).items() if state[0] in _ALIVE]
        if not busy:
            return
        time.sleep(PAUSE)
