"""tests/articles/gevent_alone.yml and development_server.yml."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from e2e.articles.articles import in_progress, processes, read, site_of, unit_of
from e2e.support import Site, output, wait_until


@pytest.fixture
def memory(host: Any) -> Site:
    return site_of(host, "memory")


@pytest.fixture
def draft(host: Any) -> Site:
    return site_of(host, "draft")


def test_one_process_knows_all_visits(host: Any, memory: Site) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = [answer.json() for answer in pool.map(lambda dummy: memory.get("/"), range(40))]
    assert len(processes(host, "memory")) == 1
    assert {answer["process"] for answer in answers} == processes(host, "memory")
    visits = sorted(answer["visit"] for answer in answers)
    assert visits == list(range(visits[0], visits[0] + 40))


def test_it_is_patched_before_the_site_is_imported_and_many_wait_at_once(memory: Site) -> None:
    assert memory.get("/process").json()["patched"] is True
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        assert {answer.status_code for answer in pool.map(lambda dummy: memory.get("/slow?s=2"), range(20))} == {200}
    assert time.monotonic() - began < 10, "one after the other"


def test_requests_in_progress_end_before_it_does(host: Any, memory: Site) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(memory.get, "/slow?s=4")
        wait_until(lambda: in_progress(host, "memory") > 0, 4, "the request is in progress")
        output(host, "systemctl restart %s", unit_of(host, "memory"))
        assert slow.result().status_code == 200


def test_killed_it_is_back(host: Any, memory: Site) -> None:
    (before,) = processes(host, "memory")
    output(host, "kill -KILL %s", str(before))
    wait_until(lambda: memory.get("/health").status_code == 200, 20, "it answers again")
    assert processes(host, "memory") != {before}


def test_the_development_server_answers_behind_nginx_without_its_debugger(host: Any, draft: Site) -> None:
    facts = draft.get("/process").json()
    assert (facts["debug"], facts["patched"]) == (False, False)
    assert processes(host, "draft") == {facts["process"]}
    assert "gunicorn" not in read(host, f"/proc/{facts['process']}/cmdline")
    # Nobody reaches it but nginx: no port is open.
    assert f"pid={facts['process']}," not in output(host, "ss -tlnpH")


def test_the_development_server_says_what_it_is(host: Any) -> None:
    assert "development server" in read(host, "/var/log/draft/error.log")
