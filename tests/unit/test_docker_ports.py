"""Ports that containers publish, as iptables-save and the command lines of docker-proxy tell."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.docker_ports import (
    _commands,
    docker_findings,
    nat_ports,
    own_filters,
    proxy_port,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import Rule

NAT = """*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8090 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8091 -j DNAT --to-destination 172.17.0.3:80
-A DOCKER -d 192.0.2.7/32 ! -i docker0 -p udp -m udp --dport 53 -j DNAT --to-destination 172.17.0.4:5353
-A NETAVARK-DN-1D8721804F16F -p tcp -m tcp --dport 9000 -j DNAT --to-destination 10.88.0.2:9000
COMMIT
"""


def proxy(*words: str) -> str:
    return "\0".join(["/usr/bin/docker-proxy", *words, ""])


def published(**changes: Any) -> dict[str, Any]:
    return {
        "port": 8090,
        "proto": "tcp",
        "address": "0.0.0.0",
        "target": "172.17.0.2:80",
        "by": "docker-proxy",
        **changes,
    }


def test_forwarded_ports_are_read() -> None:
    found = [(item["port"], item["proto"], item["address"], item["target"], item["by"]) for item in nat_ports(NAT, 4)]
    assert found == [
        (8090, "tcp", "0.0.0.0", "172.17.0.2:80", "nat DOCKER"),
        (8091, "tcp", "127.0.0.1", "172.17.0.3:80", "nat DOCKER"),
        (53, "udp", "192.0.2.7", "172.17.0.4:5353", "nat DOCKER"),
        (9000, "tcp", "0.0.0.0", "10.88.0.2:9000", "nat NETAVARK-DN-1D8721804F16F"),
    ]
    assert nat_ports("*nat\n-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1\n", 4) == []


def test_a_proxy_says_what_it_does() -> None:
    words = ("-proto", "tcp", "-host-ip", "0.0.0.0", "-host-port", "8090", "-container-ip", "172.17.0.2")
    assert proxy_port(proxy(*words, "-container-port", "80")) == published()
    assert proxy_port(proxy(*words, "-container-port", "80", "-use-listen-fd")) == published()
    assert proxy_port(proxy(*words)) is None
    assert proxy_port("/usr/sbin/nginx\0-g\0daemon off;") is None


@pytest.mark.parametrize(("address", "port"), [("\x1b[2Jnothing is wrong", "80"), ("172.17.0.2", "80\nall is well")])
def test_words_of_a_proxy_are_an_address_and_a_port(address: str, port: str) -> None:
    words = ("-host-ip", "0.0.0.0", "-host-port", "8090", "-container-ip", address, "-container-port", port)
    assert proxy_port(proxy(*words)) is None


@pytest.mark.parametrize(("user", "heard"), [(65534, False), (0, True)])
def test_a_program_that_calls_itself_a_proxy_is_not_heard(user: int, heard: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    code = f"import os, sys; os.setuid({user}); print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, "docker-proxy-of-a-test"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        process.stdout.readline()
        assert any("docker-proxy-of-a-test" in command for command in _commands()) is heard
        process.kill()


def test_a_port_that_others_reach_past_the_firewall_is_a_warning() -> None:
    twice = {"published": [published(by="nat DOCKER"), published()], "filtered": []}
    (found,) = docker_findings(twice, True)
    assert found.level == "warning"
    assert "port 8090/tcp is published by a container (nat DOCKER, to 172.17.0.2:80)" in found.evidence
    assert "127.0.0.1:8090:80" in found.fix
    (one,) = docker_findings({"published": [published(address="192.0.2.7")], "filtered": []}, True)
    assert "by a container on 192.0.2.7" in one.evidence


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1"])
def test_a_port_of_the_host_alone_is_none(address: str) -> None:
    assert docker_findings({"published": [published(address=address)], "filtered": []}, True) == []


def test_a_port_that_is_listed_is_none_and_one_for_some_is_one() -> None:
    facts = {"published": [published()], "filtered": []}
    assert docker_findings(facts, False) == [], "nothing goes past a firewall that is off"
    assert docker_findings(facts, True, [Rule(4, "allow", "tcp", "8000:8100", "any")]) == []
    for rule in (
        Rule(4, "allow", "tcp", "8090", "10.0.0.0/8"),
        Rule(4, "allow", "udp", "8090", "any"),
        Rule(4, "deny", "tcp", "8090", "any"),
    ):
        assert len(docker_findings(facts, True, [rule])) == 1


def test_rules_of_ones_own_are_told_and_not_judged() -> None:
    text = "-A DOCKER-USER -i eth0 -j DROP\n-A DOCKER-USER -j RETURN\n-A FORWARD -j DOCKER-USER\n"
    filtered = own_filters(text)
    assert filtered == ["-i eth0 -j DROP"]
    (found,) = docker_findings({"published": [published()], "filtered": filtered}, True)
    assert found.level == "info"
