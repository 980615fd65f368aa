"""The rendered file in running gunicorns, old and new: hostile requests, reloads, rotation, readiness."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import gunicorn_config
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_settings import WORKER_CLASSES
from hostile import ask, requests
from unit.served import FIELDS, HOSTILE, PATHS, Server, environment, wait

APP = """\
import os
EVENTS = os.environ["EVENTS"]
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
def note(*args):
    with open(EVENTS, "a") as stream:
        stream.write("hook\\n")
"""
Start = Callable[..., Server]


@pytest.fixture(scope="session")
def new_gunicorn() -> Path:
    return environment("gunicorn[tornado]==27.0.1", *gunicorn_config.packages_for("gevent"))


@pytest.fixture(scope="session")
def old_gunicorn() -> Path:
    # gunicorn 20.1 imports pkg_resources, which setuptools no longer has
    return environment("gunicorn==20.1.0", "gevent", "setuptools<80")


@pytest.fixture(params=["new", "old"])
def gunicorn(request: pytest.FixtureRequest) -> Path:
    venv: Path = request.getfixturevalue(f"{request.param}_gunicorn")
    return venv


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def run(
        venv: Path, settings: dict[str, Any], *, unix: bool = True, env: dict[str, str] | None = None, **render: Any
    ) -> Server:
        if unix:
            address: str | tuple[str, int] = str(tmp_path / "s")
            bind = f"unix:{address}"
        else:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                address = probe.getsockname()
            bind = "%s:%d" % address  # noqa: UP031
        (tmp_path / "site_app.py").write_text(APP) if not (tmp_path / "site_app.py").exists() else None
        logs = {"accesslog": str(tmp_path / "access.log"), "errorlog": str(tmp_path / "error.log")}
        config = {"wsgi_app": "site_app:app", "bind": bind, "chdir": str(tmp_path), **logs, **settings}
        (tmp_path / "gunicorn.conf.py").write_text(gunicorn_config.render_config(config, **render))
        command = [str(venv / "bin" / "gunicorn"), "--config", str(tmp_path / "gunicorn.conf.py")]
        inherited = {"PATH": "/usr/bin:/bin", "EVENTS": str(tmp_path / "events"), "LANG": "C", **(env or {})}
        process = subprocess.Popen(
            command, env=inherited, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        running.append(process)
        return Server(process, address, tmp_path)

    yield run
    for process in running:
        process.terminate()
        process.wait(20)


def up(server: Server) -> Server:
    def answers() -> bool:
        assert server.process.poll() is None, (server.directory / "error.log").read_text()
        try:
            return b" 200 " in server.ask()
        except OSError:
            return False

    wait(answers, "an answer")
    return server


@pytest.mark.parametrize("worker", WORKER_CLASSES)
def test_the_json_log_is_valid_whatever_is_sent(new_gunicorn: Path, start: Start, worker: str) -> None:
    app = {"wsgi_app": "site_app:asgi"} if worker == "asgi" else {}
    check_json_log(start(new_gunicorn, {"worker_class": worker, "workers": 1, **app}), worker)


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_the_json_log_of_an_old_gunicorn(old_gunicorn: Path, start: Start, worker: str) -> None:
    check_json_log(start(old_gunicorn, {"worker_class": worker, "workers": 1}), worker)


def check_json_log(server: Server, worker: str) -> None:
    server = up(server)
    before = len(server.records(1))
    answered = sum(
        b" 200 " in server.ask(b"/", User_Agent=value, Referer=value, X_Tracking_Id=value) for value in HOSTILE
    )
    answered += sum(b" 200 " in server.ask(path) for path in PATHS)
    assert answered >= 6
    server.ask(b"/plain?id", X_Tracking_Id=b"a", X_Request_Id=b"b", X_Real_IP=b"203.0.113.5")
    records = server.records(before + answered + 1)[before:]
    assert all(list(record) == FIELDS for record in records)
    assert any(record["user_agent"] == "snowman \u2603 and \u00fc" for record in records)
    assert any(record["request_path"] == "/a\nb" for record in records)
    assert not any("secret" in str(record) for record in records)
    good = next(record for record in records if record["request_path"] == "/plain")
    assert (good["status_code"], good["host"]) == (200, "example.org")
    # gevent's own server counts the headers as well.
    assert good["response_length"] > 50 if worker in ("gevent_wsgi", "gevent_pywsgi") else good["response_length"] == 2
    assert (good["request_method"], good["protocol"], good["x_tracking_id"]) == ("GET", "HTTP/1.1", None)
    assert (records[-1]["x_tracking_id"], records[-1]["request_id"]) == ("a", "b")
    assert records[-1]["remote_addr"] == "203.0.113.5"
    assert 0 <= good["request_time"] < 5


@pytest.mark.parametrize("kind", ["json", "classic"])
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent", "gevent_pywsgi", "tornado", "asgi"])
def test_a_hostile_request_is_one_line(request: pytest.FixtureRequest, start: Start, worker: str, kind: str) -> None:
    for age in ("new",) if worker in ("asgi", "tornado") else ("new", "old"):
        app = "site_app:asgi" if worker == "asgi" else "site_app:app"
        settings = {"worker_class": worker, "workers": 1, "wsgi_app": app}
        server = up(start(request.getfixturevalue(f"{age}_gunicorn"), settings, access_log=kind))
        before = len(server.log())
        sent = [ask(str(server.address), data) for data in requests(500, seed=7)]
        answered = {number for number, status in enumerate(sent) if status == 200}
        assert len(answered) > 100
        server.ask(b"/last")
        wait(lambda: b"/last" in b"".join(server.log()[-3:]), "the last line")  # noqa: B023
        lines = server.log()[before:]
        assert len(lines) <= len(sent) + 1
        assert all(line.isascii() and line.decode().isprintable() for line in lines)
        if kind == "json":
            server.records(1)
        logged = [int(found[1]) for line in lines if (found := re.search(rb"/?n(\d+)", line))]
        assert answered <= set(logged)
        assert len(logged) == len(set(logged))
        server.process.terminate()
        server.process.wait(20)


def test_the_client_is_the_proxys_word_over_a_unix_socket_only(new_gunicorn: Path, start: Start) -> None:
    server = up(start(new_gunicorn, {"worker_class": "gthread", "threads": 2}))
    server.ask(X_Real_IP=b"203.0.113.5", X_Forwarded_For=b"198.51.100.1, 192.0.2.1")
    server.ask(X_Forwarded_For=b"198.51.100.1, 192.0.2.1")
    assert [record["remote_addr"] for record in server.records(3)[-2:]] == ["203.0.113.5", "192.0.2.1"]


def test_a_client_over_tcp_cannot_name_itself(new_gunicorn: Path, start: Start) -> None:
    server = up(start(new_gunicorn, {}, unix=False))
    server.ask(X_Real_IP=b"203.0.113.5", X_Forwarded_For=b"198.51.100.1")
    assert server.records(2)[-1]["remote_addr"] == "127.0.0.1"


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_hup_and_usr1_keep_the_log(gunicorn: Path, start: Start, worker: str, tmp_path: Path) -> None:
    server = up(start(gunicorn, {"worker_class": worker, "workers": 1}))
    server.process.send_signal(signal.SIGHUP)
    wait(lambda: "Hang up" in (tmp_path / "error.log").read_text(), "the reload")
    wait(lambda: (tmp_path / "error.log").read_text().count("Booting worker") == 2, "the new worker")
    wait(lambda: "Worker exiting" in (tmp_path / "error.log").read_text(), "the old worker's end")
    server.ask(User_Agent=b"after hup")
    wait(lambda: b"after hup" in (tmp_path / "access.log").read_bytes(), "the line after HUP")
    (tmp_path / "access.log").rename(tmp_path / "access.log.1")
    server.process.send_signal(signal.SIGUSR1)
    wait((tmp_path / "access.log").exists, "the reopened log")
    for dummy in range(200):
        server.ask(User_Agent=b"after usr1")
        if server.log():
            break
    assert server.records(1)[-1]["user_agent"] == "after usr1"
    server.records(1, "access.log.1")


def test_the_classic_log(gunicorn: Path, start: Start) -> None:
    server = up(start(gunicorn, {}, unix=False, access_log="classic"))
    server.ask(b"/x", User_Agent=b"agent", Referer=b"http://r/")
    wait(lambda: len(server.log()) >= 2, "the line")
    line = server.log()[-1].decode()
    assert line.startswith("[")
    assert ' 127.0.0.1 "GET /x HTTP/1.1" 200 0.' in line
    assert line.endswith(' 2 "http://r/" "agent"')


def test_statsd_goes_on_beside_the_json_log(gunicorn: Path, start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        server = up(start(gunicorn, {"statsd_host": "127.0.0.1:%d" % statsd.getsockname()[1]}))  # noqa: UP031
        server.records(1)
        got = b""
        while b"gunicorn.request.status.200" not in got:
            got = statsd.recv(65536)


@pytest.mark.parametrize("worker", ["sync", "gevent"])
def test_ready_means_that_a_worker_has_imported_the_application(
    gunicorn: Path, start: Start, worker: str, tmp_path: Path
) -> None:
    (tmp_path / "site_app.py").write_text("import time\ntime.sleep(1)\n" + APP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15)
        began = time.monotonic()
        settings = {"worker_class": worker, "post_worker_init": "site_app:note"}
        server = start(gunicorn, settings, notify="worker", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(4096).startswith(b"READY=1\n")
        assert time.monotonic() - began > 1
        assert (tmp_path / "events").read_text() == "hook\n"
        assert b" 200 " in server.ask()


def test_a_broken_application_never_reports_ready(new_gunicorn: Path, start: Start, tmp_path: Path) -> None:
    (tmp_path / "site_app.py").write_text("raise RuntimeError('broken')\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        server = start(new_gunicorn, {}, notify="worker", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert server.process.wait(15) == 3
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


def test_a_socket_is_not_for_everybody(gunicorn: Path, start: Start, tmp_path: Path) -> None:
    up(start(gunicorn, {}))
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o770
