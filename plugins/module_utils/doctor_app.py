# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with an application on a host. Pure functions of the facts that doctor_facts gathers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_versions import accepts
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import size
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import EACH_BYTES

Facts = Mapping[str, Any]

# Worker class -> the distribution that it needs; None: today's gunicorn no longer has it.
_PACKAGES = {
    "gevent": "gevent",
    "gevent_wsgi": "gevent",
    "gevent_pywsgi": "gevent",
    "tornado": "tornado",
    "eventlet": None,
    "gaiohttp": None,
}
RESTARTS = 3
DAY = 86400
_BY_HAND = "since its last start by hand or by a deploy"
# The share of a memory limit, or of the host's memory, that leaves no room for a busy hour.
FULL = 0.90
# secrets.token_hex() gives 64 characters, of 16 kinds. So do 16 bytes with half of that.
SHORT, SHORTEST, FEW_KINDS = 32, 16, 6
# Variable -> what switches it off, in small letters. Flask knows three words (flask/helpers.py, get_debug_flag); DEBUG
# and DJANGO_DEBUG are read by a site's own code, as people write it; of the others every value is a yes.
_SITES_OWN = ("", "0", "false", "no", "off", "none")
DEBUG_VARIABLES = {
    "FLASK_DEBUG": ("", "0", "false", "no"),
    "DEBUG": _SITES_OWN,
    "DJANGO_DEBUG": _SITES_OWN,
    "PYTHONDEVMODE": ("",),
    "WERKZEUG_DEBUG_PIN": ("",),
}
# Those of them that leave app.debug as it is.
_OF_OTHERS = {"PYTHONDEVMODE", "WERKZEUG_DEBUG_PIN"}


def python(facts: Facts) -> list[Finding]:
    found = []
    for app, said in facts["apps"].items():
        wanted, there = said.get("requires_python"), said.get("python")
        if wanted and there and accepts(wanted, there) is False:
            evidence = f"the live release runs on Python {there}, and its pyproject.toml wants {wanted}"
            fix = "name an interpreter that this Debian has in python.interpreter, or correct requires-python"
            found.append(Finding("error", app, "python-version", evidence, fix))
    return found


def worker_class(facts: Facts) -> list[Finding]:
    found = []
    for app, said in facts["apps"].items():
        server, packages = said.get("server") or {}, said.get("packages")
        name = server.get("worker_class")
        if server.get("type") != "gunicorn" or name not in _PACKAGES or packages is None:
            continue
        package = _PACKAGES[name]
        if package is None:
            evidence = f"gunicorn has no worker class {name} any more"
            fix = "server.worker_class: gevent, or gthread, which needs nothing"
        elif package not in packages:
            evidence = f"server.worker_class is {name}, and {package} is not installed in the live environment"
            fix = f"deploy anew (a kept environment is built again when it was changed), or add {package} to packages"
        else:
            continue
        found.append(Finding("error", app, "worker-class", evidence, fix))
    return found


def debug(facts: Facts) -> list[Finding]:
    found = []
    for app, said in facts["apps"].items():
        for name in said.get("debug_variables", []):
            evidence = f"the environment of the live release has {name} on"
            if name == "WERKZEUG_DEBUG_PIN":
                pin = "off: a debugger then asks nobody for a PIN" if said.get("debugger_without_pin") else "set"
                evidence = f"the environment of the live release has {name} {pin}"
            fix = f"take {name} out of env and secrets, and deploy; a debugger lets visitors run code"
            found.append(Finding("error", app, "debug-on", evidence, fix))
        inside = said.get("inside") or {}
        if inside.get("debug") and _OF_OTHERS.issuperset(said.get("debug_variables", [])):
            evidence = "the application itself says debug=True when it is loaded"
            fix = "take app.debug = True and DEBUG = True out of the code or its settings, and deploy"
            found.append(Finding("error", app, "debug-on", evidence, fix))
    return found


def secrets(facts: Facts) -> list[Finding]:
    """Keys that sign sessions. Facts hold what was measured of each, never the key."""
    found = []
    for app, said in facts["apps"].items():
        given = {str(item["name"]): item for item in said.get("secret_keys", [])}
        inside = (said.get("inside") or {}).get("secret")
        # What a variable says counts for nothing where the code has put another key in its place.
        other = inside if inside and given.get(inside["name"]) not in (None, inside) else None
        if inside and not other:
            given[inside["name"]] = inside
        for name, item in sorted(given.items()):
            fix = f"secrets.{name}: a vaulted value of python3 -c 'import secrets; print(secrets.token_hex())'"
            found += _weak_key(app, name, item, fix)
        if other:
            name = other["name"]
            fix = f"the code overrides the variable {name} of the environment: have it read that one, and deploy"
            found += _weak_key(app, f"app.config['{name}']", other, fix)
    return found


def _weak_key(app: str, name: str, item: Facts, fix: str) -> list[Finding]:
    level, why = weakness(item)
    text = f"{name} {why}: whoever guesses it can sign in as anybody"
    return [Finding(level, app, "secret-key", text, fix)] if level else []


def weakness(item: Facts) -> tuple[str, str]:
    """Return the level and what is weak of a key, by what was measured of it; empty texts for a good one."""
    if item["known"]:
        return "error", "is a well-known value"
    if item["name_like"]:
        return "error", "is the name of the application, the host or the variable"
    if item["length"] < SHORTEST:
        return "error", f"has {item['length']} characters"
    if item["kinds"] < FEW_KINDS:
        return "error", f"has {item['kinds']} different characters"
    if item["length"] < SHORT:
        return "warning", f"has {item['length']} characters, and {SHORT} are a good key in hexadecimal"
    return "", ""


def restarts(facts: Facts) -> list[Finding]:
    """Programs that do not stay up."""
    found = []
    for app, said in facts["apps"].items():
        for name, unit in _programs(said):
            count, active = unit.get("restarts") or 0, unit.get("active")
            fix = f"flaskworks {app} logs; journalctl -u '{unit['unit']}' (the lines before each start say why)"
            if active == "failed":
                evidence = f"{name} ({unit['unit']}) has failed: {unit.get('result') or 'no reason given'}"
                found.append(Finding("error", app, "restarts", evidence, fix))
            elif count >= RESTARTS and (unit.get("uptime_s") or 0) < DAY:
                # A manager counts from the last start by hand or by a deploy on, which may be long ago.
                recent = (said.get("restarts_of_day") or {}).get(unit["unit"])
                number, when = (count, _BY_HAND) if recent is None else (recent, "in the last 24 hours")
                if number >= RESTARTS:
                    evidence = f"{name} ({unit['unit']}) was started again {min(number, count)} times by itself {when}"
                    found.append(Finding("warning", app, "restarts", evidence, fix))
    return found


def _programs(said: Facts) -> Iterator[tuple[str, Facts]]:
    status = said.get("status") or {}
    if status.get("web"):
        yield "the web service", status["web"]
    for process in status.get("processes") or []:
        yield f"the process {process['name']} {process['number']}", process


def timers(facts: Facts) -> list[Finding]:
    found = []
    for app, said in facts["apps"].items():
        for timer in (said.get("status") or {}).get("timers") or []:
            job = f"{timer['unit'].removesuffix('.timer')}.service"
            fix = f"journalctl -u '{job}'; try it with: systemctl start '{job}'"
            if timer.get("result") not in (None, "success"):
                evidence = f"the last run of the timer {timer['name']} ended with {timer['result']} ({timer['last']})"
                found.append(Finding("error", app, "timer-failed", evidence, fix))
            elif timer.get("active") not in (None, "active"):
                evidence = f"the timer {timer['name']} is {timer['active']}: nothing starts its command"
                fix = f"systemctl start '{timer['unit']}'"
                found.append(Finding("error", app, "timer-failed", evidence, fix))
    return found


def deploys(facts: Facts) -> list[Finding]:
    found = []
    for app, said in facts["apps"].items():
        activity = (said.get("status") or {}).get("activity") or {}
        if activity.get("state") == "interrupted":
            what, step = activity.get("action") or "deploy", activity.get("step") or "none"
            evidence = f"a {what} was cut short at the step {step!r}"
            fix = f"deploy once more (-e app={app}): the next run finishes it or takes it back"
            found.append(Finding("warning", app, "deploy-interrupted", evidence, fix))
    return found


def memory(facts: Facts) -> list[Finding]:
    """The workers of all applications fit into the host's memory, and into the limits of each."""
    found: list[Finding] = []
    total, parts = 0, []
    for app, workers in sorted(facts["workers"].items()):
        status = (facts["apps"].get(app) or {}).get("status") or {}
        web = status.get("web") or {}
        used, limit = web.get("memory_bytes"), web.get("memory_limit_bytes")
        running = bool(used) and web.get("active") == "active"
        need = int(used or 0) if running else workers * EACH_BYTES
        total += need
        parts.append(f"{app} {size(need)}{'' if running else f' ({workers} x {size(EACH_BYTES)}, estimated)'}")
        if running and limit and used > FULL * limit:
            evidence = f"its {workers} workers have {size(used)}, and limits.memory is {size(limit)}"
            fix = "raise limits.memory, or lower server.workers: at the limit the kernel kills one of them"
            found.append(Finding("warning", app, "memory-workers", evidence, fix))
    there = facts["memory"]["total"]
    if total > FULL * there:
        evidence = f"the workers of all applications want {size(total)} of {size(there)}: {', '.join(parts)}"
        fix = "fewer workers (server.workers), limits.memory for each, or a host with more memory"
        found.append(Finding("warning", "", "memory-workers", evidence, fix))
    return found
