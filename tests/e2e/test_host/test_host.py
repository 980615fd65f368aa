"""A test host is a real Debian: it boots, is reached as production hosts are, and takes what the roles need."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import requests


def nginx_answers(host: Any) -> bool:
    port = host.ansible.get_variables()["published_ports"]["80"]
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://127.0.0.1:{port}/", timeout=10).ok


def test_it_is_the_debian_that_was_asked_for(host: Any) -> None:
    assert host.system_info.release.split(".")[0] == host.ansible.get_variables()["debian_release"]
    assert host.check_output("cat /proc/1/comm") == "systemd"


def test_it_booted_without_a_failed_unit(host: Any) -> None:
    assert host.check_output("systemctl is-system-running") == "running"
    assert host.check_output("systemctl --failed --plain --no-legend") == ""


def test_ansible_logs_in_as_an_ordinary_user(host: Any) -> None:
    variables = host.ansible.get_variables()
    assert variables["ansible_user"] == "deploy"
    assert "ansible_become" not in variables
    assert host.user("deploy").uid >= 1000


def test_root_trusts_the_same_authorities_as_this_machine(host: Any) -> None:
    """git and uv reach a TLS host of the package sources' kind from an isolated environment."""
    host.check_output("python3 -m venv --clear /tmp/venv")
    host.check_output("/tmp/venv/bin/pip install --quiet --disable-pip-version-check uv")
    host.check_output("env -i /tmp/venv/bin/uv pip install --quiet --no-cache --python /tmp/venv/bin/python click")
    assert host.file("/tmp/venv/bin/uv").exists


def test_a_port_that_the_firewall_closes_is_closed(host: Any) -> None:
    host.check_output("ufw allow 80/tcp")
    assert nginx_answers(host)
    host.check_output("ufw delete allow 80/tcp")
    port = host.ansible.get_variables()["published_ports"]["80"]
    with socket.socket() as client:
        client.settimeout(2)
        assert client.connect_ex(("127.0.0.1", port)) != 0


def test_it_reboots_with_its_ports_and_its_firewall(host: Any, reboot: Callable[[], None]) -> None:
    host.check_output("ufw allow 80/tcp")
    host.check_output("touch /run/before-the-reboot")
    reboot()
    assert not host.file("/run/before-the-reboot").exists
    assert "Status: active" in host.check_output("ufw status")
    assert nginx_answers(host)
