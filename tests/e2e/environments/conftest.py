"""A real host with an index of its own behind a password, and sites whose packages come from everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from e2e.machine import debians, keep
from e2e.releases.conftest import HOSTS, PREPARE, ROOT, Host, Run

SPEC = entry_points("flask_apps")
PASSWORD = "canary-93b1f7a2"
INDEX = f"http://ann:{PASSWORD}@127.0.0.1:8441/simple"
# Nobody listens on the port of the discard protocol.
NOWHERE = dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL"), "http://127.0.0.1:9/simple")
SITE = """
def app(environ, start_response):
    {body}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{word}]
"""
# An index of one package, for those who know the password.
INDEX_SERVER = """
import base64, http.server
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization", "") != "Basic " + base64.b64encode(b"ann:%s").decode():
            self.send_response(401); self.send_header("WWW-Authenticate", "Basic realm=x"); self.end_headers()
        else:
            super().do_GET()
    def __init__(self, *args):
        super().__init__(*args, directory="/opt/index")
http.server.ThreadingHTTPServer(("127.0.0.1", 8441), Handler).serve_forever()
"""
MAKE_WHEEL = """
import pathlib, zipfile
for version in ("1.0", "2.0"):
    name = f"privatething-{version}-py3-none-any.whl"
    info = f"privatething-{version}.dist-info"
    folder = pathlib.Path("/opt/index/simple/privatething")
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("privatething.py", f"VERSION = {version!r}\\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: privatething\\nVersion: {version}\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
"""


@dataclass
class Place:
    """The host, and a directory for sites on the controller."""

    host: Host
    folder: Path
    debian: str

    def apps(self, **apps: dict[str, Any]) -> dict[str, Any]:
        """Applications as an inventory defines them, hardly more than they must say."""
        small = {"wsgi": "site_code:app", "server": {"worker_class": "sync", "workers": 1}}
        return {name: {**small, "domains": [f"{name}.example.org"], **keys} for name, keys in apps.items()}

    def deploy(self, *options: str, build_env: dict[str, str] | None = None, **apps: dict[str, Any]) -> Run:
        releases = make_plan(SPEC, self.apps(**apps))["releases"]
        env = self.host.build_env() if build_env is None else build_env
        return self.host.deploy(releases, *options, build_env=env, owner="+".join(apps))

    def playbook(self, name: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection with these variables."""
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / "playbooks" / f"{name}.yml")]
        text = self.folder / "variables.json"
        text.write_text(json.dumps(variables))
        return subprocess.run(
            [*argv, "-i", str(self.host.inventory), "-e", f"@{text}", *options],
            cwd=self.folder,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def site(self, name: str, word: str = "one", body: str = "pass", **files: str) -> dict[str, Any]:
        """Write the source of a site; return its source key. Names of files have __ for the dot."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "site_code.py").write_text(SITE.format(word=word if "(" in word else repr(word.encode()), body=body))
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_text(text)
        return {"source": {"path": str(folder)}}

    def packages(self, app: str) -> dict[str, str]:
        """What is in the environment of an application, as its own Python says."""
        code = (
            "import importlib.metadata as m, re; print('\\n'.join(sorted({re.sub('[-_.]+', '-', d.name).lower()"
            " + '==' + d.version for d in m.distributions()})))"
        )
        said = self.host.root(f'/srv/{app}/current/venv/bin/python -I -c "{code}"').split()
        pairs = dict(line.split("==") for line in said)
        return {name: version for name, version in pairs.items() if name not in ("pip", "setuptools", "wheel")}

    def record(self, app: str) -> dict[str, str]:
        """What the record of its live release says."""
        text = self.host.root(f"cat /srv/{app}/current/requirements.lock")
        found = re.findall(r"^(?:# from the source itself: )?([a-z0-9-]+)(?:==| )([0-9][^\s]*)", text, re.MULTILINE)
        return dict(found)


def hashed(wheels: Path) -> str:
    """A requirements file with all wheels of a directory and their hashes."""
    lines = []
    for path in sorted(wheels.glob("*.whl")):
        name, version = path.name.split("-")[:2]
        if name != "uv":
            lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    return "".join(lines)


@pytest.fixture(scope="session", params=debians())
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("host")
    name, inventory = f"environments{request.param}", folder / "hosts.yml"
    base = [sys.executable, str(HOSTS)]
    subprocess.run([*base, "down", "--name", name], check=False, capture_output=True)
    subprocess.run([*base, "up", "--name", name, "--debian", request.param, "--inventory", str(inventory)], check=True)
    host = Host(inventory, folder)
    prepared = host.playbook(PREPARE.replace("[blog, shop,", "[blog, shop, locked, packed, priv,"))
    assert prepared.status == 0, prepared.output
    host.root("python3 -", MAKE_WHEEL)
    server = "cat > /opt/index.py && systemd-run --quiet --unit=private-index python3 /opt/index.py"
    host.root(server, INDEX_SERVER % PASSWORD)
    yield Place(host, folder, request.param)
    if not keep():
        subprocess.run([*base, "down", "--name", name], check=True)
