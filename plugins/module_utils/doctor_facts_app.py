# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor wants to know of the live release of each application. Nothing on the host is changed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import json
import os
import re
import socket
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_inside, servers
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_said as said
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_app import DEBUG_VARIABLES
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_restarts import restarts_of_day
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_web import page_facts, socket_facts
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_heard import last_words
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_web import TEST_ADDRESS
from ansible_collections.flaskworks.deploy.plugins.module_utils.host_command_run import systemd_run
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_secrets import PLACEHOLDERS
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_application import log_since
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import read_environment
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import read_json, read_text_if_any
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_logs import BY_SYSTEM, without_access
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_host import gunicorn_settings
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import log_words
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import read_service

# Seconds that an application may take to be loaded.
LOADED_WITHIN = 20
# How far back (seconds) the journal of a release is read, and how many of its last lines are.
LOOKED_BACK, MOST_LINES = 86400.0, 5000
# Characters. A part of a specifier would say something else than the whole.
LONGEST_SPECIFIER = 200
# Where the doctor's own copy of an application may write: nowhere that outlives it.
NOTHING_WRITTEN = (
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "ReadOnlyPaths=/srv",
    "ReadOnlyPaths=-/var/log",
    f"RuntimeMaxSec={LOADED_WITHIN}",
)
# Keys of tutorials and of frameworks' documentation, besides what the plan refuses.
KNOWN_KEYS = (
    *PLACEHOLDERS.split(),
    *("you-will-never-guess", "this-is-a-secret", "my-secret-key", "mysecret", "super secret key", "not-so-secret"),
    *("the-random-string", "a-secret-key", "thisissecret", "secret!", "keep-it-secret", "django-insecure", "flask"),
    *(
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        "hard to guess string",
    ),
)
_KEY_NAME = re.compile(r"(?:^|_)(?:SECRET|SIGNING)_?KEY$")


def app_facts(recorded: Mapping[str, Any], plan: Mapping[str, Any], load: bool = True) -> dict[str, Any]:
    """Return application -> facts. ``recorded``: what host_status() says of each; ``load``: whether its code is run."""
    if not recorded:
        return {}
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: _known(name, recorded[name], plan.get(name), load), recorded)
        return dict(zip(recorded, found, strict=True))


def _known(name: str, status: Mapping[str, Any], wanted: Mapping[str, Any] | None, load: bool) -> dict[str, Any]:
    """Return the facts of one application. What it says can be anything, and must not hide what is wrong elsewhere."""
    try:
        return _facts(name, status, wanted, load)
    except Exception as error:  # pylint: disable=broad-except
        # The words of an error may hold what was read.
        return {"status": status, "missing": {"its release": f"it can't be looked at ({type(error).__name__})"}}


def _facts(name: str, status: Mapping[str, Any], wanted: Mapping[str, Any] | None, load: bool) -> dict[str, Any]:
    layout = Layout(name, f"/srv/{name}")
    missing: dict[str, str] = {}
    facts: dict[str, Any] = {"status": status, "missing": missing, "restarts_of_day": restarts_of_day(status)}
    if (live := layout.live()) is None:
        return facts
    release, record = layout.release(live), read_json(layout.record(live))
    facts["server"] = servers.recorded(record)
    facts["python"] = _python_of(f"{release}/venv/pyvenv.cfg")
    facts["requires_python"] = requires_python(read_text_if_any(f"{layout.source(live)}/pyproject.toml"))
    facts["packages"] = _packages(f"{release}/venv")
    facts |= environment_facts(read_text_if_any(layout.environment(live)), [name, socket.gethostname()])
    facts |= _words(layout, live, record, str(status.get("since") or ""))
    running = (status.get("web") or {}).get("active") == "active"
    if running:
        facts["socket"] = socket_facts(layout.socket_path(live))
    if running and wanted:
        log = str(facts["server"].get("access_log") or "")
        facts["page"] = page_facts(wanted, record.get("health") or {}, log)
    if load:
        inside = _inside(layout, live, record, wanted)
        if "error" in inside:
            missing["what its code says"] = inside["error"]
        else:
            facts["inside"] = inside
    return facts


def environment_facts(text: str, names: list[str]) -> dict[str, Any]:
    """Return ``debug_variables`` (those that are on), ``debugger_without_pin`` and ``secret_keys`` (measures of them)
    of the environment of a release.
    """
    variables = read_environment(text)
    debug = [key for key, off in DEBUG_VARIABLES.items() if variables.get(key, "").lower() not in off]
    keys = {key: value for key, value in variables.items() if _KEY_NAME.search(key)}
    measures = [doctor_inside.measured(key, value, [*names, key], list(KNOWN_KEYS)) for key, value in keys.items()]
    # werkzeug/debug/__init__.py, get_pin_and_cookie_name()
    without_pin = variables.get("WERKZEUG_DEBUG_PIN") == "off"
    return {"debug_variables": debug, "debugger_without_pin": without_pin, "secret_keys": measures}


def requires_python(pyproject: str) -> str:
    """Return what a project says of its Python (project.requires-python); empty when it says nothing, or so much that
    reading it would take its time.
    """
    try:
        project = tomllib.loads(pyproject).get("project")
    except ValueError:
        # Numbers of thousands of digits too, which are no TOMLDecodeError.
        return ""
    wanted = project.get("requires-python") if isinstance(project, dict) else None
    return wanted if isinstance(wanted, str) and len(wanted) <= LONGEST_SPECIFIER else ""


def _python_of(config: str) -> str:
    """Return the version in a pyvenv.cfg; uv writes ``version_info``, Python's own venv ``version``."""
    matched = re.search(r"^version(?:_info)?\s*=\s*(\S+)", read_text_if_any(config), re.MULTILINE)
    return matched[1] if matched else ""


def _packages(venv: str) -> list[str] | None:
    """Return the names of what is installed, as PEP 503 writes them; None when there is no environment."""
    with contextlib.suppress(OSError):
        folders = [f"{venv}/lib/{name}/site-packages" for name in os.listdir(f"{venv}/lib")]
        names = (item.metadata["Name"] for item in importlib.metadata.distributions(path=folders))
        return sorted({re.sub(r"[-_.]+", "-", name).lower() for name in names if name})
    return None


def _inside(layout: Layout, live: str, record: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> dict[str, Any]:
    """Load the application in its own sandbox, read-only; return what doctor_inside tells of it."""
    config = read_text_if_any(f"{layout.release(live)}/gunicorn.conf.py")
    wsgi = gunicorn_settings(config, 1).get("wsgi_app") or (wanted or {}).get("wsgi")
    command = read_json(layout.command(live))
    if not wsgi or not isinstance(command.get("properties"), list):
        return {"error": "its release does not say how it is loaded: deploy once more"}
    health = record.get("health") or {}
    order = {
        "wsgi": wsgi,
        "path": str(health.get("path") or "/").partition("?")[0],
        "headers": {
            "Host": str(health.get("host") or "localhost"),
            "X-Forwarded-For": TEST_ADDRESS,
            "X-Real-IP": TEST_ADDRESS,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": str(health.get("host") or "localhost"),
        },
        "names": [layout.app, socket.gethostname(), "SECRET_KEY"],
        "known": list(KNOWN_KEYS),
    }
    properties = [item for item in command["properties"] if not item.startswith("ReadWritePaths=")]
    unit = f"flaskworks-run.{layout.app}.doctor-{os.getpid()}.service"
    made = {**command, "properties": [*properties, *NOTHING_WRITTEN]}
    words = [f"{layout.release(live)}/venv/bin/python", "-", json.dumps(order)]
    told = last_words(
        systemd_run(made, unit, words, terminal=False), LOADED_WITHIN + 10, inspect.getsource(doctor_inside)
    )
    try:
        answer = said.inside(told)
    except ValueError:
        return {"error": f"its code gave no answer within {LOADED_WITHIN} s, or ended the process"}
    if "error" in answer:
        return {"error": f"its code can't be loaded a second time, where it may not write: {answer['error']}"}
    return answer


def _words(layout: Layout, live: str, record: Mapping[str, Any], since: str) -> dict[str, Any]:
    """Return what the programs of a release said since it went live (``lines``), what systemd said of them
    (``system``), and the [Service] section of its unit (``service``); nothing where systemd does not run it, which then
    limits nothing.
    """
    unit = read_text_if_any(f"{layout.units(live)}/{layout.service(live)}")
    if not unit or not since:
        return {"lines": [], "system": [], "service": {}}
    names = sorted(name for name in os.listdir(layout.units(live)) if name.endswith(".service"))
    begin = max(said.aware(since).timestamp(), time.time() - LOOKED_BACK)
    lines = _journal(names, begin, without_access(layout, live))
    if (log := str(record.get("error_log") or "")).startswith("/"):
        lines += said.lines_since(log_since(log, 0), since)
    return {"lines": lines, "system": _journal(names, begin, BY_SYSTEM), "service": read_service(unit)}


def _journal(names: list[str], begin: float, chosen: Sequence[str]) -> list[str]:
    """Return the last lines of units since a moment; ``chosen`` says which."""
    lines: list[str] = []
    for words in log_words(names, since=begin):
        lines += last_words([*words, "--output=cat", *chosen], LOADED_WITHIN).splitlines()[-MOST_LINES:]
    return lines
