"""Runs of ansible-playbook by this interpreter's Ansible and the project's ansible.cfg, and what they said."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Nothing that a test asks for takes as long, on a busy machine either; what hangs shall fail.
PATIENCE = 1800.0


@dataclass(frozen=True)
class Run:
    """How a program ended, and what it said. A playbook says all of it in `text`."""

    status: int
    text: str
    errors: str = ""

    @property
    def flat(self) -> str:
        """The text in one line, without the edge of boxes."""
        return re.sub(r"[\s│]+", " ", self.text)

    @property
    def changed(self) -> list[str]:
        """The names of the tasks that changed something, in their order."""
        task = ""
        names: list[str] = []
        for line in self.text.splitlines():
            if heading := re.match(r"(?:TASK|RUNNING HANDLER) \[(.*)\] \**$", line):
                task = heading[1]
            elif line.startswith("changed: [") and (not names or names[-1] != task):
                names.append(task)
        return names

    @property
    def diffs(self) -> set[str]:
        """The paths whose differences were shown."""
        return set(re.findall(r"^\+\+\+ after: (\S+)", self.text, re.MULTILINE))

    def recap(self, host: str = "") -> dict[str, int]:
        """What ansible-playbook counted for a host; the name may be left out where there is one."""
        found = re.search(rf"^{re.escape(host) or '[^ ]+'}\s*: (ok=.*)$", self.text, re.MULTILINE)
        assert found, self.text[-5000:]
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found[1])}


def build_env() -> dict[str, str]:
    """Where hosts find packages, should this machine say so for itself."""
    return {name: value for name, value in os.environ.items() if re.match(r"(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$", name)}


def begin(
    inventory: Path, playbook: str, *options: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.Popen[str]:
    """Start a playbook as a user would, without the become of testinfra, in a session of its own."""
    own = {key: value for key, value in os.environ.items() if key != "ANSIBLE_BECOME"}
    own |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", str(inventory), *options],
        cwd=cwd,
        env={**own, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def play(
    inventory: Path,
    playbook: str,
    *options: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    timeout: float = PATIENCE,
) -> Run:
    """Run a playbook."""
    process = begin(inventory, playbook, *options, env=env, cwd=cwd)
    try:
        text, dummy = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{playbook}: not done within {timeout:.0f} s\n{end(process)[-5000:]}") from None
    except BaseException:
        end(process)
        raise
    return Run(process.returncode, text)


def end(process: subprocess.Popen[str]) -> str:
    """Kill a playbook and all that it started, as when its machine is gone: workers have sessions of their own.

    Returns what it said until then.
    """
    for pid in [process.pid, *descendants(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return process.communicate()[0]


def descendants(pid: int) -> list[int]:
    """The processes below a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid]
    for parent in found:
        found += [child for child, above in pairs if above == parent]
    return found[1:]
