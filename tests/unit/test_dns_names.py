"""What DNS says of a name, and what is said when nobody answers."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import dns_names


@pytest.mark.parametrize(
    ("status", "output", "found"),
    [
        (0, "192.0.2.1\n2001:DB8::1\n192.0.2.1\n", ["192.0.2.1", "2001:db8::1"]),
        (2, "", []),
        # The resolver refuses or is silent, and the program was ended after its time.
        (1, "", None),
        (124, "", None),
        (-9, "192.0.2.1\n", None),
    ],
)
def test_answers_of_a_resolver(
    monkeypatch: pytest.MonkeyPatch, status: int, output: str, found: list[str] | None
) -> None:
    asked: list[str] = []

    def run(argv: list[str], **dummy: Any) -> subprocess.CompletedProcess[str]:
        asked.append(argv[-1])
        return subprocess.CompletedProcess(argv, status, output, "")

    monkeypatch.setattr(dns_names, "run", run)
    assert dns_names.addresses("blog.example.org") == found
    assert asked == ["blog.example.org."], "a name in full: no domain of search is tried"


@pytest.mark.parametrize("name", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_its_own(name: str) -> None:
    assert dns_names.addresses(name) == [name]


@pytest.mark.parametrize("name", [f"{'x' * 64}.test", "a..test"])
def test_what_is_no_name_has_no_address(name: str) -> None:
    assert dns_names.addresses(name) == []


@pytest.mark.parametrize(
    ("status", "said", "found"),
    [
        (0, "x.test: 192.0.2.1 -- link: eth0\n        2001:db8::1 -- link: eth0\n", ["192.0.2.1", "2001:db8::1"]),
        (1, "x.test: resolve call failed: 'x.test' not found", []),
        (1, "x.test: resolve call failed: 'x.test' does not have any RR of the requested type", []),
        (127, "resolvectl is not installed", ["127.0.1.1"]),
    ],
)
def test_what_systemd_resolved_knows_from_hosts_does_not_count(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str, found: list[str]
) -> None:
    def run(argv: list[str], **dummy: Any) -> subprocess.CompletedProcess[str]:
        if argv[0] != "resolvectl":
            return subprocess.CompletedProcess(argv, 0, "127.0.1.1\n", "")
        return subprocess.CompletedProcess(argv, status, said, said)

    monkeypatch.setattr(dns_names, "run", run)
    assert dns_names.addresses("x.test") == found
