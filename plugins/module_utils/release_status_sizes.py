# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much room releases and virtual environments take on the disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout


def tree_size(path: str) -> int:
    """Return the bytes that a directory takes on the disk; a file with two names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                found = os.lstat(f"{folder}/{name}")
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * 512
    return total


def venv_sizes(layout: Layout, records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    try:
        names = sorted(os.listdir(layout.venvs))
    except OSError:
        return []
    return [
        {
            "name": name,
            "bytes": tree_size(f"{layout.venvs}/{name}"),
            "releases": [release for release, record in records.items() if record.get("venv") == name],
        }
        for name in names
    ]
