"""A site with a history, on a host of its own: what the scenarios `releases` and `crash` tell their stories with.

The repository lies on the test host and has a tag for every version, good and bad ones. The site has a process and a
timer, which write down which release they belong to.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from e2e.machine import keep

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ROOT / "tests" / "hosts" / "hosts.py"
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


@dataclass(frozen=True)
class Run:
    """What one ansible-playbook said."""

    status: int
    text: str

    @property
    def changed(self) -> int:
        found = re.search(r"^\S+ +: ok=\d+ +changed=(\d+)", self.text, re.MULTILINE)
        return int(found[1]) if found else -1

    @property
    def flat(self) -> str:
        """The text in one line, without the edge of boxes."""
        return re.sub(r"[\s│]+", " ", self.text)


class Story:
    """The host, its inventory, and the runs."""

    def __init__(self, name: str, debian: str, folder: Path, collections: Path | None = None) -> None:
        self.name = name
        self.debian = debian
        self.folder = folder
        self.inventory = folder / "hosts.yml"
        self.collections = collections
        self.connection: dict[str, Any] = {}

    def hosts(self, *words: str) -> None:
        subprocess.run([sys.executable, str(HOSTS), *words], check=True, stdin=subprocess.DEVNULL)

    def up(self, before: str = "true") -> None:
        """Boot the host, run ``before`` there, put the repository on it, and bring v1 live with site.yml."""
        self.hosts("down", "--name", self.name)
        made = self.folder / "made.yml"
        self.hosts("up", "--name", self.name, "--debian", self.debian, "--publish", "80", "--inventory", str(made))
        (self.connection,) = yaml.safe_load(made.read_text())["flask_hosts"]["hosts"].values()
        self.write_inventory()
        repository, bundle = self.folder / "story", self.folder / "story.bundle"
        write_versions(repository)
        subprocess.run(["git", "-C", str(repository), "bundle", "create", "--quiet", str(bundle), "--all"], check=True)
        encoded = base64.b64encode(bundle.read_bytes()).decode()
        self.root(before)
        self.root("apt-get -qq update && apt-get -qq install --yes curl git >/dev/null 2>&1")
        self.root(
            f"base64 --decode > /root/story.bundle && git clone -q --mirror /root/story.bundle {REPOSITORY}", encoded
        )
        run = self.play("site.yml")
        assert run.status == 0, run.text
        assert self.ask("/") == "v1"

    def down(self) -> None:
        self.hosts("down", "--name", self.name)

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
        names = r"^(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$"
        index = {name: value for name, value in os.environ.items() if re.match(names, name)}
        variables = {"flask_apps": {"story": entry}, "flask_apps_build_env": index}
        hosts = {"story": self.connection, **{other.name: other.connection for other in others}}
        self.inventory.write_text(yaml.safe_dump({"flask_hosts": {"hosts": hosts, "vars": variables}}, sort_keys=False))

    def root(self, command: str, stdin: str = "", check: bool = True) -> str:
        """Run a shell command as root and return its output."""
        common = shlex.split(self.connection["ansible_ssh_common_args"])
        reach = [
            *("ssh", "-q", "-p", str(self.connection["ansible_port"])),
            *("-i", self.connection["ansible_ssh_private_key_file"], *common),
            f"{self.connection['ansible_user']}@{self.connection['ansible_host']}",
        ]
        done = subprocess.run(
            [*reach, f"sudo sh -c {shlex.quote(command)}"], input=stdin, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, path: str) -> str:
        """Return what a visitor reads, or the number of a status that is not 200."""
        words = f"curl -s -m 10 -w '%{{http_code}}' -H 'Host: {DOMAIN}' http://127.0.0.1{path}"
        body, status = (text := self.root(words, check=False))[:-3], text[-3:]
        return body.strip() if status == "200" else status

    def begin(self, playbook: str, *options: str) -> subprocess.Popen[str]:
        """Start a playbook in a process group of its own."""
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment.pop("ANSIBLE_BECOME", None)
        if self.collections:
            environment["ANSIBLE_COLLECTIONS_PATH"] = str(self.collections)
        book = playbook if playbook == "site.yml" else f"playbooks/{playbook}.yml"
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible-playbook"), book, "-i", str(self.inventory), *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *options: str) -> Run:
        with self.begin(playbook, *options) as process:
            text, dummy = process.communicate(timeout=300)
        return Run(process.returncode, text)

    def deploy(self, version: str, *options: str) -> Run:
        return self.play("deploy", "-e", f"version={version}", *options)

    def live(self) -> str:
        """Return the id of the live release."""
        return self.root("readlink /srv/story/current").strip().rpartition("/")[2]

    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.root("cat /srv/story/releases.jsonl").splitlines()]

    def units(self) -> set[str]:
        """Return the application's units that are active or failed, without the release's id."""
        listed = self.root("systemctl list-units --all --plain --no-legend 'story*' | awk '{print $1}'").split()
        return {unit for unit in listed if self.live() not in unit}


def end(process: subprocess.Popen[str]) -> None:
    """Kill a playbook and all that it started, as when its machine is gone: workers have sessions of their own."""
    for pid in [process.pid, *descendants(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def descendants(pid: int) -> list[int]:
    """Return the processes below a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid]
    for parent in found:
        found += [child for child, above in pairs if above == parent]
    return found[1:]


@contextmanager
def story(
    name: str, debian: str, folder: Path, collections: Path | None = None, before: str = "true"
) -> Iterator[Story]:
    """A host with the site live, gone afterwards unless TEST_KEEP is set."""
    made = Story(name, debian, folder, collections)
    try:
        made.up(before)
        yield made
    finally:
        if not keep():
            made.down()
