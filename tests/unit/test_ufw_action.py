"""Which connections have something to prove after a change of the firewall, and by what a new one is told apart."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local
from ansible.plugins.connection.ssh import Connection as Ssh
from ansible_collections.flaskworks.deploy.plugins.action.ufw_rules import (
    ActionModule,
    is_openssh,
    new_connection,
    over_ssh,
    shares_connection,
)


class Plugin:
    """A connection plugin of another collection."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.reset_count = 0

    def reset(self) -> None:
        self.reset_count += 1


class Fake(Ssh):  # type: ignore[misc]
    """Ansible's own, without a host."""

    def __init__(self, **options: Any) -> None:
        self.options = {"control_path_dir": "/nonexistent", **options}
        self.resets: list[str] = []

    def get_option(self, option: str, hostvars: Any = None) -> Any:
        return self.options.get(option)

    def set_option(self, option: str, value: Any) -> None:
        self.options[option] = value

    def reset(self) -> None:
        self.resets.append(self.options["ssh_args"])


Fake.__module__ = Ssh.__module__


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("ssh", True),
        ("paramiko_ssh", True),
        ("ansible.netcommon.libssh", True),
        ("mitogen_ssh", True),
        ("local", False),
        ("containers.podman.podman", False),
        ("community.docker.docker", False),
        ("community.general.lxd", False),
    ],
)
def test_only_connections_over_ssh_have_something_to_prove(name: str, network: bool) -> None:
    assert over_ssh(Plugin(name)) is network


def test_ansibles_own_plugin_is_known() -> None:
    assert is_openssh(Fake())
    assert not is_openssh(Plugin("mitogen_ssh"))
    assert not over_ssh(Local.__new__(Local))


def test_a_shared_connection_is_seen_wherever_it_is_asked_for() -> None:
    assert shares_connection(Fake(ssh_args="-o ControlMaster=auto -o ControlPersist=60s"))
    assert shares_connection(Fake(ssh_common_args="-o controlpersist=yes"))
    assert not shares_connection(Fake(ssh_args="-C"))


def test_a_new_connection_comes_before_what_the_user_says_and_goes_again(tmp_path: Any) -> None:
    users = "-o ControlMaster=auto -o ControlPath=/tmp/users"
    connection = Fake(ssh_args=users, control_path_dir=str(tmp_path))
    with new_connection(connection):
        words = shlex.split(connection.options["ssh_args"])
        paths = [word.partition("=")[2].strip('"') for word in words if word.startswith("ControlPath=")]
        assert len(paths) == 2
        assert paths[0].startswith(f"{tmp_path}/"), "ssh takes the first"
        assert paths[1] == "/tmp/users"
    assert connection.options["ssh_args"] == users
    assert connection.resets == [connection.resets[0]]
    assert paths[0] in connection.resets[0], "the new one is closed, not the user's"


def test_other_plugins_are_reset() -> None:
    plugin = Plugin("paramiko_ssh")
    with new_connection(plugin):
        assert plugin.reset_count == 1


@pytest.mark.parametrize("failed", [False, True])
def test_a_host_that_took_no_new_connection_is_told_of_with_all_that_may_be_why(
    failed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def module(arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if "confirm" in arguments:
            raise AnsibleConnectionFailure("Permission denied (keyboard-interactive)")
        return {"failed": failed}

    action = ActionModule.__new__(ActionModule)
    action._connection = Plugin("paramiko_ssh")
    monkeypatch.setattr(action, "_module", module)
    said = action._confirmed({}, "token", 0, {}, None)["msg"]
    for words in ("in front of the host", "second factor", "ufw_rules_revert_after: 0", "Permission denied"):
        assert words in said
    assert ("takes it back by itself" in said) is failed
