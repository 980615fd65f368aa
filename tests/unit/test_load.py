"""The pure parts of the load tool, and one short load against a server that misbehaves on purpose."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import load
import pytest
from e2e.visitors import words
from load import Answer, Record, judge, kind_of, parse_answer, percentile, read_records, summarise, version_of

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Release: v2\r\n\r\n"
WORD = re.compile(r"^[\w.-]{1,40}$")


def record(mono: float = 0.0, kind: str = "page", lost: str = "", seconds: float = 0.01, version: str = "v1") -> Record:
    return Record(1000.0 + mono, mono, 0.0, seconds, kind, 0 if lost else 200, version, lost)


def test_kinds_have_their_shares() -> None:
    counts = Counter(kind_of(number, 10, 0.3, 0.2) for number in range(2000))
    assert counts == {"slow": 200, "page": 900, "post": 540, "static": 360}
    assert {kind_of(number, 0, 0, 0) for number in range(50)} == {"page"}
    assert {kind_of(number, 0, 1, 0) for number in range(50)} == {"post"}
    assert [kind_of(number, 10, 0, 0) for number in range(20)].count("slow") == 2


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (HEAD + b"hello", ""),
        (HEAD + b"hell", "incomplete"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed"),
        (b"", "closed"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "status-502"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "incomplete"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "incomplete"),
    ],
)
def test_only_whole_answers_with_the_wanted_status_count(data: bytes, why: str) -> None:
    assert judge(parse_answer(data), "", [200]) == why


def test_how_the_connection_ended_explains_what_is_missing() -> None:
    assert judge(None, "reset", [200]) == "reset"
    assert judge(parse_answer(HEAD + b"h"), "timeout", [200]) == "timeout"
    assert judge(parse_answer(HEAD + b"hello"), "reset", [200]) == ""


@pytest.mark.parametrize(
    ("headers", "body", "version"),
    [
        ({"x-release": "v2"}, b"v1", "v2"),
        ({}, b"v1\n", "v1"),
        ({}, b"<html>a page</html>", ""),
    ],
)
def test_the_version_is_in_a_header_or_is_the_body(headers: dict[str, str], body: bytes, version: str) -> None:
    assert version_of(Answer(200, headers, body, True), "X-Release", WORD) == version


def test_a_pattern_finds_the_version_in_a_page() -> None:
    answer = Answer(200, {}, b"<p>release v7</p>", True)
    assert version_of(answer, "X-Release", re.compile(r"release (v\d+)")) == "v7"


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)) == (50.0, 99.0, 100.0)
    assert percentile([], 0.99) == 0.0


def test_a_summary_counts_what_was_lost_and_times_what_was_answered() -> None:
    records = [
        record(1),
        record(2, seconds=0.3),
        record(3, lost="status-502", seconds=9.0, version=""),
        record(4, "slow"),
    ]
    found = summarise(records)
    assert (found["total"], found["lost"], found["reasons"]) == (4, 1, {"status-502": 1})
    assert found["versions"] == {"v1": 3}
    assert found["kinds"]["page"] == {"answered": 2, "p50": 0.01, "p99": 0.3, "slowest": 0.3}
    assert set(found["kinds"]) == {"page", "slow"}


def test_records_come_in_the_order_of_their_start_without_a_cut_line() -> None:
    lines = [json.dumps({name: getattr(item, name) for name in Record.__slots__}) for item in (record(2), record(1))]
    assert [item.mono for item in read_records("\n".join(lines) + '\n{"at": 1')] == [1, 2]
    assert read_records("") == []


def test_only_the_loopback_is_asked() -> None:
    with pytest.raises(SystemExit):
        load.parse(["--host", "x", "--records", "y", "--address", "192.0.2.1"])


def test_options_in_pythons_words() -> None:
    assert words({"post_share": 0.5, "status": [200, 302]}) == ["--post-share", "0.5", "--status", "200", "302"]


@pytest.fixture
def server() -> Iterator[int]:
    """A server whose every fifth answer lacks its end, and that never answers the slow ones."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=100)
    held = []

    def serve() -> None:
        number = 0
        while True:
            try:
                connection, dummy = listening.accept()
            except OSError:
                return
            if b"/slow" in connection.recv(4096):
                held.append(connection)
                continue
            number += 1
            connection.sendall(HEAD + (b"hel" if number % 5 == 0 else b"hello"))
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()


def test_a_load_records_every_request(server: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "records"
    argv = ["--host", "x", "--records", str(kept), "--port", str(server), "--rate", "100", "--seconds", "1"]
    assert load.main([*argv, "--timeout", "0.5"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == summarise(read_records(kept.read_text()))
    assert printed["reasons"] == {"timeout": 10, "incomplete": 18}
    assert (printed["total"], printed["versions"]) == (100, {"v2": 90})


def test_a_load_ends_when_the_file_appears(server: int, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    threading.Timer(0.5, stop.touch).start()
    argv = ["--host", "x", "--records", str(tmp_path / "records"), "--port", str(server), "--stop-file", str(stop)]
    assert load.main([*argv, "--slow-every", "0", "--rate", "50"]) == 0
    assert 10 < len(read_records((tmp_path / "records").read_text())) < 100


def test_a_server_that_is_gone_refuses(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    argv = ["--host", "x", "--records", str(tmp_path / "records"), "--port", str(port), "--seconds", "0.1"]
    assert load.main(argv) == 0
    assert {item.lost for item in read_records((tmp_path / "records").read_text())} == {"refused"}
