"""Two hosts: one with a firewall, whose SSH listens on port 2222 alone, and one beside it that looks at it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from e2e.machine import HOSTS, Machine
from e2e.playbooks import Run, begin, build_env, play
from hosts.engine import find_engine
from hosts.hosts import get_host, wait_booted

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


class EngineHost(Machine):
    """A host that is reached through the engine, so that no firewall is in the way."""

    def root(self, command: str, stdin: str = "", check: bool = True) -> str:
        """Run a shell command as root, insist on its success, and return what it printed."""
        assert not stdin, "the engine passes none on"
        words = [*HOSTS, "exec", "--name", self.name, "sh", "-c", command]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done}"
        return done.stdout.strip()


@dataclass
class FirewallHosts:
    """The host with the firewall and its neighbour outside; the inventory and the address by version of IP."""

    target: EngineHost
    neighbour: EngineHost
    folder: Path
    inventory: dict[int, Path]
    address: dict[int, str] = field(default_factory=lambda: {6: TARGET6})

    def root(self, command: str) -> str:
        return self.target.root(command)

    def outside(self, command: str) -> str:
        return self.neighbour.root(command)

    def open_ports(self, family: int, ports: str = "1-65535") -> set[int]:
        """The TCP ports of the host that take a connection from the host outside."""
        found: list[int] = json.loads(self.outside(f"python3 /root/scan.py {self.address[family]} {ports}"))
        return set(found)

    def given(self, variables: dict[str, Any]) -> tuple[str, str]:
        """Write variables; return the words by which ansible-playbook reads them."""
        number = len(list(self.folder.glob("vars*.json")))
        file = self.folder / f"vars{number}.json"
        file.write_text(json.dumps({"flask_apps_build_env": build_env(), **variables}))
        return "-e", f"@{file}"

    def play(self, playbook: str, variables: dict[str, Any], *options: str, family: int = 4) -> Run:
        return play(self.inventory[family], playbook, *self.given(variables), *options)

    def bring(self, rules: dict[str, Any], *options: str, family: int = 4, **variables: Any) -> Run:
        """Bring the rules of a project to what is listed, by the role ufw_rules alone."""
        return self.play(str(self.rules_playbook), {"rules": rules, **variables}, *options, family=family)

    def begin(self, rules: dict[str, Any], **variables: Any) -> subprocess.Popen[str]:
        """Begin the same."""
        return begin(self.inventory[4], str(self.rules_playbook), *self.given({"rules": rules, **variables}))

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

    def restart(self) -> None:
        """Restart the host as when the power fails. It is not reached on port 22, where hosts.py would wait for it."""
        engine = find_engine(dict(os.environ))
        host = get_host(engine, self.target.name)
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


def inventories(target: Machine, neighbour: Machine, folder: Path) -> dict[int, Path]:
    """Write how the host is reached on its own port: over IPv4 from here, over IPv6 from the host outside."""
    direct, jump = target.facts, neighbour.facts
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
        hosts = {target.name: {**direct, **changes}}
        found[family].write_text(yaml.safe_dump({"flask_hosts": {"hosts": hosts}}))
    return found
