#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: wheelhouse
short_description: Collect on the controller the wheels that applications need on a host
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Fills the directory that an application names as C(python.wheelhouse) with all wheels of its environment, those of
    its server and of uv included, for the Python and the platform of the host.
  - Resolves for that Python, whatever the controller's own is, and fetches each file by its hash.
  - Removes what it fetched earlier and nothing needs any more. Files that were put there by hand stay and take part.
  - Runs nothing on the host. A package without a wheel is an error.
options:
  apps:
    description: The applications, by name, as the filter P(flaskworks.deploy.plan#filter) returns them in C(releases).
    type: dict
    required: true
  pythons:
    description: What M(flaskworks.deploy.python_info) returned on the host.
    type: dict
    required: true
  only:
    description: Narrows the run to these applications.
    type: list
    elements: str
  env:
    description: What the inventory says of indexes in C(flask_apps_build_env). Everything else comes from the
      controller's own environment.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Says what would be collected, without asking an index.
    support: partial
  diff_mode:
    description: The result names new and removed files.
    support: none
  idempotent:
    description: A second run changes nothing as long as the index has no newer versions.
    support: full
notes:
  - Runs on the controller as an action plugin. Several hosts take turns when the task has C(throttle=1).
"""

EXAMPLES = r"""
- name: Collect the wheels that the applications need on this host
  flaskworks.deploy.wheelhouse:
    apps: "{{ (flask_apps | flaskworks.deploy.plan).releases }}"
    pythons: "{{ found.pythons }}"
  throttle: 1
"""

RETURN = r"""
wheelhouses:
  description: Application to its C(directory), what it is C(for), its C(wheels), and which are C(new) or C(removed).
  returned: always
  type: dict
"""
