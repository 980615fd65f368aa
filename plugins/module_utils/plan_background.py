# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of what runs beside the site: processes and timers."""

from __future__ import annotations

import re
import shlex

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_source import check_command

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")
# The characters of systemd.time(7), CALENDAR EVENTS; what they mean together systemd itself checks on the host.
_CALENDAR = re.compile(r"[A-Za-z0-9*.,:/~ +_-]+")
_OPERATORS = frozenset({";", "&", "&&", "|", "||", "(", ")"})
_MOST = 64


def check_background(report: Report, entry: Entry) -> None:
    """Names, commands, numbers and times of processes and timers."""
    for kind in ("processes", "timers"):
        for name, given in entry[kind].items():
            key = f"{kind}.{name}"
            if not _NAME.fullmatch(name):
                report.add("background", key, f"{name!r} is no name for a unit: use up to 32 of a-z, 0-9 and -")
            if given.get("run"):
                check_command(report, f"{key}.run", given["run"])
    for name in sorted(set(entry["processes"]) & set(entry["timers"])):
        report.add("background", f"timers.{name}", "is the name of a process as well: rename one")
    for name, given in entry["processes"].items():
        if not 1 <= given["count"] <= _MOST:
            report.add("background", f"processes.{name}.count", f"{given['count']} is not between 1 and {_MOST}")
        if not 1 <= given["stop_timeout"] <= 86400:
            text = f"{given['stop_timeout']} is not between 1 and 86400 seconds"
            report.add("background", f"processes.{name}.stop_timeout", text)
        if given.get("run") and _is_compound(given["run"]):
            text = "is more than one command, of which systemd could watch and stop none: put them into a script"
            report.add("background", f"processes.{name}.run", text)
    for name, given in entry["timers"].items():
        if given.get("calendar") and not _CALENDAR.fullmatch(given["calendar"]):
            text = f"{given['calendar']!r} is no time of systemd: write daily, '*-*-* 04:00' or 'Mon 09:30'"
            report.add("calendar", f"timers.{name}.calendar", text)
        if not 1 <= given["timeout"] <= 604800:
            report.add(
                "background", f"timers.{name}.timeout", f"{given['timeout']} is not between 1 and 604800 seconds"
            )


def _is_compound(command: str) -> bool:
    try:
        words = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    except ValueError:
        return False
    return any(word in _OPERATORS for word in words)
