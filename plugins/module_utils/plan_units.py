# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The units of an application, as templates of systemd."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_managers import manager_units
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import base_of, logs_of, logs_to_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_secrets import credentials
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_server import server_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import PRESETS
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import graceful_timeout, reloads, start_words
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import merge_sections

# The journal drops what a service says beyond 10,000 lines in 30 s. An interval of 0 does not lift that (systemd 252
# and 257); no service says as much as this in a second.
_NOTHING_DROPPED = {"LogRateLimitIntervalSec": "1s", "LogRateLimitBurst": 10_000_000}


def units(name: str, entry: Entry) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the template units of an application. ``%i`` is the id of a release."""
    if entry["process_manager"] != "systemd":
        graceful = graceful_timeout(server_of(entry, logs_of(name)))
        made = manager_units(name, base_of(name), entry, graceful)
        return {**made, **timer_units(name, entry)}
    own = entry["systemd"]
    release_dir = f"{base_of(name)}/releases/%i"
    service: dict[str, dict[str, Any]] = {
        "Unit": {
            "Description": f"{name}, release %i",
            "Requires": f"{name}@%i.socket",
            "After": [f"{name}@%i.socket", "network.target"],
            "StartLimitIntervalSec": 60,
            "StartLimitBurst": 5,
        },
        "Service": {
            "Type": "notify",
            "Sockets": f"{name}@%i.socket",
            "ExecStart": " ".join(start_words(entry["server"]["type"], release_dir)),
            # The shell's own kill: the program of that name is missing on a minimal Debian.
            **({"ExecReload": '/bin/sh -c "kill -HUP $MAINPID"'} if reloads(entry["server"]["type"]) else {}),
            "Restart": "on-failure",
            "RestartSec": 2,
            "TimeoutStartSec": max(90, entry["health"]["timeout"] + 30),
            "TimeoutStopSec": graceful_timeout(server_of(entry, logs_of(name))) + 5,
            **service_of(name, entry),
            **({} if logs_to_files(entry) else _NOTHING_DROPPED),
        },
        "Install": {"WantedBy": "multi-user.target"},
    }
    socket: dict[str, dict[str, Any]] = {
        "Unit": {"Description": f"Socket of {name}, release %i"},
        "Socket": {
            "ListenStream": f"/run/{name}/%i.sock",
            "SocketUser": name,
            "SocketGroup": "www-data",
            "SocketMode": "0660",
            "DirectoryMode": "0755",
            # With 64 requests were lost at 200 a second while an application loaded.
            "Backlog": 2048,
            "RemoveOnStop": True,
        },
        "Install": {"WantedBy": "sockets.target"},
    }
    overrides = {section: own[section] for section in ("Unit", "Service", "Install")}
    return {
        f"{name}@.service": merge_sections(service, overrides),
        f"{name}@.socket": merge_sections(socket, {"Socket": own["Socket"]}),
        **process_units(name, entry),
        **timer_units(name, entry),
    }


def service_of(name: str, entry: Entry) -> dict[str, Any]:
    """Return what all services of a release share: user, place, environment, sandbox and limits."""
    release_dir = f"{base_of(name)}/releases/%i"
    return {
        "User": name,
        "Group": name,
        "WorkingDirectory": f"{release_dir}/src",
        "Environment": [
            f"PATH={release_dir}/venv/bin:/usr/local/bin:/usr/bin:/bin",
            f"VIRTUAL_ENV={release_dir}/venv",
            "PYTHONUNBUFFERED=1",
        ],
        "EnvironmentFile": f"{release_dir}/env",
        **credentials(entry, release_dir),
        "KillMode": "mixed",
        "ReadWritePaths": [f"{base_of(name)}/shared", *([logs_of(name)] if logs_to_files(entry) else [])],
        **copy.deepcopy(dict(PRESETS[entry["systemd"]["hardening"]])),
        "LimitCORE": 0,
        **_limits(entry["limits"]),
    }


def process_units(name: str, entry: Entry) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the template units of the processes of an application.

    The dot behind its name keeps those of ``blog`` apart from those of ``blog-api``.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    overrides = {"Service": entry["systemd"]["Service"]}
    for process, given in sorted(entry["processes"].items()):
        unit = {
            "Description": f"{name}: {process}, release %i",
            "After": "network.target",
            "StartLimitIntervalSec": 60,
            "StartLimitBurst": 5,
        }
        service = {
            "Type": "exec",
            "ExecStart": shell_line(f"exec {given['run']}"),
            "Restart": "always",
            "RestartSec": 2,
            "TimeoutStopSec": given["stop_timeout"],
            **service_of(name, entry),
        }
        sections = {"Unit": unit, "Service": service, "Install": {"WantedBy": "multi-user.target"}}
        for number in range(1, given["count"] + 1):
            found[f"{name}.{process}.{number}@.service"] = merge_sections(sections, overrides)
    return found


def timer_units(name: str, entry: Entry) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the template units of the timers of an application, which systemd runs under every process manager."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    overrides = {"Service": entry["systemd"]["Service"]}
    for timer, given in sorted(entry["timers"].items()):
        job = {
            "Type": "oneshot",
            "ExecStart": shell_line(given["run"]),
            "TimeoutStartSec": given["timeout"],
            **service_of(name, entry),
        }
        described = {"Description": f"{name}: {timer}, release %i"}
        found[f"{name}.{timer}@.service"] = merge_sections(
            {"Unit": {**described, "After": "network.target"}, "Service": job}, overrides
        )
        found[f"{name}.{timer}@.timer"] = {
            "Unit": described,
            "Timer": {"OnCalendar": given["calendar"], "Persistent": given["persistent"]},
            "Install": {"WantedBy": "timers.target"},
        }
    return found


def shell_line(command: str) -> str:
    """Return a command for a shell as systemd reads a command line (systemd.service(5), COMMAND LINES)."""
    quoted = command.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'/bin/sh -c "{quoted}"'


def _limits(limits: Entry) -> dict[str, Any]:
    named = {
        "MemoryMax": limits["memory"],
        "CPUQuota": limits["cpu"],
        "LimitNOFILE": limits.get("nofile"),
        "LimitNPROC": limits.get("nproc"),
        "TasksMax": limits.get("tasks"),
    }
    return {directive: value for directive, value in named.items() if value}
