# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The specification of a role, read from the one place where it is written.

Runs on the controller only: a host has no PyYAML and no roles.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ROLES = os.path.join(os.path.dirname(__file__), "..", "..", "roles")


@functools.cache
def entry_points(role: str) -> dict[str, dict[str, Any]]:
    """Return entry point -> its options, for a role of this collection. Raises AnsibleFilterError for an unknown role.

    The result is shared by all callers: it is not to be changed.
    """
    path = os.path.join(_ROLES, role, "meta", "argument_specs.yml")
    try:
        with open(path, encoding="utf-8") as stream:
            specs = yaml.load(stream, Loader=_LOADER)["argument_specs"]
    except FileNotFoundError:
        raise AnsibleFilterError(f"this collection has no role '{role}' with a specification") from None
    return {name: point.get("options", {}) for name, point in specs.items()}
