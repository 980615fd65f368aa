#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: status_report
short_description: Show the status of applications on the controller
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Prints a table for people or JSON for programs on the terminal of the controller, as it is, and writes the JSON to
    a file there when asked to.
options:
  hosts:
    description:
      - Host to what M(flaskworks.deploy.release_info) returned there.
      - Of a host that could not be asked, the failed result.
    type: dict
    required: true
  format:
    description: What is printed.
    type: str
    choices: [table, json]
    default: table
extends_documentation_fragment:
  - flaskworks.deploy.report
"""

EXAMPLES = r"""
- name: Show how the applications of this host are
  flaskworks.deploy.status_report:
    hosts: "{{ {inventory_hostname: found} }}"
"""

RETURN = r""" # """
