# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The firewall of this host: what it is, and changing it so that a failure leaves it as it was."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw import Change, Rule, UfwError, parse

DEFAULTS = "/etc/default/ufw"
FILES = ("/etc/ufw/user.rules", "/etc/ufw/user6.rules", "/etc/ufw/ufw.conf", DEFAULTS)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How ufw's file names what its commands call deny, reject and allow.
POLICIES = {"deny": "DROP", "reject": "REJECT", "allow": "ACCEPT"}


@dataclass
class Firewall:
    """What there is; an empty one where ufw is not installed yet."""

    active: bool = False
    incoming: str = "DROP"
    ipv6: bool = True
    rules: dict[Rule, str] = field(default_factory=dict)


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
    )


def ufw(*words: str) -> None:
    """Run ufw. Raises UfwError with its words."""
    done = run("ufw", *words)
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise UfwError(f"ufw {' '.join(words)} failed:\n{(done.stderr + done.stdout).strip()}")


def installed() -> bool:
    return shutil.which("ufw", path=PATH) is not None


def look() -> Firewall:
    """Return the firewall as it is. Raises UfwError when ufw can't tell."""
    if not installed():
        return Firewall()
    status = run("ufw", "status")
    if status.returncode != 0:
        raise UfwError(f"ufw can't tell its status:\n{(status.stderr + status.stdout).strip()}")
    defaults = _read(DEFAULTS)
    return Firewall(
        active="Status: active" in status.stdout,
        incoming=_setting(defaults, "DEFAULT_INPUT_POLICY"),
        ipv6=_setting(defaults, "IPV6") == "yes",
        rules=parse(_read(FILES[0]), _read(FILES[1])),
    )


def ssh_ports() -> list[int]:
    """Return the ports on which this host's SSH server listens, or would. Raises UfwError when it can't be found out.

    Asked are the server (sshd -T), the sockets it holds, and systemd for ssh.socket, which listens in its place.
    """
    sshd = shutil.which("sshd", path=PATH)
    found = set()
    if sshd:
        found.update(int(port) for port in re.findall(r"^port (\d+)$", run(sshd, "-T").stdout, re.MULTILINE))
    for line in run("ss", "-H", "-ltnp").stdout.splitlines() if shutil.which("ss", path=PATH) else []:
        if '"sshd"' in line:
            found.add(int(line.split()[3].rpartition(":")[2]))
    shown = run("systemctl", "show", "--property=ActiveState,Listen", "ssh.socket").stdout
    if "ActiveState=active" in shown:
        found.update(int(port) for port in re.findall(r"Listen=\S*?(\d+) \(Stream\)", shown))
    if sshd and not found:
        raise UfwError(f"{sshd} is installed, but neither it nor ss nor systemd tells on which port it listens")
    return sorted(found)


def ssh_peers(ports: Sequence[int]) -> set[str]:
    """Return the addresses that are connected to the SSH server now."""
    if not shutil.which("ss", path=PATH):
        return set()
    peers = set()
    for line in run("ss", "-H", "-tn", "state", "established").stdout.splitlines():
        words = line.split()
        if len(words) >= 4 and words[2].rpartition(":")[2] in map(str, ports):
            peers.add(words[3].rpartition(":")[0].strip("[]").partition("%")[0].removeprefix("::ffff:"))
    return peers


def carry_out(before: Firewall, change: Change, incoming: str, enabled: bool) -> None:
    """Change the firewall, SSH first. Raises UfwError; then everything is as it was."""
    for rule in [*change.first, *change.add]:
        ufw("--dry-run", *rule.words())
    with _restored(before):
        for rule, comment in change.first.items():
            if rule in change.delete:
                ufw("--force", "delete", *rule.words())
            ufw("prepend", *rule.words(), "comment", comment)
        if before.incoming != POLICIES[incoming]:
            ufw("default", incoming, "incoming")
        for rule in change.delete:
            if rule not in change.first:
                ufw("--force", "delete", *rule.words())
        for rule, comment in change.add.items():
            ufw(*rule.words(), "comment", comment)
        if enabled != before.active:
            ufw("--force", "enable" if enabled else "disable")
        now = look()
        if now.active != enabled or not {*change.first, *change.add} <= set(now.rules):
            raise UfwError("ufw took the rules without a word, but does not have them")


@contextlib.contextmanager
def _restored(before: Firewall) -> Iterator[None]:
    kept = {path: _read(path) for path in FILES if os.path.exists(path)}
    try:
        yield
    except UfwError as error:
        for path, text in kept.items():
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
                stream.write(text)
        run("ufw", "reload") if before.active else run("ufw", "--force", "disable")
        raise UfwError(f"{error}\nThe firewall was put back as it was.") from error


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def _setting(text: str, name: str) -> str:
    match = re.search(rf'^{name}="?(\w+)"?', text, re.MULTILINE)
    return match[1] if match else ""
