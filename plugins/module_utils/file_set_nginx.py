# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx: its configuration tested as a whole, reloaded without losing a request, and the effect verified."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import (
    in_context,
    installed,
    run,
    words,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import Units, last_words, states

DIRECTORY = "/etc/nginx"
SERVICE = "nginx.service"
ERROR_LOG = "/var/log/nginx/error.log"
PID_FILE = "/run/nginx.pid"
# How long new workers may take to appear after a reload, in seconds.
PATIENCE = 15.0


class Nginx(Units):
    """A reload keeps every connection; a restart would not, so there is none."""

    def __init__(self, units: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(units or {SERVICE: {"enabled": True, "active": True}})
        self.workers: set[int] = set()
        self.log_size = 0
        self.reloaded = False

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("nginx"):
            raise FileSetError("nginx is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        in_context([DIRECTORY], changes, _test)

    def apply(self, changes: Sequence[Change]) -> None:
        wanted = self.units.get(SERVICE, {}).get("active", True)
        runs = states([SERVICE])[SERVICE].active == "active"
        self.bring(set())
        if runs and wanted:
            self.workers, self.log_size = live_workers(), _size(ERROR_LOG)
            done = run(["systemctl", "reload", SERVICE])
            if done.returncode != 0:
                raise FileSetError(f"systemctl reload {SERVICE} failed:\n{words(done)}\n{last_words(SERVICE)}")
            self.reloaded = True

    def reapply(self, changes: Sequence[Change]) -> None:
        self.started = {}
        if states([SERVICE])[SERVICE].active == "active":
            run(["systemctl", "reload", SERVICE])

    def verify(self) -> None:
        """A reload returns 0 also when the master could not take the configuration; only new workers tell that."""
        if not self.reloaded:
            super().verify()
            return
        deadline = time.monotonic() + PATIENCE
        while not live_workers() - self.workers:
            if refused := _new_errors(self.log_size):
                raise FileSetError("nginx goes on with its old configuration:\n" + "\n".join(refused))
            if time.monotonic() > deadline:
                raise FileSetError(
                    f"nginx started no new workers within {PATIENCE:.0f} s of the reload\n{last_words(SERVICE)}"
                )
            time.sleep(0.02)


def live_workers() -> set[int]:
    """Return the process ids of the workers of the system's nginx that take connections (those that drain do not)."""
    try:
        with open(PID_FILE, encoding="ascii") as stream:
            master = stream.read().strip()
    except OSError:
        return set()
    workers = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:
                parent = stream.read().rsplit(")", 1)[1].split()[1]
            if parent != master:
                continue
            with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as stream:
                title = stream.read()
        except (OSError, IndexError):
            continue
        if title.startswith("nginx: worker process") and "shutting down" not in title:
            workers.add(int(name))
    return workers


def _test(context: dict[str, str]) -> None:
    """Refuse what nginx -t refuses or newly warns of: the second of two sites with one name is dead, for example."""
    done = run(["nginx", "-t", "-q"], context)
    lines = _plain(words(done))
    if done.returncode != 0:
        raise FileSetError("nginx refuses the configuration:\n" + "\n".join(lines))
    if lines:
        baseline = _plain(words(run(["nginx", "-t", "-q"])))
        if new := [line for line in lines if line not in baseline]:
            raise FileSetError("nginx warns of the configuration:\n" + "\n".join(new))


def _plain(text: str) -> list[str]:
    """Return the lines of nginx without time and process id, which differ from one test to the next."""
    return [re.sub(r"^\S+ \S+ (\[\w+\]) \d+#\d+: ", r"\1 ", line) for line in text.splitlines()]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _new_errors(offset: int) -> list[str]:
    try:
        with open(ERROR_LOG, "rb") as stream:
            stream.seek(offset)
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if "[emerg]" in line]
