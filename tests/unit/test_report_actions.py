"""What the actions status_report and doctor_report print, write and refuse, on the controller."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.deploy.plugins.action import doctor_report, status_report

STATUS = {"time": "2026-03-14T10:15:00Z", "prepared": True, "apps": [], "missing": {}}
DIAGNOSIS = {
    "time": "2026-03-14T10:15:00Z",
    "apps": ["blog"],
    "checks": 1,
    "worst": "none",
    "findings": [],
    "unchecked": [],
}
ACTIONS = [
    pytest.param(status_report, "status", "table", STATUS, "vps1: no applications", id="status"),
    pytest.param(doctor_report, "doctor", "text", DIAGNOSIS, "vps1: nothing found (1 checks; blog)", id="doctor"),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    monkeypatch.setattr(Display, "display", lambda self, text, *args, **options: lines.append(text))
    return lines


def run(module: Any, **arguments: Any) -> dict[str, Any]:
    action = module.ActionModule.__new__(module.ActionModule)
    action._task = SimpleNamespace(args=arguments)
    found: dict[str, Any] = action.run()
    return found


@pytest.mark.parametrize(("module", "kind", "form", "said", "text"), ACTIONS)
def test_a_report_is_shown(module: Any, kind: str, form: str, said: Any, text: str, shown: list[str]) -> None:
    hosts = {"vps1": {**said, "changed": False}}
    assert run(module, hosts=hosts) == run(module, hosts=hosts, format=form) == {"changed": False}
    assert shown == [text, text]


@pytest.mark.parametrize(("module", "kind", "form", "said", "text"), ACTIONS)
def test_json_is_shown_and_kept(
    module: Any, kind: str, form: str, said: Any, text: str, shown: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    run(module, hosts={"vps1": {**said, "changed": False}, "vps2": {"msg": "gone"}}, format="json", file=str(kept))
    assert json.loads(shown[0]) == {"hosts": {"vps1": said, "vps2": {"error": "gone"}}}
    assert kept.read_text() == shown[0] + "\n"
    assert kept.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("module", "kind", "form", "said", "text"), ACTIONS)
def test_what_can_not_be_shown_or_kept_is_refused(
    module: Any, kind: str, form: str, said: Any, text: str, shown: list[str], tmp_path: Path
) -> None:
    refused: list[dict[str, Any]] = [{"hosts": []}, {"hosts": {}, "format": "xml"}, {"hosts": {}, "more": 1}, {}]
    for wrong in refused:
        with pytest.raises(AnsibleActionFail, match=rf"{kind}_report takes hosts .* \({form} or json; .*{kind}_format"):
            run(module, **wrong)
    with pytest.raises(AnsibleActionFail, match=rf"{kind}_file can't be written: No such file or directory"):
        run(module, hosts={}, file=str(tmp_path / "none" / "kept.json"))
