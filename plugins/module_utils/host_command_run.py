# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands that a person runs as an application: in its environment, its source directory and its sandbox."""

# A program of its own, not a module: it prints, and runs other programs.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import read_json
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _EndedError(Exception):
    """A signal told this process to end."""


def run_words(layout: Layout, release: str, words: Sequence[str]) -> int:
    """Run a command and return its exit status. Raises LookupError when the release does not say how."""
    command = read_json(layout.command(release))
    if not isinstance(command.get("properties"), list):
        raise LookupError(
            f"release {release} was made by an older version, which did not note how a command is run: deploy once more"
        )
    # Not below "flaskworks.<app>.": a deploy ends what it finds there.
    unit = f"flaskworks-run.{layout.app}.{os.getpid()}.service"
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return supervised(systemd_run(command, unit, words, terminal), unit)


def systemd_run(command: Mapping[str, Any], unit: str, words: Sequence[str], terminal: bool) -> list[str]:
    """Return the words of systemd-run for one command; ``command`` is what command.json holds.

    No variable of the application is among them: they are in a file that its properties name.
    """
    return [
        *("systemd-run", "--quiet", "--wait", "--collect", "--service-type=exec", f"--unit={unit}"),
        # Else the words would be the unit's description, and so stand in the journal.
        f"--description=A command of {command['user']}",
        "--pty" if terminal else "--pipe",
        *(f"--property={item}" for item in command["properties"]),
        f"--property=WorkingDirectory={command['directory']}",
        # env looks a command up in the application's own PATH, systemd-run would in the caller's.
        # systemd would expand variables in the words, so their $ is doubled.
        *("--", "/usr/bin/env", "--", *(word.replace("$", "$$") for word in words)),
    ]


def shell_words(app: str) -> list[str]:
    """Return the command of an interactive shell that reads no file of the application when it starts."""
    if os.path.exists("/bin/bash"):
        return ["HISTFILE=/dev/null", rf"PS1=({app}) \w\$ ", "/bin/bash", "--noprofile", "--norc"]
    return [f"PS1=({app}) $ ", "/bin/sh"]


def supervised(argv: Sequence[str], unit: str) -> int:
    """Run systemd-run and return its status; when this process is told to end, the unit ends with it."""
    received: list[int] = []
    waiting = False

    def end(number: int, frame: object) -> None:
        received.append(number)
        # Before there is anything to end it is only noted.
        if waiting:
            raise _EndedError

    before = {number: signal.signal(number, end) for number in _ENDINGS}
    child = subprocess.Popen(list(argv))
    try:
        waiting = True
        if received:
            raise _EndedError
        return child.wait()
    except _EndedError:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        child.terminate()
        child.wait()
        subprocess.run(["systemctl", "stop", unit], stderr=subprocess.DEVNULL, check=False)
        return 128 + received[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
