#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells what is wrong with a host and its applications, and what to do."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: doctor
short_description: Tell what is wrong with a host and its applications
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Gathers facts of a host and its applications in one call and judges them. It works on a host on which nothing is
    installed yet, and changes nothing.
  - Each site gets up to four requests through nginx, which are in its access log, and one on the socket of its release.
  - No finding holds a secret.
options:
  apps:
    description: What the inventory wants, as P(flaskworks.deploy.doctor_apps#filter) returns it.
    type: dict
    default: {}
  only:
    description: Names of applications to which the diagnosis of what is on the host is narrowed.
    type: list
    elements: str
  names:
    description: Names and addresses by which others reach this host, such as C(ansible_host).
    type: list
    elements: str
    default: []
  controller_time:
    description: What time it is elsewhere, in seconds since 1970, to compare this host's clock with.
    type: float
  load:
    description:
      - Whether the code of each live release is loaded a second time, as its own user in its own sandbox, on a
        read-only file system, to ask it for its settings and for what it sees of a visitor behind the proxy.
    type: bool
    default: true
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
seealso:
  - module: flaskworks.deploy.release_info
  - module: flaskworks.deploy.doctor_report
"""

EXAMPLES = r"""
- name: Look at the host
  become: true
  flaskworks.deploy.doctor:
    apps: "{{ flask_apps | flaskworks.deploy.plan | flaskworks.deploy.doctor_apps }}"
  register: found

- name: Insist on its health
  ansible.builtin.assert:
    that: found.worst != 'error'
"""

RETURN = r"""
time:
  description: When the host was looked at, by its own clock.
  returned: always
  type: str
  sample: '2026-03-14T10:15:00Z'
apps:
  description: The applications that were looked at, those too that are only in the inventory.
  returned: always
  type: list
  elements: str
checks:
  description: How many checks there are.
  returned: always
  type: int
worst:
  description: The worst level of all findings; V(none) when nothing was found.
  returned: always
  type: str
  sample: warning
findings:
  description: What was found, the host's before those of its applications, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    level: {description: 'V(error), V(warning) or V(info).', type: str, returned: always, sample: warning}
    app: {description: Name of the application; empty for the host., type: str, returned: always, sample: blog}
    check: {description: Name of the check., type: str, returned: always, sample: session-cookie}
    evidence: {description: What was seen., type: str, returned: always}
    fix: {description: What to do., type: str, returned: always}
unchecked:
  description: What could not be looked at, each with C(check) and C(why).
  returned: always
  type: list
  elements: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_checks import CHECKS
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_diagnosis import diagnose
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts import gather
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import timestamp


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "apps": {"type": "dict", "default": {}},
            "only": {"type": "list", "elements": "str"},
            "names": {"type": "list", "elements": "str", "default": []},
            "controller_time": {"type": "float"},
            "load": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="the diagnosis of a host is for root only: set become")
    facts = gather({**module.params, "plan": module.params["apps"]})
    findings, unchecked = diagnose(facts)
    module.exit_json(
        changed=False,
        time=timestamp(facts["time"]),
        apps=sorted({*facts["plan"], *facts["apps"]}),
        checks=len(CHECKS),
        worst=min(findings, key=lambda one: one.rank).level if findings else "none",
        findings=[finding.data() for finding in findings],
        unchecked=unchecked,
    )


if __name__ == "__main__":
    main()
