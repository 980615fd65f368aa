# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Showing what hosts said on the controller's terminal, as it is, and keeping it in a file there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import json_text

display = Display()


class ReportAction(ActionBase):  # type: ignore[misc]
    """Runs nothing on a host. Who inherits from it says what it is called, and how a host's result becomes a text."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    # The module is KIND_report; the variables of its playbook are KIND_format and KIND_file.
    KIND: ClassVar[str]
    # What people read; JSON is the other one.
    FORM: ClassVar[str]

    def plain(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a host's module returned, without what Ansible adds."""
        raise NotImplementedError

    def report(self, hosts: Mapping[str, Any]) -> str:
        """Return the text for people."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        hosts, form, path = given.pop("hosts", None), given.pop("format", self.FORM), given.pop("file", None)
        if given or not isinstance(hosts, Mapping) or form not in (self.FORM, "json"):
            raise AnsibleActionFail(
                f"flaskworks.deploy.{self.KIND}_report takes hosts (a dictionary), format ({self.FORM} or json; it was"
                f" {form!r}: check {self.KIND}_format) and file"
            )
        plain = {str(host): self.plain(said) for host, said in to_plain(hosts).items()}
        text = json_text({"hosts": plain})
        display.display(text if form == "json" else self.report(plain))
        if path:
            place = os.path.abspath(os.path.expanduser(str(path)))
            try:
                replace_file(place, (text + "\n").encode(), 0o644)
            except OSError as error:
                raise AnsibleActionFail(f"{self.KIND}_file can't be written: {error.strerror}: {place}") from error
        return {"changed": False}
