"""tests/articles/cron_script.yml: what the script promises happens, and its faults do not."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from e2e.articles.articles import deploy, in_progress, master, processes, read, site_of
from e2e.playbooks import Run
from e2e.support import Site, current_release, output, wait_until

# The master and its two workers.
PROCESSES = 3


class Control:
    """The script of the live release, called as cron calls it."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.release = current_release(host, "watched")
        self.runtime = f"/run/watched/{self.release}"
        self.path = f"/srv/watched/releases/{self.release}/control"

    def __call__(self, action: str, status: int = 0) -> str:
        done = self.host.run("timeout 30 runuser -u watched -- %s %s", self.path, action)
        assert done.rc == status, f"{action}: {done.rc} {done.stdout}{done.stderr}"
        return str(done.stdout)


@pytest.fixture
def site(host: Any) -> Site:
    return site_of(host, "watched")


@pytest.fixture
def control(host: Any) -> Control:
    made = Control(host)
    # Five starts within a minute are the limit, and the tests together have more.
    output(host, "rm -f %s", f"{made.runtime}/web.starts")
    return made


def answers(site: Site) -> bool:
    return site.get("/health").status_code == 200


def test_the_deploy_says_that_this_is_not_for_production(said: Run) -> None:
    assert re.search(r"watched.*cron.*not for production", re.sub(r"[\s│]+", " ", said.text)), "nobody was told"


def test_an_entry_for_each_minute_as_the_user_of_the_site(host: Any, control: Control) -> None:
    entry = read(host, f"/etc/cron.d/flaskworks-watched-{control.release}")
    assert f"* * * * * watched {control.path} check" in entry
    shown = host.file(control.path)
    # The site could otherwise make cron run what it likes.
    assert (shown.user, shown.mode & 0o022) == ("root", 0)


def test_it_tells_how_it_is(control: Control) -> None:
    assert "runs, process" in control("status")


def test_restarts_leave_nothing_behind(host: Any, control: Control, site: Site) -> None:
    before = processes(host, "watched")
    for dummy in range(4):
        control("restart")
        wait_until(lambda: answers(site), 15, "it answers again")
        now = processes(host, "watched")
        assert not before & now, "a stop has killed nothing"
        wait_until(lambda: len(processes(host, "watched")) == PROCESSES, 5, "as many processes as before")
        before = processes(host, "watched")


def test_killed_it_is_back_with_the_next_check_and_the_one_after_that(host: Any, control: Control, site: Site) -> None:
    # Twice: what the first check has started must not hold its lock.
    for dummy in range(2):
        before = processes(host, "watched")
        output(host, "kill -KILL %s", str(master(site)))
        assert "died" in control("status", 1)
        control("check")
        wait_until(lambda: answers(site), 15, "it answers again")
        assert host.run("flock --nonblock %s true", f"{control.runtime}/web.lock").rc == 0
        control("check")
        # Workers without a master notice it when their time to wait is over.
        wait_until(lambda: not before & processes(host, "watched"), 25, "the old workers are gone")  # noqa: B023
        assert len(processes(host, "watched")) == PROCESSES


def test_several_checks_at_once_start_one(host: Any, control: Control, site: Site) -> None:
    control("stop")
    output(host, "rm %s", f"{control.runtime}/web.stopped")
    together = " & ".join([f"runuser -u watched -- {control.path} check"] * 4)
    output(host, "sh -c %s", f"{together} & wait")
    wait_until(lambda: answers(site), 15, "it answers again")
    wait_until(lambda: len(processes(host, "watched")) == PROCESSES, 5, "one of it runs")


def test_what_was_stopped_stays_stopped_until_the_next_deploy(host: Any, control: Control, site: Site) -> None:
    assert "stopped" in control("stop")
    assert processes(host, "watched") == set()
    for dummy in range(2):
        control("check")
    assert processes(host, "watched") == set()
    assert "was stopped" in control("status", 3)
    assert site.get("/health").status_code == 502
    assert deploy(host, "watched") != []
    assert answers(site)
    assert deploy(host, "watched") == []


def test_a_left_over_pid_file_names_nobody_elses_process(host: Any, control: Control, site: Site) -> None:
    control("stop")
    # A process of the same user that has got the number.
    output(host, "systemd-run --quiet --collect --unit=stranger --uid=watched sleep 300")
    stranger = int(output(host, "systemctl show --property=MainPID --value stranger"))
    try:
        output(host, "echo %s 1 > %s", str(stranger), f"{control.runtime}/web.pid")
        control("stop")
        assert stranger in processes(host, "watched")
        output(host, "echo %s 1 > %s", str(stranger), f"{control.runtime}/web.pid")
        control("start")
        wait_until(lambda: answers(site), 15, "it answers again")
        assert stranger in processes(host, "watched")
    finally:
        output(host, "systemctl stop stranger")
    assert len(processes(host, "watched")) == PROCESSES


def test_a_stop_waits_for_the_requests_in_progress(host: Any, control: Control, site: Site) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(site.get, "/slow?s=4")
        wait_until(lambda: in_progress(host, "watched") > 0, 4, "the request is in progress")
        control("restart")
        assert slow.result().status_code == 200
    wait_until(lambda: answers(site), 15, "it answers again")


def test_its_logs_are_there_and_rotate(host: Any, site: Site) -> None:
    for kind in ("access", "error"):
        log = host.file(f"/var/log/watched/{kind}.log")
        assert (log.user, log.mode) == ("watched", 0o640)
    output(host, "logrotate --force /etc/logrotate.d/watched")
    site.get("/after-the-rotation")
    wait_until(lambda: "/after-the-rotation" in read(host, "/var/log/watched/access.log"), 5, "the new log is used")
    assert "/after-the-rotation" not in read(host, "/var/log/watched/access.log.1")
