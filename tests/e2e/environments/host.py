"""A host with an index of its own behind a password, and sites whose packages come from everywhere."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from e2e.playbooks import ROOT, Run, build_env, play
from e2e.release_host import ReleaseHost, ReleaseRun

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
class IndexHost:
    """The host, and a directory for sites on the controller."""

    host: ReleaseHost
    folder: Path
    debian: str

    def apps(self, **apps: dict[str, Any]) -> dict[str, Any]:
        """Applications as an inventory defines them, hardly more than they must say."""
        small = {"wsgi": "site_code:app", "server": {"worker_class": "sync", "workers": 1}}
        return {name: {**small, "domains": [f"{name}.example.org"], **keys} for name, keys in apps.items()}

    def deploy(self, *options: str, env: dict[str, str] | None = None, **apps: dict[str, Any]) -> ReleaseRun:
        releases = make_plan(SPEC, self.apps(**apps))["releases"]
        given = build_env() if env is None else env
        return self.host.deploy(releases, *options, build_env=given, owner="+".join(apps))

    def playbook(self, name: str, *options: str, **variables: Any) -> Run:
        """Run a playbook of the collection with these variables, from the directory of the sites."""
        text = self.folder / "variables.json"
        text.write_text(json.dumps(variables))
        book = str(ROOT / "playbooks" / f"{name}.yml")
        words = ("-e", f"@{text}", *options)
        return play(self.host.inventory, book, *words, env={"COLUMNS": "200"}, cwd=self.folder)

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
