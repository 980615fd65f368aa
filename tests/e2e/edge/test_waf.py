"""Promise: the firewall for requests says what it found, nothing of what was sent, and is nowhere unless asked for."""

from __future__ import annotations

import re

import pytest
from e2e.edge.machines import EdgeHosts

ATTACK = "%3Cscript%3Ealert%281%29%3C/script%3E"


def log_of(app: str) -> str:
    return f"/var/log/nginx/{app}.waf.log"


@pytest.mark.parametrize(("app", "status"), [("guard", 403), ("watch", 200)])
def test_one_line_says_what_was_found(edge: EdgeHosts, app: str, status: int) -> None:
    answered, identity = edge.ask(app, f"/found?q={ATTACK}")
    assert answered == status
    lines = edge.inside.root(f"grep -F {identity} {log_of(app)}").splitlines()
    summaries = [line for line in lines if '[id "1006"]' in line]
    assert len(summaries) == 1, lines
    assert re.search(r'\[msg "score \d+: SQL injection 0, XSS [1-9]', summaries[0])
    assert "alert" not in " ".join(line.partition(", request: ")[0] for line in lines)


@pytest.mark.parametrize("app", ["guard", "watch"])
def test_nothing_of_a_body_is_written_down(edge: EdgeHosts, app: str) -> None:
    dummy, identity = edge.ask(app, "/posted", f"note=canary-4711&q=canary-4712{ATTACK}")
    assert '[id "1006"]' in edge.inside.root(f"grep -F {identity} {log_of(app)}")
    assert edge.inside.run("sudo grep -r canary-471 /var/log/nginx").text == ""


def test_the_log_is_rotated_with_nginxs_own(edge: EdgeHosts) -> None:
    said = edge.inside.root("logrotate --debug /etc/logrotate.d/nginx 2>&1")
    assert "/var/log/nginx/guard.waf.log" in said
    assert edge.inside.root("ls /var/log | grep -i modsec || true") == ""
    assert edge.inside.root("ls /var/log/nginx | grep -i audit || true") == ""


def test_other_sites_have_none_of_it(edge: EdgeHosts) -> None:
    assert edge.inside.root("grep -l modsecurity /etc/nginx/sites-enabled/* | xargs -n1 basename | sort").split() == [
        "guard.conf",
        "watch.conf",
    ]
