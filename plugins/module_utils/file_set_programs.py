# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs that a file_set knows by name."""

from __future__ import annotations

import grp
import pwd
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, Wanted
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import staging_name
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_nginx import Nginx
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import (
    Program,
    in_context,
    installed,
    must,
    run,
    words,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import Systemd, Units

NAMES = ("none", "nginx", "systemd", "logrotate", "sysusers")


def program(name: str, units: Mapping[str, Mapping[str, Any]], wanted: Sequence[Wanted]) -> Program:
    """Return the program of that name, one of NAMES."""
    if name == "nginx":
        return Nginx(units)
    if name == "systemd":
        return Systemd(units)
    if name == "logrotate":
        return Logrotate(units)
    if name == "sysusers":
        return Sysusers(wanted)
    return ServiceUnits(units)


class ServiceUnits(Units):
    """Units of a program that this module does not know: brought to the wanted state after the files changed."""

    def apply(self, changes: Sequence[Change]) -> None:
        self.bring(set(self.units) if changes else set())

    def reapply(self, changes: Sequence[Change]) -> None:
        self.bring(set(self.units))


class Logrotate(ServiceUnits):
    """logrotate reads its files at its next run: there is nothing to apply, and a fault would show only then."""

    directory = "/etc/logrotate.d"
    command = ("logrotate", "--debug", "/etc/logrotate.conf")

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("logrotate"):
            raise FileSetError("logrotate is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        in_context([self.directory], changes, self._test)

    def _test(self, context: dict[str, str]) -> None:
        # The exit status is 0 for an unknown directive as well; only the words tell.
        if problems := self._problems(context):
            known = self._problems({})
            if new := [line for line in problems if line not in known]:
                raise FileSetError("logrotate refuses the policies:\n" + "\n".join(new))

    def _problems(self, context: dict[str, str]) -> list[str]:
        done = run(self.command, context)
        lines = [line for line in words(done).splitlines() if line.startswith("error:") or "unknown" in line.lower()]
        return lines or ([f"logrotate ended with {done.returncode}"] if done.returncode != 0 else [])


class Sysusers(Program):
    """Users and groups as sysusers.d(5) describes them; a user that is missing is made also when no file changed."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.files = [entry.path for entry in wanted if entry.kind == "file" and entry.path.endswith(".conf")]
        self.users, self.groups = declared(
            b"\n".join(entry.content for entry in wanted if entry.kind == "file").decode()
        )

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("systemd-sysusers"):
            raise FileSetError("systemd-sysusers is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.path in self.files:
                done = run(["systemd-sysusers", "--dry-run", staging_name(change.path)])
                if done.returncode != 0:
                    raise FileSetError(f"systemd-sysusers refuses {change.path}:\n{words(done)}")

    def apply(self, changes: Sequence[Change]) -> None:
        if self.files:
            must(["systemd-sysusers", *self.files])

    def verify(self) -> None:
        if missing := self.drift(False):
            raise FileSetError("systemd-sysusers ended well, but " + "; ".join(missing))

    def drift(self, check: bool) -> list[str]:
        missing = [f"the user {name} does not exist" for name in self.users if not _exists(pwd.getpwnam, name)]
        return missing + [f"the group {name} does not exist" for name in self.groups if not _exists(grp.getgrnam, name)]


def declared(text: str) -> tuple[list[str], list[str]]:
    """Return the users and the groups that lines of sysusers.d(5) declare."""
    users, groups = [], []
    for line in text.splitlines():
        fields = shlex.split(line, comments=True)
        if len(fields) >= 2 and fields[0].rstrip("!") == "u":
            users.append(fields[1])
        elif len(fields) >= 2 and fields[0] == "g":
            groups.append(fields[1])
    return users, groups


def _exists(look_up: Any, name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True
