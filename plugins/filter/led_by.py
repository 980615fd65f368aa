# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which host of a play goes first with an application."""

from __future__ import annotations

DOCUMENTATION = """
name: led_by
short_description: Names the applications of which a host is the first in the play
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - The first host that has an application runs its migrations and must be healthy before the others begin.
options:
  _input:
    description: Names of applications.
    type: list
    elements: str
    required: true
  host:
    description: The host.
    type: str
    required: true
  hosts:
    description: The applications of each host of the play, in the play's order.
    type: dict
    required: true
"""

EXAMPLES = """
- name: Show the applications that web1 leads
  ansible.builtin.debug:
    msg: "{{ ['blog', 'shop'] | flaskworks.deploy.led_by('web1', {'web1': {'blog': {}}, 'web2': {'blog': {}}}) }}"
"""

RETURN = """
_value:
  description: Those of the names of which the host is the first, sorted.
  type: list
  elements: str
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def led_by(names: Iterable[str], host: str, hosts: Mapping[str, Iterable[str]]) -> list[str]:
    """Return what DOCUMENTATION says."""
    having = {name: [other for other, apps in hosts.items() if name in (apps or ())] for name in names}
    return sorted(name for name, found in having.items() if not found or found[0] == host)


class FilterModule:
    """The filter of the role flask_apps."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"led_by": led_by}
