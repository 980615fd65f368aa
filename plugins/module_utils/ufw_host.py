# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ufw on a host: how it is set up, and changing that as one transaction."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Collection
from dataclasses import dataclass

from ansible_collections.flaskworks.deploy.plugins.module_utils import ufw_guard
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import Rule, command, parse_rules
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_plan import Plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import PATH, UfwError, must

_RULES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
_DEFAULTS = "/etc/default/ufw"
_CONF = "/etc/ufw/ufw.conf"
_POLICIES = {"deny": "DROP", "reject": "REJECT", "allow": "ACCEPT"}


@dataclass(frozen=True)
class State:
    """A firewall. ``active`` is what ufw says; ``boot`` whether it will say so after the next start."""

    installed: bool
    rules: list[Rule]
    active: bool
    boot: bool
    ipv6: bool
    incoming: str

    def text(self) -> str:
        head = [
            f"firewall {'active' if self.active else 'inactive'}, at boot {'active' if self.boot else 'inactive'}",
            f"default (incoming) {self.incoming}, IPv6 {'filtered' if self.ipv6 else 'blocked'}",
        ]
        return "\n".join([*head, *(rule.text() for rule in self.rules)]) + "\n"


def look() -> State:
    """Return how the firewall is now; on a host without ufw, how it would be right after its installation."""
    if not shutil.which("ufw", path=PATH):
        return State(False, [], False, False, True, "deny")
    defaults = _settings(_DEFAULTS)
    names = {policy: name for name, policy in _POLICIES.items()}
    enabled = _settings(_CONF).get("ENABLED", "").lower() == "yes"
    return State(
        installed=True,
        rules=_present(),
        # systemd says active for a service that ran and found the firewall switched off.
        active="Status: active" in ufw("status"),
        boot=enabled and _unit_enabled(),
        ipv6=defaults.get("IPV6", "").lower() == "yes",
        incoming=names.get(defaults.get("DEFAULT_INPUT_POLICY", ""), ""),
    )


def could_cut_off(before: State, plan: Plan, after: State, ssh_ports: Collection[int]) -> bool:
    """Tell whether a change is one after which new SSH connections might fail, whatever the plan says of it.

    The rules around those of this collection are read when the filter is switched on.
    """
    if not after.active:
        return False
    closes = after.incoming != before.incoming and after.incoming != "allow"
    if not before.active or not before.ipv6 or closes or plan.purge:
        return True
    return any(rule.about(port) for rule in plan.touched for port in ssh_ports)


def change(before: State, plan: Plan, after: State, revert_after: int = 0) -> str:
    """Carry out the plan. When a step fails, everything is as before and UfwError has ufw's words.

    SSH comes first and the removals last, so that a run which is cut off anywhere leaves the host reachable. With
    ``revert_after`` (seconds) the host takes the change back by itself, unless it is confirmed by the token that is
    returned; the time begins when all is done, with some for each step. The caller holds the lock of ufw_guard.
    """
    for rule in (*plan.first, *plan.add):
        if rule.family == 6 and not before.ipv6:
            continue
        ufw("--dry-run", *command(rule), "comment", rule.comment)
    saved = {path: _read(path) for path in (*_RULES.values(), _DEFAULTS, _CONF)}
    token = ""
    if revert_after:
        seconds = revert_after + len(plan.touched) + len(plan.purge)
        token = ufw_guard.arm(saved, seconds, active=before.active, unit=_unit_enabled())
    try:
        _carry_out(before, plan, after)
        found = look()
        if found.text() != after.text():
            raise UfwError(f"the firewall is not what was asked for. Wanted:\n{after.text()}Found:\n{found.text()}")
        if token and not ufw_guard.holds(token):
            raise UfwError("the change took so long that it was taken back: allow more time by revert_after")
    except BaseException:
        _restore(saved, before)
        ufw_guard.disarm()
        raise
    return token


def _carry_out(before: State, plan: Plan, after: State) -> None:
    if not before.ipv6:
        _write(_DEFAULTS, re.sub(rb"(?m)^IPV6=.*$", b"IPV6=yes", _read(_DEFAULTS)))
        if before.active:
            ufw("reload")
    present = {rule.key: rule for rule in before.rules}
    for rule in plan.first:
        if rule.key in present:
            ufw("--force", "delete", *command(present[rule.key]))
        ufw("prepend", *command(rule), "comment", rule.comment)
    # An empty remark would keep the old one, but a rule of ours always has a mark.
    again = {rule.key for rule in plan.again}
    for rule in plan.add:
        if rule.key in again:
            ufw("--force", "delete", *command(present[rule.key]))
        ufw(*command(rule), "comment", rule.comment)
    if before.incoming != after.incoming:
        ufw("default", after.incoming, "incoming")
    gone = {rule.key for rule in plan.first}
    for rule in plan.remove:
        if rule.key not in gone:
            ufw("--force", "delete", *command(rule))
    if plan.purge:
        _purge()
    if after.active and not before.active:
        ufw("--force", "enable")
    elif before.active and not after.active:
        ufw("disable")
    if after.boot and not before.boot:
        if not after.active or _settings(_CONF).get("ENABLED", "").lower() != "yes":
            _write(_CONF, re.sub(rb"(?m)^ENABLED=.*$", b"ENABLED=yes", _read(_CONF)))
        must(["systemctl", "--quiet", "enable", "ufw.service"])
    elif before.boot and not after.boot:
        ufw("disable")


def _purge() -> None:
    """Remove every rule without a mark, in the words in which ufw itself shows it."""
    for line in ufw("show", "added").splitlines():
        words = shlex.split(line) if line.startswith("ufw ") else []
        if not words:
            continue
        comment = words[words.index("comment") + 1] if "comment" in words else ""
        if Rule(4, "", "", "", "", comment).marks:
            continue
        words = words[1 : words.index("comment") if "comment" in words else None]
        route = ["route"] if words[0] == "route" else []
        ufw("--force", *route, "delete", *words[len(route) :])


def _restore(saved: dict[str, bytes], before: State) -> None:
    for path, content in saved.items():
        if _read(path) != content:
            _write(path, content)
    # The files have the last word in both cases: reload reads them, disable leaves them as they are but for ENABLED.
    if before.active:
        ufw("reload")
    else:
        ufw("disable")
        _write(_CONF, saved[_CONF])


def ufw(*words: str) -> str:
    """Run ufw. Raises UfwError with its words when it fails."""
    return must(["ufw", *words])


def _present() -> list[Rule]:
    return [rule for family, path in _RULES.items() for rule in parse_rules(_read(path).decode(), family)]


def _unit_enabled() -> bool:
    if not shutil.which("systemctl", path=PATH):
        return True
    argv = ["systemctl", "is-enabled", "ufw.service"]
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout.strip() == "enabled"


def _settings(path: str) -> dict[str, str]:
    found = re.findall(r"(?m)^([A-Z0-9_]+)=[\"']?([^\"'\n]*)", _read(path).decode())
    return dict(found)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""


def _write(path: str, content: bytes) -> None:
    status = os.stat(path)
    descriptor, name = tempfile.mkstemp(dir=os.path.dirname(path))
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        os.fchmod(stream.fileno(), status.st_mode & 0o7777)
        os.fchown(stream.fileno(), status.st_uid, status.st_gid)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(name, path)
