# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many processes gunicorn starts: the one rule, as source for its file and as an answer with its reasons.

gunicorn works it out when it starts, so that the same file suits every host.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass

WORDS = ("auto", "cpu")
MOST_WORKERS = 12
# What a process of a larger site takes; a small one takes a third of it.
EACH_BYTES = 128 * 2**20
# One process of these fills one CPU; the others wait for I/O most of the time, so that 2 n + 1 keep n CPUs busy.
EVENT_LOOPS = ("gevent", "gevent_wsgi", "gevent_pywsgi", "tornado", "asgi")

_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Machine:
    """What a host has for one application, as far as nothing limits it; memory in bytes."""

    processors: int
    memory: int


def this_machine(pid: int = 0) -> Machine:
    """Return what this host has; the processors are those on which a process may run (0: this one)."""
    try:
        processors = len(os.sched_getaffinity(pid))
    except OSError:
        processors = len(os.sched_getaffinity(0))
    return Machine(processors, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


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
    named = f"{processors} processor{'s'[: processors != 1]}{f' (limits.cpu: {cpu})' if most is not None else ''}"
    if workers == "cpu":
        return processors, f"cpu: one for each of {named}"
    loop = worker_class in EVENT_LOOPS
    room = _bytes(memory, machine.memory) // EACH_BYTES
    wanted = processors if loop else 2 * processors + 1
    words = [
        f"one for each of {named}" if loop else f"2 x {named} + 1",
        f"memory{f' (limits.memory: {memory})' if memory else ''} is enough for {room}",
        f"at most {MOST_WORKERS}",
    ]
    return max(1, min(wanted, room, MOST_WORKERS)), f"auto: {'; '.join(words)}"


def assignments(workers: str, worker_class: str, cpu: str = "", memory: str = "") -> list[str]:
    """Return the same rule as lines of gunicorn.conf.py, which imports ``os``."""
    most = most_processors(cpu)
    processors = "len(os.sched_getaffinity(0))"
    lines = [
        f"processors = {processors if most is None else f'min({processors}, {most})'}"
        + (f"  # limits.cpu: {cpu}" if most is not None else "")
    ]
    if workers == "cpu":
        return [*lines, "workers = processors"]
    all_memory = 'os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")'
    percent = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", memory)
    limited = f"int({all_memory} * {percent[1]} / 100)" if percent else f"min({all_memory}, {_bytes(memory, 0)})"
    lines.append(f"memory = {limited}  # limits.memory: {memory}" if memory else f"memory = {all_memory}")
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
