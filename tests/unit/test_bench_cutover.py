"""The arithmetic of `make bench-cutover`: windows, figures, and what is written into the documentation."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest
from load import Record

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import cutover_figures
import cutover_report
from cutover_figures import STARTING, STOPPED, Action, Window, journal_windows, load_figures, observed_windows, trace
from measure import BenchError, verdicts


def record(
    mono: float, seconds: float = 0.01, version: str = "v1", kind: str = "page", lost: str = "", lag: float = 0.0
) -> Record:
    return Record(1e9 + mono, mono, lag, seconds, kind, 0 if lost else 200, version, lost)


def event(unit: str, what: str, moment: float) -> str:
    return json.dumps({"UNIT": unit, "MESSAGE_ID": what, "__MONOTONIC_TIMESTAMP": str(int(moment * 1e6))})


def test_a_cutover_lasts_from_the_new_start_to_the_old_stop() -> None:
    journal = "\n".join(
        [
            event("blog@1.service", STARTING, 5.0),
            event("blog@2.service", STARTING, 12.0),
            event("nginx.service", STOPPED, 12.5),
            event("blog@1.service", STOPPED, 14.0),
            event("blog@1.socket", STOPPED, 14.5),
        ]
    )
    actions = [Action("deploy", "v2", 10.0, 16.0), Action("broken", "bad-import-1", 17.0, 19.0)]
    assert journal_windows(journal, "blog@", actions) == [Window(12.0, 14.5)]


def test_a_cutover_without_an_end_is_refused() -> None:
    with pytest.raises(BenchError, match="none stopped"):
        journal_windows(event("blog@1.service", STARTING, 1.0), "blog@", [Action("deploy", "v1", 0.0, 2.0)])


def test_the_peers_cutover_lasts_until_the_last_wrong_answer() -> None:
    actions = [Action("restart", "v2", 10.0, 10.5), Action("restart", "v3", 20.0, 20.5)]
    records = [
        record(9.0, version="v1"),
        record(10.2, version="", lost="status-502"),
        record(11.0, seconds=2.5, version="v1"),
        record(13.0, version="v2"),
        record(20.1, seconds=3.0, version="v3"),
        record(20.25, seconds=3.5, version="v3"),
        record(24.0, seconds=0.5, version="v3"),
    ]
    assert observed_windows(records, actions) == [Window(10.0, 13.5), Window(20.0, 23.75)]


def test_figures_tell_inside_from_outside() -> None:
    windows = [Window(10.0, 12.0)]
    records = [
        *(record(moment / 10, 0.01) for moment in range(0, 90)),
        record(9.99, 0.5),
        record(11.0, 0.02, kind="post"),
        record(11.5, 1.5, kind="slow"),
        record(11.6, lost="status-502"),
        record(13.0, 0.04, version="bad-probe-1"),
    ]
    found = load_figures(records, windows)
    assert (found["requests"], found["lost"], found["reached_bad"]) == (95, 1, 1)
    assert (found["slowest_s"], found["slowest_outside_s"]) == (0.5, 0.04)
    assert found["fast_requests"] == {"inside": 2, "outside": 91}
    assert found["p99_ratio"] == round(0.5 / 0.04, 2)
    assert found["cutover_s"] == 2.0


def test_what_broken_releases_cost_is_counted_apart() -> None:
    records = [record(1.0, lost="status-502"), record(5.0, lost="status-502"), record(5.5, version="bad-probe-1")]
    found = cutover_figures.broken_figures(records, [Action("broken", "bad-probe-1", 4.0, 6.0)], 1)
    assert found == {"deploys": 1, "requests": 2, "lost": 1, "reached_bad": 1}


def test_phases_are_those_of_what_went_live() -> None:
    history = [
        {"outcome": "live", "phases": {"probe": 1.0, "drain": 0.5}},
        {"outcome": "live", "phases": {"probe": 3.0}},
        {"outcome": "failed", "phases": {"probe": 90.0}},
    ]
    assert cutover_figures.phase_medians(history) == {"probe": 2.0, "drain": 0.5}
    assert cutover_figures.outside_probe_and_drain(5.0, history[0]) == 3.5


def test_a_trace_is_an_excerpt_around_the_first_cutovers() -> None:
    records = [record(100.0, 0.012), record(100.01, 0.02), record(100.3, lost="refused"), record(500.0)]
    drawn = trace(records, [Window(102.0, 104.0), Window(158.0, 170.0), Window(300.0, 301.0)])
    assert drawn["cutovers"] == [[3.0, 5.0], [59.0, 60.0]]
    assert len(drawn["slowest_ms"]) == 600
    assert max(value for value in drawn["slowest_ms"] if value) == 20.0
    assert sum(drawn["lost"]) == 1


def side(lost: int) -> dict[str, Any]:
    return {
        "requests": 80000,
        "lost": lost,
        "reached_bad": 0,
        "p99_ratio": 1.4,
        "slowest_s": 0.21,
        "p99_s": {"inside": 0.014, "outside": 0.01},
        "cutover_s": 2.5,
        "deploys": 10,
        "broken": {"deploys": 2, "lost": 600, "reached_bad": 300},
    }


def result() -> dict[str, Any]:
    records = [record(number / 20) for number in range(1200)]
    drawn = trace(records, [Window(3.0, 4.0)])
    return {
        "deploy_ratio": 2.5,
        "ours": {
            **side(0),
            "rollbacks": 10,
            "broken": {"deploys": 4, "requests": 900, "lost": 0, "reached_bad": 0},
            "phases_s": {"deploy": {"source": 0.1, "probe": 1.2}, "rollback": {"probe": 1.1}},
        },
        "peers": {"restart": side(150), "hup": side(0)},
        "conditions": {"rate": 200, "import_s": 1.0},
        "machine": {"cores": 2, "cpu": "a processor", "host": "a container"},
        "date": "2026-03-14T10:15:00+00:00",
        "trace": {"ours": drawn, "restart": drawn},
    }


def test_the_table_shows_all_three_sides() -> None:
    lines = cutover_report.table(result()).splitlines()
    assert "| **lost** | **0** | **150** | **0** |" in lines
    assert "| **answered by a broken release** | **0** | **300** | **300** |" in lines
    assert "| rollback |  | 1.10 |" in lines
    widths = [line.count("|") for line in lines[: lines.index("")]]
    assert set(widths) == {5}


def test_the_document_keeps_what_is_not_generated() -> None:
    text = f"before\n{cutover_report.BEGIN}\nold\n{cutover_report.END}\nafter\n"
    assert cutover_report.document_with(text, "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="no lines"):
        cutover_report.document_with("nothing", "new")


def test_the_document_has_the_place_for_the_table() -> None:
    assert cutover_report.document_with(cutover_report.DOCUMENT.read_text(), "new")


def test_the_plot_is_small_and_has_both_sides() -> None:
    drawn = cutover_report.plot(result()["trace"])
    root = xml.etree.ElementTree.fromstring(drawn)
    bands = [item for item in root.iter() if item.get("class") == "cutover"]
    assert len(bands) == 2
    assert all(title in drawn for title in cutover_report.TITLES.values())
    assert len(drawn) < 150_000


def test_the_stored_result_reads_back_and_has_its_lists_on_one_line() -> None:
    text = cutover_report.stored(result())
    assert json.loads(text) == result()
    assert len(text.splitlines()) < 120


def test_each_figure_has_a_goal() -> None:
    numbers = {"lost": 0, "reached_bad": 0, "p99_ratio": 1.2, "slowest_s": 1.3, "deploy_ratio": 2.9}
    lines = verdicts(numbers, cutover_figures.GOALS)
    assert ["NOT MET" in line for line in lines] == [False, False, False, True, False]
