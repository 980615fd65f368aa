"""Whether an authority would get its answer: from fictitious hosts, and asked of real servers."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import tls_reach
from ansible_collections.flaskworks.deploy.plugins.module_utils.dns_names import addresses
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_reach import Answer, known_here, unreachable
from unit.authority import issue


def test_names_are_asked_for_before_the_authority_is(tmp_path: Path) -> None:
    def lookup(name: str) -> list[str] | None:
        known = {"gone.test": [], "unknown.test": None, "own.test": ["127.0.1.1"]}
        return known.get(name, ["192.0.2.1", *(["2001:db8::1"] if name == "moved.test" else [])])

    def question(address: str, url: str) -> Answer:
        asked = urlsplit(url)
        assert asked.scheme == "http"
        if asked.netloc == "closed.test":
            raise ConnectionRefusedError(111, "Connection refused")
        if asked.netloc == "silent.test":
            raise TimeoutError
        if address == "2001:db8::1":
            return Answer(404)
        return Answer(200, (tmp_path / asked.path.lstrip("/")).read_text())

    faulty = ["gone.test", "closed.test", "silent.test", "moved.test", "unknown.test", "own.test"]
    found = unreachable(["good.test", *faulty], str(tmp_path), lookup, question)
    assert [text.split()[0] for text in found] == faulty
    assert "gone.test has no address in DNS: add an A or AAAA record" in found[0]
    assert "port 80 can't be reached (Connection refused)" in found[1]
    assert "no answer within 5 s" in found[2]
    assert "leads to 2001:db8::1, where something else answers (status 404): correct the AAAA record" in found[3]
    assert "the name server of this host does not answer" in found[4]
    assert "no address in DNS but 127.0.1.1, at which every host finds itself: add an A" in found[5]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://here.test{path}", ""),
        ("//here.test{path}", ""),
        ("/twice", ""),
        ("/loop", "redirects to 'http://blog.test/loop', where something else answers (status 302): have that host"),
        ("https://old.test/", "which redirects to 'https://old.test/', where something else answers (status 200)"),
        ("https://gone.test/", "which redirects to 'https://gone.test/', and there is no answer (it has no address)"),
        ("https://closed.test/", "and there is no answer (Connection refused)"),
        ("https://here.test:8443{path}", "and there is no answer (authorities follow to the ports 80 and 443 alone)"),
        ("ftp://here.test/", "and there is no answer (authorities follow to"),
        ("https://[::1/", "and there is no answer (Invalid IPv6 URL)"),
        ("https://old.test/\x1b[2J", r"redirects to 'https://old.test/\x1b[2J', where"),
    ],
)  # fmt: skip
def test_a_redirect_has_to_lead_to_the_challenge(tmp_path: Path, location: str, words: str) -> None:
    """Our own sites never redirect it: what does is another host, such as the old one of a site that moves."""
    place = ""

    def lookup(name: str) -> list[str]:
        return {"gone.test": [], "closed.test": ["192.0.2.9"], "here.test": ["192.0.2.9", "192.0.2.2"]}.get(
            name, ["192.0.2.1"]
        )

    def question(address: str, url: str) -> Answer:
        nonlocal place
        asked = urlsplit(url)
        place = place or asked.path
        if address == "192.0.2.9":
            raise ConnectionRefusedError(111, "Connection refused")
        if asked.path == "/twice":
            return Answer(307, location=f"https://here.test{place}")
        if asked.path == "/loop" or asked.netloc == "blog.test":
            return Answer(302, location=location.format(path=place))
        return Answer(200, (tmp_path / place.lstrip("/")).read_text() if asked.netloc == "here.test" else "Welcome")

    found = unreachable(["blog.test"], str(tmp_path), lookup, question)
    assert (words in found[0]) if words else found == []
    assert len(found) < 2


def test_nginx_gets_through_to_a_challenge_whatever_umask_root_has(tmp_path: Path) -> None:
    modes = []

    def question(address: str, url: str) -> Answer:
        file = tmp_path / urlsplit(url).path.lstrip("/")
        modes.append([place.stat().st_mode & 0o777 for place in (file.parent.parent, file.parent, file)])
        return Answer(200, file.read_text())

    before = os.umask(0o077)
    try:
        assert unreachable(["blog.test"], str(tmp_path), lambda name: ["192.0.2.1"], question) == []
    finally:
        os.umask(before)
    assert modes == [[0o755, 0o755, 0o644]]


@pytest.mark.parametrize("name", ["blog..test", f"{'a' * 64}.test"])
def test_what_is_no_host_name_has_no_address(tmp_path: Path, name: str) -> None:
    for lookup in (addresses, known_here):
        (found,) = unreachable([name], str(tmp_path), lookup)
        assert found.startswith(f"{name} has no address in DNS")


def test_what_a_host_calls_itself_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's 127.0.1.1 in /etc/hosts, at which our own nginx answers; other entries there may be all there is."""
    hosts = {"own.test": ["127.0.1.1"], "inside.test": ["192.168.1.2", "::1"], "gone.test": []}

    def getaddrinfo(name: str, *dummy: object, **named: object) -> list[Any]:
        if not hosts[name]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 80)) for address in hosts[name]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(tls_reach, "addresses", lambda name: [f"DNS of {name}"])
    assert {name: known_here(name) for name in hosts} == {
        "own.test": ["DNS of own.test"], "inside.test": ["192.168.1.2"], "gone.test": ["DNS of gone.test"],
    }  # fmt: skip


class Site(http.server.BaseHTTPRequestHandler):
    """Leads from plain HTTP to TLS, where it says by which name it was asked."""

    def do_GET(self) -> None:
        secure = isinstance(self.request, ssl.SSLSocket)
        self.send_response(200 if secure else 301)
        if not secure:
            self.send_header("Location", f"https://{self.headers['Host']}{self.path}")
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode() + self.path.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_real_servers_are_asked_with_and_without_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = issue("blog.test", ["blog.test"])
    (tmp_path / "pem").write_text(made.pem + made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    names = []
    context.sni_callback = lambda dummy, name, also: names.append(name)
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as plain,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as secure,
    ):
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        for server, port in ((plain, "HTTP"), (secure, "HTTPS")):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            monkeypatch.setattr(tls_reach, port, server.server_port)
        first = tls_reach.ask("127.0.0.1", "http://blog.test/a?b")
        assert first == Answer(301, "blog.test/a?b", "https://blog.test/a?b")
        assert tls_reach.ask("127.0.0.1", first.location) == Answer(200, "blog.test/a?b")
        plain.shutdown()
        secure.shutdown()
    assert names == ["blog.test"]
    with pytest.raises(ConnectionRefusedError):
        tls_reach.ask("127.0.0.1", first.location)


@contextlib.contextmanager
def dripping() -> Iterator[int]:
    """A server that sends one byte of its headers every tenth of a second, for ever; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                peer = server.accept()[0]
                peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while True:
                    peer.sendall(b"x")
                    time.sleep(0.1)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_reach, "PATIENCE", 0.5)
    begun = time.monotonic()
    with dripping() as port:
        monkeypatch.setattr(tls_reach, "HTTP", port)
        with pytest.raises(TimeoutError):
            tls_reach.ask("127.0.0.1", "http://blog.test/")
    assert time.monotonic() - begun < 2
