"""The way back for the firewall: half of what was is never taken for all of it, whenever somebody is killed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import ufw_guard, ufw_programs
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file


class Killed(BaseException):
    """The process has ended here."""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose ufw only notes how it is called."""
    stubs, rules = tmp_path / "stubs", tmp_path / "user.rules"
    stubs.mkdir()
    for name in ("ufw", "systemctl", "systemd-run"):
        (stubs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/said\n')
        (stubs / name).chmod(0o755)
    rules.write_text("before\n")
    (tmp_path / "said").write_text("")
    script = ufw_guard.SCRIPT
    for name in ("GUARD", "DROP_IN", "LOCK", "STATE_DIRECTORY", "PATH"):
        given = getattr(ufw_guard, name)
        place = f"{stubs}:{given}" if name == "PATH" else f"{tmp_path}/{name}"
        monkeypatch.setattr(ufw_guard, name, place)
        script = script.replace(
            f"{name}={given}" if name == "PATH" else given, f"{name}={place}" if name == "PATH" else place
        )
    monkeypatch.setattr(ufw_programs, "PATH", f"{stubs}:{ufw_programs.PATH}")
    monkeypatch.setattr(ufw_guard, "DROP_IN", f"{tmp_path}/ufw.service.d/revert.conf")
    monkeypatch.setattr(ufw_guard, "SCRIPT", script)
    (tmp_path / "STATE_DIRECTORY").mkdir()
    return tmp_path


def arm(host: Path) -> str:
    return ufw_guard.arm([str(host / "user.rules")], 60, active=True, unit=True)


def taken_back(host: Path) -> list[str]:
    """What ufw is told by the way back, if there is still one."""
    (host / "said").write_text("")
    script = host / "GUARD" / "revert"
    if script.exists():
        subprocess.run(["/bin/sh", str(script), "locked"], check=False)
    return [line for line in (host / "said").read_text().splitlines() if "ufw" in line]


def test_what_was_is_put_back(host: Path) -> None:
    arm(host)
    (host / "user.rules").write_text("after\n")
    assert taken_back(host) == ["ufw reload"]
    assert (host / "user.rules").read_text() == "before\n"
    assert not (host / "GUARD").exists()


@pytest.mark.parametrize("written", range(8))
def test_a_way_back_that_was_cut_short_in_the_making_turns_nothing_off(
    host: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    count, replace = 0, replace_file

    def killed(*given: Any) -> None:
        nonlocal count
        if count == written:
            raise Killed
        count += 1
        replace(*given)

    monkeypatch.setattr(ufw_guard, "replace_file", killed)
    try:
        arm(host)
    except Killed:
        pass
    else:
        assert written == 7, "all of it was written before"
    assert taken_back(host) in ([], ["ufw reload"])


def test_a_way_back_that_is_half_forgotten_is_none(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm(host)

    def killed(path: str, **options: Any) -> None:
        for name in ("saved", "kept"):
            (Path(path) / name / "active").unlink(missing_ok=True)
        raise Killed

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(Killed):
        ufw_guard.disarm()
    assert taken_back(host) == []


def test_a_way_back_that_was_taken_is_not_taken_again(host: Path) -> None:
    """Its script was ended while it removed itself."""
    arm(host)
    (host / "stubs" / "rm").write_text("#!/bin/sh\n/bin/rm -f ./*/active\n")
    (host / "stubs" / "rm").chmod(0o755)
    assert taken_back(host) == ["ufw reload"]
    assert taken_back(host) == []
