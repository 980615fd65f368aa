# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Following work that goes on by itself on a host, and showing how far it is."""

from __future__ import annotations

import json
import shlex
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible.utils.display import Display

display = Display()
# How often (seconds) a person is told that a step still goes on.
TOLD = 10.0
STATE = "flaskworks-job:"
WIDTH = 100

# Answers as soon as there is something new, else after a second: the state, new lines of progress, and when the work
# has ended its result, after which the job is forgotten. First alive, then result: a job that ends in between has one.
ASK = f"""
d={{folder}}; n={{read}}; i=0
touch "$d/seen" || exit 3
while [ $i -lt 10 ] && [ ! -e "$d/result" ] && [ "$(wc -c < "$d/progress")" -le $n ]; do sleep 0.1; i=$((i+1)); done
if kill -0 "$(cat "$d/pid")" 2>/dev/null; then state=running; else state=lost; fi
[ ! -e "$d/result" ] || state=done
echo "{STATE}$state"
tail -c +$((n+1)) "$d/progress"
if [ $state = done ]; then echo "{STATE}result"; cat "$d/result"; fi
[ $state = running ] || rm -rf "$d"
"""


@dataclass
class Answer:
    """What the host said: ``running``, ``done`` or ``lost``, new lines, and the result."""

    state: str
    lines: list[str] = field(default_factory=list)
    size: int = 0
    result: dict[str, Any] = field(default_factory=dict)


def read_answer(text: str) -> Answer:
    """Parse the output of ASK. Raises ValueError for anything else."""
    _noise, marker, rest = text.replace("\r\n", "\n").partition(STATE)
    if not marker:
        raise ValueError(f"no state in the answer: {text[:200]!r}")
    state, _newline, rest = rest.partition("\n")
    progress, _marker, result = rest.partition(f"{STATE}result\n")
    # A line that is still being written is read as a whole the next time.
    whole = progress[: progress.rfind("\n") + 1]
    return Answer(state.strip(), whole.splitlines(), len(whole.encode()), json.loads(result) if result.strip() else {})


class Job:
    """One job on a host; ``execute`` runs a shell command there with the task's privileges."""

    def __init__(self, execute: Callable[..., dict[str, Any]], folder: str, label: str) -> None:
        self.execute = execute
        self.folder = folder
        self.label = label

    def wait(self) -> dict[str, Any]:
        """Show the progress until the work has ended; return its result."""
        read, last = 0, "beginning"
        told = began = time.monotonic()
        while True:
            done = self.execute(ASK.format(folder=shlex.quote(self.folder), read=read), sudoable=True)
            if done.get("rc") != 0:
                said = str(done.get("stderr") or done.get("stdout") or "").strip()
                return {"failed": True, "msg": f"{self.label}: the host can't be asked any more: {said}", "step": last}
            answer = read_answer(str(done["stdout"]))
            read += answer.size
            for line in answer.lines:
                last, told, began = line, time.monotonic(), time.monotonic()
                display.display(f"  {self.label}: {line}")
            if answer.state == "done":
                return answer.result
            if answer.state == "lost":
                text = (
                    f"{self.label}: the work was cut short while {last}: its process on the host is gone. What served"
                    " still serves; the next run takes back or finishes what was begun"
                )
                return {"failed": True, "msg": text, "step": last}
            if time.monotonic() - told > TOLD:
                told = time.monotonic()
                display.display(f"  {self.label}: still {last}, {told - began:.0f} s")


def box(text: str) -> str:
    """Return the text between lines, wrapped, so that it stands out in the output of a long run."""
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(line, WIDTH - 2, subsequent_indent=indent, drop_whitespace=False) or [""]
    edge = "─" * (WIDTH - 1)
    return "\n".join([f"┌{edge}", *(f"│ {line}".rstrip() for line in lines), f"└{edge}"])
