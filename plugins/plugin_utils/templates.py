# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rendering a template on the controller, as ansible.builtin.template does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


def render(action: ActionBase, name: str, variables: Mapping[str, Any], used_for: str) -> str:
    """Return the text of a template of the role or play. Raises AnsibleActionFail, naming the file it is used for."""
    try:
        template = action._find_needle("templates", name)
    except AnsibleError as error:
        raise AnsibleActionFail(f"the template of {used_for} can't be found: {error}") from error
    with open(template, encoding="utf-8") as stream:
        text = trust_as_template(stream.read())
    # The folders of ansible.builtin.template: each place of the search path, its templates/ first.
    searched = [os.path.dirname(template)]
    for place in variables.get("ansible_search_path", []):
        searched += [os.path.join(place, "templates"), place]
    # What ansible.builtin.template adds when nobody has set it; there it may hold a date, which would change each file.
    known = {"ansible_managed": "Ansible managed", **variables}
    templar = action._templar.copy_with_new_env(searchpath=searched, available_variables=known)
    rendered = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
    return "" if rendered is None else str(rendered)
