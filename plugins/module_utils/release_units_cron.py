# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs that cron watches: an entry of /etc/cron.d for each, and the script ``control`` of the release, which does
the rest as the application's user.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_instances import Instance
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import Completed, run, run_as
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units_systemd import journal_words

DIRECTORY = "/etc/cron.d"
_FILE = re.compile(r"flaskworks-([a-z0-9_-]+)-(\d{8}-\d{6}-[0-9a-f]{8})")
# What a program that ends or starts at once may take, in seconds; it is the application's, and could make root wait.
_PATIENCE = 30.0
_ENTRY = re.compile(r"^\* \* \* \* \* (\S+) (/\S+/control) check \S+$", re.MULTILINE)


def path_of(name: str) -> str:
    """Return where an entry lies. cron passes over names with a dot or @ (cron(8))."""
    return f"{DIRECTORY}/flaskworks-{name.removesuffix('.cron').replace('.', '_').replace('@', '-')}"


def found(app: str) -> list[str]:
    """Return the application's own entries on the host."""
    names = []
    for path in glob.glob(f"{DIRECTORY}/flaskworks-{app}[-_]*"):
        # No application has _ in its name.
        matched = _FILE.fullmatch(os.path.basename(path))
        if matched and matched[1].partition("_")[0] == app:
            names.append(f"{matched[1].replace('_', '.')}@{matched[2]}.cron")
    return names


def text(name: str, sections: Mapping[str, Any]) -> str:
    """Return the text of an entry: ``Check`` says as which ``user`` which ``command`` looks after the program."""
    check = sections["Check"]
    return (
        "# Written by flaskworks.deploy for one release; it goes with it. After a boot the next minute starts it.\n"
        'SHELL=/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin\nMAILTO=""\n'
        f"* * * * * {check['user']} {check['command']}\n"
    )


def instance_text(template: str, release_id: str) -> str:
    """Return the text of one release's entry."""
    return template.replace("%i", release_id)


def load(names: Sequence[str]) -> None:
    """See that cron is there: it looks for new entries each minute. Raises ReleaseError."""
    if run(["systemctl", "is-active", "--quiet", "cron.service"]).returncode != 0:
        raise ReleaseError("units", "cron does not run on this host: systemctl enable --now cron")


def show(names: Collection[str]) -> dict[str, dict[str, str]]:
    """Return unit -> property -> value, in systemd's words."""
    shown = {}
    for name in names:
        instance = Instance.of_unit(name)
        pid = instance.running()
        dead = "inactive" if instance.stopped() or not instance.known() else "failed"
        shown[name] = {
            "Id": name,
            "ActiveState": "active" if pid else dead,
            "SubState": "running" if pid else "dead",
            "Result": "success" if pid or dead == "inactive" else "exit-code",
            "UnitFileState": "enabled" if os.path.exists(path_of(name)) else "",
            "MainPID": str(pid),
            "NRestarts": str(instance.restarts()),
            "ActiveEnterTimestamp": f"@{int(instance.since() or 0)}",
        }
    return shown


def start(names: Sequence[str], step: str) -> None:
    """Start programs as cron would. Raises ReleaseError."""
    for name in names:
        instance = Instance.of_unit(name)
        user, control = _entry(name)
        if not instance.running():
            instance.restarts_begin()
        # A scope of its own: it would end with whatever the deploy was started from.
        scope = ["systemd-run", "--scope", "--quiet", "--collect", f"--uid={user}", f"--gid={user}"]
        done = run(
            [*scope, f"--description={instance.name}", "--", control, "start", instance.process],
            cwd="/",
            timeout=_PATIENCE,
        )
        if done.returncode != 0:
            raise ReleaseError(step, f"{instance.name} can't be started", done.stdout + done.stderr)


def enable(names: Sequence[str]) -> None:
    """Nothing: cron starts what it finds."""


def stop(names: Collection[str]) -> None:
    """Stop programs and wait for their end. Raises ReleaseError for one that goes on."""
    stop_soon(names)
    for name in sorted(names):
        done = _control(name, "stop")
        if pid := Instance.of_unit(name).running():
            said = done.stdout + done.stderr if done else f"{_entry(name)[1]} is gone"
            raise ReleaseError("stop", f"{name} does not end: end its process {pid}, then run again", said)


def stop_soon(names: Collection[str]) -> None:
    """Ask programs to stop and don't wait for them."""
    for name in sorted(names):
        _control(name, "stop-soon")


def remove(names: Collection[str]) -> None:
    """Stop programs and delete their entries."""
    stop(names)
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path_of(name))


def log_words(names: Collection[str], lines: int | None, since: float | None, follows: bool) -> list[list[str]]:
    """Return the command that prints what programs have said."""
    matches = [f"--identifier={Instance.of_unit(name).name}" for name in sorted(names)]
    return [journal_words(matches, lines, since, follows)]


def _control(name: str, action: str) -> Completed | None:
    user, control = _entry(name)
    if not os.path.exists(control):
        return None
    process = Instance.of_unit(name).process
    timeout = _PATIENCE + (_time_to_stop(control, process) if action == "stop" else 0)
    return run_as(user, [control, action, process], cwd="/", timeout=timeout)


def _time_to_stop(control: str, process: str) -> float:
    """Return how long the script of a release waits for the end of a program, in seconds."""
    with contextlib.suppress(OSError), open(control, encoding="utf-8") as stream:
        if matched := re.search(rf"^ *{re.escape(process)}\) timeout=(\d+) ;;$", stream.read(), re.MULTILINE):
            return float(matched[1])
    return 0.0


def _entry(name: str) -> tuple[str, str]:
    """Return the user and the script of an entry."""
    with contextlib.suppress(OSError), open(path_of(name), encoding="utf-8", errors="replace") as stream:
        if matched := _ENTRY.search(stream.read()):
            return matched[1], matched[2]
    instance = Instance.of_unit(name)
    return instance.app, f"/srv/{instance.app}/releases/{instance.release}/control"
