# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One change at a time for each application: who has the lock, whether anybody still waits for him, how to end him."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import timestamp
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import RUN_DIRECTORY, Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import read_journal

# A controller that waits for a deploy asks about once a second; after this silence (seconds) it is gone.
SILENCE = 10.0
# How long to wait for a deploy whose controller is gone; it ends by itself.
LONGEST_DEPLOY = 1800.0
PAUSE = 0.25


@dataclass(frozen=True)
class Patience:
    """What to do when somebody else has the lock: wait some seconds, or end him."""

    wait: float = 0.0
    break_lock: bool = False


def lock_path(app: str) -> str:
    return f"{RUN_DIRECTORY}/{app}.lock"


@contextlib.contextmanager
def locked(
    layout: Layout,
    by: str,
    job: str = "",
    patience: Patience | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Iterator[None]:
    """Hold the application's lock; ``job`` is the file that the waiting controller touches.

    The kernel frees it when its holder dies. Raises ReleaseError while somebody else has it.
    """
    os.makedirs(RUN_DIRECTORY, mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        while True:
            stream = stack.enter_context(open(lock_path(layout.app), "a+", encoding="utf-8"))
            _take(stream, layout, patience or Patience(), report)
            if _is_current(stream, lock_path(layout.app)):
                break
        stream.truncate(0)
        stream.write(json.dumps({"by": by, "since": timestamp(), "pid": os.getpid(), "job": job}))
        stream.flush()
        yield


def _take(stream: TextIO, layout: Layout, patience: Patience, report: Callable[[str], None]) -> None:
    started = time.monotonic()
    told = broken = False
    first_seen: float | None = None
    while True:
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = read_holder(stream)
        seen = _last_seen(holder)
        first_seen = seen if first_seen is None else first_seen
        waited = time.monotonic() - started
        if patience.break_lock and not broken:
            _end(holder, layout)
            broken = True
        elif broken and waited < SILENCE:
            pass
        elif seen and time.time() - seen > SILENCE and waited < LONGEST_DEPLOY:
            if not told:
                report(f"a deploy by {holder.get('by', 'somebody')} whose controller is gone is still at work: waiting")
                told = True
        elif waited >= patience.wait and (not seen or seen != first_seen or waited > SILENCE):
            raise ReleaseError("lock", taken(layout, holder))
        time.sleep(PAUSE)


def _is_current(stream: TextIO, path: str) -> bool:
    """Tell whether the file is still the one of that name: the removal of an application deletes it."""
    try:
        return os.fstat(stream.fileno()).st_ino == os.stat(path).st_ino
    except OSError:
        return False


def read_holder(stream: TextIO) -> dict[str, Any]:
    """Return what the holder wrote; {} in the moment before he did."""
    stream.seek(0)
    try:
        value = json.loads(stream.read())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def taken(layout: Layout, holder: dict[str, Any]) -> str:
    """Return in words who works on the application, and what to do."""
    if not holder:
        return f"another deploy of {layout.app} has just begun"
    step = read_journal(layout).get("step")
    at = f", now at the step '{step}'" if step else ""
    return (
        f"another deploy of {layout.app} is running: {holder.get('by')}, since {holder.get('since')}"
        f" (process {holder.get('pid')}{at}). Wait for it with -e lock_wait=300, or, when you know that it is stuck,"
        " end it with -e break_lock=true: what it began is then taken back or finished"
    )


def _last_seen(holder: dict[str, Any]) -> float:
    """Return when the holder's controller last asked (seconds since 1970); 0 when he has none."""
    try:
        return os.stat(str(holder["job"])).st_mtime if holder.get("job") else 0.0
    except OSError:
        return 0.0


def _end(holder: dict[str, Any], layout: Layout) -> None:
    """Kill the holder: every step of his may be cut short. Only a process that really has the lock open."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 1:
        return
    with contextlib.suppress(OSError):
        opened = {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        if lock_path(layout.app) in opened:
            os.kill(pid, signal.SIGKILL)
