# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files that the command flaskworks consists of."""

from __future__ import annotations

DOCUMENTATION = """
name: host_command
short_description: Returns the files of the command flaskworks
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns entries for M(flaskworks.deploy.file_set) that put the code of the host's command C(flaskworks) below a
    directory, as readable files that need nothing but Python.
  - It is the code that M(flaskworks.deploy.release_info) runs as well.
  - The entries are shared, since several owners may manage applications on one host. What is written last stands.
options:
  _input:
    description: The directory on the host.
    type: str
    required: true
"""

EXAMPLES = """
- name: Show where the code goes
  ansible.builtin.debug:
    msg: "{{ '/usr/local/lib/flaskworks' | flaskworks.deploy.host_command | list }}"
"""

RETURN = """
_value:
  description: Path to entry.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.plugin_utils.host_command import PACKAGE, sources


def host_command(directory: str) -> dict[str, dict[str, Any]]:
    """Return what DOCUMENTATION says."""
    # Each directory is listed, so that whichever owner goes last takes it along.
    parts = PACKAGE.split(".")
    folders = [str(directory), *("/".join([str(directory), *parts[: depth + 1]]) for depth in range(len(parts)))]
    files: dict[str, dict[str, Any]] = {folder: {"directory": True} for folder in folders}
    for name, text in sources().items():
        # Not secret, but a change of it is no news in a diff.
        files[f"{folders[-1]}/{name}.py"] = {"content": text, "shared": True, "sensitive": True}
    return files


class FilterModule:
    """The filter of the role flask_apps for the host's command."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"host_command": host_command}
