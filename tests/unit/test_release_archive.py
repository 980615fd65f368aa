"""Fetching an archive: bounded, checked before it is opened, and kept."""

from __future__ import annotations

import hashlib
import http.server
import os
import pwd
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_archive
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_archive import as_user, fetched, place_archive
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from e2e.sources.archives import tar_with

ME = pwd.getpwuid(os.getuid())
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="changes the user of a process")


class Server(http.server.BaseHTTPRequestHandler):
    """Answers what the path says, and counts."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        self.send_response(200)
        if self.path == "/cut":
            self.send_header("Content-Length", "1000")
        self.end_headers()
        if self.path == "/endless":
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                return
        self.wfile.write(b"<html>" if self.path == "/page" else b"content")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(release_archive, "BUILD_USER", ME.pw_name)
    Server.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


CONTENT = digest(b"content")


@needs_root
def test_an_archive_is_fetched_once(server: str, tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    for dummy in range(2):
        path = Path(fetched(f"{server}/whole", CONTENT, str(folder), {}))
        assert path.read_bytes() == b"content"
        assert path.stat().st_mode & 0o777 == 0o600
    assert Server.asked == ["/whole"]
    path.write_bytes(b"rotten")
    assert Path(fetched(f"{server}/moved", CONTENT, str(folder), {})).read_bytes() == b"content"
    assert Server.asked == ["/whole", "/moved", "/whole"]
    fetched(f"{server}/page", digest(b"<html>"), str(folder), {})
    assert [entry.name for entry in folder.iterdir()] == [digest(b"<html>")], "one archive is kept"


@needs_root
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/other", f"expected sha256:{'0' * 64}, found sha256:{CONTENT} \\(7 bytes\\)\\.$"),
        ("/page", r"\(6 bytes\)\. It is a web page"),
        ("/missing", "can't be fetched: the server answered 404 Not Found"),
        ("/cut", "broke off after 7 of 1000 bytes"),
        ("/endless", "has more than 1000000 bytes"),
    ],
)
def test_what_is_wrong_is_said_and_not_kept(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.setattr(release_archive, "MOST_BYTES", 1_000_000)
    with pytest.raises(ReleaseError, match=words) as caught:
        fetched(server + path, "0" * 64, str(tmp_path / "archives"), {})
    assert server + path in caught.value.problem
    assert list((tmp_path / "archives").iterdir()) == []


@needs_root
def test_a_slow_download_ends(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_archive, "MOST_SECONDS", 0)
    with pytest.raises(ReleaseError, match="did not arrive within 0 s"):
        fetched(f"{server}/endless", CONTENT, str(tmp_path), {})


@needs_root
def test_the_builds_proxy_is_used(server: str, tmp_path: Path) -> None:
    proxy = {"http_proxy": server, "no_proxy": ""}
    assert fetched("http://files.example.org/x", CONTENT, str(tmp_path), proxy)
    assert Server.asked == ["http://files.example.org/x"]


@needs_root
def test_a_file_of_the_host_and_a_closed_port(server: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    assert fetched(f"file://{tmp_path}/x", CONTENT, str(tmp_path / "a"), {})
    with pytest.raises(ReleaseError, match="No such file"):
        fetched(f"file://{tmp_path}/y", digest(b""), str(tmp_path / "b"), {})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ReleaseError, match="Connection refused"):
            fetched(f"http://127.0.0.1:{taken.getsockname()[1]}/x", CONTENT, str(tmp_path / "c"), {})


@needs_root
def test_unpacking_is_another_users_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_archive, "BUILD_USER", "nobody")
    nobody = pwd.getpwnam("nobody")
    archive = tar_with(tmp_path / "a.tar.gz", {"top/x": "1", "top/y": "2"})
    # pytest's own folder is closed to other users.
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        there = Path(place) / "there"
        there.mkdir()
        unpack_as(nobody, archive, there)


def unpack_as(nobody: pwd.struct_passwd, archive: Path, there: Path) -> None:
    checksum = digest(archive.read_bytes())
    with pytest.raises(ReleaseError, match="can't be unpacked: Permission denied"):
        place_archive(str(archive), checksum, str(there), True, "")
    os.chown(there, nobody.pw_uid, nobody.pw_gid)
    place_archive(str(archive), checksum, str(there), True, "")
    assert {(path.name, path.stat().st_uid) for path in there.iterdir()} == {("x", nobody.pw_uid), ("y", nobody.pw_uid)}
    with pytest.raises(ReleaseError, match="what arrived on the host is another archive"):
        place_archive(str(archive), "0" * 64, str(there), True, "")


@needs_root
def test_work_that_fails_in_any_way_is_told() -> None:
    def refuse() -> None:
        raise ReleaseError("source", "refused: ü")

    def eat() -> None:
        bytearray(8 << 30)

    def die() -> None:
        os.kill(os.getpid(), 9)

    def stumble() -> None:
        raise KeyError("x")

    for work, words in (
        (refuse, "refused: ü"),
        (eat, "too much memory"),
        (die, "ended with status -9"),
        (stumble, "KeyError: 'x'"),
    ):
        with pytest.raises(ReleaseError, match=words):
            as_user(ME, work)
    as_user(ME, lambda: None)
