# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the applications of an inventory to all that the roles take."""

from __future__ import annotations

DOCUMENTATION = """
name: plan
short_description: Derives everything that a host needs from its applications
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Checks the applications against the specification of the role P(flaskworks.deploy.flask_apps#role) and against
    each other.
  - Fails with all problems at once, each with the application, the key, what is wrong and what to do. A value that is
    undefined is one of them.
  - Needs no host and no facts. The same applications give the same plan.
options:
  _input:
    description: The applications, keyed by name.
    type: dict
    required: true
  defaults:
    description: What is merged under every application.
    type: dict
    default: {}
  firewall:
    description: Whether the firewall's package is among the packages.
    type: bool
    default: true
  version:
    description: A version that takes the place of what the inventory says.
    type: str
    default: ""
  app:
    description: The application whose version that is; not needed when there is only one.
    type: str
    default: ""
  allow_dev_server:
    description: Whether an application may have the development server.
    type: bool
    default: false
  require:
    description: >-
      What is demanded of the code and packages of every application, of V(signatures), V(checksums), V(host_keys) and
      V(hashes).
    type: list
    elements: str
    default: []
"""

EXAMPLES = """
- name: Show the site that nginx is going to have
  ansible.builtin.debug:
    msg: "{{ (flask_apps | flaskworks.deploy.plan(defaults=flask_app_defaults)).nginx_sites }}"
"""

RETURN = """
_value:
  description: The entries of each role, under its main variable, and C(packages), C(accounts), C(releases) and
    C(acme_webroot).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.template import accept_args_markers, accept_lazy_markers
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.markers import told
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points


@accept_args_markers  # type: ignore[untyped-decorator]
@accept_lazy_markers  # type: ignore[untyped-decorator]
def plan(
    flask_apps: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    firewall: bool = True,
    version: str = "",
    app: str = "",
    allow_dev_server: bool = False,
    require: Any = (),
) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all problems."""
    try:
        apps, common = to_plain(flask_apps, told), to_plain(defaults, told)
        chosen = {"version": str(version or ""), "app": str(app or "")}
        return make_plan(
            entry_points("flask_apps"),
            apps,
            common,
            firewall=firewall,
            allow_dev_server=allow_dev_server,
            require=to_plain(require),
            **chosen,
        )
    except InventoryError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filter that the composing role asks."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"plan": plan}
