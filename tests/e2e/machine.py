"""Test hosts of the scenarios without molecule: boot one, run commands there, run playbooks for it.

    with booted(Machine, f"mine{debian}", debian, folder, publish=[80]) as machine:
        assert machine.bring({"blog": {...}}).status == 0

TEST_DEBIAN=12,13 names the releases of Debian. TEST_KEEP=1 leaves the hosts up; the next run with it uses them again.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import testinfra
import yaml
from e2e.playbooks import PATIENCE, ROOT, Run, build_env, play

HOSTS = [sys.executable, str(ROOT / "tests" / "hosts" / "hosts.py")]
# Through the link that nginx uses.
ASK = (
    "import http.client, socket, sys\n"
    "c = http.client.HTTPConnection('x')\n"
    "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1]); c.request('GET', sys.argv[2])\n"
    "r = c.getresponse(); print(r.status, r.read().decode())\n"
)


def debians(usual: str = "13") -> list[str]:
    """The releases of Debian on which a scenario is told."""
    return (os.environ.get("TEST_DEBIAN") or usual).split(",")


def keep() -> bool:
    """Whether hosts are used again, and left up."""
    return bool(os.environ.get("TEST_KEEP"))


def folder_of(name: str, factory: pytest.TempPathFactory) -> Path:
    """The folder for what belongs to a host; it is kept with the host."""
    if not keep():
        return factory.mktemp(name)
    kept = ROOT / ".cache" / "kept" / name
    kept.mkdir(parents=True, exist_ok=True)
    return kept


class Machine:
    """A booted test host, and its folder here."""

    def __init__(self, name: str, inventory: Path, folder: Path) -> None:
        self.name, self.inventory, self.folder = name, inventory, folder
        (self.facts,) = yaml.safe_load(inventory.read_text())["flask_hosts"]["hosts"].values()
        self.debian: str = self.facts["debian_release"]
        self._login = tempfile.TemporaryDirectory(prefix="test-ssh-")

    def ssh(self, *options: str) -> list[str]:
        """The words that run a command there as the sudo user, in a connection of its own."""
        facts = self.facts
        place = [f"-p{facts['ansible_port']}", "-i", facts["ansible_ssh_private_key_file"]]
        common = shlex.split(facts["ansible_ssh_common_args"])
        return ["ssh", "-q", *options, *place, *common, f"{facts['ansible_user']}@{facts['ansible_host']}"]

    def shared(self, *options: str) -> list[str]:
        """The same in one connection for all: each login costs both sides a tenth of a second of work."""
        place = f"ControlPath={self._login.name}/%C"
        return self.ssh(*options, "-o", "ControlMaster=auto", "-o", place, "-o", "ControlPersist=60")

    def run(self, command: str, stdin: str = "", timeout: float = PATIENCE) -> Run:
        """Run a shell command as the sudo user."""
        done = subprocess.run(
            [*self.shared(), command],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def root(self, command: str, stdin: str = "", check: bool = True) -> str:
        """Run a shell command as root, insist on its success, and return what it printed."""
        done = self.run(f"sudo sh -c {shlex.quote(command)}", stdin)
        assert not check or done.status == 0, f"{command}: {done.status}\n{done.text}{done.errors}"
        return done.text

    def wait(self, command: str, seconds: float = 20) -> None:
        """Return when the command succeeds as root."""
        until = time.monotonic() + seconds
        while self.run(f"sudo sh -c {shlex.quote(command)}").status != 0:
            assert time.monotonic() < until, f"never true: {command}"
            time.sleep(0.2)

    def give(self, file: Path, path: str) -> None:
        """Copy a file to the host."""
        words = [*self.shared(), f"sudo sh -c {shlex.quote(f'cat > {shlex.quote(path)}')}"]
        subprocess.run(words, input=file.read_bytes(), check=True)

    def restart(self, *options: str) -> None:
        """Boot it again; with --hard as after a power cut. The connection would not notice that for a minute."""
        subprocess.run(self.shared("-O", "exit"), check=False, capture_output=True)
        hosts("restart", *options, "--name", self.name)

    def flaskworks(self, *words: str) -> Run:
        """Run the host's command as an operator does."""
        return self.run(shlex.join(["sudo", "flaskworks", *words]))

    def live(self, app: str) -> str:
        """The id of the release that is live."""
        return self.root(f"readlink /srv/{app}/current").strip().rpartition("/")[2]

    def ask(self, app: str, path: str = "/") -> str:
        """The status and body that the live release answers."""
        return self.root(f"python3 - /srv/{app}/current/gunicorn.sock {path}", ASK).strip()

    def executions(self) -> int:
        """How many programs were run through sudo so far."""
        # The journal is written a moment after the fact, unless asked to hurry.
        return int(self.root("journalctl --sync; journalctl -q -o cat _COMM=sudo | grep -c COMMAND= || true"))

    def play(self, playbook: str, *options: str, env: Mapping[str, str] | None = None) -> Run:
        """Run a playbook for this host."""
        return play(self.inventory, playbook, *options, env=env)

    def say(self, apps: Mapping[str, Any], **variables: Any) -> tuple[str, str]:
        """Write what is said of the host; return the words by which ansible-playbook reads it."""
        said = self.folder / f"{self.name}.json"
        said.write_text(json.dumps({"flask_apps": apps, "flask_apps_build_env": build_env(), **variables}))
        return "-e", f"@{said}"

    def bring(self, apps: Mapping[str, Any], *options: str, playbook: str = "site.yml", **variables: Any) -> Run:
        """Run a playbook for these applications."""
        return self.play(playbook, *self.say(apps, **variables), *options)

    def testinfra(self) -> Any:
        """Testinfra's view of the host, as root; its plays are those of support.py."""
        os.environ["ANSIBLE_BECOME"] = "true"
        os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
        return testinfra.get_host(f"ansible://{self.name}", ansible_inventory=str(self.inventory))


M = TypeVar("M", bound=Machine)


def hosts(*words: str) -> None:
    """Run the tool of the test hosts."""
    subprocess.run([*HOSTS, *words], check=True, stdin=subprocess.DEVNULL)


@contextmanager
def booted(
    kind: type[M], name: str, debian: str, folder: Path, *, publish: Sequence[int] = (), networks: Sequence[str] = ()
) -> Iterator[M]:
    """A host, which is new and gone afterwards unless TEST_KEEP is set."""
    inventory = folder / f"{name}.yml"
    extra = [*(f"--publish={port}" for port in publish), *(f"--network={network}" for network in networks)]
    if not keep():
        hosts("down", "--name", name)
    try:
        hosts("up", "--name", name, "--debian", debian, "--inventory", str(inventory), *extra)
        yield kind(name, inventory, folder)
    finally:
        if not keep():
            hosts("down", "--name", name)
