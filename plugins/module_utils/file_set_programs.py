# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs that a file_set knows by name."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, Wanted
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
        return Sysusers(units, wanted)
    return Units(units)


class Logrotate(Units):
    """logrotate reads its files at its next run: there is nothing to apply, and a fault would show only then."""

    directory = "/etc/logrotate.d"
    command = ("logrotate", "--debug", "/etc/logrotate.conf")

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("logrotate"):
            raise FileSetError("logrotate is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        # The exit status is 0 for an unknown directive as well; only the words tell. One of them is always there.
        found: list[list[str]] = []
        in_context([self.directory], changes, lambda context: found.append(self._words(context)))
        in_context([self.directory], changes, lambda context: found.append(self._words(context)), without=True)
        if new := list((Counter(found[0]) - Counter(found[1])).elements()):
            raise FileSetError("logrotate refuses the policies:\n" + "\n".join(new))

    def _words(self, context: dict[str, str]) -> list[str]:
        done = run(self.command, context)
        lines = [line for line in words(done).splitlines() if line.startswith(("error:", "warning:"))]
        return lines + ([f"logrotate ended with {done.returncode}"] if done.returncode != 0 else [])


class Declared(NamedTuple):
    """What lines of sysusers.d(5) declare: names of users and of groups, and (user, group) of memberships."""

    users: list[str]
    groups: list[str]
    members: list[tuple[str, str]]


class Sysusers(Units):
    """Users and groups as sysusers.d(5) describes them; a user that is missing is made also when no file changed."""

    def __init__(self, units: Mapping[str, Mapping[str, Any]], wanted: Sequence[Wanted]) -> None:
        super().__init__(units)
        self.files = [entry.path for entry in wanted if entry.kind == "file" and entry.path.endswith(".conf")]
        self.declared = declared(
            b"\n".join(entry.content for entry in wanted if entry.path in self.files).decode(errors="replace")
        )

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("systemd-sysusers"):
            raise FileSetError("systemd-sysusers is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        in_context({os.path.dirname(path) for path in self.files}, changes, self._test)

    def _test(self, context: dict[str, str]) -> None:
        if not self.files:
            return
        done = run(["systemd-sysusers", "--dry-run", *self.files], context)
        if done.returncode != 0:
            raise FileSetError(f"systemd-sysusers refuses the users:\n{words(done)}")

    def apply(self, changes: Sequence[Change]) -> None:
        if self.files:
            must(["systemd-sysusers", *self.files])
        super().apply(changes)

    def verify(self) -> None:
        super().verify()
        if missing := self._missing():
            raise FileSetError("systemd-sysusers ended well, but " + "; ".join(missing))

    def drift(self) -> list[str]:
        return super().drift() + self._missing()

    def _missing(self) -> list[str]:
        missing = [f"the user {name} does not exist" for name in self.declared.users if _user(name) is None]
        missing += [f"the group {name} does not exist" for name in self.declared.groups if _group(name) is None]
        for user, group in self.declared.members:
            if not _is_member(user, group):
                missing.append(f"the user {user} is not in the group {group}")
        return missing


def declared(text: str) -> Declared:
    """Return what lines of sysusers.d(5) declare; names with specifiers (%) are left to systemd."""
    users, groups, members = [], [], []
    for line in text.splitlines():
        try:
            fields = shlex.split(line, comments=True)
        except ValueError:
            # systemd says what is wrong with it.
            continue
        if len(fields) < 2 or "%" in "".join(fields[:3]):
            continue
        kind = fields[0].rstrip("!")
        if kind == "u":
            users.append(fields[1])
        elif kind == "g":
            groups.append(fields[1])
        elif kind == "m" and len(fields) > 2:
            members.append((fields[1], fields[2]))
    return Declared(users, groups, members)


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def _is_member(user: str, group: str) -> bool:
    account, found = _user(user), _group(group)
    return account is not None and found is not None and (user in found.gr_mem or account.pw_gid == found.gr_gid)
