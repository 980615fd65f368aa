"""What the action plugin of releases sends to a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.action.release import ActionModule
from ansible_collections.flaskworks.deploy.plugins.plugin_utils import release_words
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.release_inputs import Inputs, needs_source


def test_a_local_source_travels_only_for_a_deploy() -> None:
    local = {"source": {"type": "path", "path": "./blog"}}
    assert needs_source(local, {"action": "deploy"})
    assert not needs_source(local, {"action": "reactivate"})
    assert not needs_source(
        {"source": {"type": "git", "url": "https://git.example.org/blog.git"}}, {"action": "deploy"}
    )


def test_a_rollback_has_no_source() -> None:
    assert not needs_source({}, {"action": "rollback"})


def test_what_an_application_has_logged_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(release_words.display, "display", lambda text, **options: shown.append(text))
    words = "blog failed\n  its last words:\n\tKeyError: 'x'\x1b[2J\x1b[1;1Hall is well\r\u202etxet"
    told = str(release_words.with_failures({}, [{"msg": words, "step": "check"}])["msg"])
    for text in (told, *shown):
        assert not {"\x1b", "\r", "\u202e", "\t"} & set(text)
    assert told.splitlines()[:3] == [
        "blog failed",
        "  its last words:",
        "        KeyError: 'x'\ufffd[2J\ufffd[1;1Hall is well",
    ]
    assert "its last words" in shown[0]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ({"url": "https://ann:canary@git.test/x.git"}, {"url": ""}),
        ({"url": "git@git.test:x.git", "deploy_key": "canary", "verify": []}, {"url": "", "verify": []}),
        ({"url": "https://git.test/x.git", "user": "ann", "password": "canary"}, {"url": "", "user": "ann"}),
        ({"url": "https://git.test/x.git"}, {"url": "https://git.test/x.git"}),
        ({"type": "archive", "url": "https://git.test/x.zip?private_token=canary"}, {"type": "archive", "url": ""}),
    ],
)
def test_what_may_be_a_secret_is_not_among_what_is_shown(source: dict[str, Any], shown: dict[str, Any]) -> None:
    app = {
        "source": {"type": "git", **source},
        "secrets": {"KEY": "canary"},
        "files": {"a.ini": {"content": "canary"}, "b.ini": "canary"},
        "python": {"installer": "pip", "index": "https://ann:canary@index.test/", "extra_indexes": []},
    }
    plain, sealed = Inputs(ActionModule.__new__(ActionModule)).prepare({"blog": app}, {})
    assert plain == {"blog": {"source": {"type": "git", **shown}, "python": {"installer": "pip"}}}
    hidden = {"secrets": {"KEY": "canary"}, "files": {"a.ini": "canary", "b.ini": "canary"}, "python": app["python"]}
    assert sealed == {"blog": hidden | ({} if "canary" not in str(source) else {"source": app["source"]})}
