# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs that supervisor runs: Debian's package, asked through the socket that its configuration names.

A program belongs to one release. It is added and removed by itself, as ``supervisorctl add`` and ``remove`` do:
``update`` and ``reload`` would touch what others have changed.
"""

from __future__ import annotations

import configparser
import contextlib
import glob
import http.client
import os
import re
import shutil
import socket
import time
import urllib.parse
import xmlrpc.client
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_instances import Instance
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import SUPERVISOR_LOGS
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH

DIRECTORY = "/etc/supervisor/conf.d"
CONFIGURATION = "/etc/supervisor/supervisord.conf"
PROGRAM = "supervisord"
# How long (seconds) a supervisor that was just started may take to answer.
PATIENCE = 10.0
# How long (seconds) one answer of it may take.
LONGEST_CALL = 60.0
# Faults of its interface (supervisor/xmlrpc.py, class Faults) that mean: it is so already.
_BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING, _ALREADY_ADDED, _CANT_REREAD = 10, 60, 70, 90, 92
# Its states in systemd's words. STARTING is a program that runs, but not for "startsecs" yet.
_STATES = {
    "STOPPED": "inactive",
    "STARTING": "active",
    "RUNNING": "active",
    "BACKOFF": "activating",
    "STOPPING": "deactivating",
    "EXITED": "inactive",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}


def path_of(name: str) -> str:
    """Return where a program's section lies."""
    return f"{DIRECTORY}/{name}"


def found(app: str) -> list[str]:
    """Return the application's own programs on the host."""
    paths = [*glob.glob(f"{DIRECTORY}/{app}@*.conf"), *glob.glob(f"{DIRECTORY}/{app}.*@*.conf")]
    return [os.path.basename(path) for path in paths]


def text(name: str, sections: Mapping[str, Any]) -> str:
    """Return the text of a program's section. In a value % is doubled; ``%i`` stays for the release."""
    lines = [f"[program:{name.replace('@.conf', '@%i')}]"]
    for key, value in sections["program"].items():
        said = str(value).lower() if isinstance(value, bool) else str(value)
        lines.append(f"{key}={re.sub('%(?!i)', '%%', said)}")
    return "; Written by flaskworks.deploy for one release; it goes with it.\n" + "\n".join(lines) + "\n"


def instance_text(template: str, release_id: str) -> str:
    """Return the text of one release's section."""
    return template.replace("%i", release_id)


def load(names: Sequence[str]) -> None:
    """Have supervisor read its configuration; what it runs stays as it is. Raises ReleaseError."""
    try:
        _supervisor("units").reloadConfig()
    except xmlrpc.client.Fault as fault:
        raise ReleaseError(
            "units",
            "supervisor can't read its configuration (all of it, not only this application's part): mend what it names",
            fault.faultString,
        ) from fault


def show(names: Collection[str]) -> dict[str, dict[str, str]]:
    """Return unit -> property -> value, in systemd's words."""
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
        known = {facts["name"]: facts for facts in _connected().getAllProcessInfo()}
    shown = {}
    for name in names:
        instance = Instance.of_unit(name)
        facts = known.get(instance.name, {})
        state = facts.get("statename", "not loaded")
        shown[name] = {
            "Id": name,
            "ActiveState": _STATES.get(state, "inactive"),
            "SubState": state.lower(),
            "Result": "exit-code" if state == "FATAL" else "success",
            "UnitFileState": "enabled" if os.path.exists(path_of(name)) else "",
            "MainPID": str(facts.get("pid", 0)),
            "NRestarts": str(instance.restarts()),
            "ActiveEnterTimestamp": f"@{facts.get('start', 0)}",
        }
    return shown


def start(names: Sequence[str], step: str) -> None:
    """Add programs that are not there yet, and start those that don't run. Raises ReleaseError."""
    supervisor = _supervisor(step)
    for name in names:
        instance = Instance.of_unit(name)
        if show([name])[name]["ActiveState"] not in ("active", "activating"):
            instance.restarts_begin()
        try:
            _but(_ALREADY_ADDED, supervisor.addProcessGroup, instance.name)
            # Added ones start by themselves as well, but not at once.
            _but(_ALREADY_STARTED, supervisor.startProcess, instance.name, False)
        except xmlrpc.client.Fault as fault:
            raise ReleaseError(step, f"supervisor can't start {instance.name}", fault.faultString) from fault


def enable(names: Sequence[str]) -> None:
    """Nothing: what lies in the directory is started at boot."""


def stop(names: Collection[str]) -> None:
    """Stop programs and wait for their end."""
    stop_soon(names)
    # Each is killed after its "stopwaitsecs".
    while any(facts["ActiveState"] == "deactivating" for facts in show(names).values()):
        time.sleep(0.1)


def stop_soon(names: Collection[str]) -> None:
    """Ask programs to stop and don't wait for them."""
    _each("stopProcess", names, False)


def remove(names: Collection[str]) -> None:
    """Stop programs, have supervisor forget them, and delete their sections."""
    stop(names)
    _each("removeProcessGroup", names)
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path_of(name))


def log_words(names: Collection[str], lines: int | None, since: float | None, follows: bool) -> list[list[str]]:
    """Return the command that prints what programs have said; their files are not told apart by releases."""
    paths = [f"{SUPERVISOR_LOGS}/{(one := Instance.of_unit(name)).app}/{one.process}.log" for name in sorted(names)]
    if since is not None and follows:
        # The release before is followed already, in the same files.
        return []
    if not follows:
        # The empty ones would only show their names.
        paths = [path for path in paths if os.path.exists(path) and os.stat(path).st_size]
    if since is not None:
        paths = [path for path in paths if os.stat(path).st_mtime >= since]
    count = 20 if lines is None else lines
    words = ["tail", f"--lines={count}", *(["--follow=name", "--retry"] if follows else []), "--"]
    return [[*words, *paths]] if paths else []


def _each(method: str, names: Collection[str], *arguments: Any) -> None:
    """Call a method for each program that supervisor knows."""
    # A package that was removed leaves its configuration, and runs nothing.
    if not shutil.which(PROGRAM, path=SYSTEM_PATH):
        return
    supervisor = _supervisor("stop")
    for name in sorted(names):
        try:
            _but(_NOT_RUNNING, getattr(supervisor, method), Instance.of_unit(name).name, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _BAD_NAME:
                raise ReleaseError("stop", f"supervisor: {method} {name} failed", fault.faultString) from fault


def _but(harmless: int, call: Callable[..., Any], *arguments: Any) -> None:
    try:
        call(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != harmless:
            raise


def _supervisor(step: str) -> Any:
    """Return supervisor's interface, once it answers. Raises ReleaseError."""
    until = time.monotonic() + PATIENCE
    started = None
    while True:
        try:
            supervisor = _connected()
            supervisor.getState()
            return supervisor
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            if started is None:
                started = run(["systemctl", "start", "supervisor.service"])
            if time.monotonic() > until or started.returncode != 0:
                text_of = f"supervisor does not answer: see systemctl status supervisor ({error})"
                raise ReleaseError(step, text_of, started.stderr) from error
        time.sleep(0.1)


def _connected() -> Any:
    """Return the methods of supervisor's interface at the socket of its configuration."""
    settings = configparser.RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    with contextlib.suppress(configparser.Error):
        settings.read(CONFIGURATION)
    section = dict(settings["unix_http_server"]) if settings.has_section("unix_http_server") else {}
    path = section.get("file", "/run/supervisor.sock")
    words = [urllib.parse.quote(section.get(key, "").replace("%%", "%"), safe="") for key in ("username", "password")]
    login = f"{':'.join(words)}@" if words[0] else ""
    return xmlrpc.client.ServerProxy(f"http://{login}localhost/RPC2", transport=_Transport(path)).supervisor


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LONGEST_CALL)
        self.sock.connect(self.path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        # As the original: the name and password of the address become a header.
        self._extra_headers = self.get_host_info(host)[1]
        return _Connection(self.path)
