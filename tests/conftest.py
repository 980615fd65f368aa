"""What all tests share: a count of the tests that ran, for the runner (tests/run.py)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Add this session's result to the file that FLASKWORKS_REPORT names: `molecule` runs several sessions."""
    target = os.environ.get("FLASKWORKS_REPORT")
    if not target or hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    stats = reporter.stats
    line = {
        "passed": len(stats.get("passed", [])),
        "failed": len(stats.get("failed", [])) + len(stats.get("error", [])),
        "skipped": len(stats.get("skipped", [])),
    }
    with Path(target).open("a") as out:
        out.write(json.dumps(line) + "\n")
