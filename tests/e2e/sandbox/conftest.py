"""Two hosts, Debian 12 and 13, with all applications live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from e2e.machine import booted, folder_of
from e2e.sandbox.machines import DEBIANS, SandboxHost, SandboxHosts, entries


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHosts]:
    """All applications are live on both hosts, and places exist that a careless administrator leaves open."""
    machines = {}
    with ExitStack() as stack:
        for debian in DEBIANS:
            name = f"sandbox{debian}"
            place = booted(SandboxHost, name, debian, folder_of(name, tmp_path_factory), publish=[80])
            machines[debian] = stack.enter_context(place)
        made = SandboxHosts(machines)
        for done in made.each(lambda machine: machine.bring(entries(machine.debian))).values():
            assert done.status == 0, done.text[-5000:]
        for machine in machines.values():
            machine.root(
                "mkdir -p /opt/open /opt/mine /home/anybody && chmod 0777 /opt/open && chmod 0755 /home/anybody"
                " && chown a-strict /opt/mine && echo x > /home/anybody/readable && chmod 0666 /dev/fuse"
            )
        yield made


@pytest.fixture(scope="session", params=DEBIANS)
def machine(request: pytest.FixtureRequest, hosts: SandboxHosts) -> SandboxHost:
    return hosts.machines[request.param]
