"""What the tests on hosts share. `host` is testinfra's: each test runs once per host of the scenario."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
JOURNAL_LINES = 40


@pytest.fixture
def reboot(host: Any) -> Callable[[], None]:
    """Restart the test's host as a machine restarts; returns when it has booted. Its published ports stay the same."""
    name = host.ansible.get_variables()["test_host_name"]

    def restart() -> None:
        subprocess.run(
            [sys.executable, str(ROOT / "tests/hosts/hosts.py"), "restart", "--name", name],
            check=True,
            stdin=subprocess.DEVNULL,
        )

    return restart


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the host's journal below a failed test."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and report.when == "call" and host is not None:
        journal = host.run("journalctl --no-pager --lines=%s", str(JOURNAL_LINES)).stdout
        report.sections.append((f"journal of {item.name}", journal))
    return report
