# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From gunicorn's settings to its configuration files."""

from __future__ import annotations

DOCUMENTATION = """
name: gunicorn_files
short_description: Turns gunicorn settings into configuration files
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns one file for each entry, as M(flaskworks.deploy.file_set) takes them.
  - Fails with all problems at once, with unknown settings and settings that have no effect among them.
options:
  _input:
    description: The entries, complete as P(flaskworks.deploy.entries#filter) returns them.
    type: dict
    required: true
"""

EXAMPLES = """
- name: Show the configuration files
  ansible.builtin.debug:
    msg: "{{ gunicorn_configs | flaskworks.deploy.entries('gunicorn_configs') | flaskworks.deploy.gunicorn_files }}"
"""

RETURN = """
_value:
  description: Path of each file, with its content and attributes.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_files import check_configs, config_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError


def gunicorn_files(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all problems."""
    plain = to_plain(entries)
    problems = check_configs(plain)
    if problems:
        raise AnsibleFilterError(str(InventoryError(problems)))
    return config_files(plain)


class FilterModule:
    """The filter of the role gunicorn_configs."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gunicorn_files": gunicorn_files}
