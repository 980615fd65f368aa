# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sealing: what the build user made becomes root's, readable for the application, and for nginx where it serves
files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_source import leaves_tree

# Everybody may pass through a directory to reach what is served below it, but only the application lists it.
DIRECTORY_MODE, PUBLIC_DIRECTORY_MODE = 0o751, 0o755
FILE_MODE, PROGRAM_MODE, PUBLIC_FILE_MODE = 0o640, 0o750, 0o644

LinkRule = Callable[[str, str], bool]


def seal_tree(
    root: str, group: int, public: Collection[str] = (), allowed_link: LinkRule = lambda name, target: False
) -> None:
    """Give all below ``root`` to root:``group`` with the modes of a release; ``public`` paths (relative) become
    readable for nginx.

    No process of the build may be alive. Symbolic links stay inside of the tree unless ``allowed_link(name, target)``
    says otherwise. Raises ReleaseError for other links, hard links (their second name may lie anywhere), devices,
    pipes and sockets.
    """
    served = {os.path.normpath(path) for path in public}
    _own(root, group, DIRECTORY_MODE if "." not in served else PUBLIC_DIRECTORY_MODE)
    for folder, directories, files in os.walk(root):
        relative = os.path.relpath(folder, root)
        for name in directories + files:
            path = os.path.join(folder, name)
            inner = os.path.normpath(os.path.join(relative, name))
            _seal_entry(path, inner, group, _is_served(inner, served), allowed_link)


def open_to_web(root: str, public: Collection[str]) -> None:
    """Make ``public`` paths (relative) of a tree that is sealed already readable for nginx.

    Raises ReleaseError for one that lies behind a link: some may leave the tree, and then lead anywhere by now.
    """
    for start in sorted(os.path.normpath(path) for path in public):
        top = os.path.join(root, start)
        if os.path.realpath(top) != os.path.normpath(os.path.join(os.path.realpath(root), start)):
            raise ReleaseError("static", f"{start} is a link or lies behind one: no files are served from there")
        for folder, _directories, files in os.walk(top):
            os.chmod(folder, PUBLIC_DIRECTORY_MODE)
            for name in files:
                if not os.path.islink(os.path.join(folder, name)):
                    os.chmod(os.path.join(folder, name), PUBLIC_FILE_MODE)


def _is_served(inner: str, served: set[str]) -> bool:
    return any(path == "." or inner == path or inner.startswith(path + "/") for path in served)


def _seal_entry(path: str, inner: str, group: int, served: bool, allowed_link: LinkRule) -> None:
    entry = os.lstat(path)
    if stat.S_ISLNK(entry.st_mode):
        target = os.readlink(path)
        # By its own words, or by way of another link.
        if not allowed_link(inner, target) and (leaves_tree(inner, target) or _ends_outside(path, inner, allowed_link)):
            raise ReleaseError("seal", f"the link {inner} points outside of the release: {target}")
        os.chown(path, 0, group, follow_symlinks=False)
    elif stat.S_ISDIR(entry.st_mode):
        _own(path, group, PUBLIC_DIRECTORY_MODE if served else DIRECTORY_MODE)
    elif not stat.S_ISREG(entry.st_mode):
        raise ReleaseError("seal", f"{inner} is neither a file, a directory nor a link")
    elif entry.st_nlink > 1:
        raise ReleaseError("seal", f"{inner} has a second name (a hard link), which may lie outside of the release")
    elif served:
        _own(path, group, PUBLIC_FILE_MODE)
    else:
        _own(path, group, PROGRAM_MODE if entry.st_mode & stat.S_IXUSR else FILE_MODE)


def _ends_outside(path: str, inner: str, allowed_link: LinkRule) -> bool:
    reached, root = os.path.realpath(path), os.path.realpath(path.removesuffix(inner))
    return not f"{reached}/".startswith(f"{root}/") and not allowed_link(inner, reached)


def _own(path: str, group: int, mode: int) -> None:
    os.chown(path, 0, group, follow_symlinks=False)
    os.chmod(path, mode)


def ensure_directory(base: str, path: str, owner: int, group: int, mode: int, *, links: bool = True) -> None:
    """Make ``base``/``path`` a directory with this owner and mode; ``base`` belongs to a user who is not trusted.

    Each component is opened without following links, so root never changes something elsewhere. A link that root made
    (to another disk) is left as it is, unless ``links`` is false. Raises ReleaseError for one that the user made.
    """
    opened = os.open(base, os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name in path.split("/"):
            try:
                os.mkdir(name, 0o700, dir_fd=opened)
                fresh = True
            except FileExistsError:
                fresh = False
            entry = os.stat(name, dir_fd=opened, follow_symlinks=False)
            if stat.S_ISLNK(entry.st_mode):
                if entry.st_uid == 0 and links:
                    return
                if entry.st_uid == 0:
                    text = f"{base}/{path} is a link, and nginx follows none where the application writes"
                    raise ReleaseError("shared", f"{text}: mount what lies elsewhere there (mount --bind)")
                raise ReleaseError("shared", f"{base}/{path} is a link that the application made")
            if not stat.S_ISDIR(entry.st_mode):
                raise ReleaseError("shared", f"{base}/{path} is in the way: not a directory")
            deeper = os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened)
            os.close(opened)
            opened = deeper
            if fresh:
                os.fchown(opened, owner, group)
                os.fchmod(opened, 0o750)
        os.fchown(opened, owner, group)
        os.fchmod(opened, mode)
    finally:
        os.close(opened)
