# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that after a crash hold either all of the old or all of the new, and what else is done to names on a disk."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat


def replace_file(path: str, data: bytes, mode: int = 0o600, uid: int | None = None, gid: int | None = None) -> None:
    """Replace a file as a whole; it belongs to whoever runs this unless told otherwise. Raises OSError."""
    temporary = staging_name(path)
    try:
        write_new(temporary, data, mode, os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def write_new(path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
    """Write a new file and wait until it is on the disk. Only root can read it before its owner and mode are set."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def owned_directory(path: str, uid: int, gid: int, mode: int) -> None:
    """Hand a directory over. Raises OSError when it is a link by now: its parent may belong to who gets it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def remove_entry(name: str, dir_fd: int | None = None) -> None:
    """Delete a file, a directory with all that is in it, or a link itself, in the directory ``dir_fd``; or nothing."""
    try:
        entry = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(entry.st_mode):
        shutil.rmtree(name, dir_fd=dir_fd)
    else:
        os.unlink(name, dir_fd=dir_fd)


def staging_name(path: str) -> str:
    """A name beside the target that no program reads: hidden, with an ending that logrotate and run-parts ignore."""
    folder, name = os.path.split(path)
    return f"{folder}/.{name}.flaskworks~"


def sync_directory(path: str) -> None:
    """Wait until the names in a directory are on the disk: a rename is not before (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(path: str) -> None:
    """syncfs(2): thousands of files in one call, without waiting for the host's other file systems."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
