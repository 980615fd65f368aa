"""tests/articles/systemd_unit.yml: what the unit promises happens, and its faults do not."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from e2e.articles.articles import deploy, in_progress, master, processes, read, site_of, state_of, try_to_write, unit_of
from e2e.support import Site, current_release, output, unit_properties, wait_until


@pytest.fixture
def site(host: Any) -> Site:
    return site_of(host, "unit")


@pytest.fixture
def service(host: Any) -> str:
    return unit_of(host, "unit")


def test_four_workers_of_a_user_of_their_own(host: Any, site: Site) -> None:
    top = master(site)
    children = output(host, "ps --ppid %s -o user=", str(top)).split()
    assert children == ["unit"] * 4
    assert len(processes(host, "unit")) == 5
    assert output(host, "id -nG unit").split() == ["unit"]


def test_the_values_of_the_article_are_those_of_systemd(host: Any, service: str) -> None:
    wanted = {
        "Restart": "on-failure",
        "RestartUSec": "5s",
        "StartLimitIntervalUSec": "1min",
        "StartLimitBurst": "5",
        "TimeoutStopUSec": "30s",
        "User": "unit",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "PrivateTmp": "yes",
        "ReadWritePaths": "/srv/unit/shared /var/log/unit",
        "LimitNOFILE": "65535",
    }
    assert unit_properties(host, service, *wanted) == wanted


def test_no_line_of_the_unit_is_lost_on_systemd(host: Any, service: str) -> None:
    text = read(host, f"/etc/systemd/system/{service}")
    assert re.findall(r"=.*\s#.*", text) == []
    assert "StartLimit" not in text.partition("[Service]")[2]
    said = host.run("systemd-analyze verify --man=no %s", f"/etc/systemd/system/{service}")
    assert service.partition("@")[0] + "@" not in said.stdout + said.stderr


def test_the_site_writes_where_it_may_and_nowhere_else(host: Any, site: Site) -> None:
    outcomes = try_to_write(site)
    allowed = {"own log", "media", "/tmp"}
    assert {place: outcome for place, outcome in outcomes.items() if place in allowed} == dict.fromkeys(
        allowed, "written"
    )
    assert {outcome for place, outcome in outcomes.items() if place not in allowed} == {"EROFS"}
    # /tmp is its own: others don't see what it writes there.
    assert not host.file("/tmp/visits-was-here").exists
    output(host, "rm /var/log/unit/visits-was-here /srv/unit/shared/media/visits-was-here")


def test_the_kernel_holds_it_as_the_unit_says(host: Any, site: Site) -> None:
    status = read(host, f"/proc/{master(site)}/status")
    held = dict(re.findall(r"^(NoNewPrivs|Seccomp|CapBnd|CapEff):\s+(\w+)$", status, re.MULTILINE))
    assert held == {"NoNewPrivs": "1", "Seccomp": "2", "CapBnd": "0" * 16, "CapEff": "0" * 16}
    # As many as the unit says, or as this machine allows its containers.
    most, own = (open_files(host, process) for process in (1, master(site)))
    assert own == min(65535, most)


def restarts_of(host: Any, service: str) -> int:
    return int(unit_properties(host, service, "NRestarts")["NRestarts"])


def open_files(host: Any, process: int) -> int:
    """The hard limit of a process."""
    found = re.search(r"^Max open files\s+\d+\s+(\d+)\s", read(host, f"/proc/{process}/limits"), re.MULTILINE)
    assert found
    return int(found[1])


def test_killed_it_is_back_after_five_seconds(host: Any, site: Site, service: str) -> None:
    before, all_before = master(site), processes(host, "unit")
    restarts = restarts_of(host, service)
    output(host, "kill -KILL %s", str(before))
    wait_until(lambda: restarts_of(host, service) == restarts + 1, 20, "systemd starts it again")
    wait_until(lambda: state_of(host, service)[0] == "active", 20, "it runs again")
    assert master(site) != before
    assert not all_before & processes(host, "unit"), "something of the old one is left"
    assert len(processes(host, "unit")) == 5


def test_asked_to_end_it_ends_and_the_next_deploy_starts_it(host: Any, site: Site, service: str) -> None:
    release, before = current_release(host, "unit"), master(site)
    output(host, "kill -TERM %s", str(before))
    wait_until(lambda: state_of(host, service)[0] == "inactive", 20, "it ended")
    # With a start ahead it would be "activating".
    assert state_of(host, service) == ("inactive", "dead", "success")
    assert processes(host, "unit") == set()
    assert deploy(host, "unit") != []
    assert state_of(host, service)[0] == "active"
    assert (current_release(host, "unit"), deploy(host, "unit")) == (release, [])
    assert master(site) != before


def test_a_visitor_starts_what_was_asked_to_end_and_its_socket_keeps_it_down(host: Any, site: Site) -> None:
    service, socket = unit_of(host, "unit"), unit_of(host, "unit", "socket")
    output(host, "kill -TERM %s", str(master(site)))
    wait_until(lambda: state_of(host, service)[0] == "inactive", 20, "it ended")
    assert site.get("/health").status_code == 200
    output(host, "systemctl stop %s %s", socket, service)
    assert site.get("/health").status_code == 502
    assert deploy(host, "unit") != []
    assert site.get("/health").status_code == 200


def test_it_gives_up_after_five_starts_and_the_next_deploy_starts_it(host: Any, site: Site, service: str) -> None:
    drop_in = f"/run/systemd/system/{service}.d"
    try:
        output(host, "mkdir -p %s", drop_in)
        # Sooner than after five seconds, to see the end of it.
        text = "[Service]\nExecStart=\nExecStart=/bin/false\nRestartSec=100ms\n"
        output(host, "printf %s %s > %s/broken.conf", "%s", text, drop_in)
        output(host, "systemctl daemon-reload")
        output(host, "systemctl reset-failed %s", service)
        host.run("systemctl restart %s", service)
        wait_until(lambda: state_of(host, service)[0] == "failed", 20, "it gives up")
        assert restarts_of(host, service) in (4, 5)
        assert site.get("/health").status_code == 502
    finally:
        output(host, "rm -rf %s", drop_in)
        output(host, "systemctl daemon-reload")
    assert deploy(host, "unit") != []
    assert site.get("/health").status_code == 200


def test_a_stop_waits_for_the_requests_in_progress(host: Any, site: Site, service: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        slow = pool.submit(site.get, "/slow?s=4")
        wait_until(lambda: in_progress(host, "unit") > 0, 4, "the request is in progress")
        output(host, "systemctl restart %s", service)
        assert slow.result().status_code == 200
    assert 4 <= time.monotonic() - began < 20


def test_both_units_are_there_after_a_boot(host: Any) -> None:
    for suffix in ("service", "socket"):
        assert output(host, "systemctl is-enabled %s", unit_of(host, "unit", suffix)) == "enabled"
