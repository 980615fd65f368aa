# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx as the certificates see it: it has to take them with the configuration that it has, and is reloaded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import tls_store as store
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_nginx import (
    DIRECTORY,
    LOGS,
    SERVICE,
    Nginx,
    check_configuration,
    live_workers,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import Program, in_context, installed
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import Units, states

# The place of certificates, which is to be seen with the change in it too.
PLACE = "/etc/flaskworks"
TIMER = "certbot.timer"
# Seconds by which the clock may have been set since a worker began.
_CLOCK = 2.0


class Served(Nginx):
    """Reloads an nginx that runs. It starts none: the certificates may be for another program.

    ``unread``: what it has not read yet although no file of the set changes, in words.
    """

    def __init__(self, units: Mapping[str, Mapping[str, Any]], unread: Sequence[str]) -> None:
        super().__init__(units)
        self.unread = list(unread)

    def drift(self) -> list[str]:
        return super().drift() + self.unread

    def validate(self, changes: Sequence[Change]) -> None:
        in_context([DIRECTORY, PLACE], changes, check_configuration, scratch=[LOGS])


def takes_certificates(renewed_by_timer: bool, unread: Sequence[str] = ()) -> Program:
    """Return what takes the certificates: nginx if it runs, and certbot's timer if that renews one of them."""
    units = {TIMER: {"enabled": True, "active": True}} if renewed_by_timer else {}
    runs = installed("nginx") and installed("systemctl") and states([SERVICE])[SERVICE].active == "active"
    return Served(units, unread) if runs else Units(units)


def not_loaded(names: Iterable[str]) -> list[str]:
    """Return those names whose certificate was renewed after nginx last read its configuration.

    The hook of a renewal leaves nginx alone when there is a fault in that, and only certbot's log tells.
    """
    if not installed("nginx") or not installed("systemctl"):
        return []
    workers = live_workers(int(states([SERVICE])[SERVICE].pid or 0))
    ages = [age for age in map(_age, workers) if age is not None]
    return [name for name in names if ages and _is_newer(f"{store.leads_to(name)}/{store.CHAIN}", min(ages))]


def _is_newer(path: str, age: float) -> bool:
    """Tell whether a file was written less than ``age`` seconds ago; one of the future says nothing of that."""
    try:
        written = time.time() - os.stat(path).st_mtime
    except OSError:
        return False
    return 0 <= written < age - _CLOCK


def _age(process: int) -> float | None:
    """Return how many seconds a process has lived: proc_pid_stat(5), field 22, and proc_uptime(5)."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stream:
            ticks = int(stream.read().rsplit(")", 1)[1].split()[19])
        with open("/proc/uptime", encoding="utf-8") as stream:
            return float(stream.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
