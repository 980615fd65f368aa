"""tests/articles/gunicorn_config.yml: each setting counts in the gunicorn that runs, and the logs are as promised."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.articles.articles import master, processes, read, site_of
from e2e.support import Site, current_release, output, wait_until

FIELDS = {
    *("@timestamp", "remote_addr", "protocol", "host", "request_method", "request_path", "status_code"),
    *("response_length", "referer", "user_agent", "x_tracking_id", "request_time"),
}
# Time, process, address, request, status, seconds, length, referer, browser.
CLASSIC = re.compile(
    r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] <\d+> \S* \"GET /classic\?q=1 HTTP/1\.[01]\" 404 \d+\.\d+ \d+ "
    r"\"https://referer\.test/\" \"a browser\""
)


@pytest.fixture
def waiting(host: Any) -> Site:
    return site_of(host, "waiting")


@pytest.fixture
def computing(host: Any) -> Site:
    return site_of(host, "computing")


@pytest.fixture(scope="module")
def silent(host: Any) -> Iterator[int]:
    """A worker that is silent from the first test of this file on."""
    worker = int(site_of(host, "computing").get("/process").json()["process"])
    output(host, "kill -STOP %s", str(worker))
    yield worker
    host.run("kill -KILL %s", str(worker))


def processors(host: Any) -> int:
    return int(output(host, "nproc"))


@pytest.mark.usefixtures("silent")
def test_the_settings_of_the_article_count(host: Any, waiting: Site) -> None:
    wanted = {
        "worker_class": "gevent",
        "worker_connections": 2000,
        "workers": processors(host),
        "timeout": 30,
        "preload_app": True,
        "proc_name": "waiting-site",
        "loglevel": "info",
        "accesslog": "/var/log/waiting/access.log",
        "errorlog": "/var/log/waiting/error.log",
        "daemon": False,
        "pidfile": None,
        "umask": 0o027,
    }
    found = waiting.get("/settings").json()
    assert {name: found[name] for name in wanted} == wanted


def test_a_worker_for_each_processor_or_two_and_one(host: Any, waiting: Site, computing: Site) -> None:
    cpus = processors(host)
    assert len(processes(host, "waiting")) == 1 + cpus
    assert computing.get("/settings").json()["workers"] == min(2 * cpus + 1, 12)
    assert len(processes(host, "computing")) == 1 + min(2 * cpus + 1, 12)


def test_the_queue_has_512_places(host: Any) -> None:
    path = f"/run/waiting/{current_release(host, 'waiting')}.sock"
    lines = [line.split() for line in output(host, "ss -xlnH").splitlines() if path in line]
    assert [line[3] for line in lines] == ["512"]


def test_the_code_is_loaded_once_and_the_process_has_its_name(host: Any, waiting: Site) -> None:
    top = master(waiting)
    assert "master [waiting-site]" in output(host, "ps -p %s -o args=", str(top))
    # What is loaded before the workers are made is mapped by the master too.
    assert "markupsafe" in read(host, f"/proc/{top}/maps")
    assert "markupsafe" not in read(host, f"/proc/{master(site_of(host, 'computing'))}/maps")


def test_gevent_has_patched_it_and_many_wait_at_once(waiting: Site) -> None:
    assert waiting.get("/process").json()["patched"] is True


def test_sockets_are_for_nginx_alone(host: Any) -> None:
    for app in ("waiting", "computing"):
        found = host.file(f"/run/{app}/{current_release(host, app)}.sock")
        assert (found.user, found.group, found.mode) == (app, "www-data", 0o660)


def test_the_classic_log_has_its_format(host: Any, waiting: Site) -> None:
    waiting.get("/classic?q=1", headers={"Referer": "https://referer.test/", "User-Agent": "a browser"})
    wait_until(lambda: "/classic" in read(host, "/var/log/waiting/access.log"), 5, "the line is written")
    line = next(line for line in read(host, "/var/log/waiting/access.log").splitlines() if "/classic" in line)
    assert CLASSIC.fullmatch(line), line


def test_the_json_log_has_all_fields(host: Any, computing: Site) -> None:
    mark = uuid.uuid4().hex
    sent = {"Referer": 'https://referer.test/"', "User-Agent": "a \\ browser", "X-Tracking-Id": mark}
    computing.get("/json%0aline?q=1", headers=sent)
    lines = read(host, "/var/log/computing/access.log").splitlines()
    records = [json.loads(line) for line in lines]
    (record,) = [record for record in records if record["x_tracking_id"] == mark]
    assert set(record) >= FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)", record["@timestamp"])
    told = {name: record[name] for name in ("host", "request_method", "request_path", "status_code")}
    wanted = {"request_method": "GET", "request_path": "/json\nline", "status_code": 404}
    assert told == {"host": "computing.test", **wanted}
    assert (record["referer"], record["user_agent"]) == (sent["Referer"], sent["User-Agent"])
    assert record["remote_addr"]
    assert record["protocol"].startswith("HTTP/1.")
    assert record["response_length"] > 0
    assert 0 <= record["request_time"] < 5


def test_a_silent_worker_is_replaced_after_thirty_seconds(host: Any, silent: int) -> None:
    wait_until(lambda: silent not in processes(host, "computing"), 45, "it is gone")
    wait_until(
        lambda: len(processes(host, "computing")) == 1 + min(2 * processors(host) + 1, 12), 10, "there is another"
    )
    assert f"WORKER TIMEOUT (pid:{silent})" in read(host, "/var/log/computing/error.log")
