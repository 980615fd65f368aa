# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What closing a site to its visitors, or opening it again, comes to."""

from __future__ import annotations

DOCUMENTATION = """
name: maintenance
short_description: Decides how a site is closed to visitors, or opened again
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Checks what was asked for and fails with all that is wrong with it at once.
  - Needs no access to the host. What was found there is handed in.
  - A site is in maintenance exactly as long as C(/etc/nginx/flaskworks/<app>/maintenance.conf) exists on its host.
positional: app, state, found
options:
  _input:
    description: The applications of the inventory.
    type: dict
    required: true
  app:
    description: The application whose site it is.
    type: str
    required: true
  state:
    description: V(on) or V(off). A boolean is taken as well, since YAML reads V(on) as one.
    type: raw
    required: true
  found:
    description: >-
      Paths on the host, of the V(current) of all applications, of nginx's sites and of the files of maintenances.
    type: list
    elements: str
    required: true
  message:
    description: What visitors read, one line of text. A general sentence unless given.
    type: str
  retry_after:
    description: Seconds after which visitors are told to come back. Ten minutes unless given.
    type: int
  allow:
    description: Addresses and networks of operators, a list or a text with commas between them.
    type: raw
    default: []
  site:
    description: The configuration of the site, when it has been read.
    type: str
  host:
    description: Where a site without a name of its own is reached.
    type: str
    default: localhost
"""

EXAMPLES = """
- name: Say where operators enter
  ansible.builtin.debug:
    msg: "{{ (flask_apps | flaskworks.deploy.maintenance('blog', 'on', paths, site=text)).address }}"
"""

RETURN = """
_value:
  description:
    - V(app) is the application, V(on) tells whether its site is to be closed.
    - V(page) and V(token) are the files that exist as long as it is, V(site) is the site's own.
    - V(view) is what the templates of the two files read, without the token.
    - V(address) is where a browser reaches the site; it is empty as long as O(site) is not given.
  type: dict
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils import maintenance as made
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain


def maintenance(
    flask_apps: Mapping[str, Any],
    app: Any,
    state: Any,
    found: Collection[str],
    *,
    message: Any = None,
    retry_after: Any = None,
    allow: Any = (),
    site: str | None = None,
    host: str = "localhost",
) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all that is wrong."""
    app, state, message, retry_after, allow = to_plain([app, state, message, retry_after, allow])
    message = made.MESSAGE if message is None else message
    retry_after = made.RETRY_AFTER if retry_after is None else retry_after
    on = made.is_on(state)
    faults = made.app_faults(app, list(flask_apps), to_plain(list(found)), on is not False)
    if on is None:
        faults.append(f"state: {state!r} is neither on nor off: -e state=on closes the site, -e state=off opens it")
    allowed: list[str] = []
    if on is not False:
        allowed, wrong = made.networks(allow)
        faults += made.message_faults(message) + made.retry_faults(retry_after) + wrong
    address = ""
    if not faults and on and site is not None:
        try:
            address = made.site_address(app, str(site), str(host))
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise AnsibleFilterError("\n".join(["Nothing was changed:", *(f"- {fault}" for fault in faults)]))
    return {
        "app": app,
        "on": on,
        "page": made.page_file(app),
        "token": made.token_file(app),
        "site": made.site_file(app),
        "address": address,
        "view": {
            "app": app,
            "id": made.identifier(app),
            "html": made.html_text(message),
            "json": made.json_text(message),
            "retry_after": int(retry_after),
            "networks": allowed,
        }
        if on
        else {},
    }


class FilterModule:
    """The filter that playbooks/maintenance.yml asks."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"maintenance": maintenance}
