"""Hosts side by side, each with a site and an authority of its own."""

from __future__ import annotations

import json
import re
import shlex
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from e2e.machine import Machine, booted
from e2e.playbooks import ROOT, Run, build_env, play

AUTHORITY = "https://acme.test:14000/dir"
CURL = "curl --silent --insecure --max-time 10"


class TlsHost(Machine):
    """One host. Its site is called after its Debian, so that no host waits for the other."""

    @property
    def app(self) -> str:
        return f"site{self.debian}"

    def root(self, command: str, stdin: str = "", check: bool = True) -> str:
        """Run a shell command as root and return what it says, on both channels."""
        done = self.run(f"sudo bash -c {shlex.quote(command)}", stdin)
        assert not check or done.status == 0, f"{command}: {done.status}\n{done.text}{done.errors}"
        return done.text + done.errors

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

    def renewed(self, before: str) -> bool:
        """Whether visitors get a certificate with another serial number; after a reload old workers answer a while."""
        until = time.monotonic() + 10
        while self.served()["serial"] == before and time.monotonic() < until:
            time.sleep(0.2)
        return self.served()["serial"] != before

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.root(f"flaskworks {self.app} --json"))["tls"]
        return found

    def nginx(self) -> tuple[str, str]:
        """The master and when it began: another one after a restart."""
        shown = self.root("systemctl show --property=MainPID,ActiveEnterTimestampMonotonic --value nginx.service")
        first, second = shown.split()
        return first, second


class TlsHosts:
    """The hosts and their inventory."""

    def __init__(self, folder: Path, hosts: list[TlsHost]) -> None:
        self.folder = folder
        self.inventory = folder / "hosts.yml"
        self.hosts = hosts
        self.said: dict[str, Any] = {}
        self.say()

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
        hosts = {host.name: {**host.facts, "flask_apps": {host.app: entry}} for host in self.hosts}
        groups = {"flask_hosts": {"hosts": hosts, "vars": {"flask_apps_build_env": build_env()}}}
        self.inventory.write_text(yaml.safe_dump(groups, sort_keys=False))

    def play(self, *options: str, playbook: str = "site.yml") -> Run:
        return play(self.inventory, playbook, *options)

    def changed(self, run: Run) -> list[int]:
        """How many tasks changed something, on each host."""
        return [run.recap(host.name)["changed"] for host in self.hosts]


def with_authority(stack: ExitStack, debian: str, folder: Path) -> TlsHost:
    """Boot a host, which goes with the stack, and start its authority."""
    host = stack.enter_context(booted(TlsHost, f"tls{debian}", debian, folder))
    # A program of it may read what is left of the script.
    host.root(
        "cat >/root/pebble.sh && test -e /root/start-pebble || bash /root/pebble.sh",
        Path(__file__).with_name("pebble.sh").read_text(),
    )
    return host
