"""The package sources of a test host come from the machine's own, and from Debian's alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hosts.image import KEYRING, Source, debian_sources, machine_sources, parse_deb822, parse_one_line

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
 bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""


def test_deb822_stanzas_are_read() -> None:
    found = list(parse_deb822(DEB822))
    assert [source.suite for source in found] == ["bookworm", "bookworm-updates", "bookworm-backports"]
    assert {source.uri for source in found} == {"http://mirror.example/debian"}
    assert found[0].components == ("main", "contrib")
    assert found[0].signed_by == KEYRING


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://m.example/debian bookworm main", Source("http://m.example/debian", "bookworm", ("main",))),
        (
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main contrib # ours",
            Source("http://m.example/debian", "bookworm", ("main", "contrib"), "/k.gpg"),
        ),
    ],
)
def test_one_line_sources_are_read(line: str, expected: Source) -> None:
    assert list(parse_one_line(line)) == [expected]


@pytest.mark.parametrize(
    "line", ["# deb http://m.example/debian bookworm main", "deb-src http://m.example/d b main", ""]
)
def test_what_is_no_binary_source_is_skipped(line: str) -> None:
    assert list(parse_one_line(line)) == []


def test_sources_are_moved_to_the_wanted_release() -> None:
    sources = [
        Source("http://m.example/debian", "bookworm", ("main", "contrib"), KEYRING),
        Source("http://m.example/debian", "bookworm-updates", ("main",)),
        Source("http://m.example/security", "bookworm-security", ("main",)),
    ]
    assert debian_sources(sources, "bookworm", "trixie") == [
        f"deb [signed-by={KEYRING}] http://m.example/debian trixie main",
        f"deb [signed-by={KEYRING}] http://m.example/debian trixie-updates main",
        f"deb [signed-by={KEYRING}] http://m.example/security trixie-security main",
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        Source("https://apt.example/docker", "bookworm", ("stable",)),
        Source("https://apt.example/node", "nodistro", ("main",)),
        Source("https://apt.example/sdk", "cloud-sdk-bookworm", ("main",)),
        Source("https://apt.example/pg", "bookworm-pgdg", ("main",)),
        Source("https://apt.example/x", "bookworm", ("main",), "/etc/apt/keyrings/x.gpg"),
        Source("http://m.example/debian", "bookworm-backports", ("main",), KEYRING),
    ],
)
def test_third_party_sources_stay_out(foreign: Source) -> None:
    assert debian_sources([foreign], "bookworm", "bookworm") == []


def test_a_source_named_twice_is_used_once() -> None:
    twice = [Source("http://m.example/debian", "bookworm", ("main",), signer) for signer in ("", KEYRING)]
    assert len(debian_sources(twice, "bookworm", "trixie")) == 1


def test_all_files_of_apt_are_read_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "two.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "three.list").write_text("deb http://three.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "four.list.disabled").write_text("deb http://four.example/debian bookworm main\n")
    uris = {source.uri for source in machine_sources(tmp_path)}
    assert uris == {"http://one.example/debian", "http://mirror.example/debian", "http://three.example/debian"}
