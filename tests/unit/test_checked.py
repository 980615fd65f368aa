"""What the action checked says of a template, and what it keeps to itself; in real plays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from e2e.playbooks import Run, play

APPS = "{{ flask_apps | flaskworks.deploy.plan }}"


def run(folder: Path, arguments: dict[str, Any], *options: str, **variables: Any) -> Run:
    playbook = folder / "checked.yml"
    tasks = [{"name": "Check", "flaskworks.deploy.checked": arguments}]
    playbook.write_text(json.dumps([{"hosts": "vps1", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    return play(Path("vps1,"), str(playbook), *options)


def test_what_comes_out_is_not_shown(tmp_path: Path) -> None:
    apps = {"blog": {"source": {"git": "/x.git"}, "wsgi": "a:b", "env": {"PASSWORD": "canary"}}}
    done = run(tmp_path, {"value": APPS}, "-vvv", "--diff", flask_apps=apps)
    assert (done.status, done.recap()["ok"], done.recap()["changed"]) == (0, 1, 0), done.text
    assert "canary" not in done.text


def test_a_filter_speaks_for_itself(tmp_path: Path) -> None:
    done = run(tmp_path, {"value": "{{ later }}"}, later=APPS, flask_apps={"blog": {"wsgii": "a:b"}})
    assert done.status != 0
    assert "[ERROR]: Task failed: 3 problems in the inventory, nothing was changed:\n- flask_apps.blog" in done.text
    # In the error and in the result of the task.
    assert done.text.count("did you mean 'wsgi'?") == 2
    assert "filter plugin" not in done.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"value": "{{ nowhere.to_be_found }}"}, "'nowhere' is undefined"),
        ({"value": "{{ 1 | no_such_filter }}"}, "no_such_filter"),
        ({"values": 1}, "flaskworks.deploy.checked takes value, and nothing else"),
        ({}, "flaskworks.deploy.checked takes value, and nothing else"),
    ],
)
def test_what_is_wrong_with_the_task_is_told(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    done = run(tmp_path, arguments)
    assert done.status != 0
    assert words in done.text
