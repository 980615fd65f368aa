"""A real host on which a site was deployed twice and a third deploy failed, and the means to look at it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from e2e.machine import debians, keep

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ROOT / "tests" / "hosts" / "hosts.py"
CANARY = "canary-7f3a91-$HOME-never-shown"

SITE = """
import os, sys
from flask import Flask
def create_app():
    app = Flask(__name__)
    @app.get("/")
    def index():
        return "{word}"
    @app.get("/health")
    def health():
        return "fine", {status}
    @app.get("/say/<word>")
    def say(word):
        print("said", word, file=sys.stderr, flush=True)
        return word
    return app
"""


@dataclass(frozen=True)
class Done:
    """How a program ended, and its words."""

    status: int
    output: str
    errors: str = ""


class Machine:
    """A booted test host."""

    def __init__(self, name: str, inventory: Path, folder: Path) -> None:
        self.name, self.inventory, self.folder = name, inventory, folder
        (self.facts,) = yaml.safe_load(inventory.read_text())["flask_hosts"]["hosts"].values()

    def ssh(self, *options: str) -> list[str]:
        """The words that run a command there as the sudo user."""
        facts = self.facts
        place = [f"-p{facts['ansible_port']}", "-i", facts["ansible_ssh_private_key_file"]]
        common = shlex.split(facts["ansible_ssh_common_args"])
        return ["ssh", "-q", *options, *place, *common, f"{facts['ansible_user']}@{facts['ansible_host']}"]

    def run(self, command: str) -> Done:
        """Run a shell command as the sudo user."""
        done = subprocess.run([*self.ssh(), command], capture_output=True, text=True, check=False, input="")
        return Done(done.returncode, done.stdout, done.stderr)

    def root(self, command: str) -> str:
        """Run a shell command as root, insist on its success, and return what it printed."""
        done = self.run(f"sudo sh -c {shlex.quote(command)}")
        assert done.status == 0, f"{command}: {done}"
        return done.output

    def flaskworks(self, *words: str) -> Done:
        """Run the host's command as an operator does."""
        return self.run(shlex.join(["sudo", "flaskworks", *words]))

    def play(self, playbook: str, *options: str) -> Done:
        """Run a playbook of the collection."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["ansible-playbook", playbook, "-i", str(self.inventory), *options],
            cwd=ROOT,
            env={**os.environ, "PATH": path, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def status(self, *options: str) -> tuple[Done, dict[str, Any]]:
        """Run the playbook status; return what it said, and the JSON of this host."""
        kept = self.folder / "status.json"
        kept.unlink(missing_ok=True)
        done = self.play("playbooks/status.yml", "-e", f"status_file={kept}", *options)
        hosts: dict[str, Any] = json.loads(kept.read_text())["hosts"] if kept.exists() else {}
        return done, hosts.get(self.name, {})

    def deploy(self, word: str, *options: str, playbook: str = "site.yml", status: int = 200) -> Done:
        """Bring the site up that answers this word."""
        site = self.folder / word
        (site / "blog").mkdir(parents=True, exist_ok=True)
        (site / "blog" / "__init__.py").write_text(SITE.format(word=word, status=status))
        (site / "requirements.txt").write_text("flask\n")
        entry = {
            "source": {"path": str(site)},
            "wsgi": "blog:create_app()",
            "domains": ["blog.test"],
            "shared": ["data"],
            "server": {"workers": 3},
            "secrets": {"SECRET_KEY": CANARY},
            "processes": {"worker": {"run": "sleep 1000"}},
            "timers": {"tidy": {"run": "false", "calendar": "2030-01-01 00:00:00 UTC"}},
            # This machine may be busy; a bad answer is not waited for as long.
            "health": {"path": "/health", "timeout": 30 if status == 200 else 8},
        }
        variables = self.folder / "vars.json"
        variables.write_text(json.dumps({"flask_apps": {"blog": entry}}))
        return self.play(playbook, "-e", f"@{variables}", *options)

    def live(self) -> str:
        return self.root("readlink /srv/blog/current").strip().rpartition("/")[2]

    def get(self, path: str) -> requests.Response:
        """What a visitor gets."""
        with requests.Session() as session:
            session.trust_env = False
            port = self.facts["published_ports"]["80"]
            return session.get(f"http://127.0.0.1:{port}{path}", headers={"Host": "blog.test"}, timeout=15)

    def executions(self) -> int:
        """How many programs were run through sudo so far."""
        return int(self.root("journalctl --sync; journalctl -q -o cat _COMM=sudo | grep -c COMMAND= || true"))

    def wait(self, command: str, seconds: float = 20) -> None:
        """Return when the command succeeds as root."""
        until = time.monotonic() + seconds
        while self.run(f"sudo sh -c {shlex.quote(command)}").status != 0:
            assert time.monotonic() < until, f"never true: {command}"
            time.sleep(0.2)


@pytest.fixture(scope="session", params=debians())
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A host on which nothing is installed yet."""
    folder = tmp_path_factory.mktemp("host")
    name, inventory = f"status{request.param}", folder / "hosts.yml"
    base = [sys.executable, str(HOSTS)]
    subprocess.run([*base, "down", "--name", name], check=False, capture_output=True)
    up = ["up", "--name", name, "--debian", request.param, "--publish", "80", "--inventory", str(inventory)]
    subprocess.run([*base, *up], check=True)
    yield Machine(name, inventory, folder)
    if not keep():
        subprocess.run([*base, "down", "--name", name], check=True)


@dataclass
class Story:
    """A host, and what happened on it: ids of the two releases, what failed, and what ``logs -f`` showed meanwhile."""

    machine: Machine
    first: str = ""
    second: str = ""
    failed: Done = field(default_factory=lambda: Done(0, ""))
    followed: str = ""


@pytest.fixture(scope="session")
def story(bare: Machine) -> Story:
    """The site went live, was replaced while somebody followed its logs, and a third version failed its probe."""
    told = Story(bare)
    first = bare.deploy("one")
    assert first.status == 0, first.output[-3000:]
    told.first = bare.live()
    follower = subprocess.Popen(
        [*bare.ssh(), "sudo timeout 120 flaskworks blog logs -f -n 5"], stdout=subprocess.PIPE, text=True
    )
    second = bare.deploy("two", playbook="playbooks/deploy.yml")
    assert second.status == 0, second.output[-3000:]
    told.second = bare.live()
    assert bare.get("/say/after-the-switch").status_code == 200
    bare.root("echo a line of gunicorn >>/var/log/blog/error.log")
    time.sleep(2)
    bare.root("pkill -TERM -o -f 'timeout 120 flaskworks'")
    told.followed, dummy = follower.communicate(timeout=20)
    told.failed = bare.deploy("three", playbook="playbooks/deploy.yml", status=500)
    assert told.failed.status != 0
    assert "500 INTERNAL SERVER ERROR" in told.failed.output, f"not the probe failed: {told.failed.output[-3000:]}"
    return told


@pytest.fixture
def machine(story: Story) -> Machine:
    return story.machine


def recap(done: Done, name: str) -> dict[str, int]:
    """What ansible-playbook counted for a host."""
    found = re.search(rf"^{re.escape(name)}\s*: (ok=.*)$", done.output, re.MULTILINE)
    assert found, done.output
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found[1])}
