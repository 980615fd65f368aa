"""nginx's logs are for the administrators: no other user of the host reads what visitors sent."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import file_set_nginx_logs as logs

CONFIGURATION = b"""
server {
    access_log /var/log/nginx/blog.access.log json;  # access_log /var/log/nginx/no.log
    error_log  /var/log/nginx/blog.error.log;
    location / { access_log off; }
    access_log syslog:server=unix:/dev/log;
    access_log /srv/blog/shared/x.log;
    access_log /var/log/nginx/$host.log;
}
"""


def test_the_logs_of_a_configuration() -> None:
    found = logs.logs_in(CONFIGURATION, "/var/log/nginx")
    assert found == ["/var/log/nginx/blog.access.log", "/var/log/nginx/blog.error.log"]
    assert logs.logs_in(b"", "/var/log/nginx") == []


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests owns the logs."""
    monkeypatch.setattr(logs, "USER", pwd.getpwuid(os.geteuid()).pw_name)
    monkeypatch.setattr(logs, "GROUP", grp.getgrgid(os.getegid()).gr_name)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("owned")
def test_a_log_is_made_and_an_open_one_is_closed(tmp_path: Path) -> None:
    new, old, own = tmp_path / "new.log", tmp_path / "old.log", tmp_path / "own.log"
    old.write_text("a line\n")
    old.chmod(0o644)
    own.write_text("a line\n")
    own.chmod(0o600)
    logs.make_private([str(path) for path in (new, old, own)])
    assert [mode(path) for path in (new, old, own)] == [0o640, 0o640, 0o600]
    assert old.read_text() == "a line\n"


@pytest.mark.usefixtures("owned")
def test_no_link_is_followed_and_what_can_not_be_made_is_left_to_nginx(tmp_path: Path) -> None:
    target: Any = tmp_path / "target"
    target.write_text("x")
    target.chmod(0o644)
    (tmp_path / "link.log").symlink_to(target)
    logs.make_private([str(tmp_path / "link.log"), str(tmp_path / "nowhere" / "x.log")])
    assert mode(target) == 0o644
