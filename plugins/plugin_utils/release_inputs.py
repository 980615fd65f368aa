# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What flaskworks.deploy.release takes of the controller: its options, local sources, wheels and templates."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import SECRET_KEYS
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_archive import checksum_of, wrong_checksum
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import relative_path
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import filled, marker_of, unknown_names
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_source import source_digest
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import index_addresses
from ansible_collections.flaskworks.deploy.plugins.module_utils.wheelhouse import wheelhouse_digest
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.templates import render

# Never shown: they travel in one option that no log prints.
SEALED = ("secrets", "files")
INDEXES = ("index", "extra_indexes")


class Inputs:
    """The applications as they are sent to a host. ``wheelhouses``: the directory of each that has one."""

    def __init__(self, action: ActionBase) -> None:
        self._action = action
        self.wheelhouses: dict[str, str] = {}

    def prepare(self, apps: dict[str, Any], variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
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
                self.wheelhouses[name] = self.local(str(python["wheelhouse"]), os.path.isdir)
                known = {"wheelhouse": wheelhouse_digest(self.wheelhouses[name])}
                entry["python"] = {**entry["python"], **known}
                hidden.update({"python": {**hidden["python"], **known}} if "python" in hidden else {})
            if source["type"] == "path":
                entry["source_digest"] = source_digest(self.local_source(source))
            elif source["type"] == "archive" and source.get("path"):
                entry["source_digest"] = self._archive_digest(source)
            elif re.search("[@?]", str(source.get("url", ""))) or any(source.get(key) for key in SECRET_KEYS):
                # The URL may hold a password, or a token in its query.
                shown = {key: value for key, value in source.items() if key not in SECRET_KEYS}
                hidden["source"], entry["source"] = dict(source), {**shown, "url": ""}
            plain[name], sealed[name] = entry, hidden
        return plain, sealed

    def local(self, path: str, is_there: Callable[[str], bool]) -> str:
        """Return an absolute local path; a relative one is looked up from where the playbook lies, then from where it
        runs.
        """
        path = os.path.expanduser(path)
        playbook = self._action._loader.get_basedir()
        candidates = [path] if os.path.isabs(path) else [os.path.join(playbook, path), os.path.abspath(path)]
        return next((candidate for candidate in candidates if is_there(candidate)), candidates[-1])

    def _archive_digest(self, source: dict[str, Any]) -> str:
        """Return the SHA-256 of a local archive. Raises ReleaseError when it is missing, or not what is expected."""
        path = self.local(str(source["path"]), os.path.isfile)
        if not os.path.isfile(path):
            kind = "is a directory: name it as path" if os.path.isdir(path) else "does not exist on the controller"
            raise ReleaseError("source", f"the archive {path} {kind}")
        found, expected = checksum_of(path), str(source.get("checksum") or "").rpartition(":")[2].lower()
        if expected and found != expected:
            with open(path, "rb") as stream:
                raise wrong_checksum(path, expected, found, os.path.getsize(path), stream.read(64))
        return found

    def local_source(self, source: dict[str, Any]) -> str:
        """Return the absolute local directory of a source."""
        found = self.local(str(source["path"]), os.path.isdir)
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
        return render(self._action, str(file["template"]), {**variables, **(file.get("vars") or {})}, path)


def place_of(app: Any) -> dict[str, Any]:
    """Return what a rollback needs to know of an application: it takes everything else from the release."""
    return {"base": app["base"]} if app and "base" in app else {}


def to_rotate(names: list[str], apps: Mapping[str, Mapping[str, Any]]) -> list[str]:
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


def listed(only: Any) -> list[str]:
    if only is None or isinstance(only, str):
        return [name.strip() for name in (only or "").split(",") if name.strip()]
    return [str(name) for name in only]


def needs_source(app: dict[str, Any], finding: dict[str, Any]) -> bool:
    """Tell whether the host has to be sent something: what lies on the controller and makes a new release."""
    return finding["action"] == "deploy" and bool(app["source"].get("path"))
