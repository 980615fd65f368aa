"""Promise: the app's unit is correct, hardened, restarts what dies, and gives up on what can't live."""

from __future__ import annotations

import re
from typing import Any

import pytest
from e2e.support import Site, current_release, output, pids, unit_properties, wait_until

APPS = ["guestbook", "hello"]


def service(host: Any, app: str) -> str:
    return f"{app}@{current_release(host, app)}.service"


@pytest.mark.parametrize("app", APPS)
def test_systemd_has_nothing_to_say_about_the_units(host: Any, app: str) -> None:
    unit = service(host, app)
    paths = [f"/etc/systemd/system/{name}" for name in (unit, unit.replace(".service", ".socket"))]
    said = host.run("systemd-analyze verify --man=no %s %s", *paths)
    # What it says about the units of others is the same without ours.
    others = host.run("systemd-analyze verify --man=no sysinit.target")
    assert set((said.stdout + said.stderr).splitlines()) <= set((others.stdout + others.stderr).splitlines())
    assert said.rc == 0


@pytest.mark.parametrize("app", APPS)
def test_the_exposure_is_low(host: Any, app: str) -> None:
    report = output(host, "systemd-analyze security --no-pager %s", service(host, app))
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
    assert level, report[-500:]
    assert float(level[1]) <= 1.2, report


@pytest.mark.parametrize("app", APPS)
def test_it_starts_at_boot(host: Any, app: str) -> None:
    unit = service(host, app)
    for name in (unit, unit.replace(".service", ".socket")):
        assert output(host, "systemctl is-enabled %s", name) == "enabled"


def test_only_one_release_of_an_app_is_loaded(host: Any) -> None:
    for app in APPS:
        listed = output(host, "systemctl list-units --all --plain --no-legend %s", f"{app}@*.service")
        assert [line.split()[0] for line in listed.splitlines()] == [service(host, app)]


def test_a_killed_app_comes_back(host: Any, hello: Site) -> None:
    before = pids(hello)
    output(host, "kill -KILL %s", str(before["master"]))
    wait_until(lambda: hello.get("/").status_code == 200, 20, "the site answers again")
    after = pids(hello)
    assert after["master"] != before["master"]
    assert host.process.filter(pid=before["master"]) == []


def test_a_killed_worker_is_replaced(host: Any, hello: Site) -> None:
    before = pids(hello)
    output(host, "kill -KILL %s", str(before["worker"]))
    answers = [pids(hello) for dummy in range(20)]
    assert {answer["master"] for answer in answers} == {before["master"]}
    assert before["worker"] not in {answer["worker"] for answer in answers}


def test_it_gives_up_after_the_start_limit(host: Any, hello: Site) -> None:
    unit = service(host, "hello")
    socket = unit.replace(".service", ".socket")
    drop_in = f"/run/systemd/system/{unit}.d"
    limit = unit_properties(host, unit, "StartLimitBurst", "StartLimitIntervalUSec")
    assert limit == {"StartLimitBurst": "5", "StartLimitIntervalUSec": "1min"}
    try:
        output(host, "mkdir -p %s", drop_in)
        text = "[Service]\nExecStart=\nExecStart=/bin/false\nRestartSec=100ms\n"
        output(host, "printf %s %s > %s/broken.conf", "%s", text, drop_in)
        output(host, "systemctl daemon-reload")
        # Earlier starts within the minute, by other tests, count as well.
        output(host, "systemctl reset-failed %s", unit)
        host.run("systemctl restart %s", unit)
        wait_until(
            lambda: unit_properties(host, unit, "ActiveState")["ActiveState"] == "failed", 20, f"{unit} gives up"
        )
        shown = unit_properties(host, unit, "NRestarts", "Result")
        assert int(shown["NRestarts"]) >= 4
    finally:
        output(host, "rm -rf %s", drop_in)
        output(host, "systemctl daemon-reload")
        output(host, "systemctl reset-failed %s %s", unit, socket)
        output(host, "systemctl start %s %s", socket, unit)
    assert hello.get("/").status_code == 200
