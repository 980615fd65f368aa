#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells which system a host runs and which of some packages it lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: debian_info
short_description: Tell which system a host runs and which packages it lacks
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Reads C(/etc/os-release) and asks dpkg, in one call. It needs neither package lists nor C(python3-apt),
    so it works on a host that was just installed, and in a fraction of the time that apt takes to say the same.
options:
  packages:
    description: Names of Debian packages, without versions.
    type: list
    elements: str
    default: []
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
- name: See what the host lacks
  flaskworks.deploy.debian_info:
    packages: [git, nginx]
  register: found
"""

RETURN = r"""
system:
  description: C(ID) and C(VERSION_ID) of C(/etc/os-release), such as C(debian 13).
  returned: always
  type: str
name:
  description: What the system calls itself (C(PRETTY_NAME)).
  returned: always
  type: str
missing:
  description: The packages that are not installed, in the order given.
  returned: always
  type: list
  elements: str
unavailable:
  description: Interpreters among the missing packages that this Debian does not have, nor any other source of the host.
  returned: always
  type: list
  elements: str
interpreters:
  description: The interpreters that this Debian has.
  returned: always
  type: list
  elements: str
"""

import platform
import re

from ansible.module_utils.basic import AnsibleModule

# Per release; packages.debian.org. The lists of a new host are empty, so they can't be asked.
INTERPRETERS = {"12": ["python3", "python3.11", "pypy3"], "13": ["python3", "python3.13", "pypy3"]}
INTERPRETER = re.compile(r"(python3\.\d+|pypy3)(-venv)?")


def not_of_this_debian(packages: list[str], release: str) -> list[str]:
    """Return the interpreters among packages that a release of Debian does not have."""
    found = [matched[1] for name in packages if (matched := INTERPRETER.fullmatch(name))]
    return [name for name in dict.fromkeys(found) if name not in INTERPRETERS.get(release, [name])]


def installed(listing: str) -> set[str]:
    """Return the installed packages of a listing with lines like ``ii  name``; see dpkg-query(1), db:Status-Abbrev."""
    fields = (line.split() for line in listing.splitlines())
    return {words[1] for words in fields if len(words) == 2 and words[0] == "ii"}


def main() -> None:
    module = AnsibleModule(
        argument_spec={"packages": {"type": "list", "elements": "str", "default": []}}, supports_check_mode=True
    )
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {"ID": "a system without /etc/os-release"}
    packages: list[str] = module.params["packages"]
    missing: list[str] = []
    if packages and release["ID"] == "debian":
        argv = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\n"]
        status, listing, words = module.run_command(argv)
        if status != 0:
            module.fail_json(msg=f"dpkg can't say which packages are installed: {words.strip()}")
        found = installed(listing)
        missing = [name for name in packages if name not in found]
    unavailable = [
        name
        for name in not_of_this_debian(missing, release.get("VERSION_ID", ""))
        if module.run_command(["apt-cache", "show", "--no-all-versions", name])[0] != 0
    ]
    system = f"{release['ID']} {release.get('VERSION_ID', '')}".strip()
    module.exit_json(
        changed=False,
        system=system,
        name=release.get("PRETTY_NAME", system),
        missing=missing,
        unavailable=unavailable,
        interpreters=INTERPRETERS.get(release.get("VERSION_ID", ""), []),
    )


if __name__ == "__main__":
    main()
