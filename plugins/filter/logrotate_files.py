# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From policies to the files of logrotate."""

from __future__ import annotations

DOCUMENTATION = """
name: logrotate_files
short_description: Turns policies into files of logrotate
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns one file per policy, as M(flaskworks.deploy.file_set) takes them.
  - Fails with all problems at once.
options:
  _input:
    description: The policies, complete as P(flaskworks.deploy.entries#filter) returns them.
    type: dict
    required: true
"""

EXAMPLES = """
- name: Show what would be written
  ansible.builtin.debug:
    msg: >-
      {{ logrotate_policies
         | flaskworks.deploy.entries('logrotate_policies')
         | flaskworks.deploy.logrotate_files }}
"""

RETURN = """
_value:
  description: Path of each file, with its content.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.logrotate_files import check_policies, policy_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError


def logrotate_files(policies: Mapping[str, Any]) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all problems."""
    plain = to_plain(policies)
    problems = check_policies(plain)
    if problems:
        raise AnsibleFilterError(str(InventoryError(problems)))
    return dict(policy_files(plain))


class FilterModule:
    """The filter of the role logrotate_policies."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"logrotate_files": logrotate_files}
