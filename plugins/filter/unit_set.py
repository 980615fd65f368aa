# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From units as data to unit files and states."""

from __future__ import annotations

DOCUMENTATION = """
name: unit_set
short_description: Turns units into files and states
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns what M(flaskworks.deploy.file_set) takes as C(files) and as C(units).
  - Fails with all problems at once.
options:
  _input:
    description: The units, complete as P(flaskworks.deploy.entries#filter) returns them.
    type: dict
    required: true
"""

EXAMPLES = """
- name: Show what would be written
  ansible.builtin.debug:
    msg: "{{ systemd_units | flaskworks.deploy.entries('systemd_units') | flaskworks.deploy.unit_set }}"
"""

RETURN = """
_value:
  description: The keys V(files) and V(units).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_sets import check_units
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_sets import unit_set as to_set


def unit_set(units: Mapping[str, Any]) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all problems."""
    plain = to_plain(units)
    problems = check_units(plain)
    if problems:
        raise AnsibleFilterError(str(InventoryError(problems)))
    return dict(to_set(plain))


class FilterModule:
    """The filter of the role systemd_units."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"unit_set": unit_set}
