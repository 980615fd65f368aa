"""A real host for the tests of releases, and the means to deploy to it and to look at it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.machine import debians, keep

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ROOT / "tests" / "hosts" / "hosts.py"

PREPARE = """---
- name: The host has what a composer would install
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Packages are installed
      ansible.builtin.apt:
        name: [git, python3-venv, iproute2]
        update_cache: true
    - name: The users exist
      ansible.builtin.command:
        argv: [systemd-sysusers, --inline, "u {{ item }} -", "g www-data -"]
      loop: [blog, shop, flaskworks-build]
"""

DEPLOY = """---
- name: Releases
  hosts: all
  gather_facts: false
  tasks:
    - name: The releases are live
      become: true
      flaskworks.deploy.release: "{{ arguments }}"
      register: result
    - name: The result is kept
      ansible.builtin.copy:
        content: "{{ result | to_json }}"
        dest: "{{ result_file }}"
        mode: "0600"
      delegate_to: localhost
      check_mode: false
      diff: false
"""

# Asks through the link that nginx uses.
ASK = (
    "import http.client, socket, sys\n"
    "c = http.client.HTTPConnection('x')\n"
    "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1]); c.request('GET', sys.argv[2])\n"
    "r = c.getresponse(); print(r.status, r.read().decode())\n"
)


@dataclass
class Run:
    """One playbook run: its exit status, all that it printed, and the module's result."""

    status: int
    output: str
    result: dict[str, Any] = field(default_factory=dict)

    def app(self, name: str = "blog") -> dict[str, Any]:
        return next(app for app in self.result["apps"] if app["app"] == name)


class Host:
    """A booted test machine."""

    def __init__(self, inventory: Path, folder: Path) -> None:
        self.inventory = inventory
        self.folder = folder
        hosts = yaml.safe_load(inventory.read_text())["flask_hosts"]["hosts"]
        (self.facts,) = hosts.values()
        self.runs = 0

    def ssh_arguments(self) -> list[str]:
        options = ["ssh", "-q", "-p", str(self.facts["ansible_port"]), "-i", self.facts["ansible_ssh_private_key_file"]]
        unchecked = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]
        return [*options, *unchecked, f"{self.facts['ansible_user']}@{self.facts['ansible_host']}"]

    def root(self, command: str, script: str = "", check: bool = True) -> str:
        """Run a shell command as root and return its output."""
        done = subprocess.run(
            [*self.ssh_arguments(), "sudo sh -c " + _quoted(command)],
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, path: str = "/", app: str = "blog") -> str:
        """Return the status and body that the live release answers."""
        return self.root(f"python3 - /srv/{app}/current/gunicorn.sock {path}", ASK).strip()

    def executions(self) -> int:
        """Return how many programs were run through sudo so far."""
        # The journal is written a moment after the fact, unless asked to hurry.
        return int(self.root("journalctl --sync; journalctl -q -o cat _COMM=sudo | grep -c COMMAND= || true"))

    def playbook(self, text: str, variables: dict[str, Any] | None = None, *options: str) -> Run:
        run: Run = self.start(text, variables, *options)()
        return run

    def start(self, text: str, variables: dict[str, Any] | None = None, *options: str) -> Any:
        """Start a playbook and return the call that waits for its end."""
        self.runs += 1
        play, kept = self.folder / f"play{self.runs}.yml", self.folder / f"result{self.runs}.json"
        extra = self.folder / f"vars{self.runs}.json"
        play.write_text(text)
        extra.write_text(json.dumps({"result_file": str(kept), **(variables or {})}))
        argv = ["ansible-playbook", "-i", str(self.inventory)]
        environment = {**os.environ, "ANSIBLE_CONFIG": os.environ.get("RELEASE_TEST_CONFIG", str(ROOT / "ansible.cfg"))}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        process = subprocess.Popen(
            [*argv, str(play), "-e", f"@{extra}", *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

        def finish() -> Run:
            output, dummy = process.communicate(timeout=600)
            return Run(process.returncode, output, json.loads(kept.read_text()) if kept.exists() else {})

        finish.process = process  # type: ignore[attr-defined]
        return finish

    def start_deploy(self, apps: dict[str, Any], **arguments: Any) -> Any:
        return self.start(DEPLOY, {"arguments": {"apps": apps, "build_env": self.build_env(), **arguments}})

    def deploy(self, apps: dict[str, Any], *options: str, **arguments: Any) -> Run:
        return self.playbook(
            DEPLOY, {"arguments": {"apps": apps, "build_env": self.build_env(), **arguments}}, *options
        )

    def build_env(self) -> dict[str, str]:
        """Return where the host finds packages, should this machine say so for itself."""
        return {
            name: value for name, value in os.environ.items() if re.match(r"^(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$", name)
        }


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture(scope="session", params=debians())
def bare_machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host on which nothing is installed yet."""
    folder = tmp_path_factory.mktemp("host")
    name, inventory = f"releases{request.param}", folder / "hosts.yml"
    base = [sys.executable, str(HOSTS)]
    subprocess.run([*base, "down", "--name", name], check=False, capture_output=True)
    subprocess.run([*base, "up", "--name", name, "--debian", request.param, "--inventory", str(inventory)], check=True)
    yield Host(inventory, folder)
    if not keep():
        subprocess.run([*base, "down", "--name", name], check=True)


@pytest.fixture(scope="session")
def machine(bare_machine: Host) -> Host:
    prepared = bare_machine.playbook(PREPARE)
    assert prepared.status == 0, prepared.output
    return bare_machine
