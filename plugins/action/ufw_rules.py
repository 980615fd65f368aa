# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's part of flaskworks.deploy.ufw_rules: a change stays when a new SSH connection reaches the host."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.path import makedirs_safe, unfrackpath

display = Display()
MODULE = "flaskworks.deploy.ufw_rules"
# Set by this plugin alone.
OWN = ("confirm", "revert", "multiplexed")
DEFAULT_SECONDS = 60
# Seconds between two attempts. A limit of ufw counts six attempts within 30 s.
PAUSE = 7.0


class ActionModule(ActionBase):
    """Runs the module once, and once more over a new connection when it made a change that might cut SSH off."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = {key: value for key, value in self._task.args.items() if key not in OWN}
        seconds = int(given.get("revert_after") or 0) if "revert_after" in given else DEFAULT_SECONDS
        if not over_ssh(self._connection):
            # The firewall stands in no way to a host that is reached without the network.
            given["revert_after"] = seconds = 0
        elif is_openssh(self._connection):
            given["multiplexed"] = shares_connection(self._connection)
        try:
            result = self._module(given, task_vars)
        except AnsibleConnectionFailure as error:
            back = f" What it changed of the firewall goes back within {seconds} s or a little more." if seconds else ""
            raise AnsibleConnectionFailure(f"the connection broke: {error}.{back}") from error
        token = result.pop("unconfirmed", "")
        return self._confirmed(given, token, seconds, result, task_vars) if token else result

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        return result

    def _confirmed(
        self,
        given: dict[str, Any],
        token: str,
        seconds: int,
        result: dict[str, Any],
        task_vars: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the result of a change that stays, or of a failure after which all is as before."""
        until, said = time.monotonic() + seconds / 2, ""
        while True:
            try:
                with new_connection(self._connection):
                    answer = self._module({**given, "confirm": token}, task_vars)
                if not answer.get("failed"):
                    return result
                return {"failed": True, "msg": str(answer.get("msg", answer))}
            except AnsibleError as error:
                said = " ".join(str(error).split())
            if time.monotonic() + PAUSE > until:
                break
            time.sleep(PAUSE)
        return {"failed": True, "msg": f"{self._went_back(given, token, seconds, task_vars)} A new connection: {said}"}

    def _went_back(self, given: dict[str, Any], token: str, seconds: int, task_vars: dict[str, Any] | None) -> str:
        """Have the change taken back over the connection that is still open, rather than wait; say how it stands."""
        head = "After the change of the firewall the host took no new SSH connection, so"
        hint = (
            "Rules that ufw has beside those listed (ufw status, /etc/ufw/before.rules), or a filter in front of the"
            " host, keep this controller out. Where each login asks for a second factor no new connection can confirm a"
            " change: ufw_rules_revert_after: 0 does without."
        )
        try:
            answer = self._module({**given, "revert": token}, task_vars)
            failed = bool(answer.get("failed"))
        except AnsibleError:
            failed = True
        if failed:
            return f"{head} the host takes it back by itself, within {seconds} s of the change. {hint}"
        return f"{head} the firewall went back to what it was. {hint}"


def over_ssh(connection: Any) -> bool:
    """Tell whether a connection leads to the host's SSH server; local ones and those of container engines do not."""
    name = str(getattr(connection, "transport", "") or "") + " " + str(getattr(connection, "_load_name", "") or "")
    return any(word in name for word in ("ssh", "paramiko"))


def is_openssh(connection: Any) -> bool:
    """Tell whether the connection plugin is Ansible's own around the program ssh."""
    return type(connection).__module__.endswith(".connection.ssh") and type(connection).__module__.startswith("ansible")


def shares_connection(connection: Any) -> bool:
    """Tell whether ssh is told to leave its connection open for the tasks that follow (ControlPersist)."""
    options = [connection.get_option(name) or "" for name in ("ssh_args", "ssh_common_args", "ssh_extra_args")]
    return "controlpersist" in " ".join(options).lower()


@contextlib.contextmanager
def new_connection(connection: Any) -> Iterator[None]:
    """Have what is run meanwhile go over a connection that is opened for it, and is closed afterwards.

    Of several values for one option ssh takes the first (ssh_config(5)), so this one stands before the user's. The new
    connection has a socket of its own: without, each step of a task would open one more, which a limit may refuse.
    """
    if not is_openssh(connection):
        connection.reset()
        yield
        return
    before = connection.get_option("ssh_args") or ""
    folder = unfrackpath(connection.get_option("control_path_dir"))
    makedirs_safe(folder, 0o700)
    # As long as the names that Ansible gives: a socket's path has at most 108 characters.
    path = os.path.join(folder, secrets.token_hex(5))
    own = f"-o ControlMaster=auto -o ControlPersist=30s -o 'ControlPath=\"{path}\"'"
    connection.set_option("ssh_args", f"{own} {before}")
    try:
        yield
    finally:
        connection.reset()
        connection.set_option("ssh_args", before)
