"""tests/articles/supervisor_program.yml: what the program promises happens, and its faults do not."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from e2e.articles.articles import deploy, in_progress, master, processes, read, site_of, try_to_write
from e2e.support import Site, current_release, output, wait_until


@pytest.fixture
def site(host: Any) -> Site:
    return site_of(host, "program")


@pytest.fixture
def program(host: Any) -> str:
    return f"program@{current_release(host, 'program')}"


def state(host: Any, program: str) -> str:
    """RUNNING, STARTING, EXITED... Its exit status says no more than the word."""
    return str(host.run("supervisorctl status %s", program).stdout.split()[1])


def settled(host: Any, program: str) -> None:
    """Return when supervisor believes in it: what ends before counts as one that can't start."""
    wait_until(lambda: state(host, program) == "RUNNING", 30, "it runs")


def test_one_file_for_the_release_and_nothing_else(host: Any, program: str) -> None:
    listed = output(host, "find /etc/supervisor/conf.d -type f -printf %s", r"%f\n").split()
    assert listed == [f"{program}.conf"]
    assert [line.split()[0] for line in output(host, "supervisorctl status").splitlines()] == [program]


def test_it_runs_as_the_article_says(host: Any, site: Site, program: str) -> None:
    top = master(site)
    assert output(host, "ps -p %s -o user=", str(top)) == "program"
    assert output(host, "readlink /proc/%s/cwd", str(top)) == f"/srv/program/releases/{program.partition('@')[2]}/src"
    # In the foreground: supervisor is above it, and nothing else of the user runs.
    above = output(host, "ps -p %s -o ppid=", str(top)).strip()
    assert "supervisord" in read(host, f"/proc/{above}/cmdline")
    assert len(processes(host, "program")) == 3
    assert re.search(r"Max open files\s+4096\s", read(host, f"/proc/{top}/limits"))


def test_socket_and_pid_of_supervisor_are_not_in_tmp(host: Any) -> None:
    assert host.file("/run/supervisor.sock").mode == 0o700
    assert host.file("/run/supervisord.pid").exists
    assert output(host, "find /tmp /var/tmp -type s -o -name '*.pid' -o -name 'supervisor*'") == ""


def test_the_site_writes_where_it_may_and_nowhere_else(host: Any, site: Site) -> None:
    outcomes = try_to_write(site)
    allowed = {place for place, outcome in outcomes.items() if outcome == "written"}
    assert allowed == {"own log", "media", "/tmp"}
    names = ("/var/log/program", "/srv/program/shared/media", "/tmp")
    for name in names:
        output(host, "rm %s", f"{name}/visits-was-here")
    assert re.search(r"^NoNewPrivs:\s+1$", read(host, f"/proc/{master(site)}/status"), re.MULTILINE)


def test_killed_it_is_back(host: Any, site: Site, program: str) -> None:
    settled(host, program)
    before = processes(host, "program")
    output(host, "kill -KILL %s", str(master(site)))
    # Workers without their master notice it when their time to wait is over.
    wait_until(lambda: not before & processes(host, "program"), 25, "the old one is gone")
    wait_until(lambda: answers(site), 15, "it answers again")
    assert len(processes(host, "program")) == 3


def answers(site: Site) -> bool:
    return site.get("/health").status_code == 200


def test_asked_to_end_it_ends_and_the_next_deploy_starts_it(host: Any, site: Site, program: str) -> None:
    settled(host, program)
    output(host, "kill -TERM %s", str(master(site)))
    wait_until(lambda: state(host, program) not in ("RUNNING", "STOPPING"), 20, "it ended")
    assert state(host, program) == "EXITED"
    assert processes(host, "program") == set()
    assert site.get("/health").status_code == 502
    assert deploy(host, "program") != []
    assert answers(site)
    assert deploy(host, "program") == []


def test_a_stop_waits_for_the_requests_in_progress(host: Any, site: Site, program: str) -> None:
    section = read(host, f"/etc/supervisor/conf.d/{program}.conf")
    assert re.search(r"^stopwaitsecs\s*=\s*25$", section, re.MULTILINE), section
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(site.get, "/slow?s=4")
        wait_until(lambda: in_progress(host, "program") > 0, 4, "the request is in progress")
        output(host, "supervisorctl restart %s", program)
        assert slow.result().status_code == 200
    wait_until(lambda: answers(site), 10, "it answers again")


def test_what_it_prints_and_its_own_logs_are_there_and_rotate(host: Any, site: Site) -> None:
    for kind in ("access", "error"):
        log = host.file(f"/var/log/program/{kind}.log")
        assert (log.user, log.mode) == ("program", 0o640)
    assert host.file("/var/log/supervisor/program/web.log").exists
    output(host, "logrotate --force /etc/logrotate.d/program")
    site.get("/after-the-rotation")
    wait_until(lambda: "/after-the-rotation" in read(host, "/var/log/program/access.log"), 5, "the new log is used")
    assert "/after-the-rotation" not in read(host, "/var/log/program/access.log.1")


def test_supervisor_starts_at_boot(host: Any) -> None:
    assert host.service("supervisor").is_enabled
