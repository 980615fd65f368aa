"""The role systemd_units, alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from e2e.support import output, unit_properties, wait_until

ECHOES = ["echo-tcp.service", "echo-unix.service"]


@pytest.mark.parametrize("unit", [*ECHOES, "tick.timer"])
def test_the_unit_runs_now_and_after_a_boot(host: Any, unit: str) -> None:
    shown = unit_properties(host, unit, "ActiveState", "UnitFileState")
    assert shown == {"ActiveState": "active", "UnitFileState": "enabled"}


@pytest.mark.parametrize("unit", ["doomed.service", "tick.service"])
def test_a_unit_that_nobody_installs_is_left_alone(host: Any, unit: str) -> None:
    assert unit_properties(host, unit, "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "static",
    }


def test_the_timer_has_run_its_service(host: Any) -> None:
    assert host.file("/run/tick").exists


def test_systemd_has_nothing_to_say(host: Any) -> None:
    units = [*ECHOES, "doomed.service", "tick.timer", "tick.service"]
    paths = " ".join(f"/etc/systemd/system/{unit}" for unit in units)
    said = host.run(f"systemd-analyze verify --man=no {paths}")
    # What it says about the units of others is the same without ours.
    others = host.run("systemd-analyze verify --man=no sysinit.target")
    assert set((said.stdout + said.stderr).splitlines()) <= set((others.stdout + others.stderr).splitlines())
    assert said.rc == 0


@pytest.mark.parametrize("unit", ECHOES)
def test_a_killed_service_comes_back(host: Any, unit: str) -> None:
    before = unit_properties(host, unit, "MainPID")["MainPID"]
    output(host, "kill -KILL %s", before)

    def is_back() -> bool:
        now = unit_properties(host, unit, "ActiveState", "MainPID")
        return now["ActiveState"] == "active" and now["MainPID"] not in ("0", before)

    wait_until(is_back, 10, f"{unit} runs again")


@pytest.mark.parametrize(("unit", "highest"), [("echo-tcp.service", 1.2), ("echo-unix.service", 0.5)])
def test_the_exposure_is_low(host: Any, unit: str, highest: float) -> None:
    report = output(host, "systemd-analyze security --no-pager %s", unit)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
    assert level, report[-500:]
    assert float(level[1]) <= highest, report


def test_a_service_that_cant_live_is_given_up(host: Any) -> None:
    output(host, "systemctl start --no-block doomed.service")
    try:
        wait_until(
            lambda: unit_properties(host, "doomed.service", "ActiveState")["ActiveState"] == "failed",
            20,
            "doomed.service is given up",
        )
        assert unit_properties(host, "doomed.service", "NRestarts") == {"NRestarts": "3"}
    finally:
        output(host, "systemctl stop doomed.service")
        output(host, "systemctl reset-failed doomed.service")
