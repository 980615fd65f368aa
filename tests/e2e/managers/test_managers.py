"""Promise: systemd, supervisor and cron run the same application, and it moves between them without losing a request.

One story on one host: systemd, then supervisor, then cron, and back. TEST_DEBIAN chooses the releases of Debian.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from e2e.machine import debians, folder_of
from e2e.playbooks import Run
from e2e.story import DOMAIN, REPOSITORY, Story, story
from e2e.visitors import Load

SUFFIXES = {"systemd": "service", "supervisor": "conf", "cron": "cron"}


class ManagedHost:
    """The story's host, and what its inventory says at the moment."""

    def __init__(self, site: Story) -> None:
        self.site = site
        self.said: dict[str, Any] = {}

    def say(self, **changes: Any) -> None:
        self.said |= changes
        self.site.write_inventory(**self.said)

    def version(self, version: str) -> None:
        self.say(source={"git": REPOSITORY, "version": version})

    def state(self) -> dict[str, Any]:
        """Return the status of the application."""
        found: dict[str, Any] = json.loads(self.site.root("flaskworks story --json"))
        return found

    def main_pid(self) -> int:
        """Return the master of the live release: the parent of those who have its command line."""
        listed = self.site.root(f"pgrep -f [r]eleases/{self.site.live()}/venv/bin/gunicorn | sort -n").split()
        return int(listed[0]) if listed else 0

    def left(self) -> list[str]:
        """Return what there is of releases that are not live: files of the system, and processes."""
        live = self.site.live()
        places = "/etc /run /var/lib/systemd/timers"
        files = self.site.root(f"find {places} -name '*story*-*-*' -o -path '/run/story/*' | grep -v {live} || true")
        running = self.site.root(
            f"ps -eo args | grep -E 'releases/[0-9]|story[.@]' | grep -v -e {live} -e grep -e ps -e ansible || true"
        )
        return [*files.splitlines(), *running.splitlines()]

    def left_of(self, manager: str) -> str:
        """Return what there is on the host of a process manager that runs nothing any more."""
        places = {
            "systemd": "find /etc/systemd -name 'story@*' -o -name 'story.worker*'",
            "supervisor": "find /etc/supervisor/conf.d -mindepth 1; supervisorctl status",
            "cron": "find /etc/cron.d -name '*story*'",
        }
        return self.site.root(f"{places[manager]}; true").strip()


@pytest.fixture(scope="module", params=debians("13"))
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedHost]:
    name = f"managers{request.param}"
    with story(name, request.param, folder_of(name, tmp_path_factory)) as made:
        yield ManagedHost(made)


def load(here: ManagedHost, **options: Any) -> Load:
    return Load(here.site.root, DOMAIN, **{"rate": 100, "post_share": 0.3, "static_path": "/setting", **options})


def lossless(visitors: Load, versions: set[str]) -> None:
    """Nothing was lost, and nobody else has answered than these."""
    assert visitors.summary["lost"] == 0, visitors.summary
    assert {record.version for record in visitors.records if record.kind in ("page", "post", "slow")} <= versions
    assert len(visitors.records) > 100


def good(run: Run) -> Run:
    assert run.status == 0, run.text
    return run


def wait_until(check: Callable[[], bool], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def lively(here: ManagedHost) -> bool:
    return here.site.visit("/health") == "fine" and here.state()["state"] == "live"


def moves_to(here: ManagedHost, manager: str, before: str) -> None:
    """Move the application under load."""
    here.say(process_manager=manager)
    predicted = good(here.site.play("site.yml", "--check", "--diff"))
    assert predicted.recap()["changed"] > 0
    assert "+process manager: " in predicted.text or before != "systemd"
    assert here.state()["web"]["manager"] == before
    with load(here) as visitors:
        run = good(here.site.play("site.yml"))
    lossless(visitors, {"v1", "v2", "v3"})
    assert here.left() == []
    assert here.left_of(before) == ""
    state = here.state()
    assert (state["web"]["manager"], state["state"]) == (manager, "live")
    assert state["web"]["unit"].endswith(f".{SUFFIXES[manager]}")
    assert state["web"]["workers"] == 2
    assert [process["active"] for process in state["processes"]] == ["active"]
    assert ("not for production" in run.flat) is (manager == "cron")
    assert good(here.site.play("site.yml")).recap()["changed"] == 0


def serves(here: ManagedHost) -> None:
    """The parts of the story that are the same under each manager."""
    site = here.site
    # A new version, and the way back.
    here.version("v2")
    with load(here) as visitors:
        good(site.play("deploy"))
        assert site.visit("/") == "v2"
        good(site.play("rollback", "-e", "app=story"))
        assert site.visit("/") == "v1"
    lossless(visitors, {"v1", "v2"})
    assert here.left() == []
    # Broken ones reach nobody.
    live = site.live()
    for version, step in (("probe", "probe"), ("worker", "processes")):
        with load(here) as visitors:
            run = site.deploy(version)
        assert run.status != 0
        assert f"failed at the step '{step}'" in run.flat
        assert f"Release {live} is still serving" in run.flat
        lossless(visitors, {"v1"})
        assert (site.live(), here.left()) == (live, [])
    here.version("v1")


def rotates(here: ManagedHost) -> None:
    """No line of the access log is lost in a rotation."""
    site = here.site
    lines = "cat /var/log/story/access.log* | wc -l"
    site.root("logrotate --force /etc/logrotate.d/story && rm -f /var/log/story/access.log.*")
    before = int(site.root(lines))
    with load(here) as visitors:
        for dummy in range(2):
            # With delaycompress, so that the last but one is read as text too.
            site.root("sed -i s/^.*compress$// /etc/logrotate.d/story; logrotate --force /etc/logrotate.d/story")
            time.sleep(1)
    assert visitors.summary["lost"] == 0
    assert int(site.root(lines)) - before == len(visitors.records)
    assert site.root("ls /var/log/story").split().count("access.log.2") == 1


def test_supervisor_takes_over_from_systemd(here: ManagedHost) -> None:
    moves_to(here, "supervisor", "systemd")
    listed = here.site.root("supervisorctl status")
    assert listed.count("RUNNING") + listed.count("STARTING") == 2
    assert "/tmp" not in here.site.root("cat /etc/supervisor/conf.d/story*; cat /srv/story/current/launch")


def test_the_program_is_as_confined_as_supervisor_can(here: ManagedHost) -> None:
    pid = here.main_pid()
    status = here.site.root(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "Umask:\t0027" in status
    limits = here.site.root(f"cat /proc/{pid}/limits")
    assert "Max core file size        0                    0" in limits
    variables = here.site.root(f"tr '\\0' '\\n' </proc/{pid}/environ")
    assert "SUPERVISOR" not in variables
    assert f"VIRTUAL_ENV=/srv/story/releases/{here.site.live()}/venv" in variables
    assert here.site.root(f"stat -c %a.%U.%G /run/story /run/story/{here.site.live()} /run/story/*/sock").split() == [
        "755.root.root",
        "2750.story.www-data",
        "660.story.www-data",
    ]


def test_versions_come_and_go_under_supervisor(here: ManagedHost) -> None:
    serves(here)


def test_supervisor_restarts_what_is_killed_and_not_what_is_stopped(here: ManagedHost) -> None:
    first, restarts = here.main_pid(), here.state()["web"]["restarts"]
    here.site.root(f"kill -9 {first}")
    wait_until(lambda: here.main_pid() not in (0, first) and lively(here), 20, "it is back after kill -9")
    assert here.state()["web"]["restarts"] == restarts + 1
    here.site.root(f"kill -15 {here.main_pid()}")
    wait_until(lambda: here.state()["web"]["active"] == "inactive", 20, "it has stopped")
    time.sleep(3)
    assert here.site.visit("/health") == "502"
    run = good(here.site.play("site.yml"))
    assert "was inactive" in run.flat
    assert lively(here)


def test_a_crash_of_supervisor_itself_costs_no_second_server(here: ManagedHost) -> None:
    here.site.root("systemctl kill --signal=KILL --kill-whom=main supervisor; systemctl reset-failed supervisor")
    assert here.site.visit("/health") == "fine"
    here.site.root("systemctl start supervisor")
    wait_until(lambda: lively(here), 30, "supervisor runs it again")
    masters = f"pgrep -f [r]eleases/{here.site.live()}/venv/bin/gunicorn | wc -l"
    wait_until(lambda: here.site.root(masters).strip() == "3", 45, "the server that nobody watched has ended")


def test_a_broken_program_of_somebody_else_is_named(here: ManagedHost) -> None:
    here.version("v3")
    here.site.root(
        "printf '[program:other]\\ncommand=/bin/true\\nstdout_logfile=/no/where.log\\n'"
        " >/etc/supervisor/conf.d/other.conf"
    )
    live = here.site.live()
    run = here.site.play("deploy")
    here.site.root("rm /etc/supervisor/conf.d/other.conf")
    assert run.status != 0
    assert "supervisor can't read its configuration" in run.flat
    assert "other.conf" in run.flat
    assert (here.site.live(), here.left()) == (live, [])
    here.version("v1")


def test_logs_and_commands_work_under_supervisor(here: ManagedHost) -> None:
    assert "Booting worker" in here.site.root("flaskworks story logs")
    assert here.site.root("flaskworks story run id -un").strip() == "story"
    assert here.site.root("flaskworks story run printenv VIRTUAL_ENV").strip().endswith("/venv")


def test_rotation_under_supervisor_loses_no_line(here: ManagedHost) -> None:
    rotates(here)
    here.site.root("logrotate --force /etc/logrotate.d/story.supervisor")


def test_cron_takes_over_from_supervisor(here: ManagedHost) -> None:
    moves_to(here, "cron", "supervisor")
    assert here.site.root("supervisorctl status; true").strip() == ""
    assert "not for production" in here.site.root("flaskworks story")


def test_the_control_script_is_plain_shell(here: ManagedHost) -> None:
    control = "/srv/story/current/control"
    here.site.root(f"dash -n {control}")
    as_app = f"runuser -u story -- {control}"
    assert f"runs, process {here.main_pid()}" in here.site.root(f"{as_app} status")
    assert "runs already" in here.site.root(f"{as_app} start")
    assert here.site.root(f"{control} status; echo $?").strip() == "77"


def test_versions_come_and_go_under_cron(here: ManagedHost) -> None:
    serves(here)


def test_cron_starts_what_died_within_a_minute(here: ManagedHost) -> None:
    first, restarts = here.main_pid(), here.state()["web"]["restarts"]
    here.site.root(f"kill -9 {first}")
    wait_until(lambda: here.state()["web"]["active"] == "failed", 10, "it is seen as dead")
    wait_until(lambda: lively(here), 75, "cron has started it")
    assert here.main_pid() != first
    assert here.state()["web"]["restarts"] == restarts + 1


def test_cron_leaves_alone_what_was_stopped(here: ManagedHost) -> None:
    as_app = "runuser -u story -- /srv/story/current/control"
    here.site.root(f"{as_app} stop")
    here.site.root(f"{as_app} check")
    assert here.site.visit("/health") == "502"
    assert "was stopped" in here.site.root(f"{as_app} status || true")
    here.site.root(f"{as_app} restart")
    wait_until(lambda: lively(here), 10, "it is started again")


def test_a_stale_pid_file_names_nobody(here: ManagedHost) -> None:
    """The number of a dead server was given to somebody else: he is neither taken for it nor killed."""
    as_app, run = "runuser -u story -- /srv/story/current/control", f"/run/story/{here.site.live()}"
    here.site.root(f"kill -9 {here.main_pid()}")
    foreign = here.site.root("runuser -u story -- sh -c 'sleep 300 >/dev/null 2>&1 & echo $!'").strip()
    start = here.site.root(f"cut -d' ' -f2 {run}/web.pid").strip()
    here.site.root(f"echo {foreign} {start} >{run}/web.pid")
    assert here.state()["web"]["active"] == "failed"
    here.site.root(f"{as_app} stop")
    assert here.site.root(f"kill -0 {foreign} && echo lives").strip() == "lives"
    here.site.root(f"echo {foreign} {start} >{run}/web.pid; chown story {run}/web.pid")
    here.site.root(f"{as_app} start")
    wait_until(lambda: lively(here), 10, "it is started")
    assert here.site.root(f"kill -0 {foreign} && kill {foreign} && echo lived").strip() == "lived"


def test_logs_and_commands_work_under_cron(here: ManagedHost) -> None:
    assert "Booting worker" in here.site.root("flaskworks story logs")
    assert "does not run: starting it" in here.site.root("flaskworks story logs")
    assert here.site.root("flaskworks story run id -un").strip() == "story"


def test_rotation_under_cron_loses_no_line(here: ManagedHost) -> None:
    rotates(here)


def test_all_is_back_after_a_reboot_under_cron(here: ManagedHost) -> None:
    here.site.restart()
    wait_until(lambda: lively(here), 90, "cron has started all")
    assert here.left() == []


def test_systemd_takes_over_from_cron(here: ManagedHost) -> None:
    moves_to(here, "systemd", "cron")
    assert here.site.root("stat -c %a.%U /run/story").strip() == "755.root"
    assert here.site.root("find /etc/cron.d /etc/tmpfiles.d /etc/supervisor -name '*story*'") == ""


def test_back_over_the_change_of_managers(here: ManagedHost) -> None:
    with load(here) as visitors:
        good(here.site.play("rollback", "-e", "app=story"))
        assert here.state()["web"]["manager"] == "cron"
        here.say(process_manager="supervisor")
        good(here.site.play("site.yml"))
    lossless(visitors, {"v1", "v2", "v3"})
    assert here.left() == []
    assert here.site.root("find /etc/cron.d /etc/systemd -name '*story@*' -o -name '*story-*'") == ""


def test_all_is_back_after_a_reboot_under_supervisor(here: ManagedHost) -> None:
    here.site.restart()
    wait_until(lambda: lively(here), 30, "supervisor has started all")
    assert good(here.site.play("site.yml")).recap()["changed"] == 0


def test_removal_leaves_nothing(here: ManagedHost) -> None:
    good(here.site.play("remove", "-e", "app=story", "-e", "remove_data=true"))
    named = "-name story -o -name 'story[.@]*' -o -name 'flaskworks-story*'"
    found = f"find /etc /run /srv /var/log /var/lib/flaskworks {named} | grep -v -e ^/srv/story$ || true"
    assert here.site.root(found) == ""
    assert here.site.root("supervisorctl status; true").strip() == ""
    assert here.site.root("pgrep -u story || true") == ""
