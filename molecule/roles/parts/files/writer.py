"""Appends numbered lines to a log as fast as it can, and opens it anew on USR1: `writer.py LOG`. TERM ends it.

A line is the time of the start, and a number. How many lines there are stands at the end in LOG.count.
"""

import os
import signal
import sys
import time
from types import FrameType

path = sys.argv[1]
asked = {"reopen": False, "stop": False}


def ask(what: str) -> None:
    asked[what] = True


def on_signal(number: int, frame: FrameType | None) -> None:
    ask("reopen" if number == signal.SIGUSR1 else "stop")


def open_log() -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


signal.signal(signal.SIGUSR1, on_signal)
signal.signal(signal.SIGTERM, on_signal)
started = time.time_ns()
log = open_log()
count = 0
while not asked["stop"]:
    if asked["reopen"]:
        asked["reopen"] = False
        os.close(log)
        log = open_log()
    os.write(log, f"{started} {count}\n".encode())
    count += 1
    time.sleep(0.0001)
with open(f"{path}.count", "w") as out:
    out.write(f"{started} {count}\n")
