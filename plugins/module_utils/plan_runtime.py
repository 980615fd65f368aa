# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of the running application: environment, files, shared directories, limits, units, logs."""

from __future__ import annotations

import re

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import logs_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import (
    RULES,
    Entry,
    Report,
    below,
    path_fault,
    texts,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_server import server_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_units import units
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import graceful_timeout
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import check_unit

RESERVED_VARIABLES = """
    CREDENTIALS_DIRECTORY GUNICORN_CMD_ARGS HOME INVOCATION_ID JOURNAL_STREAM LISTEN_FDNAMES LISTEN_FDS LISTEN_PID
    LOGNAME MAINPID NOTIFY_SOCKET PATH PYTHONHOME SERVER_SOFTWARE SHELL SYSTEMD_EXEC_PID USER VIRTUAL_ENV WATCHDOG_PID
    WATCHDOG_USEC
"""

# Directives without which a release could not be started beside another, probed, or reached by nginx.
MANAGED_DIRECTIVES = {
    "Service": (
        """
        Type User Group ExecStart WorkingDirectory EnvironmentFile Sockets KillMode DynamicUser RuntimeDirectory
        LogsDirectory
    """
    ),
    "Socket": (
        """
        ListenStream ListenDatagram SocketUser SocketGroup SocketMode RemoveOnStop Accept Service DirectoryMode
    """
    ),
    "Unit": "Requires",
    "Install": "",
}
# Directives of [Service] that have keys: what follows from the keys, like the number of workers, has to know of them.
_SAID_ELSEWHERE = {"memorymax": "limits.memory", "cpuquota": "limits.cpu"}

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LEAST_MEMORY = 16 * 2**20
_LOG_SIZE = re.compile(r"[1-9][0-9]*[kMG]?")
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|ms|sec|seconds?|s|min|minutes?|m|h|hours?|hr|d|days?)?")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


def check_environment(report: Report, entry: Entry) -> None:
    """Variables, open and secret."""
    for name, value in texts(report, "env-value", "env", entry["env"]).items():
        _check_variable(report, f"env.{name}", name, value)
    for name, secret in entry["secrets"].items():
        # Each becomes a variable, or the name of a file and the beginning of a variable's.
        _check_variable(report, f"secrets.{name}", name, secret.get("value") or "")
        if name in entry["env"]:
            report.add("env-twice", f"secrets.{name}", f"'{name}' is in env as well: remove one")


def _check_variable(report: Report, key: str, name: str, value: str) -> None:
    if not _VARIABLE.fullmatch(name):
        report.add(
            "env-name", key, f"{name!r} is no name of a variable: {RULES['env-name']}, and does not begin with a digit"
        )
    elif name == "FLASK_ENV":
        report.add(
            "env-removed", key, "does nothing since Flask 2.3: remove it, a deployed application is in production"
        )
    elif name in RESERVED_VARIABLES.split():
        report.add("env-reserved", key, f"is set by the release itself, another value would break it: remove '{name}'")
    elif name in ("FLASK_DEBUG", "DJANGO_DEBUG") and value.strip().lower() not in ("", "0", "false", "no", "off"):
        report.add("env-debug", key, "switches debug mode on, with which visitors can run code on the host: remove it")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        report.add("env-value", key, "holds a NUL character or broken Unicode, which no environment can")


def check_shared(report: Report, entry: Entry) -> None:
    """Shared directories: where, and none inside another."""
    shared = entry["shared"]
    for index, path in enumerate(shared):
        if fault := path_fault(path) or ("has a slash at the end: remove it" if path.endswith("/") else ""):
            report.add("shared", f"shared[{index}]", fault)
        for other in shared[:index]:
            if below(path, other) or below(other, path):
                report.add(
                    "shared", f"shared[{index}]", f"'{path}' and '{other}' lie in each other: keep the outer one"
                )


def check_files(report: Report, entry: Entry) -> None:
    """Files with settings: where, and what is in them."""
    public = [
        target[4:] for target in entry["static"].values() if isinstance(target, str) and target.startswith("src:")
    ]
    for path, file in entry["files"].items():
        key = f"files.{path}"
        kinds = [kind for kind in ("content", "template") if file.get(kind) is not None]
        if len(kinds) != 1:
            text = "has both content and template: keep one" if kinds else "has neither content nor template: add one"
            report.add("file-content", key, text)
        if fault := path_fault(path) or ("ends in a slash: name a file" if path.endswith("/") else ""):
            report.add("file-path", key, fault)
        elif directory := next((name for name in entry["shared"] if below(path, name)), ""):
            text = (
                f"'{directory}' outlives releases, a file of one release can't be in it: put it elsewhere in the source"
            )
            report.add("file-shared", key, text)
        elif directory := next((name for name in public if path_fault(name) == "" and below(path, name)), ""):
            text = f"everybody could read it: '{directory}' is served as static files; put it elsewhere in the source"
            report.add("file-public", key, text)
        for other in entry["files"]:
            if other != path and below(path, other):
                report.add("file-path", key, f"'{other}' is a file, so nothing can lie in it: rename one")


def check_limits(report: Report, entry: Entry) -> None:
    """Limits, and the logs' sizes."""
    limits = entry["limits"]
    if limits["memory"]:
        matched, percent = _MEMORY.fullmatch(limits["memory"]), _PERCENT.fullmatch(limits["memory"])
        if not matched and not (percent and 0 < float(percent[1]) <= 100):
            report.add("limit", "limits.memory", f"{limits['memory']!r} is no amount of memory: write 512M, 2G or 25%")
        elif matched and float(matched[1]) * _UNITS[matched[2]] < _LEAST_MEMORY:
            text = f"'{limits['memory']}' is too little for Python (a number without K, M or G is in bytes): write 512M"
            report.add("limit", "limits.memory", text)
    if limits["cpu"] and not ((percent := _PERCENT.fullmatch(limits["cpu"])) and float(percent[1]) >= 1):
        report.add(
            "limit",
            "limits.cpu",
            f"{limits['cpu']!r} is no share of a processor: write 50% for half a one, 200% for two",
        )
    for name, least in (("nofile", 64), ("nproc", 8), ("tasks", 8)):
        if limits.get(name) is not None and limits[name] < least:
            report.add("limit", f"limits.{name}", f"{limits[name]} is too few to run at all: write {least} or more")
    logs = entry["logs"]
    if logs["rotate"] < 0:
        report.add("log-rotate", "logs.rotate", f"{logs['rotate']} is no number of logs to keep: write 0 or more")
    if logs["maxsize"] and not _LOG_SIZE.fullmatch(logs["maxsize"]):
        report.add(
            "log-size",
            "logs.maxsize",
            f"{logs['maxsize']!r} is no size for logrotate: write digits and k, M or G, like 100M",
        )
    if not 1 <= entry["keep"] <= 1000:
        report.add(
            "keep", "keep", f"{entry['keep']} releases can't be kept: write 1 or more; 2 or more let you roll back"
        )


def check_systemd(report: Report, entry: Entry) -> None:
    """Directives of the user, alone and put over ours."""
    name = report.name
    overrides = {section: entry["systemd"][section] for section in MANAGED_DIRECTIVES}
    refused = False
    for section, directives in overrides.items():
        for directive in directives:
            same = next((own for own in MANAGED_DIRECTIVES[section].split() if own.lower() == directive.lower()), "")
            if same:
                refused = True
                text = "holds the release together, other values would break it: remove it"
                report.add("systemd-managed", f"systemd.{section}.{directive}", text)
            elif section == "Service" and (key := _SAID_ELSEWHERE.get(directive.lower())):
                report.add("systemd-managed", f"systemd.{section}.{directive}", f"is not set here: say it as {key}")
    if refused or entry["process_manager"] != "systemd":
        return
    for unit, sections in units(name, entry).items():
        for problem in check_unit(sections, unit):
            matched = re.match(r"\[(\w+)\] (\w+): (.*)", problem, re.DOTALL)
            key = f"systemd.{matched[1]}.{matched[2]}" if matched else "systemd"
            report.add("systemd-directive", key, matched[3] if matched else problem)
    stop = entry["systemd"]["Service"].get("TimeoutStopSec")
    graceful = graceful_timeout(server_of(entry, logs_of(name)))
    if stop is not None and (seconds := _seconds(str(stop))) is not None and seconds <= graceful:
        text = (
            f"{stop} is not above the server's graceful_timeout ({graceful} s): systemd would kill requests in progress"
        )
        report.add("timeouts", "systemd.Service.TimeoutStopSec", text)


def _seconds(text: str) -> float | None:
    """Return a time span of systemd in seconds; None when it is endless or made of several parts."""
    matched = _SPAN.fullmatch(text.strip())
    if not matched:
        return None
    unit = matched[2] or "s"
    return float(matched[1]) * (_SECONDS.get(unit) or _SECONDS[unit[0]])
