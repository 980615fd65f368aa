# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows a diagnosis on the controller's terminal, as it is, and keeps it in a file there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_report import plain_diagnosis, report
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain

display = Display()
FORMATS = ("text", "json")


class ActionModule(ActionBase):
    """Runs nothing on a host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        hosts, kind, path = given.pop("hosts", None), given.pop("format", "text"), given.pop("file", None)
        if given or not isinstance(hosts, Mapping) or kind not in FORMATS:
            raise AnsibleActionFail(
                f"flaskworks.deploy.doctor_report takes hosts (a dictionary), format ({' or '.join(FORMATS)}; it was"
                f" {kind!r}: check doctor_format) and file"
            )
        plain = {str(host): plain_diagnosis(said) for host, said in to_plain(hosts).items()}
        text = json.dumps({"hosts": plain}, indent=2, ensure_ascii=False)
        display.display(text if kind == "json" else report(plain))
        if path:
            place = os.path.abspath(os.path.expanduser(str(path)))
            try:
                replace_file(place, (text + "\n").encode(), 0o644)
            except OSError as error:
                raise AnsibleActionFail(f"doctor_file can't be written: {error.strerror}: {place}") from error
        return {"changed": False}
