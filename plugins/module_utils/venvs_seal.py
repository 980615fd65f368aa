# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The marker that tells a complete environment from one whose building was cut short.

What is built runs foreign code, which can write a marker too. Only that of the user who seals counts (root, on hosts).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import (
    remove_entry,
    replace_file,
    sync_filesystem,
)

MARKER = ".flaskworks-venv.json"
FROZEN = "flaskworks-requirements.txt"


def seal(dest: str, *, inputs: str, abi: str, resolved: str, owner: int | None = None) -> None:
    """Declare `dest` complete: everything in it reaches the disk first, then the marker. For `owner` see sealed().

    An environment that is sealed already (the same exact set from other inputs) remembers these inputs too.
    """
    before = sealed(dest, owner)
    known = before["inputs"] if before else []
    content = {
        "abi": abi,
        "digest": hashlib.sha256(f"{abi}\n{resolved}".encode()).hexdigest(),
        "inputs": [inputs, *(item for item in known if item != inputs)],
        "made": before["made"] if before else int(time.time()),
    }
    sync_filesystem(dest)
    # As a new file: the directory may be another user's, who must not lead root's writing elsewhere by a link.
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    replace_file(os.path.join(dest, MARKER), text.encode(), 0o644)


def sealed(dest: str, owner: int | None = None) -> dict[str, Any] | None:
    """The marker's content when the environment is complete, else None.

    The marker has to belong to the user of this process; the directory as well, or to the user `owner`.

    {"abi": str, "digest": hex, "inputs": [hex, ...] newest first, "made": seconds since 1970}
    """
    try:
        directory_owner, file_owner, text = _read(dest, MARKER)
        content = json.loads(text)
    except (OSError, ValueError):
        return None
    if file_owner != os.geteuid() or directory_owner not in (os.geteuid(), owner):
        return None
    whole = isinstance(content, dict) and {"abi", "digest", "inputs", "made"} <= set(content)
    return content if whole and os.access(os.path.join(dest, "bin", "python"), os.X_OK) else None


def frozen(dest: str, owner: int | None = None) -> str:
    """The exact set that a sealed environment was built from; empty when it says nothing, or not by its own file."""
    try:
        directory_owner, file_owner, text = _read(dest, FROZEN)
    except OSError:
        return ""
    own = file_owner == directory_owner and directory_owner in (os.geteuid(), owner)
    return text if own else ""


def find_sealed(venvs_dir: str, inputs: str, owner: int | None = None) -> str | None:
    """Path of a sealed environment in `venvs_dir` made from the same inputs, the newest first."""
    try:
        names = os.listdir(venvs_dir)
    except FileNotFoundError:
        return None
    found = []
    for name in names:
        path = os.path.join(venvs_dir, name)
        marker = sealed(path, owner)
        if marker and inputs in marker["inputs"]:
            found.append((marker["made"], path))
    return max(found)[1] if found else None


def discard(dest: str) -> None:
    """Remove an environment directory, complete or not; nothing happens when it is absent. Never follows links."""
    if os.path.islink(dest):
        os.unlink(dest)
        return
    unseal(dest)  # first: what a killed removal leaves must not look complete
    if os.path.lexists(dest):
        shutil.rmtree(dest)


def unseal(dest: str) -> None:
    """Remove the marker, whatever a build may have put in its place."""
    remove_entry(os.path.join(dest, MARKER))


def _read(dest: str, name: str) -> tuple[int, int, str]:
    """Owner of an environment's directory, owner and text of a file in it. Raises OSError; a link is none."""
    directory = os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with open(
            name,
            encoding="utf-8",
            errors="replace",
            # Without waiting: a pipe may have been put there.
            opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory),
        ) as stream:
            entry = os.fstat(stream.fileno())
            if not stat.S_ISREG(entry.st_mode):
                raise OSError(f"{dest}/{name} is no file")
            return os.fstat(directory).st_uid, entry.st_uid, stream.read()
    finally:
        os.close(directory)
