# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx's logs, which are not for every user of the host: they hold addresses, and paths with what visitors sent."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterable

# What Debian's logrotate makes (/etc/logrotate.d/nginx). nginx itself would make a new log readable for everybody.
USER, GROUP, MODE = "www-data", "adm", 0o640
_LOG = re.compile(rb"^\s*(?:access|error)_log\s+([^\s;$]+)[\s;]", re.MULTILINE)


def logs_in(configuration: bytes, directory: str) -> list[str]:
    """Return the log files in a directory that a configuration names, sorted."""
    found = {os.fsdecode(path) for path in _LOG.findall(configuration)}
    return sorted(path for path in found if os.path.dirname(path) == directory)


def make_private(paths: Iterable[str]) -> None:
    """Make logs that are not there yet, and close those that everybody can read. What can't be made nginx tells of."""
    try:
        owner = pwd.getpwnam(USER).pw_uid, grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, MODE)
            try:
                found = os.fstat(descriptor)
                if stat.S_ISREG(found.st_mode) and (not found.st_size or found.st_mode & 0o007):
                    os.fchown(descriptor, *owner)
                    os.fchmod(descriptor, MODE)
            finally:
                os.close(descriptor)
