"""A release that dies of its sandbox says so, and how it lives; the status says how far a sandbox goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, failure_report
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_lacks import lacking
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_sandbox import (
    read_scores,
    sandbox_status,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import ISOLATED, STRICT
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_report import report
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import render_unit

ID = "20260314-101500-1f2e3d4c"
SAID = "FileNotFoundError: [Errno 2] No such file or directory: '/proc/meminfo'"
CURE = "ProcSubset hides /proc/meminfo: set systemd: {Service: {ProcSubset: all}}"


def app(**keys: Any) -> dict[str, Any]:
    return {"units": {"blog@.service": {"Service": dict(STRICT)}}, **keys}


def test_the_cure_is_read_from_the_error_and_from_what_the_unit_said() -> None:
    layout = Layout("blog", "/nowhere")
    assert lacking(layout, app(), ID, ReleaseError("check", "gunicorn can't load it", SAID), "") == [CURE]
    assert lacking(layout, app(), ID, ReleaseError("probe", "500 where 200 is wanted"), SAID) == [CURE]
    assert lacking(layout, app(), ID, ReleaseError("probe", "500 where 200 is wanted"), "") == []


@pytest.mark.parametrize("step", ["source", "python", "build", "host"])
def test_a_build_has_another_sandbox(step: str) -> None:
    assert lacking(Layout("blog", "/nowhere"), app(), ID, ReleaseError(step, "x", SAID), SAID) == []


def test_under_another_manager_only_the_commands_are_in_systemds_sandbox() -> None:
    layout, given = Layout("blog", "/nowhere"), {"units": {}, "sandbox": dict(STRICT)}
    assert lacking(layout, given, ID, ReleaseError("before_switch", "x", SAID), "") == [CURE]
    assert lacking(layout, given, ID, ReleaseError("probe", "x"), SAID) == []


def test_a_rollback_knows_the_sandbox_from_the_kept_unit(tmp_path: Path) -> None:
    layout = Layout("blog", str(tmp_path))
    unit = Path(layout.units(ID)) / f"blog@{ID}.service"
    assert lacking(layout, {}, ID, ReleaseError("probe", "x"), SAID) == []
    unit.parent.mkdir(parents=True)
    unit.write_text(render_unit({"Service": {"ExecStart": "/bin/x", **STRICT}}))
    assert lacking(layout, {}, ID, ReleaseError("probe", "x"), SAID) == [CURE]


def test_the_report_of_a_failure_has_the_cure_before_what_still_serves() -> None:
    text = failure_report("blog", "check", "gunicorn can't load it", SAID, "", "Release a serves.", ["meminfo"], [CURE])
    lines = text.splitlines()
    cure = CURE.replace("meminfo", "********")
    assert lines[-3:] == ["What it lacks, and how it gets that:", f"  {cure}", "Release a serves."]
    assert "lacks" not in failure_report("blog", "check", "no", SAID, "", "Release a serves.", [])


def test_the_scores_of_several_units() -> None:
    said = "  NAME  DESCRIPTION\n✓ User=  x\n\n→ Overall exposure level for a@1.service: 1.1 OK 🙂\n"
    said += "→ Overall exposure level for b@2.service: 10 DANGEROUS :-(\n"
    assert read_scores(said) == {"a@1.service": 1.1, "b@2.service": 10.0}
    assert read_scores("Unit a@1.service not found, cannot analyze.") == {}


def test_the_status_of_a_sandbox(tmp_path: Path) -> None:
    layout, unit = Layout("blog", str(tmp_path)), f"blog@{ID}.service"
    path = Path(layout.units(ID)) / unit
    path.parent.mkdir(parents=True)
    path.write_text(render_unit({"Service": {"ExecStart": "/bin/x", **ISOLATED, "MemoryDenyWriteExecute": False}}))
    found = sandbox_status(layout, ID, unit, {unit: 0.3})
    assert found == {"preset": "isolated", "changed": ["MemoryDenyWriteExecute"], "score": 0.3}
    assert sandbox_status(layout, ID, unit, {})["score"] is None
    other = sandbox_status(layout, ID, f"blog@{ID}.conf", {})
    assert other == {"preset": None, "changed": [], "score": None}


def test_the_report_of_a_status_shows_the_sandbox() -> None:
    def shown(sandbox: dict[str, Any] | None) -> str:
        blog = {"app": "blog", "state": "live", "sandbox": sandbox}
        return report({"vps1": {"time": "2026-03-14T10:15:00Z", "apps": [blog]}})

    changed = ["PrivateDevices", "UMask"]
    words = "  sandbox: strict, exposure 1.3 of 10, with its own PrivateDevices, UMask"
    assert words in shown({"preset": "strict", "changed": changed, "score": 1.3}).splitlines()
    assert "  sandbox: off, exposure 9 of 10" in shown({"preset": "off", "changed": [], "score": 9.0}).splitlines()
    assert "sandbox" not in shown({"preset": None, "changed": [], "score": None}) + shown(None)
