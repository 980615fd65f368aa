"""What is read from programs' words and files, without the programs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, parse
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_nginx import _plain, listens
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import _is_about, parse_units


def test_listens() -> None:
    dump = """
# listen 1;
server { listen 80 default_server; listen [::]:81 ipv6only=on; server_name listen.example; }
server {
    listen 127.0.0.1:82 ssl; listen unix:/run/x.sock;
    listen 443 quic;
    listen localhost;
    listen 9000-9010;
    # listen 2;
    add_header X "listen 3;";
}
"""
    assert listens(dump) == {"80", "81", "82", "unix:/run/x.sock"}


def test_two_runs_of_nginx_say_the_same() -> None:
    first, second = (
        _plain(f'2026/01/02 03:04:0{i} [warn] {i}#{i}: conflicting server name "a" on 0.0.0.0:80, ignored')
        for i in (1, 2)
    )
    assert first == second == ['[warn] conflicting server name "a" on 0.0.0.0:80, ignored']
    assert (
        _plain("2026/01/02 03:04:05 [notice] 1#1: ModSecurity-nginx v1.0.3 (rules loaded inline/local/remote: 0/9/0)")
        == []
    )


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("/etc/systemd/system/a.service:3: Unknown key 'Foo' in section [Service], ignoring.", True),
        ("/usr/lib/systemd/system/foreign.service:3: Unknown key 'Foo' in section [Service], ignoring.", False),
        ("a.service: Command /nonexist is not executable: No such file or directory", True),
        ("foreign.service: Command /nonexist is not executable: No such file or directory", False),
        ("basic.target: Found ordering cycle on a.service/start", True),
        ("t@i.service: Command /nonexist is not executable", True),
    ],
)
def test_whose_fault_systemd_speaks_of(line: str, about: bool) -> None:
    assert _is_about(line, ["a.service", "t@.service"], {"/etc/systemd/system/a.service"}) == about


def test_all_problems_of_units_at_once() -> None:
    units: dict[str, Any] = {
        "nginx": {},
        "a.service": "running",
        "b.service": {"enabled": "yes", "state": "up"},
        "c.service": {"on_change": "kill"},
    }
    with pytest.raises(FileSetError) as caught:
        parse_units(units)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for words in (
        "units.nginx is not",
        "units.a.service is not",
        "unknown key state",
        "enabled is not",
        "on_change is not",
    ):
        assert sum(words in line for line in lines) == 1, words


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"content": "", "mode": 420}, 'mode 420 is not an octal number in quotes, such as "0644"; "0644"?'),
        ({"content": {"a": 1}}, "content is not a text"),
        ({"content": 5}, "content is not a text"),
        ({"content": "", "sensitive": "no"}, "sensitive is not true or false"),
        ({"content": "", "owner": 0}, "owner is not a name"),
        ({"link": ""}, "link is not the path"),
        ({"absent": "yes"}, "absent is not true or false"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(FileSetError) as caught:
        parse({"/a": entry}, {})
    assert message in str(caught.value)


def test_nothing_can_lie_below_a_file_of_the_same_set() -> None:
    with pytest.raises(FileSetError, match="/a is to be a link in the same set"):
        parse({"/a": {"link": "b"}, "/a/b": {"content": ""}}, {})
