# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The places of shared directories in a source that the build user could fill: root passes no link on its way there."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import remove_entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import relative_path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def keep_tracked(source: str, seed: str, names: Iterable[str]) -> list[str]:
    """Copy what the project tracks in shared directories: it fills them once, when they are new.

    No process of the build may be alive. Raises ReleaseError for a link above one of them.
    """
    kept = []
    for name in names:
        path = relative_path(name, "a shared directory")
        with _opened_parent(source, path) as parent:
            entry = _entry(path, parent)
            if entry and stat.S_ISDIR(entry.st_mode) and os.listdir(f"{source}/{path}"):
                shutil.copytree(f"{source}/{path}", f"{seed}/{path}", symlinks=True)
                kept.append(name)
    return kept


def drop(root: str, path: str) -> None:
    """Delete ``root``/``path``, whatever it is; a link itself, not what it names.

    Raises ReleaseError for a link above it.
    """
    with _opened_parent(root, path) as parent:
        if parent is not None:
            remove_entry(os.path.basename(path), parent)


@contextlib.contextmanager
def _opened_parent(root: str, path: str) -> Iterator[int | None]:
    """Open the directory above ``root``/``path`` component by component; None when it is not there."""
    opened: int | None = os.open(root, _DIRECTORY)
    try:
        for folder in _above(path):
            if opened is not None:
                opened = _deeper(opened, folder, path)
        yield opened
    finally:
        if opened is not None:
            os.close(opened)


def _above(path: str) -> list[str]:
    """Return the directories above a relative path, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: index + 1]) for index in range(len(parts))]


def _deeper(opened: int, folder: str, path: str) -> int | None:
    """Open the last component of ``folder`` within ``opened``, which is closed when all went well."""
    try:
        deeper: int | None = os.open(os.path.basename(folder), _DIRECTORY, dir_fd=opened)
    except FileNotFoundError:
        deeper = None
    except OSError as error:
        problem = f"{folder} of the source is a link or no directory: {path} can't lie below it"
        raise ReleaseError("shared", problem) from error
    os.close(opened)
    return deeper


def _entry(path: str, parent: int | None) -> os.stat_result | None:
    if parent is None:
        return None
    try:
        return os.stat(os.path.basename(path), dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
