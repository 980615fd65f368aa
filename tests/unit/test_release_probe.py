"""The probe against a real server on a unix socket."""

from __future__ import annotations

import contextlib
import http.server
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import (
    Health,
    ProbeError,
    answer_in_words,
    ask,
    wait_until_healthy,
)


class Site(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names, and remembers the headers."""

    seen: dict[str, str]

    def do_GET(self) -> None:
        type(self).seen = dict(self.headers)
        status = int(self.path.strip("/") or 200)
        if status == 0:
            time.sleep(3)
        self.send_response(status or 200)
        if 300 <= status < 400:
            self.send_header("Location", "https://blog.example.org/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    name = str(tmp_path / "s.sock")
    server = socketserver.ThreadingUnixStreamServer(name, Site)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield name
    server.shutdown()
    server.server_close()


def test_a_good_answer_is_good(path: str) -> None:
    seconds = wait_until_healthy(path, Health(host="blog.example.org", scheme="https"), lambda: True)
    assert seconds < 2
    assert Site.seen["Host"] == "blog.example.org"
    assert Site.seen["X-Forwarded-Proto"] == "https"
    assert ask(path, Health(path="/204", status=(200, 204)), 5)[1]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "set health.scheme to https"),
        (400, "Set health.host"),
        (404, "health.path"),
        (500, "see its journal"),
        (403, "login"),
    ],
)
def test_a_wrong_answer_is_told_in_words(path: str, status: int, words: str) -> None:
    answer, good = ask(path, Health(path=f"/{status}"), 5)
    assert not good
    assert words in answer
    assert "where 200 is wanted" in answer


def test_silence_and_absence_are_told(path: str, tmp_path: Path) -> None:
    assert "no answer within" in ask(path, Health(path="/0"), 0.3)[0]
    assert "connection refused" in ask(str(tmp_path / "nobody.sock"), Health(), 1)[0]


def test_the_limit_holds(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ProbeError, match=r"within 0.5 s; the last probe said: connection refused"):
        wait_until_healthy(str(tmp_path / "nobody.sock"), Health(timeout=0.5), lambda: True)
    assert 0.3 < time.monotonic() - started < 2


def test_a_dead_unit_is_not_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ProbeError, match="stopped by itself"):
        wait_until_healthy(str(tmp_path / "nobody.sock"), Health(timeout=30), lambda: False)
    assert time.monotonic() - started < 2


def test_an_entry_is_read_with_its_defaults() -> None:
    assert Health.of({}) == Health()
    assert Health.of({"status": [200, "302"], "timeout": 5}).status == (200, 302)
    assert Health.of({"status": 204}).status == (204,)


def test_a_redirect_that_is_no_https_asks_for_another_path() -> None:
    assert "health.status" in answer_in_words(302, "FOUND", "/login", Health())


class Endless(http.server.BaseHTTPRequestHandler):
    """Answers 200 and never ends: a byte now and then, of the body or (/head) of the headers."""

    def do_GET(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"X-Slow: " if self.path == "/head" else b"\r\n"))
        with contextlib.suppress(OSError):
            for dummy in range(40):
                self.wfile.write(b"x")
                time.sleep(0.1)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("question", "words"),
    [("/events", "200 OK, an answer that did not end within 1 s"), ("/head", "no answer within 1 s")],
)
def test_an_answer_without_end_is_not_waited_for(tmp_path: Path, question: str, words: str) -> None:
    name = str(tmp_path / "s.sock")
    with socketserver.ThreadingUnixStreamServer(name, Endless) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started = time.monotonic()
        answer, verdict = ask(name, Health(path=question), 1)
        assert time.monotonic() - started < 2
        server.shutdown()
    assert (answer, verdict) == (words, False)
