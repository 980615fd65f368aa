# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From checked entries of gunicorn_configs to the files of a file_set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_config import check_settings, render_config
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem

DIRECTORY = "/etc/gunicorn"
# Key of an entry -> the setting that it stands for.
KEYS = {"wsgi": "wsgi_app", "bind": "bind", "worker_class": "worker_class", "workers": "workers", "threads": "threads"}
GTHREAD_THREADS = 4

Entry = Mapping[str, Any]


def settings_of(entry: Entry) -> dict[str, Any]:
    """All gunicorn settings of one complete entry."""
    settings = {setting: entry[key] for key, setting in KEYS.items() if entry.get(key) is not None}
    if entry["worker_class"] == "gthread":
        settings.setdefault("threads", GTHREAD_THREADS)
    return {**settings, **entry["settings"]}


def check_configs(entries: Mapping[str, Entry], variable: str = "gunicorn_configs") -> list[Problem]:
    """All that is wrong with the settings, and with the entries side by side."""
    problems = []
    taken: dict[str, str] = {}
    for name, entry in entries.items():
        where = f"{variable}.{name}"
        for key, setting in KEYS.items():
            if setting in entry["settings"]:
                text = f"is a key of the entry itself: write {key} beside settings, not in it"
                problems.append(Problem(f"{where}.settings.{setting}", text, "gunicorn-setting"))
        for line in check_settings(settings_of(entry), access_log=entry["access_log"]):
            setting, dummy, text = line.partition(": ")
            key = next((key for key, value in KEYS.items() if value == setting), f"settings.{setting}")
            problems.append(Problem(f"{where}.{key}", text, "gunicorn-setting"))
        path = path_of(name, entry)
        if os.path.normpath(path) != path or not os.path.isabs(path):
            problems.append(Problem(f"{where}.path", f"{path!r} must be absolute and plain", "gunicorn-path"))
        elif taken.setdefault(path, name) != name:
            problems.append(Problem(f"{where}.path", f"{path} is the path of '{taken[path]}' too", "gunicorn-path"))
    return problems


def config_files(entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """Path of each file -> its content and attributes; the usual directory too, where a file needs it."""
    files: dict[str, dict[str, Any]] = {}
    for name, entry in entries.items():
        path = path_of(name, entry)
        if os.path.dirname(path) == DIRECTORY:
            files[DIRECTORY] = {"directory": True}
        text = render_config(settings_of(entry), access_log=entry["access_log"])
        files[path] = {"content": text, **{key: entry[key] for key in ("owner", "group", "mode")}}
    return files


def path_of(name: str, entry: Entry) -> str:
    """Where the file of an entry lies."""
    return str(entry["path"] or f"{DIRECTORY}/{name}.py")
