#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Applies a set of files, links, directories and removals as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: file_set
short_description: Apply a set of configuration files as one transaction
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Stages all files, has the real program validate them in context, swaps them in, makes the program take them
    and verifies that it did. When any step fails, everything is put back, what ran before runs again,
    and the task fails with the program's own words.
  - The context is a private mount namespace in which the program sees its whole configuration with the change in it.
  - Removes what the same owner managed before and no longer lists. Other owners' files are never touched.
  - A run that was killed is recovered by the next one, which restores what it had changed and goes on from there.
options:
  owner:
    description: Who manages this set. Its record lies below C(/var/lib/flaskworks/file_set/).
    type: str
    required: true
  files:
    description:
      - The whole set, keyed by absolute path. Each entry has exactly one of C(content), C(template), C(link),
        C(directory) or C(absent).
      - C(template) is looked up as by M(ansible.builtin.template) and rendered on the controller with the task's
        variables and those in C(vars).
      - C(owner) and C(group) (root), C(mode) (0644, directories 0755) and C(sensitive) (false; true keeps the content
        out of diffs, logs and messages) may be added.
      - C(shared) (false) says that other owners may list the path as well, each with C(shared). What is written last
        stands, and the last owner to stop listing it removes it.
      - A directory above a listed path that does not exist is made, and goes again when nothing is left in it.
    type: dict
    required: true
  program:
    description:
      - Whose files these are. It decides how they are validated, applied and verified.
      - V(nginx) is tested with C(nginx -t), where a new warning counts as a failure, and reloaded, never restarted.
        A line of its files that begins with C(#nginx>=1.25.1) or C(#nginx<1.25.1) and a blank is for these versions
        only; the rest of the line is written there.
      - V(systemd) units are tested with C(systemd-analyze verify), loaded, and brought to the state in O(units).
      - V(logrotate) policies are tested with C(logrotate --debug).
      - V(sysusers) users and groups are made at once.
    type: str
    choices: [none, nginx, systemd, logrotate, sysusers]
    default: none
  units:
    description:
      - Units and the state they shall be in, checked also when no file changes.
      - Keys of an entry are C(enabled) (bool), C(active) (bool) and C(on_change) (C(none), C(restart) or C(reload)).
      - C(on_change) says what happens to a running unit when a file changes. With O(program=systemd) that is a unit's
        own file, and the default is C(restart); otherwise it is any file, and the default is C(none).
      - With O(program=nginx), C(nginx.service) is active unless told otherwise.
    type: dict
    default: {}
  context:
    description: Directories that O(validate) sees with the change in them.
    type: list
    elements: path
    default: []
  validate:
    description:
      - Commands that have to succeed before anything is swapped in, each a list of words.
      - They see the change in the directories of O(context) only.
    type: list
    elements: list
    default: []
  apply:
    description: Commands that make a program take the new files, each a list of words.
    type: list
    elements: list
    default: []
  verify:
    description:
      - Commands that succeed only when the program has taken the files.
      - They must change nothing, as they also run when nothing changes.
    type: list
    elements: list
    default: []
  contents:
    description: Set by the action plugin, which moves the content of all files here, out of what is logged.
    type: str
attributes:
  check_mode:
    description: Predicts the same changes as the run that follows, also where the program or a user is not there yet.
    support: full
  diff_mode:
    description: Shows every file; of a sensitive one only that it changes.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Serve a site, or leave everything as it was
  flaskworks.deploy.file_set:
    owner: my_site
    program: nginx
    files:
      /etc/nginx/sites-available/blog.conf: {template: blog.conf.j2}
      /etc/nginx/sites-enabled/blog.conf: {link: ../sites-available/blog.conf}

- name: Let the operators use sudo
  flaskworks.deploy.file_set:
    owner: operators
    files:
      /etc/sudoers.d/operators: {content: "%operators ALL=(ALL) ALL\n", mode: "0440"}
    context: [/etc/sudoers.d]
    validate: [[visudo, --check]]
"""

RETURN = r"""
changed_paths:
  description: The listed paths that changed and those that went, or in check mode would.
  returned: always
  type: list
  elements: str
applied:
  description: Whether the program was made to take the files.
  returned: always
  type: bool
owners:
  description: Other owners who have files on this host.
  returned: success
  type: list
  elements: str
recovered:
  description: Whether an earlier run had been cut off and was put right first.
  returned: always
  type: bool
"""

import json
import signal
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_engine import apply_set
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import (
    OWNER_NAME,
    FileSetError,
    Wanted,
    parse,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import Store
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import Commands, Program
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_programs import NAMES, program
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import parse_units
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_versions import suited


def main() -> None:
    commands = {"type": "list", "elements": "list", "default": []}
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "files": {"type": "dict", "required": True},
            "program": {"type": "str", "choices": list(NAMES), "default": "none"},
            "units": {"type": "dict", "default": {}},
            "context": {"type": "list", "elements": "path", "default": []},
            "validate": commands,
            "apply": commands,
            "verify": commands,
            "contents": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        wanted, programs = _parse(given)
        outcome = apply_set(Store(given["owner"]), wanted, programs, check=module.check_mode)
    except FileSetError as error:
        module.fail_json(msg=str(error))
    except KeyboardInterrupt:
        module.fail_json(msg="The run was interrupted; what it had changed was put back.")
    except OSError as error:
        module.fail_json(msg=f"{error.strerror}: {error.filename}")
    result = dict(outcome.__dict__)
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


def _parse(given: Mapping[str, Any]) -> tuple[list[Wanted], list[Program]]:
    """Return the set and what is to take it. Raises FileSetError with all that is wrong with the arguments."""
    problems = []
    if not OWNER_NAME.fullmatch(given["owner"]):
        problems.append(f"owner {given['owner']!r} is not a name of letters, digits, '_', '.' and '-'")
    for name in ("validate", "apply", "verify"):
        for argv in given[name]:
            if not argv or not all(isinstance(word, str) for word in argv):
                problems.append(f"{name}: {argv!r} is not a command as a list of words")
    wanted: list[Wanted] = []
    units: dict[str, Any] = {}
    try:
        wanted = parse(given["files"], json.loads(given["contents"] or "{}"))
    except FileSetError as error:
        problems.append(str(error))
    try:
        units = parse_units(given["units"])
    except FileSetError as error:
        problems.append(str(error))
    if problems:
        raise FileSetError("\n".join(problems))
    if given["program"] == "nginx":
        wanted = suited(wanted)
    commands = Commands(given["validate"], given["apply"], given["verify"], given["context"])
    return wanted, [program(given["program"], units, wanted), commands]


if __name__ == "__main__":
    main()
