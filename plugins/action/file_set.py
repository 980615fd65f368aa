# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's part of flaskworks.deploy.file_set: render templates, keep sensitive content out of every log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.templates import render


class ActionModule(ActionBase):
    """Runs the module once."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        files = arguments.get("files")
        if not isinstance(files, Mapping):
            raise AnsibleActionFail("flaskworks.deploy.file_set: files must be a dictionary keyed by path")
        shown: dict[str, Any] = {}
        sealed: dict[str, str] = {}
        for path, entry in files.items():
            shown[path] = self._rendered(path, entry, task_vars or {})
            if isinstance(entry, Mapping) and entry.get("sensitive") and shown[path].get("content") is not None:
                sealed[path] = str(shown[path].pop("content"))
        arguments["files"] = shown
        if sealed:
            arguments["sealed"] = json.dumps(sealed)
        result: dict[str, Any] = self._execute_module(
            module_name="flaskworks.deploy.file_set", module_args=arguments, task_vars=task_vars
        )
        return result

    def _rendered(self, path: str, entry: Any, variables: dict[str, Any]) -> Any:
        if not isinstance(entry, Mapping) or "template" not in entry:
            return dict(entry) if isinstance(entry, Mapping) else entry
        rest = {key: value for key, value in entry.items() if key not in ("template", "vars")}
        return {
            **rest,
            "content": render(self, str(entry["template"]), {**variables, **(entry.get("vars") or {})}, path),
        }
