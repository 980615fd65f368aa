"""A site with a history, on a host of its own: what the scenarios `releases` and `crash` tell their stories with.

The repository lies on the test host and has a tag for every version, good and bad ones. The site has a process and a
timer, which write down which release they belong to.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from e2e.machine import Machine, booted
from e2e.playbooks import Run, begin, build_env, play

REPOSITORY = "/var/lib/story.git"
DOMAIN = "story.test"

SITE = """
import os, time
from flask import Flask, Response
{top}
app = Flask(__name__)
@app.after_request
def name_the_release(response):
    response.headers["X-Release"] = "{version}"
    return response
@app.route("/", methods=["GET", "POST"])
def index():
    return "{version}"
@app.get("/slow")
def slow():
    time.sleep(1.5)
    return "{version}"
@app.get("/stream")
def stream():
    def lines():
        while True:
            yield "{version}\\n"
            time.sleep(0.2)
    return Response(lines(), mimetype="text/event-stream")
@app.get("/setting")
def setting():
    return os.environ.get("SETTING", "")
@app.get("/health")
def health():
    {health}
"""
WORKER = """
import os, sys, time
{worker}
while True:
    with open("data/worker.log", "a") as log:
        log.write("{version} %d\\n" % os.getpid())
    time.sleep(0.5)
"""
MIGRATE = """
import sys
{migrate}
with open("data/migrations.log", "a") as log:
    log.write("{version}\\n")
"""
PARTS = {"top": "", "health": 'return "fine"', "worker": "", "migrate": "", "requirements": "flask\n"}
# What is wrong with each version that must never go live.
BAD = {
    "import": {"top": 'raise RuntimeError("broken at import")'},
    "probe": {"health": 'return "not today", 503'},
    "dependency": {"requirements": "flask\nno-such-package-anywhere==9.9\n"},
    "migration": {"migrate": 'sys.exit("the migration failed")'},
    "worker": {"worker": 'sys.exit("the worker failed")'},
}
GOOD = ("v1", "v2", "v3")


def write_versions(folder: Path) -> None:
    """Make a git repository with a tag for each version."""
    git = ["git", "-C", str(folder), "-c", "user.name=story", "-c", "user.email=story@example.org"]
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    for version in (*GOOD, *BAD):
        parts = {**PARTS, **BAD.get(version, {}), "version": version}
        for name, text in {"site.py": SITE, "worker.py": WORKER, "migrate.py": MIGRATE}.items():
            (folder / name.replace("site", "story")).write_text(text.format(**parts))
        (folder / "requirements.txt").write_text(parts["requirements"])
        (folder / "static").mkdir(exist_ok=True)
        for old in (folder / "static").iterdir():
            old.unlink()
        (folder / "static" / f"style.{version}.css").write_text(f"/* {version} */\n")
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", version], check=True)
        subprocess.run([*git, "tag", version], check=True)


class Story(Machine):
    """The host, its own inventory, and the runs; with `collections` those use another copy of the collection."""

    def __init__(self, name: str, inventory: Path, folder: Path) -> None:
        super().__init__(name, inventory, folder)
        self.inventory = folder / "hosts.yml"
        self.collections: Path | None = None

    def prepare(self, before: str = "true") -> None:
        """Run ``before`` on the host, put the repository there, and bring v1 live with site.yml."""
        self.write_inventory()
        repository, bundle = self.folder / "story", self.folder / "story.bundle"
        shutil.rmtree(repository, ignore_errors=True)
        write_versions(repository)
        subprocess.run(["git", "-C", str(repository), "bundle", "create", "--quiet", str(bundle), "--all"], check=True)
        encoded = base64.b64encode(bundle.read_bytes()).decode()
        self.root(before)
        self.root("apt-get -qq update && apt-get -qq install --yes curl git >/dev/null 2>&1")
        unpack = f"rm -rf {REPOSITORY} && git clone -q --mirror /root/story.bundle {REPOSITORY}"
        self.root(f"base64 --decode > /root/story.bundle && {unpack}", encoded)
        run = self.play("site.yml")
        assert run.status == 0, run.text
        assert self.visit("/") == "v1"

    def write_inventory(self, others: Sequence[Story] = (), **changes: Any) -> None:
        """Write the inventory, with ``others`` behind this host; ``changes`` replace keys of the application."""
        entry = {
            "source": {"git": REPOSITORY, "version": "v1"},
            "wsgi": "story:app",
            "domains": [DOMAIN],
            "python": {"requirements": ["requirements.txt"]},
            # At 100 requests a second, a tenth of them slow, 15 are in progress at any time.
            "server": {"workers": 2, "threads": 16},
            "shared": ["data"],
            "static": {"/static/": "src:static/"},
            "health": {"path": "/health", "timeout": 8},
            "commands": {"before_switch": ["python migrate.py"]},
            "processes": {"worker": {"run": "python worker.py"}},
            "timers": {"tick": {"run": "date +%s.%N >> data/ticks.log", "calendar": "*:*:0/5"}},
            "keep": 4,
            **changes,
        }
        variables = {"flask_apps": {"story": entry}, "flask_apps_build_env": build_env()}
        hosts = {"story": self.facts, **{other.name: other.facts for other in others}}
        self.inventory.write_text(yaml.safe_dump({"flask_hosts": {"hosts": hosts, "vars": variables}}, sort_keys=False))

    def visit(self, path: str) -> str:
        """Return what a visitor reads, or the number of a status that is not 200."""
        words = f"curl -s -m 10 -w '%{{http_code}}' -H 'Host: {DOMAIN}' http://127.0.0.1{path}"
        body, status = (text := self.root(words, check=False))[:-3], text[-3:]
        return body.strip() if status == "200" else status

    def begin(self, playbook: str, *options: str) -> subprocess.Popen[str]:
        """Start a playbook."""
        return begin(self.inventory, book(playbook), *options, env=self.environment())

    def play(self, playbook: str, *options: str, env: Mapping[str, str] | None = None) -> Run:
        return play(self.inventory, book(playbook), *options, env={**self.environment(), **(env or {})})

    def environment(self) -> dict[str, str]:
        return {"ANSIBLE_COLLECTIONS_PATH": str(self.collections)} if self.collections else {}

    def deploy(self, version: str, *options: str) -> Run:
        return self.play("deploy", "-e", f"version={version}", *options)

    def live(self, app: str = "story") -> str:
        return super().live(app)

    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.root("cat /srv/story/releases.jsonl").splitlines()]

    def units(self) -> set[str]:
        """Return the application's units that are active or failed, without the release's id."""
        listed = self.root("systemctl list-units --all --plain --no-legend 'story*' | awk '{print $1}'").split()
        return {unit for unit in listed if self.live() not in unit}


def book(name: str) -> str:
    """The path of a playbook by its name."""
    return name if name == "site.yml" else f"playbooks/{name}.yml"


@contextmanager
def story(
    name: str, debian: str, folder: Path, collections: Path | None = None, before: str = "true"
) -> Iterator[Story]:
    """A host with the site live, gone afterwards unless TEST_KEEP is set."""
    with booted(Story, name, debian, folder, publish=[80]) as made:
        made.collections = collections
        made.prepare(before)
        yield made
