# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's part of flaskworks.deploy.tls_certificates: read and check files, keep keys out of every log."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError, Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_entries import MODES, entry_faults, name_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_facts import utc_now
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.certificate_files import checked_pair


class ActionModule(ActionBase):
    """Runs the module once, or with state: checked not at all."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = to_plain(self._task.args)
        entries = arguments.get("certificates")
        if not isinstance(entries, Mapping):
            raise AnsibleActionFail("flaskworks.deploy.tls_certificates: certificates must be a dictionary by name")
        called = str(arguments.pop("called", "tls_certificates.{name}"))
        shown: dict[str, Any] = {}
        contents: dict[str, dict[str, str]] = {}
        problems: list[Problem] = []
        for name, entry in entries.items():
            place = called.replace("{name}", str(name))
            if (
                not isinstance(entry, Mapping)
                or entry.get("mode") not in MODES
                or not isinstance(entry.get("names"), list)
            ):
                problems.append(Problem(place, f"needs mode ({', '.join(MODES)}) and names", "tls"))
                continue
            found = [*entry_faults(entry), *name_faults(entry)]
            shown[name] = {key: value for key, value in entry.items() if key not in ("certificate", "key")}
            if entry["mode"] == "files" and not found:
                contents[name], found = checked_pair(entry, self._read, utc_now())
            problems += [Problem(f"{place}.{key}", text, "tls") for key, text in found]
        if problems:
            raise AnsibleActionFail(str(InventoryError(problems)))
        if arguments.get("state") == "checked":
            return {"changed": False}
        arguments["certificates"] = shown
        if contents:
            arguments["contents"] = json.dumps(contents)
        result: dict[str, Any] = self._execute_module(
            module_name="flaskworks.deploy.tls_certificates", module_args=arguments, task_vars=task_vars
        )
        return result

    def _read(self, value: str) -> str:
        """Return a file's text; one that ansible-vault has encrypted is decrypted. Raises OSError."""
        path = os.path.expanduser(value)
        beside = os.path.join(self._loader.get_basedir(), path)
        if not os.path.isabs(path):
            path = beside if os.path.exists(beside) else os.path.abspath(path)
        try:
            real = self._loader.get_real_file(path)
        except AnsibleError as error:
            raise OSError(0, "no such file" if not os.path.exists(path) else str(error.message)) from None
        try:
            with open(real, encoding="utf-8") as stream:
                return stream.read()
        finally:
            self._loader.cleanup_tmp_file(real)
