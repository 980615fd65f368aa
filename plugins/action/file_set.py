# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's part of flaskworks.deploy.file_set: render templates, keep sensitive content out of every log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
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
        contents: dict[str, str] = {}
        problems: list[str] = []
        for path, entry in files.items():
            if not isinstance(entry, Mapping):
                shown[path] = entry
                continue
            shown[path] = {key: value for key, value in entry.items() if key not in ("template", "vars")}
            if "template" in entry and entry.get("content") is not None:
                problems.append(f"{path}: needs exactly one of content, template, link, directory or absent")
            elif "template" in entry:
                contents[path] = self._rendered(path, entry, task_vars or {}, problems)
            elif "vars" in entry:
                problems.append(f"{path}: vars are for a template")
            elif isinstance(entry.get("content"), str):
                # Elsewhere than in its entry, as that is logged on the host.
                contents[path] = shown[path].pop("content")
        if problems:
            raise AnsibleActionFail("\n".join(problems))
        arguments["files"] = shown
        if contents:
            arguments["contents"] = json.dumps(contents)
        result: dict[str, Any] = self._execute_module(
            module_name="flaskworks.deploy.file_set", module_args=arguments, task_vars=task_vars
        )
        return result

    def _rendered(self, path: str, entry: Mapping[str, Any], variables: dict[str, Any], problems: list[str]) -> str:
        """Return the text, or note why there is none."""
        given = entry.get("vars") or {}
        if not isinstance(given, Mapping):
            problems.append(f"{path}: vars is not a dictionary")
            return ""
        try:
            return render(self, str(entry["template"]), {**variables, **given}, path)
        except AnsibleError as error:
            problems.append(f"{path}: {error}")
            return ""
