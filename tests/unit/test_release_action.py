"""What the action plugin of releases sends to a host."""

from __future__ import annotations

from ansible_collections.flaskworks.deploy.plugins.action.release import _needs_source


def test_a_local_source_travels_only_for_a_deploy() -> None:
    local = {"source": {"type": "path", "path": "./blog"}}
    assert _needs_source(local, {"action": "deploy"})
    assert not _needs_source(local, {"action": "reactivate"})
    assert not _needs_source(
        {"source": {"type": "git", "url": "https://git.example.org/blog.git"}}, {"action": "deploy"}
    )


def test_a_rollback_has_no_source() -> None:
    assert not _needs_source({}, {"action": "rollback"})
