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
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import SECRET_KEYS
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_archive import checksum_of, wrong_checksum
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import APP_NAME, relative_path
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import DONE
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import filled, marker_of, unknown_names
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_source import pack_source, source_digest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import NOT_FOR_PRODUCTION
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import visible
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import index_addresses
from ansible_collections.flaskworks.deploy.plugins.module_utils.wheelhouse import pack_wheelhouse, wheelhouse_digest
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.jobs import Job, box
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.templates import render

display = Display()
MODULE = "flaskworks.deploy.release"
WORDS = {
    "deploy": "a new release",
    "reactivate": "a kept release again",
    "start": "the live release is started",
    "rollback": "an earlier release again",
}
# Never shown: they travel in one option that no log prints.
SEALED = ("secrets", "files")
INDEXES = ("index", "extra_indexes")
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
        self._wheelhouses: dict[str, str] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        given = dict(self._task.args)
        if unknown := sorted(set(given) - GIVEN):
            raise AnsibleActionFail(f"flaskworks.deploy.release has no option {', '.join(unknown)}")
        apps = given.get("apps")
        if not isinstance(apps, dict):
            raise AnsibleActionFail("flaskworks.deploy.release: apps must be a dictionary of applications")
        only = given["only"] = _listed(given.get("only"))
        if lacking := [name for name in only if name not in apps]:
            known = ", ".join(sorted(apps)) or "none"
            raise AnsibleActionFail(f"there is no application {', '.join(lacking)}; there are: {known}")
        names = only or sorted(apps)
        given["rotate"] = _to_rotate(_listed(given.get("rotate")), {name: apps[name] or {} for name in names})
        if wrong := [name for name in names if not APP_NAME.match(str(name))]:
            raise AnsibleActionFail(f"no names of applications: {', '.join(map(str, wrong))}")
        try:
            if given.get("state") == "absent":
                return self._remove(given, {name: apps[name] or {} for name in names}, variables)
            if given.get("state") == "rolled_back":
                return self._change(given, {name: _place(apps[name]) for name in names}, {}, variables)
            plain, sealed = self._prepare({name: apps[name] for name in names}, variables)
            return self._change(given, plain, sealed, variables)
        except ReleaseError as error:
            raise AnsibleActionFail(error.problem) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _prepare(self, apps: dict[str, Any], variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split the applications into what may be shown and what may not, with templates rendered and local sources
        digested.
        """
        plain: dict[str, Any] = {}
        sealed: dict[str, Any] = {}
        for name, app in apps.items():
            entry = {key: value for key, value in app.items() if key not in SEALED}
            hidden: dict[str, Any] = {"secrets": {key: str(value) for key, value in (app.get("secrets") or {}).items()}}
            hidden["files"] = {
                path: self._file(app, path, file, variables) for path, file in sorted((app.get("files") or {}).items())
            }
            source, python = app["source"], app.get("python", {})
            if index_addresses(python):
                # An address may hold a password.
                hidden["python"] = dict(python)
                entry["python"] = {key: value for key, value in python.items() if key not in INDEXES}
            if python.get("wheelhouse"):
                self._wheelhouses[name] = self._local(str(python["wheelhouse"]), os.path.isdir)
                known = {"wheelhouse": wheelhouse_digest(self._wheelhouses[name])}
                entry["python"] = {**entry["python"], **known}
                hidden.update({"python": {**hidden["python"], **known}} if "python" in hidden else {})
            if source["type"] == "path":
                entry["source_digest"] = source_digest(self._local_source(source))
            elif source["type"] == "archive" and source.get("path"):
                entry["source_digest"] = self._archive_digest(source)
            elif "@" in str(source.get("url", "")) or any(source.get(key) for key in SECRET_KEYS):
                # The URL may hold a password.
                shown = {key: value for key, value in source.items() if key not in SECRET_KEYS}
                hidden["source"], entry["source"] = dict(source), {**shown, "url": ""}
            plain[name], sealed[name] = entry, hidden
        return plain, sealed

    def _local(self, path: str, is_there: Callable[[str], bool]) -> str:
        """Return an absolute local path; a relative one is looked up from where the playbook lies, then from where it
        runs.
        """
        path = os.path.expanduser(path)
        candidates = (
            [path] if os.path.isabs(path) else [os.path.join(self._loader.get_basedir(), path), os.path.abspath(path)]
        )
        return next((candidate for candidate in candidates if is_there(candidate)), candidates[-1])

    def _archive_digest(self, source: dict[str, Any]) -> str:
        """Return the SHA-256 of a local archive. Raises ReleaseError when it is missing, or not what is expected."""
        path = self._local(str(source["path"]), os.path.isfile)
        if not os.path.isfile(path):
            kind = "is a directory: name it as path" if os.path.isdir(path) else "does not exist on the controller"
            raise ReleaseError("source", f"the archive {path} {kind}")
        found, expected = checksum_of(path), str(source.get("checksum") or "").rpartition(":")[2].lower()
        if expected and found != expected:
            with open(path, "rb") as stream:
                raise wrong_checksum(path, expected, found, os.path.getsize(path), stream.read(64))
        return found

    def _local_source(self, source: dict[str, Any]) -> str:
        """Return the absolute local directory of a source."""
        found = self._local(str(source["path"]), os.path.isdir)
        return os.path.join(found, relative_path(source["subdir"], "source.subdir")) if source.get("subdir") else found

    def _file(self, app: dict[str, Any], path: str, file: Any, variables: dict[str, Any]) -> str:
        """Return the text of one file of a release; what the host has still to put in stands there as a marker.

        Raises ReleaseError when a template makes something else of a marker, or names a secret that there isn't.
        """
        given, made = app.get("secrets") or {}, app.get("generated") or {}
        known = {**{name: str(value) for name, value in given.items()}, **{name: marker_of(name) for name in made}}
        text = self._render(file, path, {**variables, "flask_app_secrets": known} if known else variables)
        if unknown := unknown_names(text, known) if known else []:
            raise ReleaseError("files", f"files.{path} names secrets that there are not: {', '.join(unknown)}")
        if made and not isinstance(file, str) and file.get("template"):
            # Others in their place must lead to the same text with the others in it.
            other = {name: f"Other{number}Secret" for number, name in enumerate(made)}
            again = self._render(file, path, {**variables, "flask_app_secrets": {**known, **other}})
            expected = filled(text, other)
            if filled(again, other) != expected:
                raise ReleaseError(
                    "files",
                    f"files.{path}: its template changes a generated secret, or gives another text each time; the host"
                    " puts these secrets in as they are, after the template: take the filter away",
                )
        return text

    def _render(self, file: Any, path: str, variables: dict[str, Any]) -> str:
        """Return the text of one file of a release: given as content, or from a template on the controller."""
        if isinstance(file, str):
            return file
        if "content" in file:
            return str(file["content"])
        return render(self, str(file["template"]), {**variables, **(file.get("vars") or {})}, path)

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
            if plain[name].get("manager") == "cron":
                display.warning(f"{variables.get('inventory_hostname', '')}: {name} {NOT_FOR_PRODUCTION}")
            if finding["action"] == "none":
                result["apps"].append(_summary(finding, "none"))
                continue
            if finding["action"] == "refused":
                failures.append({"msg": f"{name}: {'; '.join(finding['reason'])}", "step": "inspect"})
                continue
            result["diff"].append(_difference(finding))
            if self._task.check_mode:
                result["changed"] = True
                result["apps"].append(_summary(finding, DONE))
                continue
            host = f"{variables.get('inventory_hostname', '')}: {name}"
            display.display(f"{host}: {WORDS[finding['action']]} ({'; '.join(finding['reason'])})", color="yellow")
            alone: dict[str, Any] = {
                "apps": {name: plain[name]},
                "sealed": json.dumps({"apps": {name: sealed.get(name, {})}, "build_env": build_env}),
            }
            alone["archive"] = self._send_source(plain[name]["source"]) if _needs_source(plain[name], finding) else None
            if finding["action"] == "deploy" and finding.get("lacks_wheels"):
                alone["wheels"] = self._send_wheels(self._wheelhouses[name])
            operation = "rollback" if given.get("state") == "rolled_back" else "deploy"
            started = self._call({**common, **alone, "operation": operation, "version": finding["version"]}, variables)
            done = (
                started if started.get("failed") else Job(self._low_level_execute_command, started["job"], host).wait()
            )
            if done.get("failed"):
                # The others are not to blame: they get their releases, and the task fails at the end.
                failures.append(done)
                continue
            result["apps"] += done["apps"]
            for summary in done["apps"]:
                result["changed"] = result["changed"] or summary["action"] != "none"
                for text in summary.pop("warnings", []):
                    display.warning(f"{host}: {text}")
                display.display(f"{host}: {summary['action']} {summary['release']} in {summary['seconds']:.1f} s")
        result = self._stop_unlisted(common, inspected["unlisted"], result, variables)
        return _with_failures(result, failures)

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
            self._transfer_file(self._local(str(source["path"]), os.path.isfile), remote)
            return remote
        with tempfile.TemporaryDirectory() as folder:
            archive = os.path.join(folder, "source.tar.gz")
            pack_source(self._local_source(source), archive)
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


def _place(app: Any) -> dict[str, Any]:
    """Return what a rollback needs to know of an application: it takes everything else from the release."""
    return {"base": app["base"]} if app and "base" in app else {}


def _to_rotate(names: list[str], apps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the secrets to rotate. Raises AnsibleActionFail unless they are generated ones of one application."""
    if not names:
        return []
    having = [app for app, entry in apps.items() if set(names) & set(entry.get("generated") or {})]
    if len(having) == 1 and set(names) <= set(apps[having[0]]["generated"]):
        return names
    if len(having) > 1:
        raise AnsibleActionFail(f"rotate could be meant for any of {', '.join(having)}: add -e app=NAME")
    known = sorted({name for entry in apps.values() for name in entry.get("generated") or {}})
    unknown = [f"{name} ({hint(name, known)})" if known else name for name in names if name not in known] or names
    raise AnsibleActionFail(
        f"only generated secrets of one application can be rotated, and these are none: {', '.join(unknown)}. One that"
        " the inventory gives is changed there"
    )


def _listed(only: Any) -> list[str]:
    if only is None or isinstance(only, str):
        return [name.strip() for name in (only or "").split(",") if name.strip()]
    return [str(name) for name in only]


def _with_failures(result: dict[str, Any], failures: list[dict[str, Any]]) -> dict[str, Any]:
    if not failures:
        return result
    # The last lines of a log are among the words, and the application wrote them.
    texts = [visible(str(failure.get("msg", ""))) for failure in failures]
    for text in texts:
        display.display(box(text), color="red")
    return {**result, "failed": True, "msg": "\n\n".join(texts), "step": failures[0].get("step", "")}


def _needs_source(app: dict[str, Any], finding: dict[str, Any]) -> bool:
    """Tell whether the host has to be sent something: what lies on the controller and makes a new release."""
    return finding["action"] == "deploy" and bool(app["source"].get("path"))


def _summary(finding: dict[str, Any], action: str | Mapping[str, str]) -> dict[str, Any]:
    done = action if isinstance(action, str) else action[finding["action"]]
    return {"app": finding["app"], "action": done, "release": finding["release"], "reason": finding["reason"]}


def _difference(finding: dict[str, Any]) -> dict[str, str]:
    """Return the parts of the live and the wanted release as lines; only digests of them, and the version of the
    code.
    """
    name = finding["app"]
    texts = [
        "".join(f"{part}: {value}\n" for part, value in sorted(facts.items()))
        for facts in (finding["before"], finding["after"])
    ]
    texts[1] += "".join(f"reason: {reason}\n" for reason in finding["reason"])
    return {
        "before_header": f"{name}: release {finding['live'] or 'none'}",
        "after_header": f"{name}: release {finding['release'] or 'new'}",
        "before": texts[0],
        "after": texts[1],
    }


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
