#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes a set of Python virtual environments."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: python_venvs
short_description: Make a set of Python virtual environments
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Requirements without exact versions are resolved first. The exact set names the environment, which is then built
    completely, byte-compiled, beside the one in use. The path that users name is a link, and one rename moves it.
    What fails leaves all links where they were.
  - An environment is made again when its requirements, packages, interpreter or index change, and never otherwise, so
    that a second run asks no index.
  - Removes the environments that the same owner listed before and lists no longer. Other owners' are never touched.
  - Neither the system's Python nor its packages are changed, and no Python is ever downloaded.
options:
  set_owner:
    description: Whose set this is. The record lies in C(/var/lib/flaskworks/python_venvs/).
    type: str
    default: default
  venvs:
    description:
      - The whole set, keyed by name.
      - Keys of an entry are C(path), C(python), C(installer), C(requirements), C(constraints), C(packages), C(project),
        C(owner) and C(group), as described for the role P(flaskworks.deploy.python_venvs#role).
    type: dict
    required: true
  env:
    description:
      - Variables for pip and uv as the JSON text of a dictionary (use C(to_json)), such as C(PIP_INDEX_URL),
        C(PIP_NO_INDEX) with C(PIP_FIND_LINKS), C(HTTPS_PROXY) or C(SSL_CERT_FILE).
      - It may hold passwords, and is never logged.
      - One text and no dictionary, because Ansible blanks every value of a secret dictionary out of all that is said.
    type: str
    default: "{}"
attributes:
  check_mode:
    description:
      - Predicts which environments are made again and which are removed. The exact versions are known only when they
        are built.
    support: full
  diff_mode:
    description: Shows the exact set before and after.
    support: full
  idempotent:
    description: A second run changes nothing and asks no index.
    support: full
"""

EXAMPLES = r"""
- name: Have the tools of the operators in an environment of their own
  flaskworks.deploy.python_venvs:
    set_owner: operators
    venvs:
      tools:
        path: /opt/tools/venv
        packages: [httpie, "pgcli==4.1.0"]
    env: "{{ {'PIP_INDEX_URL': tools_index} | to_json }}"
"""

RETURN = r"""
venvs:
  description: Where each environment is.
  returned: success
  type: dict
  sample: {tools: {path: /opt/tools/venv, release: /opt/tools/venv.releases/0f343b0931126a20}}
changed_venvs:
  description: Names of the environments that were made again, or in check mode would be.
  returned: success
  type: list
  elements: str
removed:
  description: Paths of the environments that were removed, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

import json
import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_set import SetError, apply_set

ENTRY = {
    "path": {"type": "str", "required": True},
    "python": {"type": "str", "default": "python3"},
    "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
    "requirements": {"type": "list", "elements": "str", "default": []},
    "constraints": {"type": "list", "elements": "str", "default": []},
    "packages": {"type": "list", "elements": "str", "default": []},
    "project": {"type": "str", "default": ""},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


def main() -> None:
    """Check the parameters, apply the set, and report."""
    module = AnsibleModule(
        argument_spec={
            "set_owner": {"type": "str", "default": "default"},
            "venvs": {"type": "dict", "required": True},
            "env": {"type": "str", "default": "{}", "no_log": True},
        },
        supports_check_mode=True,
    )
    owner = module.params["set_owner"]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", owner):
        module.fail_json(msg=f"set_owner: {owner!r} may have letters, digits and _ . - only")
    entries, problems = _complete(module.params["venvs"])
    if problems:
        module.fail_json(msg="\n".join(problems))
    try:
        env = {str(key): str(value) for key, value in json.loads(module.params["env"]).items()}
    except (ValueError, AttributeError):
        module.fail_json(msg="env: must be the JSON text of a dictionary: use to_json")
    os.umask(0o022)  # whatever sudo passes on: other users run what is made here
    try:
        report = apply_set(owner, entries, env, check=module.check_mode)
    except SetError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(report.changed or report.removed),
        changed_venvs=report.changed,
        removed=report.removed,
        venvs=report.venvs,
        diff=report.diff,
    )


def _complete(venvs: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The entries with their defaults, and what is wrong with them."""
    entries, problems = {}, []
    for name, entry in venvs.items():
        result = ArgumentSpecValidator(ENTRY).validate(entry if isinstance(entry, dict) else {})
        problems += [f"{name}: {message}" for message in result.error_messages]
        entries[name] = result.validated_parameters
    return entries, problems


if __name__ == "__main__":
    main()
