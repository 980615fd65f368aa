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

Server = Mapping[str, Any]

# gunicorn's own default (seconds).
GRACEFUL_TIMEOUT = 30


def start_words(server_type: str, release_dir: str) -> list[str]:
    """Return the program and its arguments that serve a release, as absolute paths.

    Raises ValueError for a server that does not exist.
    """
    path = f"{release_dir}/{file_name(server_type)}"
    return [f"{release_dir}/venv/bin/gunicorn", "--config", path]


def check_words(server_type: str, release_dir: str) -> list[str]:
    """Return the program and its arguments that load the application and end, with status 0 when that went well."""
    program, *arguments = start_words(server_type, release_dir)
    return [program, "--check-config", *arguments]


def file_name(server_type: str) -> str:
    """Return the name of the server's own file in a release. Raises ValueError for a server that does not exist."""
    if server_type != "gunicorn":
        raise ValueError(f"there is no server {server_type!r}")
    return "gunicorn.conf.py"


def file_text(server: Server) -> str:
    """Return the text of the server's own file: ``type``, ``settings`` and ``access_log`` of a release's entry.

    Raises GunicornConfigError for settings that gunicorn does not take.
    """
    return render_config(server["settings"], access_log=server.get("access_log", "json"))


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


def recorded(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record of a release says of its server; releases of older versions had gunicorn."""
    return {"type": "gunicorn", **record.get("server", {})}
