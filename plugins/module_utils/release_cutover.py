# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Going live: start the new release beside the old one, ask it, switch one link, let the old one finish."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import sync_directory
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_build import Order
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    finished_releases,
    read_history,
    releases_to_remove,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import (
    Health,
    ProbeError,
    wait_until_healthy,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import stop_commands
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    enable_units,
    install_units,
    installed_instances,
    release_units,
    remove_units,
    start_units,
    unit_states,
)

# Two looks that find nothing, this far apart, are needed: between them a connection may pass from the queue to a
# worker.
DRAIN_PAUSE = 0.05
DRAIN_MARGIN = 5.0


def clear_leftovers(layout: Layout, limit: float) -> list[str]:
    """Remove what an interrupted deploy left: its commands, instances that never went live, releases that were never
    finished. Returns the ids.
    """
    stop_commands(layout.app)
    live = layout.live()
    finished = finished_releases(layout)
    stray = {release_id: names for release_id, names in installed_instances(layout.app).items() if release_id != live}
    for release_id, names in stray.items():
        # Killed after the switch: this one was live and may still be answering.
        drain(layout.socket_path(release_id), limit)
        remove_units({*names, *release_units(layout, release_id)})
    unfinished = [release_id for release_id in layout.ids() if release_id != live and release_id not in finished]
    for release_id in unfinished:
        shutil.rmtree(layout.release(release_id))
    return [*stray, *unfinished]


def go_live(order: Order, release_id: str) -> float:
    """Put a finished release live and return the seconds until it answered.

    Raises ReleaseError; then nothing was switched.
    """
    layout = order.layout
    with order.phase("start"):
        names = install_units(layout, release_id)
        start_units(names)
    with order.phase("probe"):
        answered = _probe(order, release_id)
    with order.phase("switch"):
        enable_units(names)
        switch(layout, release_id)
    return answered


def _probe(order: Order, release_id: str) -> float:
    service = order.layout.service(release_id)

    def is_alive() -> bool:
        return unit_states([service]).get(service, ("", ""))[0] in ("active", "activating", "reloading")

    try:
        return wait_until_healthy(
            order.layout.socket_path(release_id), Health.of(order.app.get("health", {})), is_alive
        )
    except ProbeError as failed:
        raise ReleaseError("probe", str(failed)) from failed


def switch(layout: Layout, release_id: str) -> None:
    """Point ``current`` to a release: one rename, on the disk before anything else happens."""
    temporary = f"{layout.current}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(f"releases/{release_id}", temporary)
    os.replace(temporary, layout.current)
    sync_directory(layout.base)


def retire_others(order: Order) -> None:
    """Let every other instance finish its requests, then stop and forget it."""
    layout = order.layout
    live = layout.live()
    for release_id, names in installed_instances(layout.app).items():
        if release_id != live:
            with order.phase("drain"):
                drain(layout.socket_path(release_id), drain_limit(order.app))
            with order.phase("stop"):
                remove_units({*names, *release_units(layout, release_id)})


def drain_limit(app: Mapping[str, Any]) -> float:
    """Return the seconds after which a release is stopped although a connection is left: its own graceful timeout and
    a margin.
    """
    settings = app.get("gunicorn", {}).get("settings", {})
    return float(settings.get("graceful_timeout", 30)) + DRAIN_MARGIN


def drain(path: str, limit: float) -> bool:
    """Wait until nobody is connected to the socket or queued for it; tell whether that was reached within ``limit``
    seconds.
    """
    until = time.monotonic() + limit
    quiet = 0
    while time.monotonic() < until:
        quiet = quiet + 1 if connections(_sockets(), path) == 0 else 0
        if quiet == 2:
            return True
        time.sleep(DRAIN_PAUSE)
    return False


def connections(listing: str, path: str) -> int:
    """Count in the text of /proc/net/unix who is connected to a socket or waits in its queue; the listening socket is
    the one with the flag __SO_ACCEPTCON (0x10000).

    A connection that waits has no inode yet, and ``ss`` shows it only as the listener's Recv-Q; here it is a line.
    """
    count = 0
    for line in listing.splitlines():
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7] == path and not int(words[3], 16) & 0x10000:
            count += 1
    return count


def _sockets() -> str:
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as stream:
        return stream.read()


def undo(layout: Layout, release_id: str, built_now: bool) -> None:
    """Take back a release that did not go live: its units, and its directory when this run made it."""
    stop_commands(layout.app)
    remove_units({*installed_instances(layout.app).get(release_id, []), *release_units(layout, release_id)})
    if built_now:
        shutil.rmtree(layout.release(release_id), ignore_errors=True)


def prune(layout: Layout, keep: int) -> list[str]:
    """Delete releases beyond ``keep`` and environments that no release needs; return the deleted releases."""
    in_use = set(installed_instances(layout.app)) | ({layout.live() or ""} - {""})
    gone = releases_to_remove(layout.ids(), read_history(layout), keep, in_use)
    for release_id in gone:
        shutil.rmtree(layout.release(release_id))
    _prune_environments(layout, finished_releases(layout).values())
    return gone


def _prune_environments(layout: Layout, records: Collection[Mapping[str, Any]]) -> None:
    used = {str(record.get("venv")) for record in records}
    for name in os.listdir(layout.venvs) if os.path.isdir(layout.venvs) else []:
        if name not in used:
            shutil.rmtree(f"{layout.venvs}/{name}")
