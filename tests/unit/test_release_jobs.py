"""Work that goes on by itself, and how its progress is read."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_job, release_lock
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_lock import Patience, locked
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.jobs import Job, box, read_answer


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(release_job, "JOBS", str(tmp_path / "jobs"))
    monkeypatch.setattr(release_lock, "RUN_DIRECTORY", str(tmp_path / "run"))
    return tmp_path


def execute(script: str, sudoable: bool) -> dict[str, Any]:
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def test_a_job_tells_its_progress_and_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    def work(seen: str, report: release_job.Report) -> dict[str, Any]:
        report("getting the source")
        time.sleep(0.4)
        report("grüße, two\nlines")
        return {"apps": [os.path.basename(seen)]}

    folder = release_job.start(work)
    assert Job(execute, folder, "web1: blog").wait() == {"apps": ["seen"]}
    shown = capsys.readouterr().out
    assert "web1: blog: getting the source\n" in shown
    assert "web1: blog: grüße, two lines\n" in shown
    assert not os.path.exists(folder)


def test_a_job_that_was_killed_is_not_waited_for() -> None:
    folder = release_job.start(lambda seen, report: subprocess.run(["sleep", "60"], check=False).__dict__)
    os.kill(int(Path(folder, "pid").read_text()), 9)
    # The test is the parent; on a host init would do this.
    os.waitpid(int(Path(folder, "pid").read_text()), 0)
    result = Job(execute, folder, "web1: blog").wait()
    assert result["failed"]
    assert "cut short" in result["msg"]


def test_a_fault_of_the_module_is_a_failure() -> None:
    folder = release_job.start(lambda seen, report: {"apps": [1 / 0]})
    result = Job(execute, folder, "web1: blog").wait()
    assert result["failed"]
    assert "ZeroDivisionError" in result["msg"]


def test_an_answer_is_read_behind_noise_and_without_half_lines() -> None:
    answer = read_answer("Last login\nflaskworks-job:running\none\ntwo\nthr")
    assert (answer.state, answer.lines, answer.size) == ("running", ["one", "two"], 8)
    done = read_answer('flaskworks-job:done\nflaskworks-job:result\n{"a": 1}')
    assert (done.state, done.lines, done.result) == ("done", [], {"a": 1})


def test_the_box_wraps_long_lines() -> None:
    lines = box("first\n  " + "word " * 40).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[1] == "│ first"


def test_the_second_one_is_told_who_has_the_lock(place: Path) -> None:
    layout = Layout("blog", str(place))
    Path(layout.journal).write_text(json.dumps({"step": "python"}))
    with locked(layout, "ann@laptop"), pytest.raises(ReleaseError) as refused, locked(layout, "bob@desk"):
        pass
    for word in ("ann@laptop", "since 2", "the step 'python'", "lock_wait", "break_lock"):
        assert word in str(refused.value)


def test_a_lock_is_free_when_its_holder_is_dead(place: Path) -> None:
    layout = Layout("blog", str(place))
    pid = os.fork()
    if pid == 0:
        with locked(layout, "ann@laptop"):
            os._exit(1)
    os.waitpid(pid, 0)
    with locked(layout, "bob@desk"):
        assert "bob@desk" in Path(release_lock.lock_path("blog")).read_text()


def holding(layout: Layout, seen: str, seconds: float) -> int:
    """Hold the lock in another process; return its id when it has it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with locked(layout, "ann@laptop", seen):
            os.write(writer, b"x")
            time.sleep(seconds)
        os._exit(0)
    os.read(reader, 1)
    return pid


def test_one_can_wait(place: Path) -> None:
    pid = holding(Layout("blog", str(place)), "", 1)
    with locked(Layout("blog", str(place)), "bob@desk", patience=Patience(wait=20)):
        pass
    os.waitpid(pid, 0)


def test_one_can_end_the_other(place: Path) -> None:
    pid = holding(Layout("blog", str(place)), "", 60)
    with locked(Layout("blog", str(place)), "bob@desk", patience=Patience(break_lock=True)):
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9


def test_work_that_nobody_waits_for_any_more_is_waited_for(place: Path) -> None:
    """A second run after the controller was killed goes on when the work on the host has ended."""
    seen = place / "seen"
    seen.touch()
    os.utime(seen, (time.time() - 60, time.time() - 60))
    told: list[str] = []
    pid = holding(Layout("blog", str(place)), str(seen), 1)
    with locked(Layout("blog", str(place)), "bob@desk", report=told.append):
        pass
    os.waitpid(pid, 0)
    assert "whose controller is gone" in told[0]


def test_a_controller_that_asks_is_not_gone(place: Path) -> None:
    seen = place / "seen"
    seen.touch()
    pid = holding(Layout("blog", str(place)), str(seen), 60)
    toucher = subprocess.Popen(["sh", "-c", f"while sleep 0.3; do touch {seen}; done"])
    try:
        with pytest.raises(ReleaseError, match="ann@laptop"), locked(Layout("blog", str(place)), "bob@desk"):
            pass
    finally:
        toucher.kill()
        toucher.wait()
        os.kill(pid, 9)
        os.waitpid(pid, 0)
