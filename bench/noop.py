"""What a run costs when there is nothing to do: `make bench-noop`. See docs/benchmarks.md.

Boots two test hosts, brings one to its state with site.yml and the other with the reference playbook, and then measures
runs that change nothing, one kind after the other in turn. A time never fails the benchmark; a run that fails or that
changes something does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import (
    BenchError,
    applications,
    check_unchanged,
    conclude,
    figures,
    machine,
    now,
    numbers,
    verdicts,
)
from reference import ensure_collections

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"
RESULT = ROOT / "bench" / "results" / "noop.json"
HOSTS = ROOT / "tests" / "hosts" / "hosts.py"
COUNTING_KEY = CACHE / "id_counting"
LOG = "/var/tmp/bench-executions.log"
OURS = "site.yml"
# Test host -> the playbook that deploys it.
PLAYBOOKS = {"bench-ours": OURS, "bench-builtin": "bench/builtin/site.yml"}
# Of a first run, which installs packages; and of one that changes nothing.
CONVERGE_SECONDS, NOOP_SECONDS = 1800, 600


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Host:
    """One test host, deployed by one playbook."""

    # The site of tests/apps that a git server of the host offers.
    sample = "hello"

    def __init__(self, name: str, playbook: str, debian: str, environment: dict[str, str]) -> None:
        self.name = name
        self.playbook = playbook
        self.debian = debian
        self.environment = environment
        self.inventory = CACHE / name

    def hosts_py(self, *words: str) -> str:
        return run([sys.executable, str(HOSTS), *words], dict(os.environ), 900)[1]

    def root(self, command: str) -> str:
        """Output of a shell command that root runs on the host."""
        return self.hosts_py("exec", "--name", self.name, "sh", "-c", command)

    def up(self) -> None:
        self.down()
        self.inventory.mkdir(parents=True, exist_ok=True)
        inventory = str(self.inventory / "host.yml")
        self.hosts_py("up", "--name", self.name, "--debian", self.debian, "--inventory", inventory)
        public = COUNTING_KEY.with_suffix(".pub").read_text().strip()
        extra = {"bench_public_key": public, "bench_app": str(ROOT / "tests" / "apps" / self.sample)}
        self.play("bench/prepare.yml", CONVERGE_SECONDS, "--extra-vars", json.dumps(extra))

    def down(self) -> None:
        self.hosts_py("down", "--name", self.name)

    def play(self, playbook: str, limit: float, *words: str, **environment: str) -> tuple[float, str]:
        argv = [ansible("ansible-playbook"), "--inventory", str(self.inventory), playbook, *words]
        return run(argv, self.environment | environment, limit)

    def converge(self, count: int) -> None:
        """Bring the host to the state with so many applications, and see that a second run leaves it alone."""
        variables = {"flask_hosts": {"vars": {"flask_apps": applications(count)}}}
        (self.inventory / "apps.yml").write_text(json.dumps(variables, indent=2))
        seconds, dummy = self.play(self.playbook, CONVERGE_SECONDS)
        say(f"{self.playbook} with {count} app(s): first run {seconds:.1f} s")
        self.noop()

    def noop(self) -> float:
        """Wall time in seconds of a run that changes nothing. Raises BenchError when it did change something."""
        seconds, output = self.play(self.playbook, NOOP_SECONDS)
        check_unchanged(output)
        return seconds

    def setup(self, subset: str = "") -> float:
        """Wall time in seconds of `ansible -m setup`, of all facts unless a subset is named."""
        argv = [ansible("ansible"), "--inventory", str(self.inventory), "all", "--module-name", "ansible.builtin.setup"]
        words = ["--args", f"gather_subset={subset}"] if subset else []
        return run([*argv, *words], self.environment, NOOP_SECONDS)[0]

    def executions(self) -> list[str]:
        """What a run that changes nothing executes on the host, one command line each, as sshd saw them.

        The run logs in with the counted key, and keeps its shared connection in a folder of its own: an open one of the
        other key would be used in its place, uncounted. The folder's name is short, as a socket's path has to be.
        """
        self.hosts_py("exec", "--name", self.name, "rm", "-f", LOG)
        key = f"ansible_ssh_private_key_file={COUNTING_KEY}"
        with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as control:
            words = ["--extra-vars", key]
            dummy, output = self.play(self.playbook, NOOP_SECONDS, *words, ANSIBLE_SSH_CONTROL_PATH_DIR=control)
        check_unchanged(output)
        lines = self.hosts_py("exec", "--name", self.name, "cat", LOG).splitlines()
        if not lines:
            raise BenchError("no execution was counted")
        return lines


def ansible(program: str) -> str:
    """A program of the environment that runs this script."""
    return str(Path(sys.executable).parent / program)


def run(argv: list[str], environment: dict[str, str], limit: float) -> tuple[float, str]:
    """Wall time in seconds and output. Raises BenchError with the end of the output when it fails or takes too long."""
    started = time.perf_counter()
    try:
        done = subprocess.run(
            argv, check=False, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, text=True, timeout=limit,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{argv[0]} took longer than {limit} s") from error
    seconds = time.perf_counter() - started
    if done.returncode:
        raise BenchError(f"{' '.join(argv[:4])} failed ({done.returncode}):\n{done.stdout[-4000:]}")
    return seconds, done.stdout


def ansible_environment(collections: Path) -> dict[str, str]:
    """The environment without the caller's Ansible settings: the shipped ansible.cfg counts, for both sides."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    paths = f"{ROOT / 'collections'}:{collections}"
    home = {"ANSIBLE_HOME": str(ROOT / ".ansible"), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    return own | home | {"ANSIBLE_COLLECTIONS_PATH": paths, "ANSIBLE_NOCOLOR": "1"}


def build_environment() -> dict[str, str]:
    """The environment of every measured command, after making what the benchmarks need once: a key and a collection."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not COUNTING_KEY.exists():
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(COUNTING_KEY)]
        run(argv, dict(os.environ), 60)
    return ansible_environment(ensure_collections(CACHE))


def interleave(rounds: int, jobs: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Wall times in seconds, every job once per round, so that a disturbance meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(1, rounds + 1):
        for name, job in jobs.items():
            seconds[name].append(round(job(), 3))
        say(f"round {number} of {rounds}: " + ", ".join(f"{name} {seconds[name][-1]:.2f} s" for name in jobs))
    return seconds


def measure(ours: Host, builtin: Host, count: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Raw wall times in seconds, and numbers of executions, with so many applications."""
    for host in (ours, builtin):
        host.converge(count)
    jobs: dict[str, Callable[[], float]] = {f"ours_{count}": ours.noop, f"builtin_{count}": builtin.noop}
    if count == 1:
        jobs = {"setup": ours.setup} | jobs
    seconds = interleave(rounds, jobs)
    executions = {}
    for name, host in (("ours", ours), ("builtin", builtin)):
        executions[f"{name}_{count}"] = len(host.executions())
        say(f"{host.playbook} with {count} app(s): {executions[f'{name}_{count}']} executions on the host")
    return seconds, executions


def ansible_version(environment: dict[str, str]) -> str:
    found = re.search(r"core ([\w.]+)", run([ansible("ansible"), "--version"], environment, 60)[1])
    return found[1] if found else "unknown"


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debian", choices=("12", "13"), default="13", help="of the test hosts (default: 13)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of each kind with 1 app (default: 5)")
    parser.add_argument("--rounds-10", type=int, default=3, metavar="N", help="the same with 10 apps (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one round with 1 app, nothing stored")
    parser.add_argument("--keep", action="store_true", help="leave the test hosts running")
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace, ours: Host, builtin: Host) -> tuple[dict[str, int], dict[str, list[float]]]:
    """Numbers of executions and raw wall times in seconds."""
    for host in (ours, builtin):
        say(f"booting Debian {host.debian} for {host.playbook}")
        host.up()
    seconds: dict[str, list[float]] = {}
    executions: dict[str, int] = {}
    for count, rounds in ((1, 1),) if args.quick else ((1, args.rounds), (10, args.rounds_10)):
        more_seconds, more_executions = measure(ours, builtin, count, rounds)
        seconds |= more_seconds
        executions |= more_executions
    return executions, seconds


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that the result file holds."""
    environment = build_environment()
    described = machine(ansible_version(environment))
    described["host"] = f"Debian {args.debian} container with systemd, over SSH on the loopback"
    hosts = [Host(name, playbook, args.debian, environment) for name, playbook in PLAYBOOKS.items()]
    try:
        executions, seconds = benchmark(args, *hosts)
    finally:
        if not args.keep:
            for host in hosts:
                host.down()
    raw = {"executions": executions, "seconds": seconds}
    return {**figures(executions, seconds), "date": now(), "machine": described, **raw}


def told(result: dict[str, Any]) -> list[str]:
    return verdicts(numbers(result))


def store(result: dict[str, Any]) -> Path:
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    return RESULT


def main(argv: list[str]) -> int:
    args = parse(argv)
    return conclude("noop.py", lambda: measured(args), told, None if args.quick else store)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
