# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is left of the applications of a host when one of them is taken away."""

from __future__ import annotations

DOCUMENTATION = """
name: removal
short_description: Decides whether an application may be removed, and what stays
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Refuses names that no application can have, users of the system, and likely misspellings.
  - Needs no access to the host. What was found there is handed in.
positional: app, found, user
options:
  _input:
    description: The applications of the inventory.
    type: dict
    required: true
  app:
    description: The application to remove. It may be missing from the inventory.
    type: str
    required: true
  found:
    description: Paths of the V(releases), V(shared), V(secrets) and V(current) of all applications of the host.
    type: list
    elements: str
    required: true
  user:
    description: The fields of the user with that name, as C(getent) gives them. None when there is no such user.
    type: list
    elements: str
"""

EXAMPLES = """
- name: Say what would stay
  ansible.builtin.debug:
    msg: "{{ flask_apps | flaskworks.deploy.removal('blog', ['/srv/blog/current', '/srv/shop/current']) }}"
"""

RETURN = """
_value:
  description:
    - V(present) tells whether the host has anything of the application.
    - V(base) is the application's directory.
    - V(listed) tells whether the inventory still names the application.
    - V(rest) has those entries of the inventory, other than the application, that are live on the host.
  type: dict
"""

import difflib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

APP_NAME = re.compile(r"[a-z][a-z0-9-]*")
BASE = "/srv"


def removal(
    flask_apps: Mapping[str, Any], app: Any, found: Collection[str], user: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError for a name that must not be removed."""
    if not isinstance(app, str) or not APP_NAME.fullmatch(app):
        raise AnsibleFilterError(
            f"{app!r} can't be an application: a name begins with a letter and has lower-case letters, digits and '-' "
            "only. Say which one to remove: -e app=blog"
        )
    base = f"{BASE}/{app}"
    # getent's fields: password, uid, gid, name, home, shell.
    home = user[-2] if user else ""
    if home and home != base:
        raise AnsibleFilterError(
            f"{app!r} is a user of this system with the home {home}, not an application (its home would be {base}). "
            "Nothing was changed."
        )
    on_host = {os.path.basename(os.path.dirname(path)) for path in found}
    live = {os.path.basename(os.path.dirname(path)) for path in found if os.path.basename(path) == "current"}
    present = app in on_host or bool(home)
    if not present and app not in flask_apps:
        close = difflib.get_close_matches(app, sorted(on_host | set(flask_apps)), n=1)
        if close:
            raise AnsibleFilterError(
                f"there is no application {app!r}, neither in flask_apps nor on this host: did you mean {close[0]!r}? "
                "Nothing was changed."
            )
    return {
        "present": present,
        "base": base,
        "listed": app in flask_apps,
        "rest": {name: entry for name, entry in flask_apps.items() if name != app and name in live},
    }


class FilterModule:
    """The filter that the removal of an application asks."""

    def filters(self) -> dict[str, Any]:
        return {"removal": removal}
