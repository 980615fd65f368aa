# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What systemd, /proc and a release's files say, as data. Pure functions: text in, values out."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What the shipped configuration writes for the number of processors; see gunicorn_config.
_PROCESSORS = "len(os.sched_getaffinity(0))"
# The suffixes of what runs a program: systemd's, supervisor's, cron's.
_PROGRAMS = ("service", "conf", "cron")
_UNIT = re.compile(
    r"^(?P<app>[a-z][a-z0-9-]*)(?:\.(?P<name>[a-z][a-z0-9-]*)(?:\.(?P<number>\d+))?)?@[^@]+\.(?P<type>\w+)$"
)


@dataclass(frozen=True)
class UnitName:
    """A unit of a release: ``kind`` is web, socket, process, timer or job (what a timer starts)."""

    kind: str
    name: str = ""
    number: int = 0


def unit_name(app: str, unit: str) -> UnitName | None:
    """Return what a unit of the application is for; None for somebody else's."""
    matched = _UNIT.match(unit)
    if not matched or matched["app"] != app:
        return None
    if matched["name"] is None:
        kinds = {**dict.fromkeys(_PROGRAMS, "web"), "socket": "socket"}
        return UnitName(kinds[matched["type"]]) if matched["type"] in kinds else None
    if matched["number"] is not None:
        return UnitName("process", matched["name"], int(matched["number"])) if matched["type"] in _PROGRAMS else None
    kinds = {"service": "job", "timer": "timer"}
    return UnitName(kinds[matched["type"]], matched["name"]) if matched["type"] in kinds else None


def count(value: str | None) -> int | None:
    """Return a number that systemd shows; None for ``[not set]``, ``infinity`` and its way to write "unknown"."""
    return int(value) if value and value.isdigit() and int(value) < 2**64 - 1 else None


def moment(value: str | None) -> int | None:
    """Return a time that ``systemctl show --timestamp=unix`` shows, in seconds since 1970."""
    return int(value[1:]) if value and re.fullmatch(r"@\d+", value) and value != "@0" else None


def timer_times(listing: str) -> dict[str, tuple[float | None, float | None]]:
    """Return timer -> (next, last) in seconds since 1970 of ``systemctl list-timers --output=json``."""
    try:
        rows = json.loads(listing)
    except ValueError:
        return {}
    return {
        str(row["unit"]): (_seconds(row.get("next")), _seconds(row.get("last")))
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and row.get("unit")
    }


def _seconds(microseconds: object) -> float | None:
    if not isinstance(microseconds, int) or not 0 < microseconds < 2**63:
        return None
    return microseconds / 1_000_000


def parent_of(stat: str) -> tuple[int, str] | None:
    """Return a process's parent and state of the text of /proc/<pid>/stat; its name may hold spaces and brackets."""
    words = stat.rpartition(")")[2].split()
    return (int(words[1]), words[0]) if len(words) > 1 and words[1].isdigit() else None


def workers(main: int, stats: Mapping[int, str]) -> int:
    """Return how many living children the main process has: gunicorn's workers."""
    found = (parent_of(stat) for stat in stats.values())
    return sum(1 for entry in found if entry and entry[0] == main and entry[1] not in "ZX") if main else 0


def family(main: int, stats: Mapping[int, str]) -> set[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        if (entry := parent_of(stat)) is not None:
            children.setdefault(entry[0], []).append(pid)
    found: set[int] = set()
    waiting = [main] if main in stats else []
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def proportional_size(rollup: str) -> int:
    """Return the bytes of /proc/<pid>/smaps_rollup that are a process's own, with its share of what it shares."""
    matched = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(matched[1]) * 1024 if matched else 0


def inactive_cache(stat: str) -> int:
    """Return the bytes of files in a control group's memory that were not used of late, of its memory.stat.

    memory.current counts them as well, so that a site that once read or wrote a large file seems to be at its limit
    (Documentation/admin-guide/cgroup-v2.rst).
    """
    matched = re.search(r"^inactive_file (\d+)$", stat, re.MULTILINE)
    return int(matched[1]) if matched else 0


def lock_holder(listing: str, device: tuple[int, int], inode: int) -> int | None:
    """Return the process that has a file locked by flock(2), of the text of /proc/locks; None when nobody has.

    Trying the lock instead would make a deploy that begins at the same moment fail.
    """
    place = f"{device[0]:02x}:{device[1]:02x}:{inode}"
    for line in listing.splitlines():
        words = line.split()
        # "1: FLOCK  ADVISORY  WRITE 812 00:19:1093 0 EOF"; with "->" in front of the kind somebody waits for it.
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == place and words[4].lstrip("-").isdigit():
            return int(words[4])
    return None


def gunicorn_settings(config: str, processors: int) -> dict[str, Any]:
    """Return the settings with plain values of a gunicorn.conf.py that a release was made with.

    The file is never run. ``processors``: how many of them the service may use.
    """
    try:
        tree = ast.parse(config.replace(_PROCESSORS, str(processors)))
    except (SyntaxError, ValueError):
        return {}
    settings = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                settings[statement.targets[0].id] = _value(statement.value)
            except (ValueError, TypeError):
                continue
    return settings


def _value(node: ast.expr) -> Any:
    """Return the value of plain data, sums, products and min(); raises ValueError or TypeError for anything else."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = _value(node.left), _value(node.right)
        if not (isinstance(left, int) and isinstance(right, int)):
            raise ValueError("not a number")
        return left + right if isinstance(node.op, ast.Add) else left * right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "min" and node.args:
        return min(_value(item) for item in node.args)
    return ast.literal_eval(node)
