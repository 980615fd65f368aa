# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers that run an application: how each is started and checked, and the file of a release that sets it up.

A server is one program in the foreground. It takes its listening socket as file descriptor 3 (sd_listen_fds(3)), says
READY=1 (sd_notify(3)), ends its requests on SIGTERM and opens its logs again on SIGUSR1. So every process manager
starts it in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_config import render_config
from ansible_collections.flaskworks.deploy.plugins.module_utils.serve_file import render_serve
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import Machine, worker_count

Server = Mapping[str, Any]

# gunicorn's own default (seconds).
GRACEFUL_TIMEOUT = 30
# Server -> its own file in a release.
FILES = {"gunicorn": "gunicorn.conf.py", "gevent": "serve.py", "flask": "serve.py"}

# 20.1 sets the user even when it is the right one, and the sandbox of a unit refuses that whatever the user.
_OLD_GUNICORN = """\


# An old gunicorn sets the user that it has already, which the sandbox refuses.
import os

import gunicorn.util

if gunicorn.version_info < (21,):
    _set_owner = gunicorn.util.set_owner_process

    def _set_other_owner(uid, gid, initgroups=False):
        if (uid, gid) != (os.getuid(), os.getgid()):
            _set_owner(uid, gid, initgroups)

    gunicorn.util.set_owner_process = _set_other_owner
"""

# --check-config loads no worker class: one that this gunicorn lacks, or that lacks a package, fails at the start only.
# A module of the application must not stand in for gunicorn's, but a worker class may be one of the application's.
_CHECK_WORKERS = """\
import os, sys
del sys.path[0]
import gunicorn, gunicorn.util
sys.path.insert(0, os.getcwd())
worker_class, program = sys.argv[1], sys.argv[2:]
try:
    gunicorn.util.load_class(worker_class)
except Exception as error:
    sys.exit("gunicorn %s can't have workers of the class %s:\\n%s" % (gunicorn.__version__, worker_class, error))
os.execv(program[0], program)
"""


def start_words(server_type: str, release_dir: str) -> list[str]:
    """Return the program and its arguments that serve a release, as absolute paths.

    Raises ValueError for a server that does not exist.
    """
    path = f"{release_dir}/{file_name(server_type)}"
    if server_type == "gunicorn":
        return [f"{release_dir}/venv/bin/gunicorn", "--config", path]
    return [f"{release_dir}/venv/bin/python", path]


def check_words(server: Server, release_dir: str) -> list[str]:
    """Return the program and its arguments that load the application and end, with status 0 when that went well."""
    words = start_words(server["type"], release_dir)
    if server["type"] != "gunicorn":
        return [*words, "--check"]
    program, *arguments = words
    worker_class = str(server["settings"].get("worker_class", "sync"))
    check = [program, "--check-config", *arguments]
    return [f"{release_dir}/venv/bin/python", "-c", _CHECK_WORKERS, worker_class, *check]


def reloads(server_type: str) -> bool:
    """Tell whether a server reads its configuration again on SIGHUP."""
    return server_type == "gunicorn"


def file_name(server_type: str) -> str:
    """Return the name of the server's own file in a release. Raises ValueError for a server that does not exist."""
    if server_type not in FILES:
        raise ValueError(f"there is no server {server_type!r}")
    return FILES[server_type]


def file_text(server: Server) -> str:
    """Return the text of the server's own file.

    ``server`` has the keys ``type``, ``settings``, ``access_log`` and ``limits`` of a release's entry. Raises
    GunicornConfigError for settings that gunicorn does not take.
    """
    access_log = server.get("access_log", "json")
    if server["type"] == "gunicorn":
        text = render_config(server["settings"], access_log=access_log, limits=server.get("limits"))
        return text + _OLD_GUNICORN
    return render_serve(server["type"], server["settings"], access_log)


def graceful_timeout(server: Server) -> int:
    """Return how long requests in progress may take when the server stops (seconds)."""
    value = server.get("settings", {}).get("graceful_timeout", GRACEFUL_TIMEOUT)
    return value if isinstance(value, int) else GRACEFUL_TIMEOUT


def log_file(server: Server, kind: str) -> str:
    """Return where the log ``access`` or ``error`` goes; empty when it is no file."""
    place = log_place(server, kind)
    return place if place.startswith("/") else ""


def log_place(server: Server, kind: str) -> str:
    """Return where the log ``access`` or ``error`` goes: a file, - for standard output or error, or nowhere."""
    return str(server["settings"].get(f"{kind}log") or "")


def to_record(server: Server) -> dict[str, Any]:
    """Return what the record of a release says of its server: what it is, where it logs, how its workers are counted.

    ``workers`` is null for a server that has none.
    """
    settings = server["settings"]
    return {
        "type": server["type"],
        **{f"{kind}_log": log_place(server, kind) for kind in ("access", "error")},
        "workers": settings.get("workers", 1) if server["type"] == "gunicorn" else None,
        "worker_class": settings.get("worker_class", "sync") if server["type"] == "gunicorn" else None,
        "limits": dict(server.get("limits") or {}),
    }


def recorded(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record of a release says of its server; releases of older versions had gunicorn."""
    return {"type": "gunicorn", **record.get("server", {})}


def workers_of(record: Mapping[str, Any], machine: Machine) -> tuple[int, str] | None:
    """Return how many workers a release has on a machine, and why; None for a release of an older version."""
    server = recorded(record)
    if server["type"] != "gunicorn":
        return 1, "this server is one process"
    if "workers" not in server:
        return None
    return worker_count(server["workers"], server["worker_class"], machine, **server["limits"])
