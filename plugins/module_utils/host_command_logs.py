# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The logs of an application: the journal of its units, and the files that its server writes."""

# A program of its own, not a module: it prints, and runs other programs.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from ansible_collections.flaskworks.deploy.plugins.module_utils import servers
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import read_json
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_host import gunicorn_settings
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_units import read_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import installed_instances, release_units

# How often -f looks for a new release, in seconds.
PAUSE = 1.0


def show(layout: Layout, release: str, lines: int, only: str = "") -> int:
    """Print the last lines; return the exit status."""
    if not only:
        sys.stdout.flush()
        subprocess.run(journal_words(release_units(layout, release), lines), check=False)
    files = log_files(layout, release, only)
    if files:
        _tail(layout, release, files, lines, follows=False).wait()
    return _explained(files, only)


def follow(layout: Layout, release: str, lines: int, only: str = "") -> int:
    """Print the last lines and go on until interrupted; the units of a new release join in as soon as it starts."""
    files = log_files(layout, release, only)
    children = [_tail(layout, release, files, lines, follows=True)] if files else []
    known = {release}
    if not only:
        children.append(subprocess.Popen([*journal_words(release_units(layout, release), lines), "--follow"]))
    # The end by a signal has to reach the children too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        while children and any(child.poll() is None for child in children):
            looked = time.time()
            time.sleep(PAUSE)
            for name, units in sorted(installed_instances(layout.app).items()) if not only else []:
                if name not in known:
                    known.add(name)
                    units = sorted({*units, *release_units(layout, name)})
                    argv = [*journal_words(units, None), "--follow", f"--since=@{looked - PAUSE:.0f}"]
                    children.append(subprocess.Popen(argv))
    except KeyboardInterrupt:
        return 130
    finally:
        for child in children:
            child.terminate()
            child.wait()
    return _explained(files, only)


def journal_words(units: Sequence[str], lines: int | None) -> list[str]:
    """Return the words of journalctl for these units; ``lines`` None shows all."""
    count = [] if lines is None else [f"--lines={lines}"]
    return ["journalctl", "--no-pager", "--quiet", *count, *(f"--unit={unit}" for unit in units)]


def log_files(layout: Layout, release: str, only: str) -> list[str]:
    """Return the files of the server to show, as the release is set up to write them."""
    kind = "access" if only == "access" else "error"
    recorded = servers.recorded(read_json(layout.record(release)))
    if f"{kind}_log" in recorded:
        return [recorded[f"{kind}_log"]] if recorded[f"{kind}_log"] else []
    try:
        settings = gunicorn_settings(read_text(f"{layout.release(release)}/gunicorn.conf.py"), 1)
    except OSError:
        return []
    path = settings.get(f"{kind}log")
    return [path] if isinstance(path, str) and path.startswith("/") else []


def _tail(layout: Layout, release: str, files: Sequence[str], lines: int, follows: bool) -> subprocess.Popen[bytes]:
    """Show files as the application's user: the directory is his, and a link in it could lead anywhere."""
    user = read_json(layout.command(release)).get("user") or layout.app
    account = pwd.getpwnam(str(user))
    sys.stdout.flush()
    argv = ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follows else []), "--", *files]
    return subprocess.Popen(argv, user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/")


def _explained(files: Sequence[str], only: str) -> int:
    if only and not files:
        print(f"flaskworks: the live release writes no {only} log to a file; see its journal", file=sys.stderr)
        return 1
    return 0 if all(os.path.exists(path) for path in files) else 1
