"""serve.py as it runs: gevent alone and the development server, each on a socket that it is given."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.serve_file import render_serve
from hostile import ask, requests
from unit.served import FIELDS, HOSTILE, PATHS, Server, environment, wait

APP = """\
import os, subprocess, sys, threading, time
def make(*answer, status="200 OK"):
    assert len(answer) == 2, answer
    return lambda environ, start_response: serve(environ, start_response, answer, status)
def app(environ, start_response):
    return serve(environ, start_response, ("o", "k"), "200 OK")
def serve(environ, start_response, answer, status):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise RuntimeError("on purpose")
    if path == "/exits":
        sys.exit(0)
    if path == "/slow":
        time.sleep(1)
    if path == "/forever":
        time.sleep(60)
    if path == "/told":
        print("a complaint", file=environ["wsgi.errors"])
    if path == "/child":
        answer = [subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True).stdout]
    if path == "/patched":
        answer = [threading.Thread.__module__, " ", time.sleep.__module__]
    if path == "/where":
        answer = [environ["wsgi.url_scheme"], " ", environ["SERVER_NAME"], " ", environ["SERVER_PORT"]]
    if path == "/late":
        start_response(status, [("Content-Type", "text/plain")])
        return late()
    body = [part.encode() for part in answer]
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(sum(map(len, body))))])
    return body
def late():
    yield b"begun"
    raise RuntimeError("too late")
"""
# Opens the socket as file descriptor 3, as systemd does, and becomes the server.
ACTIVATE = """\
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + ".new")
listener.listen(64)
os.rename(sys.argv[1] + ".new", sys.argv[1])
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
SERVERS = {"gevent": "gevent", "flask": "werkzeug"}
Start = Callable[..., Server]


@pytest.fixture(scope="session", params=SERVERS)
def server_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def venv(server_type: str) -> Path:
    return environment(SERVERS[server_type])


@pytest.fixture
def start(tmp_path: Path, server_type: str, venv: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def run(app: str = APP, access_log: str = "json", **settings: Any) -> Server:
        (tmp_path / "site_app.py").write_text(app)
        logs = {"accesslog": str(tmp_path / "access.log"), "errorlog": str(tmp_path / "error.log")}
        text = render_serve(server_type, {"wsgi_app": "site_app:app", **logs, **settings}, access_log)
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / "elsewhere" / "serve.py").write_text(text)
        words = [str(tmp_path / "s"), str(venv / "bin" / "python"), str(tmp_path / "elsewhere" / "serve.py")]
        inherited = {"PATH": "/usr/bin:/bin", "LANG": "C", "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with open(tmp_path / "output", "ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", ACTIVATE, *words], env=inherited, cwd=tmp_path, stdout=output, stderr=output
            )
        running.append(process)
        return Server(process, str(tmp_path / "s"), tmp_path)

    yield run
    for process in running:
        process.kill()
        process.wait(20)


def up(server: Server) -> Server:
    wait((server.directory / "s").exists, "the socket")
    assert b" 200 " in server.ask(), (server.directory / "output").read_text()
    return server


def ended(server: Server, seconds: float = 10) -> int:
    return server.process.wait(seconds)


def test_the_json_log_has_the_fields_of_gunicorns(start: Start) -> None:
    server = up(start())
    before = len(server.records(1))
    answered = sum(b" 200 " in server.ask(b"/", User_Agent=value, Referer=value) for value in HOSTILE)
    answered += sum(b" 200 " in server.ask(path) for path in PATHS)
    assert answered >= 6
    server.ask(b"/plain", X_Tracking_Id=b"a", X_Request_Id=b"b", X_Real_IP=b"203.0.113.5")
    records = server.records(before + answered + 1)[before:]
    assert all(list(record) == FIELDS for record in records)
    assert any(record["user_agent"] == "snowman \u2603 and \u00fc" for record in records)
    assert any(record["request_path"] == "/a\nb" for record in records)
    last = records[-1]
    assert (last["status_code"], last["response_length"], last["host"]) == (200, 2, "example.org")
    assert (last["request_method"], last["protocol"], last["remote_addr"]) == ("GET", "HTTP/1.1", "203.0.113.5")
    assert (last["x_tracking_id"], last["request_id"]) == ("a", "b")
    assert 0 <= last["request_time"] < 5


def test_the_classic_log_is_one_line_for_a_request(start: Start) -> None:
    server = up(start(access_log="classic"))
    server.ask(b"/x%0Ay", User_Agent=b'a "quote" \\ and \t.', Referer=b"http://r/", X_Real_IP=b"203.0.113.5")
    wait(lambda: len(server.log()) >= 2, "the line")
    assert len(server.log()) == 2
    line = server.log()[-1].decode()
    assert line.startswith("[")
    assert " 203.0.113.5 " in line
    assert '"GET /x' in line
    assert line.endswith(' 2 "http://r/" "a \\"quote\\" \\\\ and \\t."')


def test_the_classic_log_has_the_request_as_it_was_sent(start: Start) -> None:
    server = up(start(access_log="classic"))
    sent = [b"/caf%C3%A9%20%22/100%25;v=1,(a)~@:!?q=%C3%BC&p=a+b", b"/%E9?", b"/plain"]
    for path in sent:
        server.ask(path)
    wait(lambda: len(server.log()) >= 4, "the lines")
    # An empty query can't be told from none everywhere.
    found = [line.split(b'"GET ')[1].split(b" HTTP/")[0].rstrip(b"?") for line in server.log()[1:]]
    assert found == [path.rstrip(b"?") for path in sent]


@pytest.mark.parametrize("kind", ["json", "classic"])
def test_a_hostile_request_is_one_line(start: Start, kind: str) -> None:
    server = up(start(access_log=kind))
    before = len(server.log())
    sent = [ask(str(server.address), data) for data in requests(300, seed=7)]
    answered = {number for number, status in enumerate(sent) if status == 200}
    assert len(answered) > 60
    server.ask(b"/last")
    wait(lambda: b"/last" in b"".join(server.log()[-3:]), "the last line")
    lines = server.log()[before:]
    assert len(lines) <= len(sent) + 1
    assert all(line.isascii() and line.decode().isprintable() for line in lines)
    if kind == "json":
        server.records(1)
    logged = [int(found[1]) for line in lines if (found := re.search(rb"/?n(\d+)", line))]
    assert answered <= set(logged)


def test_no_access_log(start: Start, tmp_path: Path) -> None:
    up(start(access_log="none"))
    assert not (tmp_path / "access.log").exists()


def test_ready_means_that_the_application_is_imported(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15)
        began = time.monotonic()
        start("import time\ntime.sleep(1)\n" + APP)
        assert manager.recv(4096).startswith(b"READY=1\n")
        assert time.monotonic() - began > 1


def test_a_broken_application_ends_with_its_error(start: Start, tmp_path: Path) -> None:
    server = start("raise RuntimeError('broken')\n")
    assert ended(server) == 1
    assert "broken" in (tmp_path / "output").read_text()


@pytest.mark.parametrize(
    ("wsgi", "answer"),
    [("site_app:make('a', 'b')", b"ab"), ("site_app:make('a', \"it's\", status='418 Teapot')", b"ait's")],
)
def test_a_factory_takes_quoted_arguments(start: Start, tmp_path: Path, wsgi: str, answer: bytes) -> None:
    server = start(wsgi_app=wsgi)
    wait((tmp_path / "s").exists, "the socket")
    assert answer in server.ask()


@pytest.mark.parametrize(("wsgi", "status"), [("site_app:app", 0), ("site_app:nothing", 1), ("site_app:APP", 1)])
def test_the_check_loads_the_application_and_ends(
    server_type: str, venv: Path, tmp_path: Path, wsgi: str, status: int
) -> None:
    (tmp_path / "site_app.py").write_text(APP + "APP = 7\n")
    (tmp_path / "serve.py").write_text(render_serve(server_type, {"wsgi_app": wsgi, "errorlog": "/nowhere/error.log"}))
    words = [str(venv / "bin" / "python"), "serve.py", "--check"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode == status


def test_requests_in_progress_end_and_no_new_ones_begin(start: Start) -> None:
    server = up(start(graceful_timeout=10))
    answers: list[bytes] = []
    slow = [threading.Thread(target=lambda: answers.append(server.ask(b"/slow"))) for dummy in range(5)]
    for thread in slow:
        thread.start()
    time.sleep(0.5)  # they have to be in the server; each takes a second
    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    for thread in slow:
        thread.join(20)
    assert ended(server) == 0
    assert time.monotonic() - began < 5
    assert [b" 200 " in answer for answer in answers] == [True] * 5
    with pytest.raises(ConnectionRefusedError):
        server.ask()
    assert sum(record["request_path"] == "/slow" for record in server.records(6)) == 5


def test_what_takes_longer_is_cut(start: Start) -> None:
    server = up(start(graceful_timeout=1))
    client = threading.Thread(target=lambda: server.ask(b"/forever"))
    client.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert ended(server) == 0
    assert 0.5 < time.monotonic() - began < 5
    client.join(10)


def test_usr1_opens_the_logs_again_and_loses_nothing(start: Start, tmp_path: Path) -> None:
    server = up(start())
    done = threading.Event()
    count = [0]

    def visit() -> None:
        while not done.is_set():
            count[0] += b" 200 " in server.ask(b"/visit")

    visitor = threading.Thread(target=visit)
    visitor.start()
    for number in range(5):
        for name in ("access.log", "error.log"):
            (tmp_path / name).rename(tmp_path / f"{name}.{number}")
        seen = count[0]
        server.process.send_signal(signal.SIGUSR1)
        wait((tmp_path / "access.log").exists, "the reopened log")
        wait(lambda seen=seen: count[0] > seen + 10, "visitors")  # type: ignore[misc]
    done.set()
    visitor.join()
    files = [tmp_path / "access.log", *(tmp_path / f"access.log.{number}" for number in range(5))]
    assert sum(path.read_bytes().count(b"/visit") for path in files) == count[0]
    assert server.process.poll() is None


def test_output_goes_to_the_error_log_when_it_is_captured(start: Start, tmp_path: Path) -> None:
    server = up(start(APP + "import sys\nprint('to stdout', flush=True)\n", capture_output=True))
    (tmp_path / "error.log").rename(tmp_path / "error.log.1")
    server.process.send_signal(signal.SIGUSR1)
    wait((tmp_path / "error.log").exists, "the reopened log")
    assert "to stdout" in (tmp_path / "error.log.1").read_text()
    assert (tmp_path / "output").read_text() == ""


def test_an_error_is_told_in_the_log_and_the_server_goes_on(start: Start, tmp_path: Path) -> None:
    server = up(start())
    assert b" 500 " in server.ask(b"/raises")
    assert b"begun" in server.ask(b"/late")
    assert b" 200 " in server.ask(b"/told")
    log = (tmp_path / "error.log").read_text()
    assert "RuntimeError: on purpose" in log
    assert "RuntimeError: too late" in log
    assert "a complaint" in log
    assert [record["status_code"] for record in server.records(4)] == [200, 500, 200, 200]


def test_a_request_that_exits_ends_nobody_else(start: Start) -> None:
    server = up(start())
    assert server.ask(b"/exits").startswith(b"HTTP/1.1 500")
    assert b" 200 " in server.ask()
    assert server.process.poll() is None
    assert b"SystemExit: 0" in b"\n".join(server.log("error.log"))


def test_the_application_sees_what_the_proxy_was_asked_for(start: Start) -> None:
    server = up(start())
    assert b"http example.org 80" in server.ask(b"/where")
    assert b"https example.org 443" in server.ask(b"/where", X_Forwarded_Proto=b"https")


def test_a_child_has_no_socket_of_ours(start: Start) -> None:
    numbers = up(start()).ask(b"/child").partition(b"\r\n\r\n")[2].split()
    assert b"2" in numbers
    assert len([number for number in numbers if number.isdigit() and int(number) > 2]) == 1, numbers  # ls's own


def test_gevent_is_there_before_the_application(server_type: str, start: Start) -> None:
    answer = up(start()).ask(b"/patched")
    assert (b"gevent" in answer) == (server_type == "gevent"), answer


def test_many_wait_at_once(start: Start) -> None:
    server = up(start())
    answers: list[bytes] = []
    clients = [threading.Thread(target=lambda: answers.append(server.ask(b"/slow"))) for dummy in range(30)]
    began = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert time.monotonic() - began < 4
    assert all(b" 200 " in answer for answer in answers)


def test_without_a_socket_it_says_what_is_wrong(server_type: str, venv: Path, tmp_path: Path) -> None:
    (tmp_path / "site_app.py").write_text(APP)
    (tmp_path / "serve.py").write_text(render_serve(server_type, {"wsgi_app": "site_app:app"}, "none"))
    words = [str(venv / "bin" / "python"), "serve.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 1
    assert "its process manager has to start it" in done.stderr
