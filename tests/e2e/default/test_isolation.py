"""Promise: an app runs as its own user, cannot write its own code, and only nginx reaches its socket."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.support import Site, current_release, output, unit_properties

APPS = ["guestbook", "hello"]
KNOCK = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])"


def knock(host: Any, user: str, path: str) -> Any:
    """Connects to a unix socket as a user of the host."""
    return host.run("runuser -u %s -- python3 -c %s %s", user, KNOCK, path)


@pytest.mark.parametrize("app", APPS)
def test_the_socket_is_for_the_app_and_nginx(host: Any, app: str) -> None:
    socket = host.file(f"/run/{app}/{current_release(host, app)}.sock")
    assert (socket.is_socket, socket.user, socket.group, socket.mode) == (True, app, "www-data", 0o660)


@pytest.mark.parametrize("app", APPS)
def test_no_other_user_reaches_the_socket(host: Any, app: str) -> None:
    path = f"/srv/{app}/current/gunicorn.sock"
    others = [other for other in [*APPS, "nobody"] if other != app]
    assert knock(host, "www-data", path).rc == 0, "nginx must reach it, or this test proves nothing"
    for other in others:
        refused = knock(host, other, path)
        assert refused.rc != 0, other
        assert "PermissionError" in refused.stderr, refused.stderr


@pytest.mark.parametrize("app", APPS)
def test_processes_run_as_the_app(host: Any, app: str) -> None:
    unit = f"{app}@{current_release(host, app)}.service"
    master = unit_properties(host, unit, "MainPID")["MainPID"]
    users = output(host, "ps -o user:32= -p %s --ppid %s", master, master).split()
    assert users == [app] * 3, "a master and two workers"


@pytest.mark.parametrize("app", APPS)
def test_the_code_is_roots_and_the_app_can_not_change_it(host: Any, app: str) -> None:
    release = f"/srv/{app}/releases/{current_release(host, app)}"
    foreign = output(host, "find %s/src/ %s/venv/ -not -type l -not -user root -print", release, release)
    assert foreign == "", foreign
    writable = output(
        host, "cd / && runuser -u %s -- find %s/src/ %s/venv/ -not -type l -writable -print", app, release, release
    )
    assert writable == "", writable
    refused = host.run("runuser -u %s -- touch %s/src/planted.py", app, release)
    assert refused.rc != 0


@pytest.mark.parametrize("app", APPS)
def test_the_environment_is_readable_by_root_and_the_app_only(host: Any, app: str) -> None:
    env = host.file(f"/srv/{app}/releases/{current_release(host, app)}/env")
    assert (env.user, env.group, env.mode) == ("root", app, 0o640)


def test_one_app_can_not_look_into_the_other(host: Any) -> None:
    for inner in ("shared/instance/guestbook.db", "current/env"):
        path = f"/srv/guestbook/{inner}"
        assert host.run("runuser -u guestbook -- test -r %s", path).rc == 0
        assert host.run("runuser -u hello -- test -r %s", path).rc != 0


def test_the_site_sees_no_root_file_system_to_write_to(host: Any, guestbook: Site) -> None:
    unit = f"guestbook@{current_release(host, 'guestbook')}.service"
    shown = unit_properties(host, unit, "ProtectSystem", "NoNewPrivileges", "User", "PrivateTmp")
    assert shown == {"ProtectSystem": "strict", "NoNewPrivileges": "yes", "User": "guestbook", "PrivateTmp": "yes"}
    assert guestbook.get("/health").status_code == 200
