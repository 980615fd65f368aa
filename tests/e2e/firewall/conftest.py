"""Two real hosts: one with a firewall, whose SSH listens on port 2222 alone, and one beside it that looks at it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.machine import debians, keep
from hosts.engine import find_engine
from hosts.hosts import get_host, wait_booted

ROOT = Path(__file__).resolve().parents[3]
HOSTS = [sys.executable, str(ROOT / "tests" / "hosts" / "hosts.py")]
SSH_PORT = 2222
# Addresses beside those of the engine's network, which may have no IPv6.
TARGET6, OUTSIDE6 = "fd00:77::1", "fd00:77::2"
GUARD = "/var/lib/flaskworks/ufw_guard"

RULES = """---
- name: The firewall
  hosts: all
  gather_facts: false
  tasks:
    - name: Have the rules of a project
      ansible.builtin.include_role:
        name: flaskworks.deploy.ufw_rules
      vars:
        ufw_rules_owner: project
        ufw_rules_packages: []
        ufw_rules: "{{ rules }}"
"""


@dataclass(frozen=True)
class Run:
    """How a playbook ended, and what it said."""

    status: int
    output: str

    @property
    def words(self) -> str:
        """The output without line breaks."""
        return " ".join(self.output.split())


@dataclass
class Pair:
    """The host with the firewall, and the one outside."""

    folder: Path
    inventory: dict[int, Path]
    address: dict[int, str]

    def root(self, command: str, name: str = "firewall13", check: bool = True) -> str:
        """Run a shell command as root; through the engine, so that no firewall is in its way."""
        done = subprocess.run(
            [*HOSTS, "exec", "--name", name, "sh", "-c", command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, f"{command}: {done}"
        return done.stdout.strip()

    def outside(self, command: str, check: bool = True) -> str:
        return self.root(command, "firewall-outside", check)

    def open_ports(self, family: int, ports: str = "1-65535") -> set[int]:
        """The TCP ports of the host that take a connection from the host outside."""
        found: list[int] = json.loads(self.outside(f"python3 /root/scan.py {self.address[family]} {ports}"))
        return set(found)

    def arguments(self, playbook: str, variables: dict[str, Any], family: int, *options: str) -> list[str]:
        number = len(list(self.folder.glob("vars*.json")))
        given = self.folder / f"vars{number}.json"
        given.write_text(json.dumps(variables))
        program = str(Path(sys.executable).parent / "ansible-playbook")
        return [program, playbook, "-i", str(self.inventory[family]), "-e", f"@{given}", *options]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}

    def play(self, playbook: str, variables: dict[str, Any], *options: str, family: int = 4) -> Run:
        done = subprocess.run(
            self.arguments(playbook, variables, family, *options),
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def bring(self, rules: dict[str, Any], *options: str, family: int = 4, **variables: Any) -> Run:
        """Bring the rules of a project to what is listed, by the role ufw_rules alone."""
        return self.play(str(self.rules_playbook), {"rules": rules, **variables}, *options, family=family)

    @property
    def rules_playbook(self) -> Path:
        path = self.folder / "rules.yml"
        path.write_text(RULES)
        return path

    def count(self, words: str, chosen: str = "") -> int:
        """How often the journal, or what is chosen of it, has these words so far."""
        return int(self.root(f"journalctl --sync; journalctl -q -o cat {chosen} | grep -c '{words}' || true"))

    def status(self) -> str:
        return self.root("ufw status").partition("\n")[0]

    def wait(self, check: Callable[[], bool], seconds: float, what: str) -> None:
        until = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
            time.sleep(0.2)

    def restart(self) -> None:
        """Restart the host as when the power fails. It is not reached on port 22, where hosts.py would wait for it."""
        engine = find_engine(dict(os.environ))
        host = get_host(engine, "firewall13")
        engine.run("kill", host.container)
        # podman would keep the network, with the filter in it, if the start came before its own tidying.
        engine.run("container", "cleanup", host.container, check=False)
        engine.run("start", host.container)
        wait_booted(engine, host)
        self.cable()

    def cable(self) -> None:
        """Give both hosts their second address; it is gone after a restart."""
        self.root(f"ip -6 address replace {TARGET6}/64 dev eth0 nodad")
        # With the old interface's address it would look for the host for most of a minute.
        self.outside(f"ip -6 address replace {OUTSIDE6}/64 dev eth0 nodad; ip -6 neigh flush dev eth0")
        shown = "ip -4 -json address show dev eth0 | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]"
        self.address[4] = self.root(shown + '["addr_info"][0]["local"])' + "'")


def _inventories(folder: Path) -> dict[int, Path]:
    """Write how the host is reached on its own port: over IPv4 from here, over IPv6 from the host outside."""
    (direct,) = yaml.safe_load((folder / "target.yml").read_text())["flask_hosts"]["hosts"].values()
    (jump,) = yaml.safe_load((folder / "outside.yml").read_text())["flask_hosts"]["hosts"].values()
    key = direct["ansible_ssh_private_key_file"]
    known = folder / "known_hosts"
    first = direct["ansible_ssh_common_args"].partition("UserKnownHostsFile=")[2].partition('"')[2].partition('"')[0]
    host_key = Path(first).read_text().partition(" ")[2]
    port = direct["published_ports"][str(SSH_PORT)]
    known.write_text(f"[127.0.0.1]:{port} {host_key}[{TARGET6}]:{SSH_PORT} {host_key}")
    checked = (
        "-o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes"
        f" -o UserKnownHostsFile={known}"
    )
    through = (
        f"ssh -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i {key}"
        f" -p {jump['ansible_port']} -W [%h]:%p {jump['ansible_user']}@{jump['ansible_host']}"
    )
    own = {"ansible_port": port, "ansible_ssh_common_args": f"-F /dev/null {checked}"}
    six = {
        "ansible_host": TARGET6,
        "ansible_port": SSH_PORT,
        "ansible_ssh_common_args": f"-F /dev/null {checked} -o ProxyCommand='{through}'",
    }
    found = {}
    for family, changes in ((4, own), (6, six)):
        found[family] = folder / f"hosts{family}.yml"
        hosts = {"firewall13": {**direct, **changes}}
        found[family].write_text(yaml.safe_dump({"flask_hosts": {"hosts": hosts}}))
    return found


@pytest.fixture(scope="session", params=debians())
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("hosts")
    names = {"firewall13": "target", "firewall-outside": "outside"}
    for name in names if not keep() else ():
        subprocess.run([*HOSTS, "down", "--name", name], check=False, capture_output=True)
    publish = ["--publish", "80", "--publish", str(SSH_PORT)]
    for name, role in names.items():
        up = ["up", "--name", name, "--debian", request.param, "--inventory", str(folder / f"{role}.yml")]
        subprocess.run([*HOSTS, *up, *(publish if role == "target" else [])], check=True)
    made = Pair(folder, _inventories(folder), {6: TARGET6})
    made.root(f"echo 'Port {SSH_PORT}' > /etc/ssh/sshd_config.d/port.conf; systemctl restart ssh")
    made.cable()
    script = base64.b64encode((ROOT / "tests" / "scan.py").read_bytes()).decode()
    made.outside(f"echo {script} | base64 -d > /root/scan.py")
    yield made
    if keep():
        # They are used again, and hosts.py looks for them on the usual port.
        made.root("ufw disable; rm /etc/ssh/sshd_config.d/port.conf; systemctl restart ssh")
    else:
        for name in names:
            subprocess.run([*HOSTS, "down", "--name", name], check=True)
