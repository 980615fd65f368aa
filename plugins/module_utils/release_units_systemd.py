# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Units that systemd runs: services, sockets and timers."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import UNIT_DIRECTORY
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import UnitError, render_unit

TIMER_STAMPS = "/var/lib/systemd/timers"
PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "MainPID", "NRestarts"),
    *("ActiveEnterTimestamp", "MemoryCurrent", "MemoryPeak", "MemoryMax", "ExecMainStartTimestamp", "ExecMainStatus"),
    "ControlGroup",
)
# Sockets first: a service that is started without its socket would wait for it.
_ORDER = {"socket": 0, "service": 1, "timer": 2}


def in_start_order(names: Collection[str]) -> list[str]:
    """Return units sorted for starting: sockets, services, timers."""
    return sorted(names, key=lambda name: (_ORDER.get(name.rpartition(".")[2], 9), name))


def path_of(name: str) -> str:
    """Return where a unit lies."""
    return f"{UNIT_DIRECTORY}/{name}"


def found(app: str) -> list[str]:
    """Return the application's own units on the host."""
    # A dot ends an application's name: ``blog.worker.1@...`` is the blog's, ``blog-api@...`` is not.
    paths = [*glob.glob(f"{UNIT_DIRECTORY}/{app}@*.*"), *glob.glob(f"{UNIT_DIRECTORY}/{app}.*@*.*")]
    return [os.path.basename(path) for path in paths]


def text(name: str, sections: Mapping[str, Any]) -> str:
    """Return the text of a unit's template. Raises ReleaseError."""
    try:
        return render_unit(sections, name)
    except UnitError as error:
        raise ReleaseError("definition", f"the unit {name} can't be written: {error}") from error


def instance_text(template: str, release_id: str) -> str:
    """Return the text of one release's unit: systemd itself knows the release by the unit's name."""
    return template


def load(names: Sequence[str]) -> None:
    """Have systemd read units that were written; raises ReleaseError when it has anything to say about them that it
    does not say without them.
    """
    if said := _verify([path_of(name) for name in names]):
        known = _verify(["basic.target"])
        if new := [line for line in said if line not in known]:
            raise ReleaseError("units", "systemd finds fault with the release's units", "\n".join(new))
    _systemctl("units", "daemon-reload")


def _verify(units: Sequence[str]) -> list[str]:
    result = run(["systemd-analyze", "verify", "--man=no", *units])
    return [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]


def show(names: Collection[str]) -> dict[str, dict[str, str]]:
    """Return unit -> property -> value, one call for all."""
    words = ["systemctl", "show", "--timestamp=unix", f"--property={','.join(PROPERTIES)}"]
    return blocks_of(run([*words, *sorted(names)]).stdout)


def blocks_of(shown: str) -> dict[str, dict[str, str]]:
    """Return unit -> property -> value from the output of ``systemctl show`` with the property Id among them."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in shown.split("\n\n")]
    return {facts["Id"]: facts for facts in blocks if "Id" in facts}


def start(names: Sequence[str], step: str) -> None:
    """Start units in their order. Starts by hand count towards the start limit, so it is reset. Raises ReleaseError."""
    run(["systemctl", "reset-failed", *names])
    for name in in_start_order(names):
        _systemctl(step, "start", name)


def enable(names: Sequence[str]) -> None:
    """Have units started at boot, those that say where in [Install]. The links are enough: nothing is reloaded."""
    _systemctl("enable", "enable", "--quiet", "--no-reload", *names)


def stop(names: Collection[str]) -> None:
    """Stop units and wait for their end."""
    run(["systemctl", "stop", *sorted(names)])


def stop_soon(names: Collection[str]) -> None:
    """Ask services to stop and don't wait for them."""
    run(["systemctl", "stop", "--no-block", *sorted(names)])


def forget_stamps(names: Collection[str]) -> None:
    """Forget when persistent timers last ran (systemd.timer(5), Persistent=): each release has timers of its own, and
    one that was away has missed nothing.
    """
    for name in names:
        if name.endswith(".timer"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{TIMER_STAMPS}/stamp-{name}")


def remove(names: Collection[str]) -> None:
    """Stop units, forget and delete them. Timers and sockets first: they would start their services again."""
    starters = [name for name in names if not name.endswith(".service")]
    for group in (starters, [name for name in names if name not in starters]):
        if group:
            stop(group)
    forget_stamps(names)
    run(["systemctl", "disable", "--quiet", "--no-reload", *sorted(names)])
    run(["systemctl", "reset-failed", *sorted(names)])
    for name in names:
        if os.path.lexists(path_of(name)):
            os.unlink(path_of(name))
    _systemctl("stop", "daemon-reload")


def log_words(names: Collection[str], lines: int | None, since: float | None, follows: bool) -> list[list[str]]:
    """Return the commands that print what units have said: the last ``lines``, or all since a moment."""
    return [journal_words([f"--unit={name}" for name in sorted(names)], lines, since, follows)]


def journal_words(matches: Sequence[str], lines: int | None, since: float | None, follows: bool) -> list[str]:
    """Return the words of journalctl.

    ``--lines`` beside ``--since`` gives the first lines on systemd 252 and the last ones on 257: one or the other.
    ``since`` loses its fraction: rounded up, it would leave out the first lines.
    """
    count = [] if lines is None else [f"--lines={lines}"]
    begin = [] if since is None else [f"--since=@{int(since)}"]
    return ["journalctl", "--no-pager", "--quiet", *count, *begin, *(["--follow"] if follows else []), *matches]


def _systemctl(step: str, *arguments: str) -> None:
    result = run(["systemctl", *arguments])
    if result.returncode != 0:
        raise ReleaseError(step, f"systemctl {' '.join(arguments)} failed", result.stderr)
