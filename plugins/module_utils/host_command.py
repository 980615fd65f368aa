# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command flaskworks of a host: what was asked for, and who answers it. It runs there without Ansible."""

# A program of its own, not a module: it prints, and runs other programs.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.host_command_logs import follow, show
from ansible_collections.flaskworks.deploy.plugins.module_utils.host_command_run import run_words, shell_words
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_diff import compared
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_diff_text import diff_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status import host_status, known_apps
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_report import releases, report
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import json_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint

# See sysexits.h. A command that is run brings its own.
USAGE, NO_APP, NO_RELEASE, NOT_ROOT = 64, 66, 69, 77
ACTIONS = ("status", "diff", "logs", "releases", "run", "shell")
HELP = """\
Usage: flaskworks [--json]                     all applications of this host
       flaskworks APP [status] [--json]        one application: state, kept releases, last failures
       flaskworks APP releases [--json]        the releases that can be gone back to
       flaskworks APP diff [OLD [NEW]] [--json]
       flaskworks APP logs [-f] [-n LINES] [--access | --error]
       flaskworks APP run [--] COMMAND [ARGUMENT...]
       flaskworks APP shell

  status    the live release, since when and by whom, workers, memory, and how fast it answers right now
  diff      what differs between two releases: code, packages, settings, names of variables; without names the release
            before and the live one. OLD and NEW are ids, parts of one, "previous" or "live"
  logs      the journal of the live release's units, and the server's error log.
            -f goes on, also over a change of the release; -n LINES from the end (50);
            --access and --error show only that log of the server, be it a file or in the journal
  run       runs a command as the application: its user, its environment with its secrets, its source directory, its
            virtual environment, its sandbox and limits. It can't do more than the site itself. The exit status is the
            command's: flaskworks blog run flask db current; flaskworks blog run python
  shell     the same, with an interactive shell

Everything needs root: sudo flaskworks. Exit status otherwise: 64 wrong usage, 66 no such application, 69 no live
release, 77 not root.
"""


class CommandError(Exception):
    """Something that ends the command with a status; the text is for a person."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Call:
    """What was asked for. ``only`` is the log to show: ``access``, ``error`` or none in particular."""

    action: str
    app: str | None = None
    json: bool = False
    follow: bool = False
    lines: int = 50
    only: str = ""
    words: tuple[str, ...] = ()


def parse(arguments: Sequence[str]) -> Call:
    """Return what was asked for. Raises CommandError for what can't be understood."""
    rest = list(arguments)
    # What follows "run COMMAND" is the command's own.
    before_command = rest[:3] if rest[1:2] == ["run"] else rest
    if rest[:1] == ["help"] or any(word in ("-h", "--help") for word in before_command):
        return Call("help")
    app = rest.pop(0) if rest and not rest[0].startswith("-") else None
    if app is None:
        return Call("status", json=_only_json(rest))
    action = rest.pop(0) if rest and not rest[0].startswith("-") else "status"
    if action not in ACTIONS:
        raise CommandError(USAGE, f"there is no command '{action}': {hint(action, ACTIONS)}")
    if action == "run":
        words = rest[1:] if rest[:1] == ["--"] else rest
        if not words or (words is rest and words[0].startswith("-")):
            raise CommandError(USAGE, f"run what? For instance: flaskworks {app} run python --version")
        return Call(action, app, words=tuple(words))
    if action == "logs":
        return _parse_logs(app, rest)
    if action == "diff":
        names = tuple(word for word in rest if not word.startswith("-"))
        if len(names) > 2:
            raise CommandError(USAGE, f"diff compares two releases, not {len(names)}; see flaskworks --help")
        return Call(action, app, words=names, json=_only_json([word for word in rest if word not in names]))
    if action == "shell" and rest:
        raise CommandError(USAGE, f"shell takes nothing more; a single command: flaskworks {app} run {' '.join(rest)}")
    return Call(action, app, json=_only_json(rest))


def _only_json(rest: Sequence[str]) -> bool:
    if wrong := [word for word in rest if word != "--json"]:
        raise CommandError(USAGE, f"'{wrong[0]}' means nothing here; see flaskworks --help")
    return bool(rest)


def _parse_logs(app: str, rest: list[str]) -> Call:
    follows, lines, only = False, 50, ""
    while rest:
        word = rest.pop(0)
        if word in ("-f", "--follow"):
            follows = True
        elif word in ("--access", "--error"):
            only = word[2:]
        elif word == "--lines" or word.startswith(("-n", "--lines=")):
            value = word.removeprefix("--lines").removeprefix("-n").removeprefix("=") or (rest.pop(0) if rest else "")
            if not (value.isascii() and value.isdigit()):
                raise CommandError(USAGE, f"-n takes a number of lines, not '{value}'")
            lines = int(value)
        else:
            raise CommandError(USAGE, f"logs has no option '{word}'; see flaskworks --help")
    return Call("logs", app, follow=follows, lines=lines, only=only)


def main(arguments: Sequence[str]) -> int:
    """Answer; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        call = parse(arguments)
        if call.action == "help":
            print(HELP, end="")
            return 0
        if os.geteuid() != 0:
            raise CommandError(NOT_ROOT, f"this needs root, run it with sudo: sudo flaskworks {' '.join(arguments)}")
        return answer(call)
    except CommandError as error:
        print(f"flaskworks: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        # Nobody reads on; what is left in the buffer must not raise this again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def answer(call: Call) -> int:
    """Do what was asked for. Raises CommandError."""
    if call.app is None:
        return _status(call)
    known = known_apps() or {}
    if call.app not in known:
        meant = hint(call.app, known) if known else "this host has none"
        raise CommandError(NO_APP, f"there is no application '{call.app}': {meant}")
    if call.action in ("status", "releases"):
        return _status(call)
    layout = Layout(call.app, f"/srv/{call.app}")
    if call.action == "diff":
        try:
            found = compared(layout, call.words)
        except LookupError as error:
            raise CommandError(NO_RELEASE, str(error.args[0])) from error
        print(json_text(found) if call.json else diff_text(found))
        return 0
    live = layout.live()
    if live is None:
        raise CommandError(NO_RELEASE, f"{call.app} has no live release")
    if call.action == "logs":
        return (follow if call.follow else show)(layout, live, call.lines, call.only)
    words = shell_words(call.app) if call.action == "shell" else list(call.words)
    try:
        return run_words(layout, live, words)
    except LookupError as error:
        raise CommandError(NO_RELEASE, str(error.args[0])) from error


def _status(call: Call) -> int:
    status = host_status(None if call.app is None else [call.app], probe=call.action == "status")
    app: Mapping[str, Any] = status["apps"][0] if call.app and status["apps"] else {}
    if call.json:
        shown = status if call.app is None else app["releases"] if call.action == "releases" else app
        print(json_text(shown))
    elif call.action == "releases":
        print(releases(app, status["time"]) if app.get("releases") else f"{call.app} has no releases")
    else:
        print(report({"": status}, details=call.app is not None, named=False))
    return 0
