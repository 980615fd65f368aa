"""A host with sites, and one outside that attacks it."""

from __future__ import annotations

import json
import shlex
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.edge.sites import APPS, UPLOADS, entry, write_source
from e2e.machine import Machine, booted
from e2e.playbooks import ROOT

PORTS = [22, 80, 443]
# A visitor on the outside host: the address, a host, a path and a body; prints the status and the id of the request.
ASK = """
import http.client, sys
address, host, path, body = sys.argv[1:]
client = http.client.HTTPConnection(address, 80, timeout=20)
headers = {"Host": host, **({"Content-Type": "application/x-www-form-urlencoded"} if body else {})}
client.request("POST" if body else "GET", path, body or None, headers)
answer = client.getresponse()
print(answer.status, answer.headers["X-Request-ID"])
"""


@dataclass
class EdgeHosts:
    """Two hosts, and what one saw when it attacked the other."""

    debian: str
    inside: Machine
    outside: Machine
    address: str
    attacker: str
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def trusted(self) -> str:
        """A second address of the attacker, which the site `tornado` takes for a proxy."""
        return f"{self.attacker.rpartition('.')[0]}.200"

    def prepare(self, source: Path) -> None:
        """Bring the sites up, and the attacker into position."""
        run = self.inside.bring({name: entry(name, source, self.trusted) for name in APPS})
        assert run.status == 0, run.text[-5000:]
        self.inside.root(
            f"test -e /srv/mirror/shared/media/picture.txt || runuser -u mirror -- sh -ec {shlex.quote(UPLOADS)}"
        )
        inner = self.inside.facts["network_addresses"][f"edge{self.debian}-in"]
        self.outside.root(f"ip address replace {self.trusted}/24 dev eth0")
        self.outside.root(f"ip route replace {inner} via {self.address}")
        packed = subprocess.run(
            ["tar", "--create", "--exclude=__pycache__", "attacks"], cwd=ROOT / "tests", capture_output=True, check=True
        )
        subprocess.run([*self.outside.ssh(), "tar --extract"], input=packed.stdout, check=True)
        marks = {"own": self.attacker, "inner": inner, "ports": ",".join(map(str, PORTS))}
        sites: dict[str, dict[str, Any]] = {
            name: {
                **{"address": self.address, "host": f"{name}.test", "marks": marks},
                **({"port": 443, "tls": True} if "tls" in app else {"port": 80}),
            }
            for name, app in APPS.items()
        }
        sites["proxied"] = sites["tornado"]
        sites["proxied by a trusted one"] = {**sites["tornado"], "source": self.trusted}
        subprocess.run([*self.outside.ssh(), "cat >sites.json"], input=json.dumps(sites).encode(), check=True)

    def ask(self, app: str, path: str, body: str = "") -> tuple[int, str]:
        """Return the status of an answer, and the id of its request."""
        words = ["python3", "-c", ASK, self.address, f"{app}.test", path, body]
        status, identity = self.outside.root(shlex.join(words)).split()
        return int(status), identity

    def attack(self, only: str = "") -> list[dict[str, Any]]:
        """Run the table on the outside host."""
        done = self.outside.run(f"timeout 300 python3 -m attacks sites.json --only {shlex.quote(only)}")
        assert done.status == 0, done.errors[-3000:]
        found: list[dict[str, Any]] = json.loads(done.text)["attacks"]
        return found


def stored(edge: EdgeHosts) -> dict[str, Any]:
    """What docs/attacks.md tells of a run."""
    nginx = edge.inside.root("nginx -v 2>&1").strip().replace("nginx version: ", "")
    server = edge.inside.root("/srv/mirror/current/venv/bin/gunicorn --version").strip()
    python = edge.inside.root("python3 --version").strip()
    words = " and ".join([", ".join([nginx, server]), python]).replace(" (version ", "/").replace(")", "")
    return {"debian": edge.debian, "versions": words, "attacks": edge.results}


def attacked(stack: ExitStack, debian: str, folder: Path) -> EdgeHosts:
    """Boot two hosts, which go with the stack, deploy, attack."""
    networks = [f"edge{debian}-in", f"edge{debian}-out"]
    inside = stack.enter_context(booted(Machine, f"edge{debian}", debian, folder, networks=networks))
    outside = stack.enter_context(booted(Machine, f"edge{debian}-outside", debian, folder, networks=networks[1:]))
    own = [machine.facts["network_addresses"][networks[1]] for machine in (inside, outside)]
    edge = EdgeHosts(debian, inside, outside, *own)
    edge.prepare(write_source(folder))
    edge.results = edge.attack()
    return edge
