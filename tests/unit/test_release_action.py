"""What the action plugin of releases sends to a host."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.deploy.plugins.action import release
from ansible_collections.flaskworks.deploy.plugins.action.release import _needs_source, _with_failures


def test_a_local_source_travels_only_for_a_deploy() -> None:
    local = {"source": {"type": "path", "path": "./blog"}}
    assert _needs_source(local, {"action": "deploy"})
    assert not _needs_source(local, {"action": "reactivate"})
    assert not _needs_source(
        {"source": {"type": "git", "url": "https://git.example.org/blog.git"}}, {"action": "deploy"}
    )


def test_a_rollback_has_no_source() -> None:
    assert not _needs_source({}, {"action": "rollback"})


def test_what_an_application_has_logged_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(release.display, "display", lambda text, **options: shown.append(text))
    words = "blog failed\n  its last words:\n\tKeyError: 'x'\x1b[2J\x1b[1;1Hall is well\r\u202etxet"
    told = str(_with_failures({}, [{"msg": words, "step": "check"}])["msg"])
    for text in (told, *shown):
        assert not {"\x1b", "\r", "\u202e", "\t"} & set(text)
    assert told.splitlines()[:3] == [
        "blog failed",
        "  its last words:",
        "        KeyError: 'x'\ufffd[2J\ufffd[1;1Hall is well",
    ]
    assert "its last words" in shown[0]
