# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The logs of an application: what its units have said, and what its server writes, to files or to the journal."""

# A program of its own, not a module: it prints, and runs other programs.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import read_json
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_logs import ACCESS, log_place, without_access
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    installed_instances,
    log_words,
    main_unit,
    release_units,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import visible

# How often -f looks for a new release, in seconds.
PAUSE = 1.0


def show(layout: Layout, release: str, lines: int, only: str = "") -> int:
    """Print the last lines; return the exit status."""
    files, chosen = log_files(layout, release, only), journal_filter(layout, release, only)
    if chosen is not None:
        sys.stdout.flush()
        for words in _words(_units(layout, release, only), only, chosen, lines=lines):
            subprocess.run(words, check=False)
    if files:
        _tail(layout, release, files, lines, follows=False).wait()
    return _explained(files, only, chosen)


def follow(layout: Layout, release: str, lines: int, only: str = "") -> int:
    """Print the last lines and go on until interrupted; the units of a new release join in as soon as it starts."""
    files, chosen = log_files(layout, release, only), journal_filter(layout, release, only)
    children = [_tail(layout, release, files, lines, follows=True)] if files else []
    known = {release}
    if chosen is not None:
        commands = _words(_units(layout, release, only), only, chosen, lines=lines, follows=True)
        children += [subprocess.Popen(words) for words in commands]
    # The end by a signal has to reach the children too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        while children and any(child.poll() is None for child in children):
            looked = time.time()
            time.sleep(PAUSE)
            for name in sorted(installed_instances(layout.app)) if chosen is not None else []:
                if name not in known:
                    known.add(name)
                    commands = _words(
                        _units(layout, name, only), only, chosen or [], since=looked - PAUSE, follows=True
                    )
                    children += [subprocess.Popen(words) for words in commands]
    except KeyboardInterrupt:
        return 130
    finally:
        for child in children:
            child.terminate()
            child.wait()
    return _explained(files, only, chosen)


def _words(units: Sequence[str], only: str, chosen: Sequence[str], **options: Any) -> list[list[str]]:
    """Return the commands that print what units have said; ``chosen`` says which lines of the journal."""
    commands = log_words(units, **options)
    return [
        [*words, *(chosen if words[0] == "journalctl" else ())]
        for words in commands
        # What supervisor writes down is neither of the server's logs.
        if words[0] == "journalctl" or not only
    ]


def journal_filter(layout: Layout, release: str, only: str) -> list[str] | None:
    """Return the words of journalctl for the lines that are asked for; None when they are not in the journal."""
    if only == "access":
        return [*ACCESS, "--output=cat"] if log_place(layout, release, "access") == "-" else None
    if only == "error" and log_place(layout, release, "error") != "-":
        return None
    return without_access(layout, release)


def log_files(layout: Layout, release: str, only: str) -> list[str]:
    """Return the files of the server to show, as the release is set up to write them."""
    path = log_place(layout, release, "access" if only == "access" else "error")
    return [path] if path.startswith("/") else []


def _units(layout: Layout, release: str, only: str) -> list[str]:
    """Return the units of a release whose lines are asked for; the logs are the server's."""
    if only:
        return [main_unit(layout, release)]
    return sorted({*installed_instances(layout.app).get(release, []), *release_units(layout, release)})


def _tail(layout: Layout, release: str, files: Sequence[str], lines: int, follows: bool) -> subprocess.Popen[bytes]:
    """Show files as the application's user: the directory is his, and a link in it could lead anywhere."""
    user = read_json(layout.command(release)).get("user") or layout.app
    account = pwd.getpwnam(str(user))
    sys.stdout.flush()
    argv = ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follows else []), "--", *files]
    output = subprocess.PIPE if sys.stdout.isatty() else None
    child = subprocess.Popen(argv, stdout=output, user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/")
    if child.stdout:
        threading.Thread(target=_print_visibly, args=(child.stdout,)).start()
    return child


def _print_visibly(lines: Iterable[bytes]) -> None:
    """Print lines so that what an application writes to its log moves nothing on a terminal."""
    for line in lines:
        print(visible(line.decode(errors="replace")), flush=True)


def _explained(files: Sequence[str], only: str, chosen: Sequence[str] | None) -> int:
    if only and not files and chosen is None:
        print(f"flaskworks: the live release writes no {only} log", file=sys.stderr)
        return 1
    return 0 if all(os.path.exists(path) for path in files) else 1
