#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: doctor_report
short_description: Show a diagnosis on the controller
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Prints a report for people or JSON for programs on the terminal of the controller, as it is, and writes the JSON to
    a file there when asked to.
options:
  hosts:
    description:
      - Host to what M(flaskworks.deploy.doctor) returned there.
      - Of a host that could not be asked, the failed result.
    type: dict
    required: true
  format:
    description: What is printed.
    type: str
    choices: [text, json]
    default: text
extends_documentation_fragment:
  - flaskworks.deploy.report
"""

EXAMPLES = r"""
- name: Show what is wrong with this host
  flaskworks.deploy.doctor_report:
    hosts: "{{ {inventory_hostname: found} }}"
"""

RETURN = r""" # """
