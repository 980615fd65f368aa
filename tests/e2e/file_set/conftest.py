"""What the stories about the transaction share."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e.playbooks import ROOT
from e2e.support import play

PLAY = """
- name: One transaction
  hosts: flask_hosts
  gather_facts: false
  tasks:
    - name: Apply
      become: true
      flaskworks.deploy.file_set:
        owner: "{{ owner | default('story') }}"
        program: "{{ program | default('nginx') }}"
        files: "{{ files }}"
        units: "{{ units | default({}) }}"
        context: "{{ context | default([]) }}"
        validate: "{{ validate | default([]) }}"
"""


@dataclass(frozen=True)
class Answer:
    """What one run of the transaction said."""

    status: int
    text: str

    @property
    def changed(self) -> bool:
        return "changed=1" in self.text


Apply = Callable[..., Answer]


@pytest.fixture
def apply(host: Any, tmp_path: Path) -> Apply:
    """Run one transaction through ansible-playbook: `apply(files, "--check", program="systemd", owner=...)`."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAY)

    def run(files: dict[str, Any], *options: str, **variables: Any) -> Answer:
        given = tmp_path / "variables.json"
        given.write_text(json.dumps({"files": files, **variables}))
        done = play(host, str(playbook), "-e", f"@{given}", *options, status=None)
        return Answer(done.status, done.text)

    return run


class Direct:
    """The transaction's own code, run on the host without Ansible around it: faster, and it can be killed."""

    def __init__(self, host: Any) -> None:
        self.host = host
        hosts = [sys.executable, str(ROOT / "tests" / "hosts" / "hosts.py")]
        name = host.ansible.get_variables()["test_host_name"]
        unpack = ["ssh", "--name", name, "sudo mkdir -p /root/direct && sudo tar xz -C /root/direct"]
        subprocess.run([*hosts, *unpack], input=self._code(), check=True)

    @staticmethod
    def _code() -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for path in sorted((ROOT / "plugins" / "module_utils").glob("*.py")):
                archive.add(path, f"ansible_collections/flaskworks/deploy/plugins/module_utils/{path.name}")
            archive.add(Path(__file__).parent / "direct.py", "direct.py")
        return stream.getvalue()

    def _run(self, how: str, files: dict[str, Any], more: dict[str, Any]) -> Any:
        given = json.dumps({"owner": "story", "program": "nginx", "units": {}, "files": files, **more})
        return self.host.run("cd /root/direct && PYTHONPATH=. python3 direct.py %s %s", how, given)

    def kill(self, step: str, files: dict[str, Any], **more: Any) -> None:
        """Kill a transaction after this step: `kill("swapped", files, program="systemd", owner=..., units=...)`."""
        done = self._run(step, files, more)
        assert done.rc in (-9, 137), f"not killed: {done.rc} {done.stderr}"

    def apply(self, files: dict[str, Any], **more: Any) -> bool:
        """Run one transaction, which has to succeed; tell whether it changed something."""
        return self._changed("apply", files, more)

    def check(self, files: dict[str, Any], **more: Any) -> bool:
        """Tell whether a transaction would change something."""
        return self._changed("check", files, more)

    def _changed(self, how: str, files: dict[str, Any], more: dict[str, Any]) -> bool:
        done = self._run(how, files, more)
        assert done.rc == 0, done.stderr
        return bool(json.loads(done.stdout)["changed"])


@pytest.fixture(scope="module")
def direct(host: Any) -> Direct:
    return Direct(host)
