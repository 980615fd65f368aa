"""The role ufw_rules, alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from e2e.support import output, play, published_site

VISITOR = str(Path(__file__).with_name("firewall_visitor.yml"))


def rules(host: Any) -> set[tuple[str, str, str]]:
    """What ufw says that it does: port, action and source; those of both protocols are one."""
    listed = output(host, "ufw status").partition("--\n")[2].splitlines()
    found = set()
    for line in listed:
        words = re.split(r"\s{2,}", line.replace(" (v6)", "").partition("#")[0].strip())
        if len(words) == 3:
            found.add((words[0], words[1], words[2]))
    return found


def test_what_is_listed_is_allowed_and_nothing_else_but_ssh_and_the_rule_made_by_hand(host: Any) -> None:
    found = {(port.removesuffix("/tcp"), action, source) for port, action, source in rules(host)}
    assert found == {
        ("22", "ALLOW", "Anywhere"),
        ("80", "ALLOW", "Anywhere"),
        ("8081", "ALLOW", "Anywhere"),
        ("5432", "ALLOW", "10.0.0.0/8"),
        ("10000:10100/udp", "LIMIT", "Anywhere"),
        ("9999", "ALLOW", "Anywhere"),
    }


def test_the_firewall_is_on_now_and_after_a_boot(host: Any) -> None:
    status = output(host, "ufw status verbose")
    assert "Status: active" in status
    assert "Default: deny (incoming)" in status
    assert "ENABLED=yes" in host.file("/etc/ufw/ufw.conf").content_string
    assert host.service("ufw.service").is_enabled


def test_the_sites_are_reached_through_it(host: Any) -> None:
    for port in (80, 8081):
        assert published_site(host, "socket.test", port).get("/").status_code == 200


def test_rules_of_another_owner_come_and_go_alone(host: Any) -> None:
    before = rules(host)
    play(host, VISITOR, "-e", json.dumps({"rules": {"game": {"ports": [7000, 80], "policy": "allow"}}}))
    assert {port.removesuffix("/tcp") for port, dummy, dummy in rules(host) - before} == {"7000"}
    play(host, VISITOR, "-e", json.dumps({"rules": {}}))
    assert rules(host) == before


def test_one_wrong_rule_changes_nothing(host: Any) -> None:
    before = output(host, "cat /etc/ufw/user.rules /etc/ufw/user6.rules | sha256sum")
    wrong = {"good": {"ports": [7001]}, "bad": {"ports": [70000]}}
    run = play(host, VISITOR, "-e", json.dumps({"rules": wrong}), status=2)
    assert "ufw_rules.bad" in run.text
    assert output(host, "cat /etc/ufw/user.rules /etc/ufw/user6.rules | sha256sum") == before
