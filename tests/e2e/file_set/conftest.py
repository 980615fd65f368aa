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
from e2e.support import ROOT, play

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


@pytest.fixture(scope="module")
def code() -> bytes:
    """The collection's code as a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path in sorted((ROOT / "plugins" / "module_utils").glob("*.py")):
            archive.add(path, f"ansible_collections/flaskworks/deploy/plugins/module_utils/{path.name}")
        archive.add(Path(__file__).parent / "killed.py", "killed.py")
    return stream.getvalue()


@pytest.fixture
def killed(host: Any, code: bytes) -> Callable[..., None]:
    """Kill a transaction after this step: `killed("swapped", files, program="systemd", owner=..., units=...)`."""
    hosts = [sys.executable, str(ROOT / "tests" / "hosts" / "hosts.py")]
    name = host.ansible.get_variables()["test_host_name"]
    unpack = ["ssh", "--name", name, "sudo mkdir -p /root/killed && sudo tar xz -C /root/killed"]
    subprocess.run([*hosts, *unpack], input=code, check=True)

    def kill(step: str, files: dict[str, Any], **more: Any) -> None:
        given = json.dumps({"owner": "story", "program": "nginx", "units": {}, "files": files, **more})
        done = host.run("cd /root/killed && PYTHONPATH=. python3 killed.py %s %s", step, given)
        assert done.rc in (-9, 137), f"not killed: {done.rc} {done.stderr}"

    return kill
