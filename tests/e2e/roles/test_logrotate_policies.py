"""The role logrotate_policies, alone."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from e2e.support import output

ROTATIONS = 4
FOLDER = "/var/log/writer"


@contextmanager
def writer(host: Any, log: str) -> Generator[None]:
    """A service that writes numbered lines to the log as fast as it can."""
    output(host, "systemctl start %s", f"writer@{log}.service")
    try:
        yield
    finally:
        output(host, "systemctl stop %s", f"writer@{log}.service")


def written(host: Any, log: str) -> tuple[str, int]:
    """When the last writer started, by which its lines begin, and how many lines it wrote."""
    started, count = output(host, "cat %s", f"{FOLDER}/{log}.log.count").split()
    return started, int(count)


def lines(host: Any, log: str) -> list[str]:
    """The lines of all rotated logs."""
    return output(host, "find %s -name %s -not -name '*.count' -exec zcat -f {} +", FOLDER, f"{log}.log*").splitlines()


def rotate(host: Any, log: str) -> None:
    said = host.run("sleep 1; logrotate --force %s", f"/etc/logrotate.d/{log}")
    assert (said.rc, said.stdout, said.stderr) == (0, "", "")


def test_no_line_is_lost_when_the_log_is_reopened(host: Any) -> None:
    with writer(host, "reopened"):
        for dummy in range(ROTATIONS):
            rotate(host, "reopened")
        output(host, "sleep 0.5")
    started, count = written(host, "reopened")
    found = [int(line.split()[1]) for line in lines(host, "reopened") if line.startswith(f"{started} ")]
    assert count > 500 * ROTATIONS, "too few lines to prove anything"
    assert len(found) == count
    assert set(found) == set(range(count))


def test_rotated_logs_are_numbered_compressed_and_kept_from_others(host: Any) -> None:
    with writer(host, "reopened"):
        for dummy in range(3):
            rotate(host, "reopened")
    names = output(host, "ls %s", FOLDER).split()
    assert {"reopened.log", "reopened.log.1", "reopened.log.2.gz", "reopened.log.3.gz"} <= set(names)
    assert "reopened.log.1.gz" not in names
    current = host.file(f"{FOLDER}/reopened.log")
    assert (current.user, current.group, current.mode) == ("www-data", "adm", 0o640)


def test_a_writer_that_knows_nothing_goes_on_in_the_same_file(host: Any) -> None:
    with writer(host, "truncated"):
        output(host, "sleep 0.5")
        before = output(host, "stat --format=%s %s", "%i", f"{FOLDER}/truncated.log")
        for dummy in range(2):
            rotate(host, "truncated")
        output(host, "sleep 0.5")
        after = output(host, "stat --format=%s %s", "%i", f"{FOLDER}/truncated.log")
    assert after == before
    started, count = written(host, "truncated")
    own = [line for line in lines(host, "truncated") if line.startswith(f"{started} ")]
    assert len(set(own)) == len(own)
    # What is written between copying and truncating is lost, which is why this is not the default; it is not much.
    assert count * 0.5 < len(own) <= count
    assert output(host, "tail -n 1 %s", f"{FOLDER}/truncated.log") == f"{started} {count - 1}"
    assert host.file(f"{FOLDER}/truncated.log.2.gz").exists


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("reopened", {"daily", "rotate 9", "delaycompress"}), ("truncated", {"weekly", "rotate 7", "nodelaycompress"})],
)
def test_logrotate_knows_the_policy(host: Any, policy: str, expected: set[str]) -> None:
    said = host.run("logrotate --debug /etc/logrotate.conf")
    assert said.rc == 0
    assert "error:" not in said.stderr
    assert re.search(rf"^considering log {FOLDER}/{policy}\.log$", said.stderr, re.MULTILINE), said.stderr
    content = host.file(f"/etc/logrotate.d/{policy}").content_string
    assert expected <= {line.strip() for line in content.splitlines()}


def test_the_timer_rotates_every_day(host: Any) -> None:
    timer = host.service("logrotate.timer")
    assert timer.is_running
    assert timer.is_enabled
