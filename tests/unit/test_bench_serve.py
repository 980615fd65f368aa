"""The comparison of servers: what is read from wrk and the load, the units it starts, its figures and its report."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from load import Record

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import serve
import serve_figures
import serve_host
import serve_report
from cutover_report import DOCUMENT, document_with, stored
from measure import BenchError, verdicts
from serve_figures import figures, row_figures

# As wrk 4.1.0 prints it, with wrk.lua.
WRK = """\
Running 4s test @ http://127.0.0.1:8201/cpu
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    22.42ms    2.10ms  58.30ms   88.10%
    Req/Sec   711.05     26.91   757.00     75.00%
  2836 requests in 4.01s, 507.02KB read
  Socket errors: connect 0, read 3, write 0, timeout 0
Requests/sec:    707.20
Transfer/sec:    126.44KB

wrk {"requests": 2836, "us": 4010176, "p50_us": 22121, "p99_us": 31004, "errors": \
{"connect": 0, "read": 3, "write": 0, "status": 0, "timeout": 0}}
"""
SERVICE = "[Unit]\nRequires=blog@%i.socket\nAfter=blog@%i.socket network.target\n[Service]\nSockets=blog@%i.socket\n"


def record(seconds: float, lost: str = "") -> Record:
    return Record(1e9, 0.0, 0.001, seconds, "page", 0 if lost else 200, "", lost)


def test_wrk_is_read() -> None:
    assert serve_host.parse_wrk(WRK) == {
        "requests": 2836,
        "requests_s": 707.2,
        "p50_ms": 22.12,
        "p99_ms": 31.0,
        "errors": {"read": 3},
    }


def test_wrk_that_failed_is_no_result() -> None:
    with pytest.raises(serve_host.HostError, match="unable to connect"):
        serve_host.parse_wrk("unable to connect to 127.0.0.1:8201 Connection refused")


def test_a_normal_client_without_an_answer_counts_as_the_slowest() -> None:
    records = [record(0.002)] * 97 + [record(0.001, "reset")] * 3
    found = serve_host.visitors_figures(records, 5.0)
    assert found == {"requests": 100, "lost": {"reset": 3}, "p50_ms": 2.0, "p99_ms": 5000.0, "lag_p99_ms": 1.0}


def test_no_request_at_all_is_no_result() -> None:
    with pytest.raises(serve_host.HostError, match="no request"):
        serve_host.visitors_figures([], 5.0)


def test_alone_is_the_same_service_with_another_socket() -> None:
    units = serve_host.alone_units("blog", "20260314-101500-1f2e3d4c", 8201, SERVICE)
    socket_name, service_name = units
    assert (socket_name, service_name) == ("alone-blog.socket", "alone-blog@20260314-101500-1f2e3d4c.service")
    assert "ListenStream=127.0.0.1:8201\n" in units[socket_name]
    assert f"Service={service_name}\n" in units[socket_name]
    assert units[service_name] == SERVICE.replace("blog@%i.socket", "alone-blog.socket")
    with pytest.raises(serve_host.HostError, match="names no"):
        serve_host.alone_units("other", "1", 8201, SERVICE)


def test_a_service_is_its_main_process_and_all_below() -> None:
    assert serve_host.descendants({1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}, 10) == {10, 11, 12}


def test_processor_time_is_that_of_all_processes() -> None:
    tick = os.sysconf("SC_CLK_TCK")
    stat = f"7 (odd) name)) S 1 7 7 0 -1 4194560 900 0 0 0 {3 * tick} {tick} 5 6 20 0 1 0 100"
    assert serve_host.processor_seconds([stat, stat]) == 8.0


def page_cell(way: str, kind: str, requests_s: float, server: str = "one", **more: Any) -> dict[str, Any]:
    base = {"server": server, "way": way, "kind": kind, "requests": int(requests_s * 4), "requests_s": requests_s}
    return {**base, "p50_ms": 5.0, "p99_ms": 10.0, "cpu_us": 1e6 / max(1, requests_s), "errors": {}, **more}


def visitors(p99_ms: float, **lost: int) -> dict[str, Any]:
    return {"requests": 800, "lost": lost, "p50_ms": 1.0, "p99_ms": p99_ms, "lag_p99_ms": 1.0}


def slow_cell(way: str, without: float, beside: float, server: str = "one", **lost: int) -> dict[str, Any]:
    sides = {"without": visitors(without), "with": visitors(beside, **lost)}
    return {"server": server, "way": way, "kind": "slow", **sides, "slow_clients": {"attached": 300, "over": {}}}


def row(server: str = "one", kind: str = "gunicorn", alone: float = 1000.0, nginx: float = 20000.0) -> dict[str, Any]:
    """A server that serves static files so fast, and which slow clients block when it is alone."""
    cells = [
        page_cell(way, page, requests_s * factor, server)
        for factor in (0.9, 1.1)
        for way, requests_s in (("alone", alone), ("nginx", nginx))
        for page in serve_figures.PAGES
    ]
    cells += [slow_cell("alone", 4.0, 5000.0, server, timeout=800) for dummy in range(2)]
    cells += [slow_cell("nginx", 4.0, 6.0, server), slow_cell("nginx", 5.0, 7.0, server)]
    described = {"server": server, "title": f"gunicorn {server}", "type": kind, "processes": 6, "memory_mib": 120}
    return row_figures({**described, "packages": {"gunicorn": "27.0.1"}}, cells)


def result() -> dict[str, Any]:
    rows = [row("sync"), row("gthread", alone=1500.0, nginx=24000.0), row("flask", kind="flask", alone=9000.0)]
    return {
        **figures(rows),
        "date": "2026-03-14T10:15:00+00:00",
        "machine": {
            "cores": 2,
            "cpu": "a processor",
            "host": "a container",
            "busy_cores_before_rounds": [0.03, 0.1],
            "packages": {"nginx": "1.26"},
        },
        "conditions": {
            "seconds": 4,
            "rounds": 2,
            "connections": serve.CONNECTIONS,
            "rate": 200,
            "slow_clients": 300,
            "patience_s": 5.0,
        },
        "rows": rows,
    }


def test_a_row_has_the_medians_of_the_rounds() -> None:
    found = row()
    assert found["alone"]["static"]["requests_s"] == 1000.0
    assert found["alone"]["static"]["rounds_requests_s"] == [900.0, 1100.0]
    assert found["nginx"]["slow"]["ratio"] == round(6.5 / 4.5, 2)
    assert found["alone"]["slow"]["with"]["lost"] == {"timeout": 1600}


def test_the_ratios_are_of_the_same_server_with_and_without_nginx() -> None:
    worse = row("worse", alone=2000.0)
    worse["nginx"]["slow"]["ratio"] = 3.5
    found = figures([row("sync"), worse, row("gthread", nginx=15000.0), row("flask", kind="flask", alone=9000.0)])
    assert (found["static_ratio"], found["static_ratio_lowest"]) == (15.0, 10.0)
    assert found["static_cpu_ratio"] == pytest.approx(15.0, abs=0.2)
    assert found["slow_clients_ratio"] == 3.5
    assert found["noise"] == pytest.approx(1.1 / 0.9 - 1, abs=0.001)
    lines = verdicts(found, serve_figures.GOALS)
    assert ["NOT MET" in line for line in lines] == [False, True]


def test_cores_that_others_keep_busy_are_counted() -> None:
    before = "cpu  100 0 100 1000 50 0 0 0 0 0\ncpu0 50 0 50 500 25 0 0 0 0 0\ncpu1 50 0 50 500 25 0 0 0 0 0\nintr 5\n"
    after = before.replace("cpu  100 0 100 1000 50", "cpu  140 0 160 1280 70")
    assert serve_figures.busy_cores(before, after) == 0.5


def test_cells_that_mostly_failed_have_no_speed() -> None:
    with pytest.raises(BenchError, match="one alone cpu"):
        serve_figures.page_figures([page_cell("alone", "cpu", 100.0, errors={"status": 5})])
    with pytest.raises(BenchError, match="one alone cpu"):
        serve_figures.page_figures([page_cell("alone", "cpu", 100.0), page_cell("alone", "cpu", 0.0)])
    with pytest.raises(BenchError, match="nothing was measured of io, nginx"):
        serve_figures.select([page_cell("alone", "io", 1.0)], "nginx", "io")


def test_the_tables_show_every_server_and_what_slow_clients_did() -> None:
    lines = serve_report.table(result()).splitlines()
    first, costs, second = ([line for line in lines if line.count("|") == columns] for columns in (10, 8, 6))
    assert len(first) == len(costs) == len(second) == 2 + 3
    assert costs[2].startswith("| gunicorn sync | 1.01 ms | 0.0505 ms |")
    assert "| gunicorn sync | 4.0 ms | **none of 1600 was answered within 5 s** | 4.5 ms | 6.5 ms (1.4 x) |" in second
    assert "1,500 / 10 ms" in next(line for line in first if "gthread" in line)


@pytest.mark.parametrize(
    ("lost", "gone", "words"),
    [
        ({}, 0, "900 ms (3.0 x)"),
        ({}, 100, "900 ms (3.0 x, 100 slow ones hung up on)"),
        ({"timeout": 30, "reset": 2}, 0, "**32 of 800 not answered within 5 s**"),
    ],
)
def test_what_normal_clients_met_is_said_in_words(lost: dict[str, int], gone: int, words: str) -> None:
    slow = {"with": visitors(900.0, **lost), "ratio": 3.0, "hung_up_on": gone}
    assert serve_report.beside(slow, 5.0) == words


def test_slow_clients_that_nginx_sent_away_show_nothing() -> None:
    cells = [page_cell(way, page, 100.0) for way in serve_figures.WAYS for page in serve_figures.PAGES]
    cells += [slow_cell(way, 4.0, 5.0) for way in serve_figures.WAYS]
    assert row_figures({"server": "one"}, cells)["nginx"]["slow"]["ratio"] == 1.25
    cells[-1]["slow_clients"] = {"attached": 200, "over": {"closed": 100}}
    with pytest.raises(BenchError, match="100 slow clients"):
        row_figures({"server": "one"}, cells)


def test_errors_are_shown() -> None:
    found = serve_figures.page_figures([page_cell("alone", "cpu", 1000.0, errors={"read": 2})])
    assert serve_report.page(found) == "1,000 / 10 ms (2 errors)"


def test_the_plot_has_a_bar_and_a_way_for_each_server() -> None:
    drawn = serve_report.plot(result())
    root = xml.etree.ElementTree.fromstring(drawn)
    classes = [item.get("class") or "" for item in root.iter()]
    assert classes.count("alone before") == classes.count("nginx before") == 3
    bars = [item for item in root.iter() if item.get("class") == "nginx" and item.tag.endswith("rect")]
    assert len(bars) == 1 + 3 * 3
    assert drawn.count("100% got no answer") == 3
    assert len(drawn) < 60_000


def test_latencies_stay_on_the_scale() -> None:
    places = [serve_report.place_of(value, 100, 400) for value in (0.1, 1, 100, 10_000, 90_000)]
    assert places == [100, 100, 300, 500, 500]


def test_the_document_has_the_place_for_the_tables() -> None:
    assert document_with(DOCUMENT.read_text(), "new", serve_report.MARKS)


def test_the_result_reads_back() -> None:
    assert json.loads(stored(result())) == result()


def test_each_site_differs_in_its_server_alone() -> None:
    entries = serve.applications()
    assert len({json.dumps(entry["server"]) for entry in entries.values()}) == len(entries) == 5
    assert len({json.dumps(entry["nginx"]) for entry in entries.values()}) == 5
    assert len({json.dumps({**entry, "server": 0, "nginx": 0}) for entry in entries.values()}) == 1


def test_slow_clients_attach_and_tell_who_stayed() -> None:
    """Against a server that answers nothing, and hangs up on one client of each kind."""
    argv = [sys.executable, str(ROOT / "bench" / "slow_clients.py"), "--count", "6", "--pace", "0.05", "--port"]
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(10)
        words = [*argv, str(server.getsockname()[1])]
        clients = stack.enter_context(subprocess.Popen(words, text=True, stdout=subprocess.PIPE))
        stack.callback(clients.kill)
        accepted = [stack.enter_context(server.accept()[0]) for dummy in range(6)]
        assert clients.stdout
        assert json.loads(clients.stdout.readline()) == {"attached": 6}
        kinds = {each.recv(4096).split(b" HTTP")[0]: each for each in accepted}
        assert sorted(kinds) == [b"GET /", b"GET /large", b"POST /upload"]
        deadline = time.monotonic() + 10
        for each in kinds.values():
            each.settimeout(10)
            each.shutdown(socket.SHUT_WR)
            while each.recv(4096) and time.monotonic() < deadline:
                pass
        clients.send_signal(signal.SIGTERM)
        assert json.loads(clients.communicate(timeout=10)[0]) == {"attached": 3, "over": {"closed": 3}}
