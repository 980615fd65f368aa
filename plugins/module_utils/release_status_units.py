# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs of a live release: its web service, its processes and its timers."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import release_status_host as said
from ansible_collections.flaskworks.deploy.plugins.module_utils import servers
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import read_json, timestamp
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import PROGRAMS, main_unit, show_units
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import this_machine

Unit = Mapping[str, str]
CONTROL_GROUPS = "/sys/fs/cgroup"


@dataclass
class Host:
    """What is asked of the host once for all applications."""

    now: float
    live: dict[str, str] = field(default_factory=dict)
    units: dict[str, dict[str, str]] = field(default_factory=dict)
    timers: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    processes: dict[int, str] = field(default_factory=dict)
    locks: str = ""


def look_at_host(layouts: Collection[Layout]) -> Host:
    """Ask the process managers and the kernel, in few calls however many applications there are."""
    # Read once: a deploy may switch while this looks.
    live = {layout.app: release for layout in layouts if (release := layout.live()) is not None}
    host = Host(time.time(), live)
    units = [unit for layout in layouts for unit in live_units(layout, host)]
    if units:
        host.units = show_units(units)
        host.processes = _processes()
    if any(unit.endswith(".timer") for unit in units):
        host.timers = said.timer_times(run(["systemctl", "list-timers", "--all", "--output=json"]).stdout)
    with contextlib.suppress(OSError):
        host.locks = read_text("/proc/locks")
    return host


def live_units(layout: Layout, host: Host) -> list[str]:
    """Return the units of the live release."""
    try:
        return sorted(os.listdir(layout.units(host.live.get(layout.app, "none"))))
    except OSError:
        return []


def web_of(layout: Layout, host: Host) -> dict[str, Any] | None:
    if (live := host.live.get(layout.app)) is None:
        return None
    name = main_unit(layout, live)
    facts = _service(host.units.get(name, {}), host)
    main = facts.pop("main_pid")
    record = read_json(layout.record(live))
    server = servers.recorded(record)["type"]
    configured, reason = servers.workers_of(record, this_machine(main)) or (_configured(layout, live, main), None)
    return {
        "unit": name,
        "manager": next(manager for manager, suffix in PROGRAMS.items() if name.endswith(f".{suffix}")),
        **facts,
        "socket": _socket(layout, live, name, host),
        "server": server,
        "workers": said.workers(main, host.processes) if server == "gunicorn" else int(bool(main)),
        "workers_configured": configured,
        "workers_reason": reason,
    }


def _configured(layout: Layout, live: str, main: int) -> int | None:
    """Return the number of workers that the file of a release says whose record does not."""
    config = ""
    with contextlib.suppress(OSError):
        config = read_text(f"{layout.release(live)}/gunicorn.conf.py")
    found = said.gunicorn_settings(config, this_machine(main).processors).get("workers")
    return found if isinstance(found, int) else None


def _socket(layout: Layout, live: str, server: str, host: Host) -> str:
    """Return the state of the socket. One that no unit keeps open lives as long as its server."""
    if server == layout.service(live):
        return host.units.get(layout.socket(live), {}).get("ActiveState", "inactive")
    there = os.path.exists(layout.socket_path(live))
    return host.units.get(server, {}).get("ActiveState", "inactive") if there else "inactive"


def _service(unit: Unit, host: Host) -> dict[str, Any]:
    main = said.count(unit.get("MainPID")) or 0
    active, entered = unit.get("ActiveState", "inactive"), said.moment(unit.get("ActiveEnterTimestamp"))
    memory = said.count(unit.get("MemoryCurrent"))
    if memory is None and main:
        # No memory accounting on this host, as in some containers.
        memory = sum(_memory(pid) for pid in said.family(main, host.processes))
    elif memory is not None:
        memory = max(0, memory - _dropped(unit.get("ControlGroup", "")))
    return {
        "active": active,
        "sub": unit.get("SubState", "dead"),
        "result": unit.get("Result") or None,
        "main_pid": main,
        "since": timestamp(entered) if entered and active == "active" else None,
        "uptime_s": max(0, int(host.now - entered)) if entered and active == "active" else None,
        "restarts": said.count(unit.get("NRestarts")),
        "memory_bytes": memory,
        "memory_peak_bytes": said.count(unit.get("MemoryPeak")),
        "memory_limit_bytes": said.count(unit.get("MemoryMax")),
    }


def processes_of(layout: Layout, host: Host) -> list[dict[str, Any]]:
    found = []
    for unit in live_units(layout, host):
        name = said.unit_name(layout.app, unit)
        if name and name.kind == "process":
            facts = _service(host.units.get(unit, {}), host)
            del facts["main_pid"]
            found.append({"name": name.name, "number": name.number, "unit": unit, **facts})
    return sorted(found, key=lambda process: (process["name"], process["number"]))


def timers_of(layout: Layout, host: Host) -> list[dict[str, Any]]:
    found = []
    for unit in live_units(layout, host):
        name = said.unit_name(layout.app, unit)
        if name and name.kind == "timer":
            following, last = host.timers.get(unit, (None, None))
            job = host.units.get(f"{unit.removesuffix('.timer')}.service", {})
            ran = said.moment(job.get("ExecMainStartTimestamp")) or last
            found.append(
                {
                    "name": name.name,
                    "unit": unit,
                    "active": host.units.get(unit, {}).get("ActiveState", "inactive"),
                    "next": timestamp(following) if following else None,
                    "last": timestamp(ran) if ran else None,
                    "running": job.get("ActiveState") in ("active", "activating"),
                    "result": (job.get("Result") or None) if ran else None,
                }
            )
    return found


def _processes() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                found[int(name)] = read_text(f"/proc/{name}/stat")
    return found


def _memory(pid: int) -> int:
    try:
        return said.proportional_size(read_text(f"/proc/{pid}/smaps_rollup"))
    except OSError:
        return 0


def _dropped(group: str) -> int:
    """Return the bytes of a control group's cache that the kernel gives away before anybody has to be killed."""
    try:
        return said.inactive_cache(read_text(f"{CONTROL_GROUPS}{group}/memory.stat"))
    except OSError:
        return 0


def read_text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
