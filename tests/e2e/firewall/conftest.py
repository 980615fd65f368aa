"""Two real hosts: one with a firewall, and one beside it that looks at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.firewall.machines import SSH_PORT, EngineHost, FirewallHosts, inventories
from e2e.machine import booted, debians, folder_of, keep
from e2e.playbooks import ROOT


@pytest.fixture(scope="session", params=debians())
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirewallHosts]:
    debian, name = request.param, f"firewall{request.param}"
    folder = folder_of(name, tmp_path_factory)
    with (
        booted(EngineHost, name, debian, folder, publish=[80, SSH_PORT]) as target,
        booted(EngineHost, f"{name}-outside", debian, folder) as neighbour,
    ):
        made = FirewallHosts(target, neighbour, folder, inventories(target, neighbour, folder))
        neighbour.give(ROOT / "tests" / "scan.py", "/root/scan.py")
        made.root(f"echo 'Port {SSH_PORT}' > /etc/ssh/sshd_config.d/port.conf; systemctl restart ssh")
        made.cable()
        yield made
        if keep():
            # They are used again, and hosts.py looks for them on the usual port.
            made.root("ufw disable; rm /etc/ssh/sshd_config.d/port.conf; systemctl restart ssh")
