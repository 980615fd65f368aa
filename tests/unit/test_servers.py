"""How a server is started, and what a release says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import servers
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import Machine

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
    assert "--check-config" in servers.check_words(GUNICORN, "/srv/blog/releases/1")


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


@pytest.mark.parametrize("server_type", ["gevent", "flask"])
def test_other_servers_are_a_launcher_of_the_release(server_type: str) -> None:
    server = {"type": server_type, "settings": {"wsgi_app": "blog:app"}, "access_log": "json"}
    words = ["/srv/blog/releases/1/venv/bin/python", "/srv/blog/releases/1/serve.py"]
    assert servers.start_words(server_type, "/srv/blog/releases/1") == words
    assert servers.check_words(server, "/srv/blog/releases/1") == [*words, "--check"]
    text = servers.file_text(server)
    compile(text, "serve.py", "exec")
    assert "WSGI = 'blog:app'" in text
    assert servers.workers_of({"server": servers.to_record(server)}, Machine(4, 2**33)) == (
        1,
        "this server is one process",
    )


def test_the_record_tells_how_workers_are_counted() -> None:
    server = {**GUNICORN, "settings": {"workers": "auto", "worker_class": "sync"}, "limits": {"memory": "512M"}}
    record = {"server": servers.to_record(server)}
    count, reason = servers.workers_of(record, Machine(4, 2**33)) or (0, "")
    assert count == 4
    assert "limits.memory: 512M" in reason
    assert servers.workers_of({}, Machine(4, 2**33)) is None


def test_gevent_is_patched_before_any_other_import() -> None:
    text = servers.file_text({"type": "gevent", "settings": {"wsgi_app": "blog:app"}})
    lines = [line for line in text.splitlines() if line.startswith(("import ", "from ", "monkey"))]
    assert lines[:2] == ["from gevent import monkey", "monkey.patch_all()"]


@pytest.mark.parametrize(("version", "owner", "called"), [((20, 1, 0), 0, 0), ((20, 1, 0), 1, 1), ((27, 0, 1), 0, 1)])
def test_an_old_gunicorn_leaves_the_user_that_it_has(version: tuple[int, ...], owner: int, called: int) -> None:
    text = servers.file_text(GUNICORN | {"access_log": "none"})
    calls: list[int] = []
    util = SimpleNamespace(set_owner_process=lambda *given: calls.append(given[0]))
    made: dict[str, Any] = {
        "gunicorn": SimpleNamespace(version_info=version, util=util),
        "os": SimpleNamespace(getuid=lambda: 0, getgid=lambda: 0),
    }
    exec(text.replace("import os\n", "").replace("import gunicorn.util\n", ""), made)
    util.set_owner_process(owner, 0, False)
    assert len(calls) == called
