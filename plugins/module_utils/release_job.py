# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work that goes on when its caller is gone, and tells how far it is: a module can't stream, so it leaves a process
behind and the controller asks.

A job is a directory below /run that only root reads: ``pid``, ``progress`` (lines), ``result`` (JSON, when it has
ended), and ``seen``, which the controller touches whenever it asks.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import RUN_DIRECTORY

JOBS = f"{RUN_DIRECTORY}/jobs"
# A controller that comes back for its result does so within this time (seconds).
FORGOTTEN = 3600.0

Report = Callable[[str], None]


def start(work: Callable[[str, Report], dict[str, Any]]) -> str:
    """Call ``work(seen, report)`` in a process of its own and return the job's directory at once."""
    os.makedirs(JOBS, mode=0o700, exist_ok=True)
    _forget_old()
    folder = tempfile.mkdtemp(prefix="job.", dir=JOBS)
    for name in ("progress", "seen"):
        with open(f"{folder}/{name}", "x", encoding="utf-8"):
            pass
    pid = os.fork()
    if pid:
        with open(f"{folder}/pid", "x", encoding="utf-8") as stream:
            stream.write(str(pid))
        return folder
    try:
        # A session of its own: the end of the connection does not end it.
        os.setsid()
        _detach()
        result = _carry_out(work, folder)
        replace_file(f"{folder}/result", json.dumps(result).encode())
    finally:
        # Not sys.exit(): what the caller registered for its own end is not this process's to do.
        os._exit(0)


def _carry_out(work: Callable[[str, Report], dict[str, Any]], folder: str) -> dict[str, Any]:
    with open(f"{folder}/progress", "a", encoding="utf-8") as stream:

        def report(line: str) -> None:
            stream.write(line.replace("\n", " ") + "\n")
            stream.flush()

        try:
            return work(f"{folder}/seen", report)
        except Exception:  # pylint: disable=broad-except
            # Nobody else would ever see it.
            return {"failed": True, "msg": f"this is a fault of the module itself:\n{traceback.format_exc()}"}


def _detach() -> None:
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _forget_old() -> None:
    for name in os.listdir(JOBS):
        folder = f"{JOBS}/{name}"
        try:
            if time.time() - os.stat(f"{folder}/seen").st_mtime > FORGOTTEN and os.path.exists(f"{folder}/result"):
                shutil.rmtree(folder)
        except OSError:
            continue
