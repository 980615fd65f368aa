"""Promise: nobody is locked out, and what is open is what is listed. The tests build on each other, in this order."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.firewall.machines import GUARD, SSH_PORT, FirewallHosts
from e2e.playbooks import end
from e2e.support import wait_until

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
"""
MODULE = "-t ansible-flaskworks.deploy.ufw_rules"
UNLISTED, OFFICE, PUBLISHED = 9990, 8081, 8090
# Comes before all rules of a user, which is where the module looks and makes its own.
CUT = "-A ufw{}-before-input -p tcp --dport 2222 -m conntrack --ctstate NEW -j {}"
# What Docker makes for `docker run -p 8090:80`: a bridge, a DNAT in the chain DOCKER, and its own rule to forward.
CONTAINER = """
ip netns add container
ip link add docker0 type bridge
ip address add 172.17.0.1/16 dev docker0
ip link set docker0 up
ip link add veth0 type veth peer name eth0 netns container
ip link set veth0 master docker0 up
ip -n container address add 172.17.0.2/16 dev eth0
ip -n container link set eth0 up
ip -n container link set lo up
ip -n container route add default via 172.17.0.1
sysctl -q -w net.ipv4.ip_forward=1
systemd-run --quiet --unit=container ip netns exec container python3 -m http.server 80
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8090 -j DNAT --to-destination 172.17.0.2:80
iptables -I FORWARD -o docker0 -j ACCEPT
iptables -I FORWARD -i docker0 -j ACCEPT
"""


@pytest.fixture(scope="module")
def apps(pair: FirewallHosts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A site for everybody, and one for the host outside and IPv4 alone."""
    source = tmp_path_factory.mktemp("site")
    (source / "hello.py").write_text(APP)
    common = {"source": {"path": str(source)}, "wsgi": "hello:app", "server": {"worker_class": "sync", "workers": 1}}
    outside = pair.outside("ip -4 -brief address show dev eth0 | awk '{print $3}' | cut -d/ -f1")
    return {
        "flask_apps": {
            "shop": {**common, "domains": ["shop.test"]},
            "office": {**common, "domains": ["office.test"], "nginx": {"listen": [OFFICE], "allow_from": [outside]}},
        }
    }


def cut(pair: FirewallHosts, how: str) -> None:
    """Have ufw refuse new SSH connections by a rule that its command does not know."""
    for path, family in (("before.rules", ""), ("before6.rules", "6")):
        line = CUT.format(family, how)
        pair.root(f"cp -n /etc/ufw/{path} /root/{path}; sed -i '/^# End required lines/a {line}' /etc/ufw/{path}")


@pytest.fixture
def off(pair: FirewallHosts) -> Any:
    """ufw is switched off at first, and has its own rules again in the end."""
    pair.root("ufw disable")
    yield
    pair.root("for name in before.rules before6.rules; do test ! -e /root/$name || mv /root/$name /etc/ufw/; done")
    pair.root(f"rm -f /usr/local/sbin/ufw; test ! -e {GUARD}")


def test_what_is_open_is_what_is_listed(pair: FirewallHosts, apps: dict[str, Any]) -> None:
    pair.root(f"systemd-run --quiet --unit=unlisted python3 -m http.server --bind :: {UNLISTED}")
    assert UNLISTED in pair.open_ports(4, f"{UNLISTED}"), "the scanner sees nothing"
    assert UNLISTED in pair.open_ports(6, f"{UNLISTED}"), "the scanner sees nothing over IPv6"
    run = pair.play("site.yml", apps)
    assert run.status == 0, run.text[-4000:]
    assert pair.status() == "Status: active"
    assert pair.open_ports(4) == {80, OFFICE, SSH_PORT}
    assert pair.open_ports(6) == {80, SSH_PORT}


def test_ssh_is_reached_over_ipv6_too_and_nothing_is_left_of_the_way_back(
    pair: FirewallHosts, apps: dict[str, Any]
) -> None:
    again = pair.play("site.yml", apps, family=6)
    assert again.status == 0, again.text[-4000:]
    assert "changed=0" in again.text
    assert pair.root(f"ls -d {GUARD} /etc/systemd/system/ufw.service.d 2>/dev/null || true") == ""
    assert "flaskworks-ufw" not in pair.root("systemctl list-units --all --plain")


def test_only_a_change_for_ssh_costs_one_new_connection(pair: FirewallHosts) -> None:
    def costs(rules: dict[str, Any], **more: Any) -> tuple[int, int]:
        before = pair.count("Invoked", MODULE), pair.count("Accepted publickey", "-u ssh")
        run = pair.bring(rules, **more)
        assert run.status == 0, run.text[-3000:]
        after = pair.count("Invoked", MODULE), pair.count("Accepted publickey", "-u ssh")
        return after[0] - before[0], after[1] - before[1]

    pair.bring({})
    assert costs({}) == (1, 0)
    assert costs({"more": {"ports": ["8099"]}}) == (1, 0)
    pair.root("ufw disable")
    assert costs({}) == (2, 1)
    assert pair.status() == "Status: active"


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize("family", [4, 6])
def test_a_change_that_cuts_ssh_off_goes_back(pair: FirewallHosts, family: int) -> None:
    cut(pair, "REJECT --reject-with tcp-reset" if family == 4 else "DROP")
    files = pair.root("cat /etc/ufw/*.rules /etc/ufw/ufw.conf | sha256sum")
    run = pair.bring({"more": {"ports": ["8099"]}}, family=family, ufw_rules_revert_after=16)
    assert run.status != 0
    assert "took no new SSH connection, so the firewall went back to what it was" in run.flat, run.text[-3000:]
    assert pair.status() == "Status: inactive"
    assert pair.root("cat /etc/ufw/*.rules /etc/ufw/ufw.conf | sha256sum") == files
    assert pair.open_ports(4, str(SSH_PORT)) == pair.open_ports(6, str(SSH_PORT)) == {SSH_PORT}


@pytest.mark.usefixtures("off")
def test_it_goes_back_when_the_module_dies(pair: FirewallHosts) -> None:
    # Python runs the program, and is killed right after the filter is on.
    on = '/usr/sbin/ufw "$@"; /usr/sbin/ufw status > /run/was; kill -9 $PPID'
    kill = f'case "$*" in *enable*) {on} ;; *) exec /usr/sbin/ufw "$@" ;; esac'
    pair.root(f"printf '#!/bin/sh\\n%s\\n' '{kill}' > /usr/local/sbin/ufw; chmod 0755 /usr/local/sbin/ufw")
    run = pair.bring({}, ufw_rules_revert_after=6)
    assert run.status != 0
    # The timer may have done its work by now.
    assert "Status: active" in pair.root("cat /run/was"), run.text[-3000:]
    wait_until(lambda: pair.status() == "Status: inactive", 30, "the timer took it back")
    wait_until(lambda: not pair.root(f"ls -d {GUARD} 2>/dev/null || true"), 5, "nothing is left of it")


@pytest.mark.usefixtures("off")
def test_it_goes_back_when_the_controller_dies_and_the_next_run_waits_for_that(pair: FirewallHosts) -> None:
    cut(pair, "DROP")
    _killed(pair, 20)
    pair.root("for name in before.rules before6.rules; do cp /root/$name /etc/ufw/; done")
    began = int(pair.root(f"cat {GUARD}/until"))
    run = pair.bring({})
    assert run.status == 0, run.text[-3000:]
    assert int(pair.root("date +%s")) >= began, "it did not wait"
    assert pair.count("flaskworks-ufw-revert.service: Deactivated successfully") >= 1
    assert pair.status() == "Status: active"


def test_ssh_may_be_limited_and_a_deploy_survives_it(pair: FirewallHosts, apps: dict[str, Any]) -> None:
    pair.root("ufw prepend allow 2222")
    refused = pair.play("site.yml", {**apps, "ufw_rules_ssh_limit": True}, "--tags", "firewall", family=6)
    assert "is asked before and lets everybody in, so nothing is limited" in refused.flat, refused.text[-3000:]
    pair.root("ufw delete allow 2222")
    alone = {"ansible_ssh_args": "-o ControlMaster=no", "ufw_rules_ssh_limit": True}
    unshared = pair.play("site.yml", {**apps, **alone}, "--tags", "firewall")
    assert "ssh_limit would stop this run" in unshared.flat, unshared.text[-3000:]
    for dummy in range(2):
        run = pair.play("site.yml", {**apps, "ufw_rules_ssh_limit": True}, family=6)
        assert run.status == 0, run.text[-3000:]
    assert "changed=0" in run.text
    again = f"for n in 1 2 3 4 5 6 7 8; do python3 /root/scan.py {pair.address[4]} {SSH_PORT}; done"
    tries = pair.outside(again).splitlines()
    assert tries[0] == f"[{SSH_PORT}]"
    assert tries[-1] == "[]", "the eighth connection within seconds was let in"


def test_ports_that_containers_publish_are_told(pair: FirewallHosts, apps: dict[str, Any]) -> None:
    pair.root(CONTAINER)
    apps = {**apps, "ufw_rules_ssh_limit": True}
    wait_until(lambda: pair.open_ports(4, str(PUBLISHED)) == {PUBLISHED}, 10, "it is open although it is not listed")
    run = pair.play("site.yml", apps, "--tags", "firewall")
    assert run.status == 0, run.text[-3000:]
    assert "changed=0" in run.text
    told = "port 8090/tcp is published by a container (nat DOCKER, to 172.17.0.2:80) and open to everybody, past ufw"
    assert told in run.flat
    assert "[WARNING]" in run.text
    pair.root(
        "iptables -t nat -R DOCKER 1 -d 127.0.0.1 -p tcp -m tcp --dport 8090 -j DNAT --to-destination 172.17.0.2:80"
    )
    assert "published by" not in pair.play("site.yml", apps, "--tags", "firewall").text


@pytest.mark.usefixtures("off")
def test_a_restart_takes_an_unconfirmed_change_back(pair: FirewallHosts) -> None:
    cut(pair, "DROP")
    _killed(pair, 600)
    pair.restart()
    assert pair.status() == "Status: inactive"
    assert pair.root(f"ls -d {GUARD} /etc/systemd/system/ufw.service.d 2>/dev/null || true") == ""
    wait_until(lambda: pair.open_ports(6, str(SSH_PORT)) == {SSH_PORT}, 20, "it is reached")


def _killed(pair: FirewallHosts, seconds: int) -> None:
    """Have a run switch the firewall on, and kill the controller before it can say that it is in."""
    process = pair.begin({}, ufw_rules_revert_after=seconds)
    try:
        wait_until(lambda: pair.status() == "Status: active", 30, "it is on")
    finally:
        end(process)
