# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The check of a firewall's rules, before the host is touched."""

from __future__ import annotations

DOCUMENTATION = """
name: ufw_checked
short_description: Checks the rules of a firewall
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns the rules as they are, or fails with all problems at once, those between two rules included.
options:
  _input:
    description: The rules, complete as P(flaskworks.deploy.entries#filter) returns them.
    type: dict
    required: true
"""

EXAMPLES = """
- name: Show the rules
  ansible.builtin.debug:
    msg: "{{ ufw_rules | flaskworks.deploy.entries('ufw_rules') | flaskworks.deploy.ufw_checked }}"
"""

RETURN = """
_value:
  description: The rules.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError, Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import check_rules


def ufw_checked(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all problems."""
    plain: dict[str, Any] = to_plain(rules)
    problems = [Problem(f"ufw_rules.{place}", fault, "ufw-rule") for place, fault in check_rules(plain)]
    if problems:
        raise AnsibleFilterError(str(InventoryError(problems)))
    return plain


class FilterModule:
    """The filter of the role ufw_rules."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ufw_checked": ufw_checked}
