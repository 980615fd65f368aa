# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What differs between two releases of an application. Of secrets and of variables nothing but their names is told."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import read_environment
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    finished_releases,
    read_text_if_any,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import values_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_past import version_of

# What a release holds at its top besides the settings of its server: told elsewhere, or for nobody's eyes.
_NO_SETTINGS = frozenset({"env", "release.json", "command.json", "requirements.lock"})
# Parts that are told with what is in them; of the others it is known only that they changed.
_SHOWN = frozenset(
    {"code", "server settings", "units", "environment", "names of secrets", "names of files", "static maps"}
)
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;]+)", re.MULTILINE)


@dataclass
class Release:
    """What is compared. `settings` and `units` are texts by name; `files` and `values` digests that nobody is shown."""

    record: Mapping[str, Any]
    packages: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    static: Mapping[str, str] = field(default_factory=dict)


def compared(layout: Layout, asked: Sequence[str]) -> dict[str, Any]:
    """Return what differs between two kept releases; the keys are those that the module release_info documents.

    `asked`: the old and the new one, each as an id, a part of it that fits one release, `live` or `previous`. Without
    the new one it is the live release, without both the old one is the release before. Raises LookupError.
    """
    records = finished_releases(layout)
    old, new = (list(asked) + ["previous", "live"][len(asked) :])[:2]
    one, other = (_chosen(layout, records, name) for name in (old, new))
    return {"app": layout.app, **difference(_read(layout, records[one]), _read(layout, records[other]))}


def difference(old: Release, new: Release) -> dict[str, Any]:
    """Return what differs, by kind; pure."""
    parts = [release.record.get("parts") or {} for release in (old, new)]
    changed = {name for name in {*parts[0], *parts[1]} if parts[0].get(name) != parts[1].get(name)}
    pythons = [str(release.record.get("python") or "") or None for release in (old, new)]
    secret = [frozenset(release.record.get("secrets") or ()) for release in (old, new)]
    hidden = secret[0] | secret[1]
    return {
        "old": _named(old.record),
        "new": _named(new.record),
        "code": parts[0].get("code") != parts[1].get("code"),
        "python": None if pythons[0] == pythons[1] else {"old": pythons[0], "new": pythons[1]},
        "packages": _packages(old.packages, new.packages),
        "settings": _texts(old.settings, new.settings),
        "units": _texts(old.units, new.units),
        "environment": _names(_without(old.values, hidden), _without(new.values, hidden)),
        "secrets": _names(_only(old.values, hidden), _only(new.values, hidden)),
        "files": _names(old.files, new.files),
        "static": _names(old.static, new.static),
        # The installer, the build commands and the like: their digests alone are kept.
        "other": sorted(changed - _SHOWN),
    }


def is_same(found: Mapping[str, Any]) -> bool:
    """Tell whether nothing differs."""
    kinds = ("packages", "environment", "secrets", "files", "static")
    lists = [items for kind in kinds for items in found[kind].values()]
    return not (found["code"] or found["python"] or found["settings"] or found["units"] or found["other"] or any(lists))


def _chosen(layout: Layout, records: Mapping[str, Any], asked: str) -> str:
    named = {"live": layout.live(), "previous": layout.before()}
    if asked in named:
        found = [name for name in [named[asked]] if name in records]
    else:
        found = [name for name in records if asked and asked in name]
    if len(found) == 1:
        return str(found[0])
    there = ", ".join(records) or "none"
    if asked in named:
        raise LookupError(f"{layout.app} has no {asked} release to compare with; kept releases: {there}")
    what = f"fits {len(found)} kept releases" if found else "is no kept release"
    raise LookupError(f"{asked!r} {what} of {layout.app}; kept releases: {there}")


def _read(layout: Layout, record: Mapping[str, Any]) -> Release:
    release_id = str(record["id"])
    folder = layout.release(release_id)
    texts = {
        entry.name: read_text_if_any(entry.path)
        for entry in os.scandir(folder)
        if entry.is_file(follow_symlinks=False) and entry.name not in _NO_SETTINGS
    }
    units = {name: read_text_if_any(f"{layout.units(release_id)}/{name}") for name in _listed(layout.units(release_id))}
    sources = {str(name): f"{layout.source(release_id)}/{name}" for name in record.get("files") or ()}
    packages = record.get("packages")
    if not isinstance(packages, Mapping):
        packages = dict(_PINNED.findall(read_text_if_any(f"{folder}/requirements.lock")))
    return Release(
        record=record,
        packages=packages,
        settings={name: text.replace(release_id, "%i") for name, text in texts.items()},
        units={name.replace(release_id, ""): text.replace(release_id, "%i") for name, text in units.items()},
        values={
            # The path of a secret's file is another one in each release.
            name: _digest(value.replace(release_id, "%i"))
            for name, value in {
                **read_environment(read_text_if_any(layout.environment(release_id))),
                **values_of(layout, record),
            }.items()
        },
        files={name: _digest(read_text_if_any(path)) for name, path in sources.items()},
        static=_links(f"{folder}/public"),
    )


def _links(folder: str) -> dict[str, str]:
    paths = [os.path.join(top, name) for top, names, files in os.walk(folder) for name in (*names, *files)]
    return {os.path.relpath(path, folder): os.readlink(path) for path in paths if os.path.islink(path)}


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _named(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"release": record.get("id"), **version_of(record, {}), "created": record.get("created")}


def _packages(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    names = _names(old, new)
    return {
        "added": [{"name": name, "version": new[name]} for name in names["added"]],
        "removed": [{"name": name, "version": old[name]} for name in names["removed"]],
        "changed": [{"name": name, "old": old[name], "new": new[name]} for name in names["changed"]],
    }


def _names(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, list[str]]:
    return {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    }


def _texts(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the lines that differ of each text, those that went with a minus and those that came with a plus."""
    found = {}
    for name in sorted({*old, *new}):
        lines = list(
            difflib.unified_diff(old.get(name, "").splitlines(), new.get(name, "").splitlines(), n=0, lineterm="")
        )
        if lines:
            found[name] = [line for line in lines[2:] if not line.startswith("@@")]
    return found


def _without(values: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in set(names)}


def _only(values: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in set(names)}
