"""Two hosts, Debian 12 and 13 side by side, each with a site and an authority of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.machine import debians, keep
from e2e.story import Run

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ROOT / "tests" / "hosts" / "hosts.py"
AUTHORITY = "https://acme.test:14000/dir"
DEBIANS = debians("12,13")
CURL = "curl --silent --insecure --max-time 10"


@dataclass(frozen=True)
class Host:
    """One host. Its site is called after its Debian, so that no host waits for the other."""

    debian: str
    connection: dict[str, Any]

    @property
    def app(self) -> str:
        return f"site{self.debian}"

    @property
    def name(self) -> str:
        return f"tls{self.debian}"

    def root(self, command: str, stdin: str = "", check: bool = True) -> str:
        """Run a shell command as root and return what it says, on both channels."""
        reach = [
            *("ssh", "-q", "-p", str(self.connection["ansible_port"])),
            *("-i", self.connection["ansible_ssh_private_key_file"]),
            *shlex.split(self.connection["ansible_ssh_common_args"]),
            f"{self.connection['ansible_user']}@{self.connection['ansible_host']}",
        ]
        done = subprocess.run(
            [*reach, f"sudo bash -c {shlex.quote(command)}"],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def curl(self, words: str) -> str:
        return self.root(f"{CURL} {words}", check=False)

    def handshake(self, options: str) -> str:
        """What a TLS client of this host sees."""
        return self.root(f"openssl s_client -connect 127.0.0.1:443 {options} </dev/null", check=False)

    def served(self, name: str = "site.test") -> dict[str, str]:
        """Names, issuer and serial number of the certificate that visitors get, and a hash of the whole."""
        shown = self.root(
            f"openssl s_client -connect 127.0.0.1:443 -servername {name} </dev/null 2>/dev/null"
            " | openssl x509 -noout -serial -issuer -ext subjectAltName"
        )
        return {
            "serial": re.findall(r"serial=(\S+)", shown)[0],
            "issuer": re.findall(r"issuer=(.*)", shown)[0],
            "names": " ".join(sorted(re.findall(r"DNS:([^,\s]+)", shown))),
        }

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.root(f"flaskworks {self.app} --json"))["tls"]
        return found

    def nginx(self) -> tuple[str, str]:
        """The master and when it began: another one after a restart."""
        shown = self.root("systemctl show --property=MainPID,ActiveEnterTimestampMonotonic --value nginx.service")
        first, second = shown.split()
        return first, second


class Pair:
    """The hosts and their inventory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "hosts.yml"
        self.hosts: list[Host] = []
        self.said: dict[str, Any] = {}

    def up(self) -> None:
        with ThreadPoolExecutor() as pool:
            self.hosts = list(pool.map(self._boot, DEBIANS))
        self.say()

    def _boot(self, debian: str) -> Host:
        made = self.folder / f"{debian}.yml"
        name = f"tls{debian}"
        if not keep():
            self._hosts("down", "--name", name)
        self._hosts("up", "--name", name, "--debian", debian, "--inventory", str(made))
        (connection,) = yaml.safe_load(made.read_text())["flask_hosts"]["hosts"].values()
        host = Host(debian, connection)
        # A program of it may read what is left of the script.
        host.root(
            "cat >/root/pebble.sh && test -e /root/start-pebble || bash /root/pebble.sh",
            (Path(__file__).parent / "pebble.sh").read_text(),
        )
        return host

    def down(self) -> None:
        for debian in DEBIANS:
            self._hosts("down", "--name", f"tls{debian}")

    def _hosts(self, *words: str) -> None:
        subprocess.run([sys.executable, str(HOSTS), *words], check=True, stdin=subprocess.DEVNULL)

    def say(self, **changes: Any) -> None:
        """Write the inventory; what is said stays said, and ``nginx`` and ``tls`` are replaced as a whole."""
        self.said |= changes
        entry = {
            "source": {"path": str(ROOT / "tests/apps/hello")},
            "wsgi": "hello:app",
            "domains": ["site.test"],
            "nginx": {"redirect_from": ["www.site.test"]},
            "tls": {"mode": "acme", "directory": AUTHORITY},
            "server": {"workers": 1},
            **self.said,
        }
        names = r"^(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$"
        index = {name: value for name, value in os.environ.items() if re.match(names, name)}
        hosts = {host.name: {**host.connection, "flask_apps": {host.app: entry}} for host in self.hosts}
        groups = {"flask_hosts": {"hosts": hosts, "vars": {"flask_apps_build_env": index}}}
        self.inventory.write_text(yaml.safe_dump(groups, sort_keys=False))

    def play(self, *options: str, playbook: str = "site.yml") -> Run:
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment.pop("ANSIBLE_BECOME", None)
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", str(self.inventory), *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def changed(self, run: Run) -> list[int]:
        """How many tasks changed something, on each host."""
        return [int(number) for number in re.findall(r" : ok=\d+ +changed=(\d+)", run.text)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("tls"))
    try:
        made.up()
        yield made
    finally:
        if not keep():
            made.down()
