# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a plan to what the doctor has to know of it."""

from __future__ import annotations

DOCUMENTATION = """
name: doctor_apps
short_description: Tells what the doctor has to know of a plan
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns for each application its domains and ports, its server, and who stands in front of it.
  - Nothing of it is secret, so it may be an argument of M(flaskworks.deploy.doctor).
options:
  _input:
    description: What P(flaskworks.deploy.plan#filter) returned.
    type: dict
    required: true
"""

EXAMPLES = """
- name: Show the ports that the sites want
  ansible.builtin.debug:
    msg: "{{ flask_apps | flaskworks.deploy.plan | flaskworks.deploy.doctor_apps }}"
"""

RETURN = """
_value:
  description: The applications by name.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_plan import wanted
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain


def doctor_apps(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError for what is no plan."""
    if not isinstance(plan, Mapping) or "releases" not in plan or "nginx_sites" not in plan:
        raise AnsibleFilterError("flaskworks.deploy.doctor_apps takes what flaskworks.deploy.plan returns")
    return wanted(to_plain(plan))


class FilterModule:
    """The filter of the playbook doctor."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"doctor_apps": doctor_apps}
