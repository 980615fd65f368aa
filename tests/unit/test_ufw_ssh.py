"""Whose ports the firewall opens as those of SSH, and who counts as connected to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import ufw_ssh
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_ssh import Socket, connected

# What an application could do to have a port of its own opened: call itself sshd, and listen.
PRETENDER = """
import os, socket, sys
with open("/proc/self/comm", "w") as stream:
    stream.write("sshd")
if os.geteuid() == 0 and sys.argv[1] == "user":
    os.setuid(65534)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def pretender(request: pytest.FixtureRequest) -> Iterator[int]:
    argv = [sys.executable, "-c", PRETENDER, request.param]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        yield int(process.stdout.readline())
        process.kill()


def listening() -> set[int]:
    return ufw_ssh._listening(ufw_ssh._sockets())


@pytest.mark.parametrize("pretender", ["user"], indirect=True)
def test_a_program_that_calls_itself_sshd_opens_no_port(pretender: int) -> None:
    assert pretender not in listening()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has processes of root")
@pytest.mark.parametrize("pretender", ["root"], indirect=True)
def test_a_server_of_root_is_found(pretender: int) -> None:
    assert pretender in listening()


def test_who_is_connected_from_the_host_itself_is_nobody() -> None:
    """A connection to an address of the host goes through the loopback device, and has two ends in the table."""
    sockets = [
        Socket(22, "0.0.0.0", "0A", "1", "0.0.0.0"),
        Socket(22, "192.0.2.1", "01", "2", "198.51.100.7"),
        Socket(22, "198.51.100.7", "01", "3", "198.51.100.7"),
        Socket(40000, "198.51.100.7", "01", "4", "198.51.100.7"),
        Socket(22, "127.0.0.1", "01", "5", "127.0.0.1"),
        Socket(80, "192.0.2.9", "01", "6", "198.51.100.7"),
    ]
    assert connected(sockets, {22}) == {"192.0.2.1"}
