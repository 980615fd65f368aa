"""Promise: what an outside host tries on the sites of another one, whatever it sends, gets it nothing."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.__main__ import load
from attacks.table import TABLE
from e2e.edge.machines import EdgeHosts
from e2e.edge.sites import APPS

load()


@pytest.mark.parametrize("group", sorted({row.group for row in TABLE}))
def test_every_attack_is_held(edge: EdgeHosts, group: str) -> None:
    rows = [row for row in edge.results if row["group"] == group]
    assert [row["name"] for row in rows] == [row.name for row in TABLE if row.group == group]
    assert [f"{row['name']}: {row['seen']}" for row in rows if row["verdict"] != "held"] == []


# Prints what no reader of a log could take: of JSON, of UTF-8, and lines that nginx did not begin.
UNREADABLE = r"""
import glob, json, re
for path in glob.glob("/var/log/nginx/*.access.log"):
    for line in open(path, "rb"):
        try:
            json.loads(line.decode())
        except ValueError as error:
            print(path, error, line[:200])
for path in glob.glob("/var/log/nginx/*error.log"):
    for line in open(path, "rb"):
        if not re.match(rb"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:]{8} \[", line):
            print(path, line[:200])
"""


def test_no_attack_has_made_a_log_unreadable(edge: EdgeHosts) -> None:
    assert edge.inside.root(f"python3 -c {shlex.quote(UNREADABLE)}") == ""


def test_gixy_finds_nothing_in_what_is_on_the_host(edge: EdgeHosts, tmp_path: Path) -> None:
    dump = tmp_path / "nginx.conf"
    dump.write_text(edge.inside.root("nginx -T 2>/dev/null"))
    gixy = str(Path(sys.executable).with_name("gixy"))
    # Its list of CVEs wants to know the version of an nginx that runs.
    argv = [gixy, "--format", "json", "--skips", "nginx_cves", str(dump)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == [], done.stdout[-3000:]
    assert "server_name mirror.test" in dump.read_text()


def test_the_application_stands_where_the_attacks_left_it(edge: EdgeHosts) -> None:
    """No worker died of an attack."""
    for app in APPS:
        shown = edge.inside.root(f"systemctl show --property=NRestarts,ActiveState '{app}@*.service'")
        assert shown.split() == ["NRestarts=0", "ActiveState=active"]
        log = edge.inside.root(f"cat /var/log/{app}/error.log")
        assert "WORKER TIMEOUT" not in log
        assert "was sent SIG" not in log
