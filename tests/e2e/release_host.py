"""A host that the module release is run on by a playbook of the tests, for `releases`, `sources`, `environments`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from e2e.machine import Machine
from e2e.playbooks import PATIENCE, ROOT, Run, begin, build_env

CONFIG = os.environ.get("RELEASE_TEST_CONFIG", str(ROOT / "ansible.cfg"))
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


@dataclass(frozen=True)
class ReleaseRun(Run):
    """One run, and the module's result."""

    result: dict[str, Any] = field(default_factory=dict)

    def app(self, name: str = "blog") -> dict[str, Any]:
        return next(app for app in self.result["apps"] if app["app"] == name)


class ReleaseHost(Machine):
    """A host that has what a composer would install, and no composer."""

    runs = 0

    def prepare(self, *words: tuple[str, str]) -> None:
        """Install what is needed; `words` are replaced in the playbook that does it."""
        text = PREPARE
        for old, new in words:
            text = text.replace(old, new)
        run = self.playbook(text)
        assert run.status == 0, run.text

    def ask(self, app: str = "blog", path: str = "/") -> str:
        return super().ask(app, path)

    def playbook(self, text: str, variables: dict[str, Any] | None = None, *options: str) -> ReleaseRun:
        return self.start(text, variables, *options)()

    def start(self, text: str, variables: dict[str, Any] | None = None, *options: str) -> Callable[[], ReleaseRun]:
        """Start a playbook and return the call that waits for its end."""
        self.runs += 1
        play, kept = self.folder / f"play{self.runs}.yml", self.folder / f"result{self.runs}.json"
        extra = self.folder / f"vars{self.runs}.json"
        play.write_text(text)
        kept.unlink(missing_ok=True)
        extra.write_text(json.dumps({"result_file": str(kept), **(variables or {})}))
        process = begin(self.inventory, str(play), "-e", f"@{extra}", *options, env={"ANSIBLE_CONFIG": CONFIG})

        def finish() -> ReleaseRun:
            said, dummy = process.communicate(timeout=PATIENCE)
            return ReleaseRun(process.returncode, said, "", json.loads(kept.read_text()) if kept.exists() else {})

        return finish

    def start_deploy(self, apps: dict[str, Any], *options: str, **arguments: Any) -> Callable[[], ReleaseRun]:
        return self.start(DEPLOY, {"arguments": {"apps": apps, "build_env": build_env(), **arguments}}, *options)

    def deploy(self, apps: dict[str, Any], *options: str, **arguments: Any) -> ReleaseRun:
        return self.start_deploy(apps, *options, **arguments)()
