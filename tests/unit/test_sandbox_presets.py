"""The presets of the sandbox: each keeps its score, the guide lists what is in it, and a unit shows which it has."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import (
    DIRECTIVES,
    PRESETS,
    SCORES,
    preset_of,
    read_service,
    words_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import render_unit
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "sandbox.md"
SPEC = entry_points("flask_apps")


def text_of(service: Mapping[str, Any]) -> str:
    return render_unit({"Service": {"User": "daemon", "ExecStart": "/bin/true", **service}})


def service(kind: str = "blog@.service", **systemd: Any) -> dict[str, Any]:
    """The [Service] section of an application."""
    blog = {
        "source": {"path": "."},
        "wsgi": "app:app",
        "domains": ["blog.example.org"],
        "processes": {"worker": {"run": "worker"}},
        "timers": {"tidy": {"run": "tidy", "calendar": "daily"}},
        "systemd": systemd,
    }
    made: dict[str, Any] = make_plan(SPEC, {"blog": blog})["releases"]["blog"]["units"][kind]["Service"]
    return made


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="needs systemd, which rates the unit; so do the test hosts"
)
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_keeps_its_score(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.service"
    path.write_text(text_of(PRESETS[name]))
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    rated = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert rated
    assert float(rated[1]) <= SCORES[name]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("kind", ["blog@.service", "blog.worker.1@.service", "blog.tidy@.service"])
def test_a_unit_shows_its_preset(name: str, kind: str) -> None:
    assert preset_of(service(kind, hardening=name)) == (name, [])
    assert preset_of(read_service(text_of(service(kind, hardening=name)))) == (name, [])


def test_strict_is_the_default_and_a_bare_off_is_one() -> None:
    assert preset_of(service()) == ("strict", [])
    assert preset_of(service(hardening=False)) == ("off", [])


@pytest.mark.parametrize("directive", sorted(DIRECTIVES))
def test_each_directive_can_be_overridden_and_removed(directive: str) -> None:
    assert words_of(service(Service={directive: "other"})[directive]) == ["other"]
    assert directive not in service(Service={directive: None})


def test_what_was_overridden_is_named() -> None:
    changed = service(Service={"MemoryDenyWriteExecute": True, "ProcSubset": None, "UMask": "0077"})
    assert preset_of(changed) == ("strict", ["MemoryDenyWriteExecute", "ProcSubset", "UMask"])
    assert preset_of({})[0] == "off"


def test_the_guide_has_every_directive_of_every_preset() -> None:
    """One line of the table for each directive: its value in each preset, and what it breaks."""
    rows: dict[str, list[str]] = {}
    for line in GUIDE.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if re.match(r"\| `[A-Z]\w+` \|", line):
            rows[cells[0]] = cells[1:]
    assert set(rows) == DIRECTIVES
    for directive, (*shown, breaks) in rows.items():
        wanted = [_shown(preset.get(directive)) for preset in PRESETS.values()]
        assert shown == wanted, directive
        assert breaks, directive


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return "; ".join(word or "(none)" for word in words_of(value))
