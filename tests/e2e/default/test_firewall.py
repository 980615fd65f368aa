"""Promise: only SSH and the sites' ports are open, and nothing but nginx and sshd listens to the network."""

from __future__ import annotations

from typing import Any

from e2e.support import output


def test_the_firewall_is_on_and_denies_by_default(host: Any) -> None:
    status = output(host, "ufw status verbose")
    assert "Status: active" in status
    assert "Default: deny (incoming)" in status


def test_ssh_and_the_sites_are_allowed_and_nothing_else(host: Any) -> None:
    rules = output(host, "ufw status").partition("--")[2].splitlines()[1:]
    ports = {port for line in rules if line.strip() for port in line.split()[0].partition("/")[0].split(",")}
    assert ports == {"22", "80", "8081"}


def test_the_firewall_comes_back_at_boot(host: Any) -> None:
    assert output(host, "systemctl is-enabled ufw.service") == "enabled"
    assert "ENABLED=yes" in host.file("/etc/ufw/ufw.conf").content_string


def test_nobody_else_listens_to_the_network(host: Any) -> None:
    listening = output(host, "ss --no-header --listening --numeric --tcp --processes").splitlines()
    open_to_all = [line for line in listening if not line.split()[3].startswith(("127.", "[::1]"))]
    programs = {line.partition('users:(("')[2].partition('"')[0] for line in open_to_all}
    assert programs == {"sshd", "nginx"}


def test_nginx_listens_on_both_protocols(host: Any) -> None:
    listening = output(host, "ss --no-header --listening --numeric --tcp")
    addresses = {line.split()[3] for line in listening.splitlines()}
    assert {"0.0.0.0:80", "[::]:80", "0.0.0.0:8081", "[::]:8081"} <= addresses


def test_the_default_site_of_debian_is_gone(host: Any) -> None:
    assert not host.file("/etc/nginx/sites-enabled/default").exists
