# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What uv and pip keep from one build of an application to its next: each application has its own.

uv looks at no hash again when it takes a package from there, so whoever writes to a cache chooses what is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import owned_directory, remove_entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import CACHE_DIRECTORY

_MODE = 0o711


def build_cache(app: str) -> str:
    """Return the only directory for caches that the builds of an application see."""
    return f"{CACHE_DIRECTORY}/{app}"


def ensure_cache(app: str, uid: int, gid: int) -> None:
    """Make an application's cache, which belongs to the build user, in a directory that is root's."""
    os.makedirs(CACHE_DIRECTORY, exist_ok=True)
    opened = os.open(CACHE_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Two applications may be deployed at once.
        fcntl.flock(opened, fcntl.LOCK_EX)
        _take_over(opened)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(app, dir_fd=opened, follow_symlinks=False).st_uid != uid:
                remove_entry(app, opened)  # the build user has another number now
        with contextlib.suppress(FileExistsError):
            os.mkdir(app, 0o700, dir_fd=opened)
        owned_directory(build_cache(app), uid, gid, 0o700)
    finally:
        os.close(opened)


def _take_over(opened: int) -> None:
    """Make the directory root's. It was the build user's once, one cache for all: nothing of that is kept.

    Its mode is set last: a run that is killed here leaves the rest to the next one.
    """
    entry = os.fstat(opened)
    if (entry.st_uid, stat.S_IMODE(entry.st_mode)) == (os.geteuid(), _MODE):
        return
    os.fchown(opened, os.geteuid(), os.getegid())
    os.fchmod(opened, 0o700)
    for name in os.listdir(opened):
        remove_entry(name, opened)
    os.fchmod(opened, _MODE)
