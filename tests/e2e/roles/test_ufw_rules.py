"""The role ufw_rules, alone: who gets in, whose rules go, and that nobody is locked out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from e2e.playbooks import Run
from e2e.support import output, play, published_site, wait_until

FIREWALL = str(Path(__file__).with_name("firewall_visitor.yml"))
# The host as a machine beside it sees it: a network namespace at the other end of a cable.
CABLE = """
ip netns add outside
ip link add inner type veth peer name outer
ip link set outer netns outside
ip address add 198.18.0.1/24 dev inner
ip address add fd00:77::1/64 dev inner nodad
ip link set inner up
ip netns exec outside ip address add 198.18.0.2/24 dev outer
ip netns exec outside ip address add fd00:77::2/64 dev outer nodad
ip netns exec outside ip link set outer up
"""
ADDRESSES = {4: "198.18.0.1", 6: "fd00:77::1"}
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"

Reach = Callable[[int], set[int]]


def bring(host: Any, rules: dict[str, Any], *options: str, status: int = 0, **more: Any) -> Run:
    """Bring the rules of another project on the same host to what is listed."""
    return play(host, FIREWALL, "-e", json.dumps({"rules": rules, **more}), *options, status=status)


def state(host: Any) -> str:
    """All that makes up the firewall, on the disk and in the kernel."""
    files = output(host, "cat /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf /etc/default/ufw")
    return "\n".join(
        [files, output(host, "ufw status verbose"), output(host, "iptables-save --table filter | grep ^-A")]
    )


def rules(host: Any) -> set[tuple[str, str, str]]:
    """What ufw says that it does: port, action and source; those of both protocols are one."""
    listed = output(host, "ufw status").partition("--\n")[2].splitlines()
    found = set()
    for line in listed:
        words = re.split(r"\s{2,}", line.replace(" (v6)", "").partition("#")[0].strip())
        if len(words) == 3:
            found.add((words[0], words[1], words[2]))
    return found


@pytest.fixture
def reach(host: Any) -> Generator[Reach]:
    """Tells over which families a port of the host is reached from outside, with something listening on it."""
    for line in CABLE.strip().splitlines():
        host.check_output(line)

    def families(port: int) -> set[int]:
        return {
            family
            for family, address in ADDRESSES.items()
            if host.run("ip netns exec outside python3 -c %s %s %s", CONNECT, address, str(port)).rc == 0
        }

    wait_until(lambda: families(22) == {4, 6}, 10, "the host is reached through the cable")
    yield families
    host.check_output("ip netns delete outside")


@pytest.fixture
def listener(host: Any) -> Generator[int]:
    """A port on which a program listens that nobody told the firewall of."""
    host.check_output("systemd-run --quiet --unit=listener python3 -m http.server --bind :: 9990")
    wait_until(lambda: host.run("ss -Hltn sport = :9990").stdout != "", 10, "the program listens")
    yield 9990
    host.check_output("systemctl stop listener")


@pytest.fixture
def clean(host: Any) -> Generator[None]:
    """Nothing of the other project stays."""
    before = rules(host)
    yield
    bring(host, {})
    assert rules(host) == before


def test_what_is_listed_is_allowed_and_nothing_else_but_ssh_and_the_rule_made_by_hand(host: Any) -> None:
    assert rules(host) == {
        ("22/tcp", "ALLOW", "Anywhere"),
        ("80/tcp", "ALLOW", "Anywhere"),
        ("8081/tcp", "ALLOW", "Anywhere"),
        ("5432/tcp", "ALLOW", "10.0.0.0/8"),
        ("10000:10100/udp", "LIMIT", "Anywhere"),
        ("9999/tcp", "ALLOW", "Anywhere"),
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


@pytest.mark.usefixtures("clean")
def test_what_is_listed_is_reached_and_nothing_else(host: Any, reach: Reach, listener: int) -> None:
    assert reach(80) == {4, 6}
    assert reach(8081) == {4, 6}
    assert reach(listener) == set()
    bring(host, {"http": {"ports": [str(listener)]}})
    assert reach(listener) == {4, 6}
    bring(host, {"http": {"ports": [str(listener)], "from": ["198.18.0.0/24"]}})
    assert reach(listener) == {4}
    bring(
        host,
        {"http": {"ports": [str(listener)]}, "ban": {"ports": ["9000:9990"], "policy": "deny", "from": ["198.18.0.2"]}},
    )
    assert reach(listener) == {6}
    bring(host, {})
    assert reach(listener) == set()
    assert reach(80) == {4, 6}, "another owner's rule went with it"


@pytest.mark.usefixtures("clean")
def test_a_second_run_changes_nothing_and_check_mode_predicts_the_first(host: Any) -> None:
    rules = {"http": {"ports": ["9990", "80"]}}
    before = state(host)
    predicted = bring(host, rules, "--check").changed
    assert state(host) == before
    assert predicted == bring(host, rules).changed != []
    assert bring(host, rules).changed == []
    # Port 80 is the other project's too: it stays when this one leaves.
    bring(host, {})
    assert state(host) == before


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"ports": ["99909"]}, "no port from 1 to 65535"),
        ({"ports": ["81"], "from": ["10.0.0.0/33"]}, "neither 'any' nor an address"),
        ({"ports": ["80"], "policy": "deny"}, "says allow for the same"),
        ({"ports": ["22"], "policy": "deny"}, "could not be reached any more"),
        ({"ports": ["22"], "from": ["203.0.113.0/24"]}, "would shut out"),
    ],
)
def test_one_bad_rule_changes_nothing_at_all(host: Any, rule: dict[str, Any], words: str) -> None:
    before = state(host)
    run = bring(host, {"good": {"ports": ["9998"]}, "bad": rule}, status=2)
    assert words in " ".join(run.text.split())
    assert state(host) == before


@pytest.mark.usefixtures("clean")
def test_a_failure_half_way_puts_everything_back(host: Any) -> None:
    wrapper = (
        '#!/bin/sh\\ncase "$*" in --dry-run*) ;; *9990*) echo refused >&2; exit 1 ;; esac\\nexec /usr/sbin/ufw "$@"\\n'
    )
    host.check_output(f"printf '{wrapper}' > /usr/local/sbin/ufw && chmod 0755 /usr/local/sbin/ufw")
    before = state(host)
    try:
        run = bring(host, {"a": {"ports": ["9998"]}, "b": {"ports": ["9990"]}}, status=2)
    finally:
        host.check_output("rm /usr/local/sbin/ufw")
    assert "refused" in run.text
    assert state(host) == before


@pytest.mark.usefixtures("clean")
def test_rules_made_by_hand_stay_unless_asked(host: Any) -> None:
    for words in ("allow 7000/tcp", "allow in on inner to any port 7001 proto tcp", "route allow from 10.1.0.0/16"):
        host.check_output(f"ufw {words}")
    before = state(host)
    assert bring(host, {}).changed == []
    assert state(host) == before
    bring(host, {}, purge=True)
    after = output(host, "ufw status")
    assert "7000" not in after
    assert "7001" not in after
    assert "10.1.0.0" not in after
    assert "parts: web" in after
    # The scenario's own rule made by hand.
    assert "9999/tcp" not in after
    host.check_output("ufw allow 9999/tcp")


@pytest.mark.usefixtures("clean")
def test_a_rule_made_by_hand_that_defeats_one_is_told(host: Any) -> None:
    host.check_output("ufw allow 9990/tcp")
    office = {"ports": ["9990"], "from": ["198.18.0.0/24"]}
    for dummy in range(2):
        assert "remove that rule: ufw delete allow 9990/tcp" in bring(host, {"office": office}).flat
    before = state(host)
    assert "so nothing is refused" in bring(host, {"ban": {**office, "policy": "deny"}}, status=2).flat
    assert state(host) == before
    host.check_output("ufw delete allow 9990/tcp")
    assert "remove that rule" not in bring(host, {"office": office}).flat


@pytest.mark.usefixtures("clean")
def test_ssh_is_let_in_where_it_listens(host: Any, reach: Reach) -> None:
    host.check_output("systemd-run --quiet --unit=second-sshd /usr/sbin/sshd -D -p 2222")
    wait_until(lambda: host.run("ss -Hltn sport = :2222").stdout != "", 10, "the second server listens")
    assert reach(2222) == set()
    bring(host, {})
    assert reach(2222) == {4, 6}
    host.check_output("systemctl stop second-sshd")
    assert bring(host, {}).changed != []
    assert "2222" not in output(host, "ufw status")


@pytest.mark.usefixtures("clean")
def test_ssh_goes_before_a_rule_that_denies_it(host: Any, reach: Reach) -> None:
    host.check_output("ufw disable")
    host.check_output("ufw prepend deny from any to any port 22 proto tcp")
    host.check_output("ufw prepend deny from 198.18.0.0/16")
    # Ansible comes from elsewhere: it is let in, and the ban of the network at the cable stands.
    bring(host, {})
    assert output(host, "ufw status").startswith("Status: active")
    assert reach(22) == {6}
    host.check_output("ufw delete deny from 198.18.0.0/16")
    assert reach(22) == {4, 6}


@pytest.mark.usefixtures("clean")
def test_ssh_may_be_limited(host: Any) -> None:
    bring(host, {"ssh": {"ports": ["22"], "policy": "limit"}})
    lines = [line for line in output(host, "ufw status").splitlines() if line.startswith("22/tcp")]
    assert len(lines) == 2
    assert all("LIMIT" in line for line in lines)
    assert bring(host, {"ssh": {"ports": ["22"], "policy": "limit"}}).changed == []


@pytest.mark.usefixtures("clean")
def test_a_firewall_switched_off_by_hand_is_switched_on(host: Any) -> None:
    host.check_output("ufw disable")
    assert bring(host, {}).changed != []
    assert output(host, "ufw status").startswith("Status: active")
