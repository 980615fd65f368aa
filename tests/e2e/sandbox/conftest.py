"""Two hosts, Debian 12 and 13, with a victim and one application for each sandbox that tries to get at it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.machine import debians, keep

ROOT = Path(__file__).resolve().parents[3]
HOSTS = [sys.executable, str(ROOT / "tests" / "hosts" / "hosts.py")]
SITE = ROOT / "tests" / "apps" / "attempts"
DEBIANS = debians("12,13")
# Application -> what is said of it beside what all have.
KINDS: dict[str, dict[str, Any]] = {
    "off": {"systemd": {"hardening": False}},
    "standard": {"systemd": {"hardening": "standard"}},
    "strict": {},
    "isolated": {"systemd": {"hardening": "isolated"}},
    "supervisor": {"process_manager": "supervisor"},
    "cron": {"process_manager": "cron"},
}
# What one host shows of the two is true of the other: neither has a sandbox of its own.
ELSEWHERE = {"12": "cron", "13": "supervisor"}
# Through the socket that nginx uses.
ASK = (
    "import http.client, socket, sys\n"
    "c = http.client.HTTPConnection('x')\n"
    "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1]); c.request('GET', sys.argv[2])\n"
    "print(c.getresponse().read().decode())\n"
)


def kinds(debian: str) -> list[str]:
    """What there is on a host."""
    return [kind for kind in KINDS if kind != ELSEWHERE[debian]]


def entries(debian: str) -> dict[str, Any]:
    """The applications of a host."""
    attacker = {
        "source": {"path": str(SITE)},
        "wsgi": "attempts:app",
        "server": {"workers": 1, "threads": 2},
        "shared": ["data"],
        "python": {"packages": ["cffi"]},
        "processes": {"spy": {"run": "python attempts.py always data/process.json"}},
        "timers": {"once": {"run": "python attempts.py once data/timer.json", "calendar": "2030-01-01 00:00:00 UTC"}},
    }
    victim = {
        **attacker,
        "wsgi": "victim:app",
        "secrets": {"TOKEN": "not-for-others"},
        "processes": {"listener": {"run": "python victim.py"}},
        "timers": {},
        "domains": ["victim.test"],
    }
    return {
        "victim": victim,
        **{
            f"a-{kind}": {**attacker, "domains": [f"{kind}.test"], **more}
            for kind, more in KINDS.items()
            if kind in kinds(debian)
        },
    }


@dataclass(frozen=True)
class Done:
    """How a playbook ended."""

    status: int
    text: str

    @property
    def flat(self) -> str:
        """The text in one line, without the edge of boxes."""
        return re.sub(r"[\s│]+", " ", self.text)


@dataclass
class Machine:
    """One of the hosts."""

    debian: str
    facts: dict[str, Any]
    folder: Path
    releases: dict[str, str] = field(default_factory=dict)

    def play(self, playbook: str, apps: dict[str, Any], *options: str) -> Done:
        """Run a playbook of the collection."""
        inventory = self.folder / f"hosts{self.debian}.yml"
        names = r"^(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$"
        index = {name: value for name, value in os.environ.items() if re.match(names, name)}
        variables = {"flask_apps": apps, "flask_apps_build_env": index}
        hosts = {f"debian{self.debian}": self.facts}
        inventory.write_text(yaml.safe_dump({"flask_hosts": {"hosts": hosts, "vars": variables}}))
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment.pop("ANSIBLE_BECOME", None)
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", str(inventory), *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=400,
        )
        return Done(done.returncode, done.stdout)

    def root(self, command: str, stdin: str = "", check: bool = True) -> str:
        """Run a shell command as root and return what it printed."""
        reach = [
            *("ssh", "-q", "-p", str(self.facts["ansible_port"]), "-i", self.facts["ansible_ssh_private_key_file"]),
            *shlex.split(self.facts["ansible_ssh_common_args"]),
            f"{self.facts['ansible_user']}@{self.facts['ansible_host']}",
            f"sudo sh -c {shlex.quote(command)}",
        ]
        done = subprocess.run(reach, input=stdin, capture_output=True, text=True, check=False, timeout=120)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def live(self, app: str) -> str:
        return self.root(f"readlink /srv/{app}/current").strip().rpartition("/")[2]

    def ask(self, app: str, path: str) -> Any:
        return json.loads(self.root(f"python3 - /srv/{app}/current/gunicorn.sock {path}", ASK))

    def wait_for(self, path: str, token: str) -> Any:
        """Return the JSON in a file as soon as it has the token."""
        until = time.monotonic() + 60
        while True:
            text = self.root(f"cat {path} 2>/dev/null", check=False)
            if token in text:
                return json.loads(text)
            assert time.monotonic() < until, f"{path} never had {token}: {text}"
            time.sleep(0.2)


class Hosts:
    """Both hosts, and the inventory that they share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines: dict[str, Machine] = {}

    def up(self) -> None:
        for debian in DEBIANS:
            name, made = f"sandbox{debian}", self.folder / f"made{debian}.yml"
            if not keep():
                subprocess.run([*HOSTS, "down", "--name", name], check=True, capture_output=True)
            up = ["up", "--name", name, "--debian", debian, "--publish", "80", "--inventory", str(made)]
            subprocess.run([*HOSTS, *up], check=True, stdin=subprocess.DEVNULL)
            (facts,) = yaml.safe_load(made.read_text())["flask_hosts"]["hosts"].values()
            self.machines[debian] = Machine(debian, facts, self.folder)

    def down(self) -> None:
        for debian in DEBIANS:
            subprocess.run([*HOSTS, "down", "--name", f"sandbox{debian}"], check=True)

    def each(self, work: Callable[[Machine], Any]) -> dict[str, Any]:
        """Do the same on both hosts at once; return Debian -> what came of it."""
        with ThreadPoolExecutor(len(self.machines)) as pool:
            found = {debian: pool.submit(work, machine) for debian, machine in self.machines.items()}
            return {debian: future.result() for debian, future in found.items()}


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """All applications are live on both hosts, and places exist that a careless administrator leaves open."""
    made = Hosts(tmp_path_factory.mktemp("sandbox"))
    made.up()
    for done in made.each(lambda machine: machine.play("site.yml", entries(machine.debian))).values():
        assert done.status == 0, done.text[-5000:]
    for machine in made.machines.values():
        machine.root(
            "mkdir -p /opt/open /opt/mine /home/anybody && chmod 0777 /opt/open && chmod 0755 /home/anybody"
            " && chown a-strict /opt/mine && echo x > /home/anybody/readable && chmod 0666 /dev/fuse"
        )
    yield made
    if not keep():
        made.down()


@pytest.fixture(scope="session", params=DEBIANS)
def machine(request: pytest.FixtureRequest, hosts: Hosts) -> Machine:
    return hosts.machines[request.param]
