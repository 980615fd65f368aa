# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The marker that tells a complete environment from one whose building was cut short."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file, sync_filesystem

MARKER = ".flaskworks-venv.json"
FROZEN = "flaskworks-requirements.txt"


def seal(dest: str, *, inputs: str, abi: str, resolved: str) -> None:
    """Declare `dest` complete: everything in it reaches the disk first, then the marker. Called as its final owner.

    An environment that is sealed already (the same exact set from other inputs) remembers these inputs too.
    """
    before = sealed(dest)
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


def sealed(dest: str) -> dict[str, Any] | None:
    """The marker's content when the environment is complete, else None.

    {"abi": str, "digest": hex, "inputs": [hex, ...] newest first, "made": seconds since 1970}
    """
    try:
        with open(os.path.join(dest, MARKER), encoding="utf-8") as stream:
            content = json.load(stream)
    except (OSError, ValueError):
        return None
    whole = isinstance(content, dict) and {"abi", "digest", "inputs", "made"} <= set(content)
    return content if whole and os.access(os.path.join(dest, "bin", "python"), os.X_OK) else None


def find_sealed(venvs_dir: str, inputs: str) -> str | None:
    """Path of a sealed environment in `venvs_dir` made from the same inputs, the newest first."""
    try:
        names = os.listdir(venvs_dir)
    except FileNotFoundError:
        return None
    found = []
    for name in names:
        path = os.path.join(venvs_dir, name)
        marker = sealed(path) if not os.path.islink(path) else None
        if marker and inputs in marker["inputs"]:
            found.append((marker["made"], path))
    return max(found)[1] if found else None


def discard(dest: str) -> None:
    """Remove an environment directory, complete or not; nothing happens when it is absent. Never follows links."""
    if os.path.islink(dest):
        os.unlink(dest)
        return
    if os.path.lexists(os.path.join(dest, MARKER)):
        os.unlink(os.path.join(dest, MARKER))  # first: what a killed removal leaves must not look complete
    if os.path.lexists(dest):
        shutil.rmtree(dest)
