# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many processes gunicorn starts: the one rule, as source for its file and as an answer with its reasons.

gunicorn works it out when it starts, so that the same file suits every host.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

WORDS = ("auto", "cpu")
MOST_WORKERS = 12
# What a process of a larger site takes; a small one takes a third of it.
EACH_BYTES = 128 * 2**20
# One process of these fills one CPU; the others wait for I/O most of the time, so that 2 n + 1 keep n CPUs busy.
EVENT_LOOPS = ("gevent", "gevent_wsgi", "gevent_pywsgi", "tornado", "asgi")

_OF_GROUP = " (limit of its control group)"
_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


# In gunicorn.conf.py, what group_limits() is here. A sandbox may hide any of these files.
GROUP_LIMITS = '''\


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _limits(name):
    """What the control groups from this process's own up to the root allow, as numbers (cgroups(7))."""
    path = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "") + "/"
    while "/" in path:
        path = path.rpartition("/")[0]
        words = _read(f"/sys/fs/cgroup{path}/{name}").split()
        if words and words[0] != "max":
            yield [int(word) for word in words]
'''


@dataclass(frozen=True)
class Machine:
    """What a host has, and what control groups leave of it to a process; memory in bytes, None for no limit."""

    processors: int
    memory: int
    group_processors: int | None = None
    group_memory: int | None = None


def this_machine(pid: int = 0, root: str = "/") -> Machine:
    """Return what this host has for a process; 0 is one that does not run yet, whose control group nobody knows.

    ``root``: where /proc and /sys/fs/cgroup are.
    """
    try:
        processors = len(os.sched_getaffinity(pid))
    except OSError:
        processors = len(os.sched_getaffinity(0))
    return Machine(
        processors,
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        min((-(-quota // period) for quota, period in group_limits(pid, "cpu.max", root)), default=None),
        min((limit for [limit] in group_limits(pid, "memory.max", root)), default=None),
    )


def group_limits(pid: int, name: str, root: str = "/") -> Iterator[list[int]]:
    """Yield what the control groups from a process's own up to the root say in a file, where that is a limit."""
    groups = _read(f"{root}/proc/{pid}/cgroup").splitlines()
    path = next((line[3:] for line in groups if line.startswith("0::")), "") + "/"
    while "/" in path:
        path = path.rpartition("/")[0]
        words = _read(f"{root}/sys/fs/cgroup{path}/{name}").split()
        if words and words[0] != "max":
            yield [int(word) for word in words]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def most_processors(cpu: str) -> int | None:
    """Return how many processors a share like ``150%`` can keep busy; None without a limit."""
    matched = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", cpu)
    return max(1, math.ceil(float(matched[1]) / 100)) if matched else None


def worker_count(
    workers: int | str, worker_class: str, machine: Machine, cpu: str = "", memory: str = ""
) -> tuple[int, str]:
    """Return the number of workers on a machine, and why in words.

    ``workers``: a number, ``auto`` or ``cpu``. ``cpu``, ``memory``: limits as systemd reads them, empty for none.
    """
    if workers not in WORDS:
        return int(workers), "as the inventory says"
    most = most_processors(cpu)
    processors = machine.processors if most is None else min(machine.processors, most)
    why = f" (limits.cpu: {cpu})" if most is not None else ""
    if machine.group_processors is not None and machine.group_processors < processors:
        processors, why = machine.group_processors, _OF_GROUP
    named = f"{processors} processor{'s'[: processors != 1]}{why}"
    if workers == "cpu":
        return processors, f"cpu: one for each of {named}"
    loop = worker_class in EVENT_LOOPS
    room, why = _bytes(memory, machine.memory) // EACH_BYTES, f" (limits.memory: {memory})" if memory else ""
    # The kernel rounds limits.memory to pages: that much less is still the same limit.
    if machine.group_memory is not None and machine.group_memory // EACH_BYTES < room:
        room, why = machine.group_memory // EACH_BYTES, _OF_GROUP
    wanted = processors if loop else 2 * processors + 1
    words = [
        f"one for each of {named}" if loop else f"2 x {named} + 1",
        f"memory{why} is enough for {room}",
        f"at most {MOST_WORKERS}",
    ]
    return max(1, min(wanted, room, MOST_WORKERS)), f"auto: {'; '.join(words)}"


def assignments(workers: str, worker_class: str, cpu: str = "", memory: str = "") -> list[str]:
    """Return the same rule as lines of gunicorn.conf.py, which imports ``os`` and has GROUP_LIMITS."""
    most = most_processors(cpu)
    lines = [
        "processors = len(os.sched_getaffinity(0))",
        *([f"processors = min(processors, {most})  # limits.cpu: {cpu}"] if most is not None else []),
        'processors = min([processors, *(-(-quota // period) for quota, period in _limits("cpu.max"))])',
    ]
    if workers == "cpu":
        return [*lines, "workers = processors"]
    lines.append('memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")')
    if memory:
        percent = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", memory)
        limited = f"int(memory * {percent[1]} / 100)" if percent else f"min(memory, {_bytes(memory, 0)})"
        lines.append(f"memory = {limited}  # limits.memory: {memory}")
    lines.append('memory = min([memory, *(limit for [limit] in _limits("memory.max"))])')
    wanted = "processors" if worker_class in EVENT_LOOPS else "2 * processors + 1"
    room = f"memory // ({EACH_BYTES // 2**20} * 2**20)"
    return [*lines, f"workers = max(1, min({wanted}, {room}, {MOST_WORKERS}))"]


def _bytes(limit: str, everything: int) -> int:
    """Return a limit of memory in bytes, at most what there is (0: unknown)."""
    if percent := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", limit):
        return int(everything * float(percent[1]) / 100)
    if not (matched := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)", limit)):
        return everything
    found = int(float(matched[1]) * _SIZES[matched[2]])
    return min(found, everything) if everything else found
