"""How a server is started, and what a release says of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import servers

GUNICORN: dict[str, Any] = {
    "type": "gunicorn",
    "settings": {"wsgi_app": "blog:app", "accesslog": "/var/log/blog/access.log", "errorlog": "-"},
    "access_log": "json",
}


def test_a_program_is_named_by_absolute_paths_alone() -> None:
    assert servers.start_words("gunicorn", "/srv/blog/releases/1") == [
        "/srv/blog/releases/1/venv/bin/gunicorn",
        "--config",
        "/srv/blog/releases/1/gunicorn.conf.py",
    ]
    assert "--check-config" in servers.check_words("gunicorn", "/srv/blog/releases/1")


def test_a_server_that_does_not_exist_is_no_gunicorn() -> None:
    with pytest.raises(ValueError, match="gunicron"):
        servers.start_words("gunicron", "/srv/blog/releases/1")


def test_only_files_count_as_log_files() -> None:
    assert servers.log_file(GUNICORN, "access") == "/var/log/blog/access.log"
    assert servers.log_file(GUNICORN, "error") == ""
    assert servers.log_file({"settings": {}}, "access") == ""


def test_releases_from_before_there_was_a_choice_have_gunicorn() -> None:
    assert servers.recorded({})["type"] == "gunicorn"
    assert servers.recorded({"server": {"type": "other"}})["type"] == "other"
