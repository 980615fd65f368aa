"""A host of its own with a site, brought up by site.yml as its users do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from e2e.machine import debians, folder_of, keep
from e2e.support import ROOT, Run, Site, play, published_site

# As long as a name may be: nginx's variables bear it.
APP = "blog-of-the-people-next-door-12"
PLAYBOOK = "playbooks/maintenance.yml"
# What must not be a way around it.
EXTRA = 'location = /robots.txt { return 200 "by hand"; }\nerror_page 503 /sorry.html;\n'
LOCATIONS = {"/upload": {"max_body": "3m"}, "/live": {"websocket": True}, "/events": {"stream": True}}
TOKEN = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Closing:
    """A host, its site, and the means to close it."""

    host: Any
    source: Path
    blog: Site

    def run(self, state: str, *options: str, app: str = APP, status: int = 0) -> Run:
        words = [word for option in options for word in (option if option.startswith("--") else f"-e={option}",)]
        return play(self.host, PLAYBOOK, f"-e=app={app}", f"-e=state={state}", *words, status=status)

    def on(self, *options: str) -> str:
        """Close the blog; return the token of the link that the run tells."""
        return told_token(self.run("on", *options))

    def deploy(self, playbook: str, *options: str) -> Run:
        """Run another playbook, for the site that this host has."""
        return play(self.host, f"playbooks/{playbook}.yml", "-e", '{"left_out": ["wiki"]}', *options)

    def files(self) -> set[str]:
        """What a maintenance leaves on the host."""
        found = "find /etc/nginx /var/lib/flaskworks/file_set -iname '*maintenance*' -o -path '/etc/nginx/flaskworks*'"
        return set(self.host.check_output(found).split())


def told_token(run: Run) -> str:
    """The token that a run told; it tells it once."""
    tokens = TOKEN.findall(run.text)
    assert len(tokens) == 1, run.text[-3000:]
    return str(tokens[0])


def site(source: Path, name: str, **keys: Any) -> dict[str, Any]:
    return {
        "source": {"path": str(source)},
        "wsgi": "hello:app",
        "domains": [f"{name}.test"],
        "server": {"worker_class": "sync", "workers": 1},
        "health": {"path": "/health"},
        "static": {"/static/": "src:static/"},
        **keys,
    }


@pytest.fixture(scope="session", params=debians())
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """testinfra's view of the host, as root."""
    name = f"maintenance{request.param}"
    folder = folder_of(name, tmp_path_factory)
    source = folder / "hello"
    shutil.copytree(ROOT / "tests/apps/hello", source, dirs_exist_ok=True)
    (source / "static").mkdir(exist_ok=True)
    (source / "static" / "site-1.css").write_text("body {}\n")
    apps = {
        # The test is the proxy in front of it when it asks from the host itself.
        APP: site(source, "blog", nginx={"trusted_proxies": ["127.0.0.1"], "extra": EXTRA, "locations": LOCATIONS}),
        # Known, but not live on any host.
        "wiki": site(source, "wiki"),
    }
    (folder / "group_vars").mkdir(exist_ok=True)
    chosen = "{{ apps | dict2items | rejectattr('key', 'in', left_out | default([])) | items2dict }}"
    variables = {"flask_apps_firewall": False, "apps": apps, "flask_apps": chosen}
    (folder / "group_vars" / "flask_hosts.yml").write_text(yaml.safe_dump(variables))
    base, inventory = [sys.executable, str(ROOT / "tests/hosts/hosts.py")], folder / "hosts.yml"
    if not keep():
        subprocess.run([*base, "down", "--name", name], check=False, capture_output=True)
    up = ["up", "--name", name, "--debian", request.param, "--publish", "80", "--inventory", str(inventory)]
    subprocess.run([*base, *up], check=True, stdin=subprocess.DEVNULL)
    os.environ["ANSIBLE_BECOME"] = "true"
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    yield testinfra.get_host(f"ansible://{name}", ansible_inventory=str(inventory))
    if not keep():
        subprocess.run([*base, "down", "--name", name], check=True)


@pytest.fixture(scope="session")
def closing(host: Any) -> Closing:
    source = Path(host.backend.ansible_inventory).parent / "hello"
    closing = Closing(host, source, published_site(host, "blog.test"))
    closing.deploy("site")
    return closing


@pytest.fixture
def opened(closing: Closing) -> Iterator[Closing]:
    """The blog is open, and is open again after the test."""
    if closing.files():
        closing.run("off")
    yield closing
    if closing.files():
        closing.run("off")
