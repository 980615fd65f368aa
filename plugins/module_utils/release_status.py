# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the applications of this host are. Everything is read; nothing on the host is changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import release_status_host as said
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_status_past as past
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_diff import compared
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    finished_releases,
    owner_apps,
    read_history,
    read_json,
    read_marks,
    timestamp,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    OWNERS_DIRECTORY,
    RUN_DIRECTORY,
    SITES_DIRECTORY,
    Layout,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import Health
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_probe import probe_all
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_sandbox import (
    sandbox_status,
    scores_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_sizes import (
    tree_size,
    venv_sizes,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_units import (
    Host,
    look_at_host,
    processes_of,
    timers_of,
    web_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import main_unit
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_facts import certificate_facts, utc_now

# Where playbooks/maintenance.yml closes a site to visitors.


def known_apps(owner: str | None = None) -> dict[str, tuple[str, str]] | None:
    """Return name -> (owner, ``active`` or ``stopped``) of the applications that are recorded on this host.

    None when nothing was ever recorded. ``owner``: only his.
    """
    try:
        records = sorted(name for name in os.listdir(OWNERS_DIRECTORY) if name.endswith(".json"))
    except OSError:
        return None
    owners = [name.removesuffix(".json") for name in records]
    chosen = [name for name in owners if owner is None or name == owner]
    return {app: (name, state) for name in chosen for app, state in sorted(owner_apps(name).items())}


def host_status(
    names: Collection[str] | None = None, owner: str | None = None, probe: bool = True, sizes: bool = False
) -> dict[str, Any]:
    """Return ``time``, ``prepared``, ``apps`` (sorted by name), and ``missing`` (name -> what may have been meant).

    ``names``: only these. ``sizes``: also how much room releases and virtual environments take, which is slow.
    """
    known = known_apps(owner)
    recorded = known or {}
    wanted = sorted(recorded) if names is None else sorted(set(names))
    layouts = [Layout(name, f"/srv/{name}") for name in wanted if name in recorded]
    host = look_at_host(layouts)
    answers = probe_all(_to_ask(layouts, host)) if probe else {}
    servers = {layout.app: main_unit(layout, live) for layout in layouts if (live := host.live.get(layout.app))}
    scores = scores_of([unit for unit in servers.values() if unit.endswith(".service")])
    apps = [app_status(layout, recorded[layout.app], host, answers.get(layout.app), sizes=sizes) for layout in layouts]
    for layout, app in zip(layouts, apps, strict=True):
        unit = servers.get(layout.app)
        app["sandbox"] = sandbox_status(layout, app["release"], unit, scores) if unit else None
    absent = (name for name in wanted if name not in recorded)
    missing = {name: hint(name, recorded) if recorded else "this host has none" for name in absent}
    return {"time": timestamp(host.now), "prepared": known is not None, "apps": apps, "missing": missing}


def add_diff(status: dict[str, Any], asked: Sequence[str]) -> None:
    """Add to each application what differs between two of its releases, or why that can't be told, as ``diff``."""
    for app in status["apps"]:
        try:
            app["diff"] = compared(Layout(app["app"], f"/srv/{app['app']}"), asked)
        except LookupError as error:
            app["diff"] = {"error": str(error.args[0])}


def app_status(
    layout: Layout, recorded: tuple[str, str], host: Host, answer: Mapping[str, Any] | None, sizes: bool = False
) -> dict[str, Any]:
    """Return the status of one application; the keys are those that the module release_info documents."""
    live = host.live.get(layout.app)
    history, records = read_history(layout), finished_releases(layout)
    record = records.get(live or "") or read_json(layout.record(live or "none"))
    begun = past.went_live(history, live) if live else None
    owner, wanted = recorded
    web = web_of(layout, host)
    processes, timers = processes_of(layout, host), timers_of(layout, host)
    kept = past.kept_releases(records, history, read_marks(layout), live)
    activity = _activity(layout, host)
    measured = past.probe_seconds(begun)
    status: dict[str, Any] = {
        "app": layout.app,
        "owner": owner,
        "state": state_of(wanted, live, web, processes, timers, answer),
        "release": live,
        **past.version_of(record, begun or {}),
        "since": (begun or {}).get("time") or (_link_time(layout) if live else None),
        "by": (begun or {}).get("by") or record.get("by") or None,
        "action": (begun or {}).get("action"),
        "previous": _previous(layout),
        "activity": activity,
        "maintenance": os.path.lexists(f"{SITES_DIRECTORY}/{layout.app}/maintenance.conf"),
        "tls": certificate_facts(layout.app, utc_now()),
        "web": web,
        "probe": dict(answer) if answer is not None else None,
        "probe_at_deploy_ms": round(measured * 1000) if measured is not None else None,
        "processes": processes,
        "timers": timers,
        "releases": kept,
        "failures": past.last_failures(history),
    }
    if sizes:
        for release in kept:
            release["bytes"] = tree_size(layout.release(release["id"]))
        status["venvs"] = venv_sizes(layout, records)
    return status


def state_of(
    wanted: str,
    live: str | None,
    web: Mapping[str, Any] | None,
    processes: Collection[Mapping[str, Any]],
    timers: Collection[Mapping[str, Any]],
    answer: Mapping[str, Any] | None,
) -> str:
    """Return one word for an application: ``live`` when all that belongs to it runs and it answers."""
    if live is None:
        return "no release"
    active = str((web or {}).get("active") or "inactive")
    if active == "inactive" and wanted == "stopped":
        return "stopped"
    if active == "inactive":
        # The next visitor starts it.
        return "idle" if web and web["socket"] == "active" else "down"
    if active not in ("active", "reloading"):
        return {"activating": "starting", "deactivating": "stopping"}.get(active, active)
    if answer is not None and answer["good"] is False:
        return "unhealthy"
    parts = [str(part["active"]) for part in (*processes, *timers)]
    return "live" if web and {web["socket"], *parts} == {"active"} else "degraded"


def _to_ask(layouts: Collection[Layout], host: Host) -> dict[str, tuple[str, Health]]:
    """Return the socket and the questions of the releases that can be asked.

    Not one that does not say how it is asked, nor one that the question would start.
    """
    targets = {}
    for layout in layouts:
        live = host.live.get(layout.app) or "none"
        health = read_json(layout.record(live)).get("health")
        active = host.units.get(main_unit(layout, live), {}).get("ActiveState")
        if isinstance(health, Mapping) and active in ("active", "reloading"):
            targets[layout.app] = (layout.socket_path(live), Health.of(health))
    return targets


def _activity(layout: Layout, host: Host) -> dict[str, Any] | None:
    """Return the deploy that runs, or the one that was cut short; None when there is none."""
    lock, journal = f"{RUN_DIRECTORY}/{layout.app}.lock", read_json(layout.journal)
    running = None
    with contextlib.suppress(OSError):
        found = os.stat(lock)
        device = os.major(found.st_dev), os.minor(found.st_dev)
        running = said.lock_holder(host.locks, device, found.st_ino)
    if running is None and not journal:
        return None
    # Before its first step a deploy has only the lock.
    noted = {**(read_json(lock) if running else {}), **journal}
    facts = {key: noted.get(key) or None for key in ("release", "action", "by", "since", "step")}
    return {"state": "interrupted" if running is None else "running", **facts, "pid": running or noted.get("pid")}


def _previous(layout: Layout) -> str | None:
    try:
        return os.path.basename(os.readlink(layout.previous))
    except OSError:
        return None


def _link_time(layout: Layout) -> str | None:
    """Return when the link ``current`` was made, for a release whose history is lost."""
    try:
        return timestamp(os.lstat(layout.current).st_mtime)
    except OSError:
        return None
