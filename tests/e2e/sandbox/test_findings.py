"""Promise: what stops a program in its sandbox is named with the words that cure it, and they do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import application_properties
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_findings import sandbox_findings
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from e2e.sandbox.machines import DEBIANS, SandboxHost, SandboxHosts, entries

APP = "a-strict"
ISOLATED = {"systemd": {"hardening": "isolated"}}
JIT = "MemoryDenyWriteExecute stops your JIT: set systemd: {Service: {MemoryDenyWriteExecute: false}}"
NETWORK = "this sandbox has no network: set systemd: {hardening: strict}"
# Program, what the entry says, what is found, whether the cure alone lets it run.
CASES: list[tuple[str, dict[str, Any], str, bool]] = [
    ("mmap", ISOLATED, JIT, True),
    ("cffi", ISOLATED, JIT, True),
    ("source-file", {}, "say shared: [uploads]", False),
    ("other-place", {}, "/opt/mine is read-only in the sandbox: set systemd: {Service: {ReadWritePaths:", True),
    ("shell", {}, "/opt/mine is read-only in the sandbox: set systemd: {Service: {ReadWritePaths:", True),
    ("cache", {}, f"set env: {{XDG_CACHE_HOME: /srv/{APP}/shared/cache}}", False),
    ("home", {}, "set systemd: {Service: {ProtectHome: read-only}}", True),
    ("device", {}, 'set systemd: {Service: {PrivateDevices: false, DeviceAllow: "/dev/fuse rw"}}', True),
    ("bus", {}, "set systemd: {Service: {InaccessiblePaths: null}}", True),
    ("meminfo", {}, "set systemd: {Service: {ProcSubset: all}}", True),
    ("interfaces", {}, 'RestrictAddressFamilies: "AF_UNIX AF_INET AF_INET6 AF_NETLINK"', True),
    ("network", ISOLATED, NETWORK, True),
    ("resolver", ISOLATED, NETWORK, False),
    ("chown", {}, "SystemCallFilter refuses chown()", True),
    ("nice", {}, "SystemCallFilter refuses nice()", True),
    ("port", {}, "ports below 1024 are nginx's", False),
    ("namespace", {}, "set systemd: {hardening: standard}", True),
    ("sudo", {}, "by the role systemd_units", False),
    ("files", {"limits": {"nofile": 100}}, "set limits: {nofile: 400}", True),
    ("threads", {"limits": {"nproc": 16}}, "set limits: {nproc: 32}", False),
    ("chown", {"systemd": {"Service": {"SystemCallErrorNumber": None}}}, "{SystemCallErrorNumber: EPERM}", False),
    ("nothing", {"systemd": {"Service": {"ReadWritePaths": "/opt/none"}}}, "its unit opens /opt/none,", False),
]


def service(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The [Service] section of the application with these keys."""
    plan = make_plan(entry_points("flask_apps"), {APP: {**entries("13")[APP], **keys}})
    made: dict[str, Any] = plan["releases"][APP]["units"][f"{APP}@.service"]["Service"]
    return made


def run(machine: SandboxHost, program: str, keys: Mapping[str, Any]) -> tuple[bool, list[Finding]]:
    """Run a program in the sandbox that the plan makes; return whether it ended well, and what its journal tells."""
    release = machine.releases.setdefault(APP, machine.live(APP))
    given = service(keys)
    properties = "\n".join(application_properties(given, release))
    unit = machine.root("cat /proc/sys/kernel/random/uuid").strip()
    script = (
        f"set -- --quiet --wait --unit={unit} --property=WorkingDirectory=/srv/{APP}/releases/{release}/src\n"
        'while read -r line; do set -- "$@" "--property=$line"; done <<EOF\n'
        f"{properties}\nEOF\n"
        f'systemd-run "$@" -- /srv/{APP}/current/venv/bin/python provoke.py {program}; echo "rc=$?"\n'
        f"journalctl --sync; journalctl --quiet --no-pager --output=cat --unit={unit}; systemctl reset-failed {unit}\n"
    )
    said = machine.root("sh -s", script, check=False)
    return "rc=0" in said.splitlines()[:1], sandbox_findings(APP, said.splitlines(), given)


def merged(keys: Mapping[str, Any], cure: Mapping[str, Any]) -> dict[str, Any]:
    """The keys with those of the cure over them."""
    made = dict(keys)
    for name, value in cure.items():
        both = isinstance(value, Mapping) and isinstance(made.get(name), Mapping)
        made[name] = merged(made[name], value) if both else value
    return made


@dataclass(frozen=True)
class Outcome:
    """How a program ended, what its journal told, and how it ended with the cure."""

    ended_well: bool
    found: list[Finding]
    cured: tuple[bool, list[Finding]] | None


@pytest.fixture(scope="module")
def outcomes(hosts: SandboxHosts) -> dict[str, list[Outcome]]:
    """Debian -> the outcome of each case."""
    return hosts.each(lambda machine: [try_case(machine, *case) for case in CASES])


def try_case(machine: SandboxHost, program: str, keys: dict[str, Any], words: str, cured: bool) -> Outcome:
    ended_well, found = run(machine, program, keys)
    said = re.search(r"set ((?:systemd|limits): \{.*\}+)", found[0].fix) if found and cured else None
    return Outcome(ended_well, found, run(machine, program, merged(keys, yaml.safe_load(said[1]))) if said else None)


@pytest.mark.parametrize("debian", DEBIANS)
@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{one[0]}-{one[2][:24]}" for one in CASES])
def test_a_program_that_is_stopped(outcomes: dict[str, list[Outcome]], debian: str, number: int) -> None:
    words, cured = CASES[number][2:]
    outcome = outcomes[debian][number]
    assert not outcome.ended_well
    assert [words in one.fix for one in outcome.found] == [True], outcome.found
    assert outcome.cured == ((True, []) if cured else None)


def test_a_worker_that_was_killed(machine: SandboxHost) -> None:
    release = machine.live("a-off")
    machine.root(f"pkill -KILL --parent $(systemctl show -P MainPID a-off@{release}.service)")
    said = machine.root(
        "for i in $(seq 100); do grep -q 'out of memory' /var/log/a-off/error.log && break; sleep 0.1; done;"
        " cat /var/log/a-off/error.log"
    )
    (found,) = sandbox_findings("a-off", said.splitlines(), {})
    assert found.check == "limit-memory"


@pytest.fixture(scope="module")
def failures(hosts: SandboxHosts) -> dict[str, dict[str, str]]:
    """Debian -> how a release of the isolated application dies -> the report."""
    return hosts.each(die)


def die(machine: SandboxHost) -> dict[str, str]:
    """Deploy releases that die; return how -> the report."""
    app, found = "a-isolated", {}
    deaths: dict[str, dict[str, Any]] = {
        "import": {"env": {"DIES_OF": "cffi"}},
        "unit": {"systemd": {"Service": {"ReadWritePaths": [f"/srv/{app}/shared", f"/var/log/{app}", "/opt/none"]}}},
        "answer": {"wsgi": "dying:app", "health": {"timeout": 5}},
    }
    for name, keys in deaths.items():
        entry = merged(entries(machine.debian)[app], keys)
        done = machine.bring({app: entry}, "-e", f"app={app}", playbook="playbooks/deploy.yml")
        assert done.status != 0, done.text[-3000:]
        found[name] = done.flat
    return found


@pytest.mark.parametrize(
    ("death", "words"), [("import", JIT), ("unit", "its unit opens /opt/none,"), ("answer", "ProcSubset: all")]
)
def test_the_report_of_a_release_that_dies_of_its_sandbox_has_the_cure(
    failures: dict[str, dict[str, str]], machine: SandboxHost, death: str, words: str
) -> None:
    box = failures[machine.debian][death]
    assert "What it lacks, and how it gets that:" in box, box[-4000:]
    assert words in box.partition("What it lacks, and how it gets that:")[2]
