# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's part of flaskworks.deploy.release: read local sources and templates, ask the host once, deploy
what changed.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import tempfile
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import APP_NAME
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import DONE
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_source import pack_source
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import NOT_FOR_PRODUCTION
from ansible_collections.flaskworks.deploy.plugins.module_utils.wheelhouse import pack_wheelhouse
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.jobs import Job
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.release_inputs import (
    Inputs,
    listed,
    needs_source,
    place_of,
    to_rotate,
)
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.release_words import (
    WORDS,
    difference,
    summary_of,
    with_failures,
)

display = Display()
MODULE = "flaskworks.deploy.release"
GIVEN = frozenset(
    {
        *("apps", "owner", "only", "build_env", "state", "keep_data"),
        *("release", "force", "rotate", "before_switch", "lock_wait", "break_lock"),
    }
)


class ActionModule(ActionBase):
    """Runs the module once to inspect, and once more for each application that changes."""

    _supports_check_mode = True
    _supports_async = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inputs = Inputs(self)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        given = dict(self._task.args)
        if unknown := sorted(set(given) - GIVEN):
            raise AnsibleActionFail(f"flaskworks.deploy.release has no option {', '.join(unknown)}")
        apps = given.get("apps")
        if not isinstance(apps, dict):
            raise AnsibleActionFail("flaskworks.deploy.release: apps must be a dictionary of applications")
        only = given["only"] = listed(given.get("only"))
        if lacking := [name for name in only if name not in apps]:
            known = ", ".join(sorted(apps)) or "none"
            raise AnsibleActionFail(f"there is no application {', '.join(lacking)}; there are: {known}")
        names = only or sorted(apps)
        given["rotate"] = to_rotate(listed(given.get("rotate")), {name: apps[name] or {} for name in names})
        if wrong := [name for name in names if not APP_NAME.match(str(name))]:
            raise AnsibleActionFail(f"no names of applications: {', '.join(map(str, wrong))}")
        try:
            if given.get("state") == "absent":
                return self._remove(given, {name: apps[name] or {} for name in names}, variables)
            if given.get("state") == "rolled_back":
                return self._change(given, {name: place_of(apps[name]) for name in names}, {}, variables)
            plain, sealed = self._inputs.prepare({name: apps[name] for name in names}, variables)
            return self._change(given, plain, sealed, variables)
        except ReleaseError as error:
            raise AnsibleActionFail(error.problem) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _change(
        self, given: dict[str, Any], plain: dict[str, Any], sealed: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        """Ask the host what is to be done, and have it done, application by application."""
        build_env = {name: str(value) for name, value in (given.get("build_env") or {}).items()}
        common = {key: given[key] for key in GIVEN - {"apps", "build_env"} if given.get(key) is not None}
        common["by"] = _who()
        everything = {"apps": plain, "sealed": json.dumps({"apps": sealed, "build_env": build_env})}
        inspected = self._call({**common, **everything, "operation": "inspect"}, variables)
        if inspected.get("failed"):
            return inspected
        result: dict[str, Any] = {"changed": False, "apps": [], "diff": []}
        failures: list[dict[str, Any]] = []
        for finding in inspected["findings"]:
            name = finding["app"]
            hidden = json.dumps({"apps": {name: sealed.get(name, {})}, "build_env": build_env})
            alone = {**common, "apps": {name: plain[name]}, "sealed": hidden}
            if failed := self._one(finding, alone, result, variables):
                # The others are not to blame: they get their releases, and the task fails at the end.
                failures.append(failed)
        result = self._stop_unlisted(common, inspected["unlisted"], result, variables)
        return with_failures(result, failures)

    def _one(
        self, finding: dict[str, Any], alone: dict[str, Any], result: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Have done what is to be done for one application, and add that to the result; return what failed, if it did.

        ``alone``: the module's options for this application only.
        """
        name, plain = finding["app"], alone["apps"][finding["app"]]
        host = f"{variables.get('inventory_hostname', '')}: {name}"
        if plain.get("manager") == "cron":
            display.warning(f"{host} {NOT_FOR_PRODUCTION}")
        if finding["action"] == "none":
            result["apps"].append(summary_of(finding, "none"))
            return None
        if finding["action"] == "refused":
            return {"msg": f"{name}: {'; '.join(finding['reason'])}", "step": "inspect"}
        result["diff"].append(difference(finding))
        if self._task.check_mode:
            result["changed"] = True
            result["apps"].append(summary_of(finding, DONE))
            return None
        display.display(f"{host}: {WORDS[finding['action']]} ({'; '.join(finding['reason'])})", color="yellow")
        archive = self._send_source(plain["source"]) if needs_source(plain, finding) else None
        wheels = {}
        if finding["action"] == "deploy" and finding.get("lacks_wheels"):
            wheels = {"wheels": self._send_wheels(self._inputs.wheelhouses[name])}
        operation = "rollback" if alone.get("state") == "rolled_back" else "deploy"
        order = {**alone, **wheels, "archive": archive, "operation": operation, "version": finding["version"]}
        started = self._call(order, variables)
        done = started if started.get("failed") else Job(self._low_level_execute_command, started["job"], host).wait()
        if done.get("failed"):
            return done
        result["apps"] += done["apps"]
        for summary in done["apps"]:
            result["changed"] = result["changed"] or summary["action"] != "none"
            for text in summary.pop("warnings", []):
                display.warning(f"{host}: {text}")
            display.display(f"{host}: {summary['action']} {summary['release']} in {summary['seconds']:.1f} s")
        return None

    def _stop_unlisted(
        self, common: dict[str, Any], unlisted: list[str], result: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        if not unlisted:
            return result
        result["changed"] = True
        result["stopped"] = unlisted
        display.display(
            f"no longer listed, stopped: {', '.join(unlisted)}. Files stay: list it again to have it back, "
            "or remove it with state absent.",
            color="yellow",
        )
        if not self._task.check_mode:
            stopped = self._call({**common, "apps": {name: {} for name in unlisted}, "operation": "stop"}, variables)
            if stopped.get("failed"):
                return stopped
        return result

    def _remove(self, given: dict[str, Any], apps: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        places = {name: {key: app[key] for key in ("base", "log_dir") if key in app} for name, app in apps.items()}
        options = {"apps": places, "state": "absent", "by": _who(), "owner": given.get("owner", "flask_apps")}
        return self._call({**options, "keep_data": given.get("keep_data", True)}, variables)

    def _send_source(self, source: dict[str, Any]) -> str:
        """Carry a local archive, or a local directory packed as one, to the host; return where it lies there."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote: str = self._connection._shell.join_path(self._connection._shell.tmpdir, "source.tar.gz")
        if source["type"] == "archive":
            self._transfer_file(self._inputs.local(str(source["path"]), os.path.isfile), remote)
            return remote
        with tempfile.TemporaryDirectory() as folder:
            archive = os.path.join(folder, "source.tar.gz")
            pack_source(self._inputs.local_source(source), archive)
            self._transfer_file(archive, remote)
        return remote

    def _send_wheels(self, directory: str) -> str:
        """Carry the wheels of a directory to the host; return where they lie there, packed."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote: str = self._connection._shell.join_path(self._connection._shell.tmpdir, "wheels.tar")
        with tempfile.TemporaryDirectory() as folder:
            archive = os.path.join(folder, "wheels.tar")
            pack_wheelhouse(directory, archive)
            self._transfer_file(archive, remote)
        return remote

    def _call(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=variables)
        result.pop("invocation", None)
        return result


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
