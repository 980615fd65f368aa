# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks a dictionary of entries against a role's specification of one entry."""

from __future__ import annotations

DOCUMENTATION = """
name: entries
short_description: Checks a dictionary of entries and fills in its defaults
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Compares each entry with the entry point C(entry) in the specification of a role of this collection, and returns all
    entries with types converted and defaults filled in.
  - Fails with all problems at once, each with the exact place and what to do about it.
positional: role
options:
  _input:
    description: The entries, keyed by name.
    type: dict
    required: true
  role:
    description: The role whose entries these are.
    type: str
    required: true
  variable:
    description: Name of the variable for the messages. That of the role unless given.
    type: str
"""

EXAMPLES = """
- name: Show the sites with everything that was left to its default
  ansible.builtin.debug:
    msg: "{{ nginx_sites | flaskworks.deploy.entries('nginx_sites') }}"
"""

RETURN = """
_value:
  description: The complete entries.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import check_entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points


def entries(values: Mapping[str, Any], role: str, variable: str | None = None) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all problems."""
    checked, problems = check_entries(entry_points(str(role)), to_plain(values), str(variable or role))
    if problems:
        raise AnsibleFilterError(str(InventoryError(problems)))
    return checked


class FilterModule:
    """The filter that the roles ask before they do anything."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"entries": entries}
