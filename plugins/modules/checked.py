#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: checked
short_description: Say what is wrong with a variable before a host is touched
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Has a template evaluated on the controller and shows nothing of what comes out. Where a filter finds fault with what
    it is given, the task fails with the words of that filter.
options:
  value:
    description: The template, with a filter that checks, such as P(flaskworks.deploy.plan#filter).
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Say all that is wrong with the applications before the first host is touched
  flaskworks.deploy.checked:
    value: "{{ flask_apps | flaskworks.deploy.plan }}"
"""

RETURN = r""" # """
