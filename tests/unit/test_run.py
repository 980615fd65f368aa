"""The runner believes exit codes and counts of tests, and both must be good."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import run


@pytest.mark.parametrize(
    ("job", "code", "counts", "passed", "failed"),
    [
        ("default", 0, (5, 0, 0), 5, 0),
        ("default", 0, (5, 0, 2), 5, 0),
        ("default", 1, (5, 2, 0), 5, 2),
        ("default", 2, (5, 0, 0), 5, 1),
        ("default", 0, (0, 0, 0), 0, 1),
        ("default", 0, (0, 0, 3), 0, 1),
        ("default", 0, (4, 1, 0), 4, 1),
        ("unit", 0, (0, 0, 0), 0, 1),
        ("lint", 0, (0, 0, 0), 1, 0),
        ("lint", 1, (0, 0, 0), 0, 1),
    ],
)
def test_a_job_is_judged(job: str, code: int, counts: tuple[int, int, int], passed: int, failed: int) -> None:
    outcome = run.judge(job, code, counts, 1.0)
    assert (outcome.passed, outcome.failed) == (passed, failed)


def test_the_sessions_of_a_scenario_are_added_up(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    report.write_text('{"passed": 3, "failed": 0, "skipped": 1}\n{"passed": 2, "failed": 1, "skipped": 0}\n')
    assert run.count_tests(report) == (5, 1, 1)
    assert run.count_tests(tmp_path / "absent.jsonl") == (0, 0, 0)


def test_every_folder_of_tests_on_hosts_is_a_scenario() -> None:
    folders = {path.parent.name for path in (run.ROOT / "tests" / "e2e").glob("*/test_*.py")}
    assert folders
    assert folders <= set(run.scenarios())


def test_every_scenario_has_tests() -> None:
    missing = [name for name in run.scenarios() if not list((run.ROOT / "tests" / "e2e" / name).glob("test_*.py"))]
    assert missing == []


def test_every_scenario_is_a_row_of_the_guide() -> None:
    guide = (run.ROOT / "docs" / "testing.md").read_text()
    table = guide.partition("\n## Scenarios\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == run.scenarios()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--step", "verify", "status"], "status has no steps"),
        (["--step", "verify", "lint"], "lint has no steps"),
        (["--step", "verify", "default", "bare"], "--step is for one scenario"),
        (["nothing"], "no such job: nothing"),
        ([], "no job given"),
    ],
)
def test_what_can_not_be_run_is_refused(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    with pytest.raises(SystemExit):
        run.main()
    assert said in capsys.readouterr().err


def test_the_scenarios_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--list"])
    assert run.main() == 0
    assert capsys.readouterr().out.split() == run.scenarios()


def test_hosts_that_are_kept_are_not_removed_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cleaned: list[str] = []
    monkeypatch.setattr(run, "LOGS", tmp_path)
    monkeypatch.setattr(run, "clean", lambda job, dummy: cleaned.append(job))
    monkeypatch.setattr(run, "command_of", lambda *dummy: ["sh", "-c", 'echo "kept: $TEST_KEEP"'])
    for keep, said in ((True, "kept: 1\n"), (False, "kept: \n")):
        run.run_job("status", keep)
        assert (tmp_path / "status.log").read_text() == said
    assert cleaned == ["status"]
