#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells which wheels the interpreters of a host can use."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: python_info
short_description: Tell what the Pythons of a host are
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Asks interpreters for what decides about the wheels that fit them.
options:
  interpreters:
    description: Their names or paths.
    type: list
    elements: str
    default: [python3]
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
"""

EXAMPLES = r"""
- name: See which Python the host has
  flaskworks.deploy.python_info:
  register: found
"""

RETURN = r"""
pythons:
  description: Interpreter to what it is. One that the host does not have is missing.
  returned: always
  type: dict
  sample: {python3: {implementation: cpython, version: '3.13', machine: x86_64, libc: [glibc, '2.41']}}
"""

import json

from ansible.module_utils.basic import AnsibleModule

PROBE = """\
import json, platform, sys
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d" % sys.version_info[:2],
    "machine": platform.machine(),
    "libc": platform.libc_ver(),
}))
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={"interpreters": {"type": "list", "elements": "str", "default": ["python3"]}},
        supports_check_mode=True,
    )
    pythons = {}
    for name in module.params["interpreters"]:
        path = module.get_bin_path(name)
        status, said, words = module.run_command([path, "-I", "-c", PROBE]) if path else (1, "", "")
        if status == 0:
            pythons[name] = json.loads(said)
        elif path:
            module.fail_json(msg=f"{path} can't say what it is: {words.strip()}")
    module.exit_json(changed=False, pythons=pythons)


if __name__ == "__main__":
    main()
