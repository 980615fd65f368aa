# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fills the wheelhouses of applications on the controller, for the Pythons of one host."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.deploy.plugins.module_utils.archive_members import unpack_archive
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import source_secrets
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_archive import checksum_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, scrub
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import index_addresses, index_secrets
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.wheel_collector import (
    WheelError,
    checked_out,
    collect,
    target_name,
)

display = Display()


class ActionModule(ActionBase):
    """Runs nothing on the host; it takes one task at a time to write into a wheelhouse."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = to_plain(self._task.args)
        if set(given) - {"apps", "pythons", "only", "env"} or not isinstance(given.get("apps"), Mapping):
            raise AnsibleActionFail("flaskworks.deploy.wheelhouse takes apps, pythons, only and env")
        only = given.get("only") or sorted(given["apps"])
        apps = {name: app for name, app in given["apps"].items() if app["python"].get("wheelhouse") and name in only}
        result: dict[str, Any] = {"changed": False, "wheelhouses": {}}
        if not apps:
            result["msg"] = "no application names a directory in python.wheelhouse: there is nothing to collect"
        problems = []
        for name, app in apps.items():
            try:
                done = self._collected(name, app, given.get("pythons") or {}, given.get("env") or {})
            except (WheelError, ReleaseError) as error:
                text = error.problem if isinstance(error, ReleaseError) else str(error)
                addresses = [*index_addresses(app["python"]), *map(str, (given.get("env") or {}).values())]
                addresses.append(str(app["source"].get("url") or ""))
                problems.append(scrub(text, [*index_secrets(addresses), *source_secrets(app["source"])]))
                continue
            result["wheelhouses"][name] = done
            result["changed"] = result["changed"] or bool(done["new"] or done["removed"])
        if problems:
            return {**result, "failed": True, "msg": "\n\n".join(problems)}
        return result

    def _collected(
        self, name: str, app: Mapping[str, Any], pythons: Mapping[str, Any], env: Mapping[str, str]
    ) -> dict[str, Any]:
        interpreter = str(app["python"].get("interpreter", "python3"))
        if interpreter not in pythons:
            raise WheelError(
                f"{name}: {interpreter} is not on the host yet, so nobody knows which wheels fit it: prepare the"
                " host with ansible-playbook flaskworks.deploy.site --tags packages"
            )
        python, place = pythons[interpreter], self._place(str(app["python"]["wheelhouse"]))
        report: dict[str, Any] = {
            "directory": place,
            "for": target_name(python),
            "wheels": [],
            "new": [],
            "removed": [],
        }
        if self._task.check_mode:
            display.display(f"{name}: the wheels for {report['for']} would be collected in {place}")
            return report
        # What the inventory says is for the host; here it tells the index, and paths of certificates are the host's.
        variables = {**os.environ, **{key: value for key, value in env.items() if "INDEX" in key}}
        with self._source(app["source"], variables) as folder:
            report["wheels"], report["new"], report["removed"] = collect(name, app, python, folder, place, variables)
        counts = f"{len(report['new'])} new, {len(report['removed'])} removed"
        display.display(f"{name}: {len(report['wheels'])} wheels for {report['for']} in {place} ({counts})")
        return report

    def _place(self, directory: str) -> str:
        """Return the absolute directory: where it is, or where the playbook's project would have it."""
        path = os.path.expanduser(directory)
        if os.path.isabs(path):
            return path
        beside = os.path.join(self._loader.get_basedir(), path)
        return beside if os.path.isdir(beside) else os.path.abspath(path)

    @contextlib.contextmanager
    def _source(self, source: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[str]:
        """Yield the directory of an application's project on the controller. Raises ReleaseError or WheelError."""
        inside = str(source.get("subdir") or "")
        if source["type"] == "path":
            yield os.path.join(self._local(str(source["path"])), inside)
        elif source["type"] == "git":
            with checked_out(source, variables) as folder:
                yield os.path.join(folder, inside)
        else:
            with tempfile.TemporaryDirectory() as folder:
                if source["type"] == "archive":
                    with self._archive(source) as archive, open(archive, "rb") as stream:
                        unpack_archive(stream, folder, source.get("strip", True), inside)
                yield folder

    @contextlib.contextmanager
    def _archive(self, source: Mapping[str, Any]) -> Iterator[str]:
        """Yield the file of an archive, which has the checksum that it should have."""
        with tempfile.TemporaryDirectory() as folder:
            path = self._local(str(source["path"])) if source.get("path") else os.path.join(folder, "archive")
            if source.get("url"):
                try:
                    with open_url(source["url"], timeout=60) as answer, open(path, "wb") as stream:
                        while block := answer.read(1 << 16):
                            stream.write(block)
                except OSError as error:
                    raise WheelError(f"{source['url']} can't be fetched by the controller: {error}") from error
            expected = str(source.get("checksum") or "").rpartition(":")[2].lower()
            if expected and checksum_of(path) != expected:
                raise WheelError(f"{path} is another archive than source.checksum says")
            yield path

    def _local(self, path: str) -> str:
        """Return an absolute local path; a relative one is looked up from the playbook, then from where it runs."""
        path = os.path.expanduser(path)
        beside = os.path.join(self._loader.get_basedir(), path)
        return path if os.path.isabs(path) else beside if os.path.exists(beside) else os.path.abspath(path)
