# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Supervisor and cron in place of systemd: what an application becomes under them, and what they can't do."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import SUPERVISOR_LOGS

# Debian's packages.
PACKAGES = {"supervisor": "supervisor", "cron": "cron"}
# Root's: supervisor opens the logs of programs itself, and so follows links in their directory.
# A program that ends within this time (seconds) after its start is tried again as often as this, and later each time.
# One that has lived longer is started again without end, unless its launcher gives it up. Within this time supervisor
# takes no end of a program for one that was wanted.
_PROVEN, _RETRIES = 1, 3
_ONLY_SYSTEMD = {
    "memory": "can't limit an application's memory",
    "cpu": "can't limit its processor time",
    "tasks": "can't count its tasks (limits.nproc limits the processes and threads of its user)",
}


def check_manager(report: Report, entry: Entry) -> None:
    """What the entry asks for and only systemd can do."""
    manager = entry["process_manager"]
    if manager == "systemd":
        return
    for name, reason in _ONLY_SYSTEMD.items():
        if entry["limits"].get(name):
            text = f"{manager} {reason}: remove it, or use process_manager systemd"
            report.add("manager-limit", f"limits.{name}", text)
    if entry["logs"]["to"] == "journal":
        text = f"{manager} can't keep the journal from dropping lines: write file, or use process_manager systemd"
        report.add("log-journal", "logs.to", text)
    for section in ("Unit", "Service", "Install", "Socket"):
        if entry["systemd"][section]:
            text = f"{manager} starts the application, which reads no directives of systemd: remove them"
            report.add("manager-systemd", f"systemd.{section}", text)


def manager_of(entry: Entry, sandbox: dict[str, Any], graceful: int) -> dict[str, Any]:
    """Return what the entry of a release says of its process manager.

    ``sandbox``: in which systemd runs commands and timers all the same; ``graceful``: seconds for requests in progress.
    """
    manager = entry["process_manager"]
    if manager == "systemd":
        return {"manager": manager}
    limits = {name: entry["limits"].get(name) or 0 for name in ("nofile", "nproc")}
    processes = {program: given["run"] for program, given in _processes(entry).items()}
    launcher = {"limits": limits, "processes": processes, "timeouts": _timeouts(entry, graceful)}
    return {"manager": manager, "sandbox": sandbox, "launcher": launcher}


def manager_units(name: str, base: str, entry: Entry, graceful: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the templates of what supervisor or cron runs for a release, and of the directory in which it does."""
    manager, release_dir = entry["process_manager"], f"{base}/releases/%i"
    logs = f"{SUPERVISOR_LOGS}/{name}"
    runtime = {"user": name, **({"log_dir": logs} if manager == "supervisor" else {})}
    found: dict[str, dict[str, dict[str, Any]]] = {f"{name}@.tmpfiles": {"Runtime": runtime}}
    for program, timeout in _timeouts(entry, graceful).items():
        unit = name if program == "web" else f"{name}.{program}"
        if manager == "cron":
            check = {"user": name, "command": f"{release_dir}/control check {program}"}
            found[f"{unit}@.cron"] = {"Check": check}
            continue
        found[f"{unit}@.conf"] = {
            "program": {
                "command": f"{release_dir}/launch {program}",
                "directory": f"{release_dir}/src",
                "user": name,
                "autostart": True,
                # kill -9 is no end that was wanted, kill -15 is one: then a server ends with status 0.
                "autorestart": "unexpected" if program == "web" else True,
                "exitcodes": 0,
                "startsecs": _PROVEN,
                "startretries": _RETRIES,
                "stopsignal": "TERM",
                "stopwaitsecs": timeout,
                "stopasgroup": False,
                "killasgroup": True,
                "redirect_stderr": True,
                "stdout_logfile": f"{logs}/{program}.log",
                "stdout_logfile_maxbytes": 0,
            }
        }
    return found


def _processes(entry: Entry) -> dict[str, Entry]:
    """Return program -> process, one for each of its number."""
    return {
        f"{process}.{number}": given
        for process, given in sorted(entry["processes"].items())
        for number in range(1, given["count"] + 1)
    }


def _timeouts(entry: Entry, graceful: int) -> dict[str, int]:
    """Return program -> how long (seconds) it may take to end before it is killed."""
    return {"web": graceful + 5, **{name: given["stop_timeout"] for name, given in _processes(entry).items()}}
