# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status of hosts as text for people."""

from __future__ import annotations

DOCUMENTATION = """
name: status_table
short_description: Shows the status of applications as a table
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns one table of all applications of all hosts, and below it what is to be said of each one.
  - Columns fit the text, wide and combining characters included. What an application may have written itself can't
    move the cursor or change the direction of the text.
positional: details
options:
  _input:
    description:
      - Host to what M(flaskworks.deploy.release_info) returned there.
      - Of a host that could not be asked, the failed result.
    type: dict
    required: true
  details:
    description: Whether kept releases, last failures, processes and timers of each application follow the table.
    type: bool
    default: true
"""

EXAMPLES = """
- name: Show the status of this host
  ansible.builtin.debug:
    msg: "{{ {inventory_hostname: found} | flaskworks.deploy.status_table(details=false) }}"
"""

RETURN = """
_value:
  description: The text.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_report import plain_status, report


def status_table(hosts: Mapping[str, Any], details: bool = True) -> str:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError for anything else than a dictionary of hosts."""
    if not isinstance(hosts, Mapping) or not all(isinstance(status, Mapping) for status in hosts.values()):
        raise AnsibleFilterError("flaskworks.deploy.status_table takes a dictionary of hosts, each with its status")
    return report({str(host): plain_status(said) for host, said in to_plain(hosts).items()}, details=details)


class FilterModule:
    """The filter of the playbook status."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"status_table": status_table}
