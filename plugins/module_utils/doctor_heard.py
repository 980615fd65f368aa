# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The last words of a program that may say anything: an application, or a journal that it fills."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Sequence

from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH

# Bytes that are kept: all that is said in a day may be more than a host has memory.
MOST = 2**21


def last_words(argv: Sequence[str], timeout: float, given: str = "") -> str:
    """Return the end of what a program writes on its standard output, of which it is fed ``given``; it is killed after
    ``timeout`` seconds. Its status is not looked at. Raises OSError when it can't be started.
    """
    kept = bytearray()
    with subprocess.Popen(  # pylint: disable=ansible-bad-function
        list(argv),
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as program:
        killer = threading.Timer(timeout, program.kill)
        killer.start()
        try:
            if program.stdin and program.stdout:
                with contextlib.suppress(BrokenPipeError), program.stdin:
                    program.stdin.write(given.encode())
                while part := program.stdout.read1(65536):  # type: ignore[attr-defined]
                    kept += part
                    if len(kept) > 2 * MOST:
                        del kept[:-MOST]
        finally:
            killer.cancel()
    return bytes(kept[-MOST:]).decode(errors="replace")
