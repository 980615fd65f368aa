"""For each Debian a host with sites, and one outside that attacks it. Both Debians are attacked at once."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from e2e.machine import debians, keep
from e2e.status.conftest import HOSTS, ROOT, Machine

DEBIANS = debians("12,13")
KEEP = keep()
# Where the results of a run are kept, for docs/attacks.md.
STORE = os.environ.get("EDGE_TEST_STORE", "")
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
# As a site that means it has; with a self-signed certificate there is none unless asked for.
TLS = {"mode": "self-signed", "hsts": 31536000}
APPS: dict[str, dict[str, Any]] = {
    # All that a site can be told, so that gixy and the attacks meet it.
    "mirror": {
        "static": {"/static/": "src:static/", "/media/": "shared:media/", "/drop/": "shared:drop/"},
        "nginx": {
            "locations": {
                "/ws": {"websocket": True},
                "/events": {"stream": True},
                "/unbuffered": {"request_buffering": False},
                "/limited": {"rate_limit": {"rate": 1, "burst": 5}},
                "/inner": {"allow": ["127.0.0.1"], "headers": {"X-Inner": "yes"}},
            },
            "rate_limit": {"rate": 10000, "burst": 10000},
            "headers": {"X-Frame-Options": "DENY", "Permissions-Policy": "camera=()"},
            "hide_headers": ["X-Powered-By"],
            "redirects": {"/was/": {"to": "/is/"}, "/before": {"to": "/after"}},
            "rewrites": [
                {"match": "^/sent/(.*)$", "to": "/received/$1", "status": 302},
                {"match": "^/quiet/(.*)$", "to": "/told/$1"},
            ],
            "error_pages": {"404": {"text": "<h1>Nothing here</h1>"}},
            "static_cache": {"others": 60},
            "static_compressed": ["gzip"],
            "client": {"body_timeout": 30},
        },
    },
    "locked": {
        "static": {"/static/": "src:static/"},
        "nginx": {"basic_auth": {"users": {"ada": "lovelace"}, "except": ["/open/"]}},
    },
    "tornado": {"server": {"worker_class": "tornado", "workers": 2}},
    "alone": {"server": "gevent"},
    "guard": {
        "nginx": {
            "max_body": "256k",
            "locations": {"/unbuffered": {"request_buffering": False}},
            "waf": {"mode": "block", "exclusions": [{"rule": 942100, "path": "/search", "argument": "q"}]},
        }
    },
    "watch": {"nginx": {"waf": {"mode": "detect"}}},
    "secure": {
        "tls": TLS,
        "static": {"/static/": "src:static/", "/media/": "shared:media/"},
        "nginx": {"locations": {"/unbuffered": {"request_buffering": False}, "/ws": {"websocket": True}}},
    },
    "vault": {"tls": TLS, "nginx": {"basic_auth": {"users": {"ada": "lovelace"}}}},
}
# What nobody may fetch: the table looks for these marks. Made here, so that no such file is part of the project.
HIDDEN = (".env", ".htpasswd", "deep/.hidden/file.txt")
UPLOADS = """
cd /srv/mirror/shared
echo picture >media/picture.txt; echo MARK-OF-A-HIDDEN-FILE >media/.hidden; mkdir media/deep
echo MARK-OF-THE-DATABASE >instance/data.db
ln -s /etc/passwd media/passwd; ln -s ../../../../../../etc/passwd media/deep/passwd
ln -s ../instance/data.db media/database; ln -s .. media/out; ln -s / media/host
ln -s /srv/mirror/current/src media/release
mv drop drop.before; ln -s / drop
chmod -R o+rX . ; chmod o+x /srv/mirror/shared
"""


def entry(name: str, source: Path, trusted: str) -> dict[str, Any]:
    """One application as an inventory has it."""
    own = APPS.get(name, {})
    whole = {
        "source": {"path": str(source)},
        "wsgi": "mirror:app",
        "domains": [f"{name}.test"],
        "server": {"workers": 2},
    }
    limited = {"/limited": {"rate_limit": {"rate": 1, "burst": 5}}}
    nginx = {"trusted_proxies": [trusted], "locations": limited} if name == "tornado" else {}
    return {**whole, "shared": ["media", "drop", "instance", "seen"], **own, "nginx": {**nginx, **own.get("nginx", {})}}


@dataclass
class Edge:
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

    def deploy(self, apps: dict[str, Any], *options: str) -> None:
        """Bring the inside host to this inventory."""
        names = r"^(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$"
        index = {name: value for name, value in os.environ.items() if re.match(names, name)}
        variables = self.inside.folder / "vars.json"
        variables.write_text(json.dumps({"flask_apps": apps, "flask_apps_build_env": index}))
        done = self.inside.play("site.yml", "-e", f"@{variables}", *options)
        assert done.status == 0, done.output[-5000:]

    def prepare(self, source: Path) -> None:
        """Bring the sites up, and the attacker into position."""
        self.deploy({name: entry(name, source, self.trusted) for name in APPS})
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
        found: list[dict[str, Any]] = json.loads(done.output)["attacks"]
        return found


def stored(edge: Edge) -> dict[str, Any]:
    """What docs/attacks.md tells of a run."""
    nginx = edge.inside.root("nginx -v 2>&1").strip().replace("nginx version: ", "")
    server = edge.inside.root("/srv/mirror/current/venv/bin/gunicorn --version").strip()
    python = edge.inside.root("python3 --version").strip()
    words = " and ".join([", ".join([nginx, server]), python]).replace(" (version ", "/").replace(")", "")
    return {"debian": edge.debian, "versions": words, "attacks": edge.results}


def bring(debian: str, folder: Path) -> Edge:
    """Boot two hosts, deploy, attack."""
    machines = []
    networks = [[f"edge{debian}-in", f"edge{debian}-out"], [f"edge{debian}-out"]]
    for name, wanted in zip((f"edge{debian}", f"edge{debian}-outside"), networks, strict=True):
        inventory = folder / f"{name}.yml"
        up = ["up", "--name", name, "--debian", debian, "--inventory", str(inventory)]
        subprocess.run([sys.executable, str(HOSTS), *up, *(f"--network={each}" for each in wanted)], check=True)
        (folder / name).mkdir()
        machines.append(Machine(name, inventory, folder / name))
    inside, outside = machines
    own = [machine.facts["network_addresses"][f"edge{debian}-out"] for machine in machines]
    edge = Edge(debian, inside, outside, *own)
    source = folder / "site"
    shutil.copytree(ROOT / "tests/apps/mirror", source)
    for name in HIDDEN:
        path = source / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("MARK-OF-A-HIDDEN-FILE\n")
    (source / "static/large.txt").write_text("0123456789\n" * 1000)
    edge.prepare(source)
    edge.results = edge.attack()
    return edge


@pytest.fixture(scope="session")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Edge]]:
    """Both, attacked."""
    down = [
        [sys.executable, str(HOSTS), "down", "--name", f"edge{debian}{end}"]
        for debian in DEBIANS
        for end in ("-outside", "")
    ]
    if not KEEP:
        for words in down:
            subprocess.run(words, check=False, capture_output=True)
    folders = {debian: tmp_path_factory.mktemp(f"edge{debian}") for debian in DEBIANS}
    with ThreadPoolExecutor(len(DEBIANS)) as pool:
        started = {debian: pool.submit(bring, debian, folder) for debian, folder in folders.items()}
        found = {debian: future.result() for debian, future in started.items()}
    if STORE:
        kept = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "hosts": [stored(edge) for edge in found.values()]}
        Path(STORE).write_text(json.dumps(kept, indent=1) + "\n")
    yield found
    if not KEEP:
        for words in down:
            subprocess.run(words, check=True)


@pytest.fixture(params=DEBIANS)
def edge(request: pytest.FixtureRequest, edges: dict[str, Edge]) -> Edge:
    return edges[request.param]
