"""Promise: what an application can do to others, to itself and to the host is the table of docs/sandbox.md."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import BuildSandbox
from e2e.playbooks import ROOT
from e2e.sandbox.machines import DEBIANS, SandboxHost, SandboxHosts, kinds

GUIDE = ROOT / "docs" / "sandbox.md"
ON_EACH = [(debian, kind) for debian in DEBIANS for kind in kinds(debian)]
REFUSALS = {"EACCES", "EPERM", "EROFS", "ENOENT", "ECONNREFUSED", "EAFNOSUPPORT"}
Results = dict[tuple[str, str], dict[str, Any]]
COLUMNS = ("off", "standard", "strict", "isolated", "other")


def promised() -> dict[str, dict[str, bool]]:
    """Attempt -> column -> whether it succeeds, from the table of the guide."""
    rows = {}
    part = GUIDE.read_text().partition("## What an application can do")[2].partition("\n## ")[0]
    for line in part.splitlines():
        if matched := re.match(r"\| `([a-z0-9-]+)` \|[^|]+\|(.+)\|$", line):
            cells = [cell.strip() for cell in matched[2].split("|")]
            assert len(cells) == len(COLUMNS), line
            assert set(cells) <= {"yes", ""}, line
            rows[matched[1]] = {column: cell == "yes" for column, cell in zip(COLUMNS, cells, strict=True)}
    return rows


@pytest.fixture(scope="module")
def tried(hosts: SandboxHosts) -> dict[str, Results]:
    """Debian -> (application, site or process or timer) -> attempt -> what came of it."""
    return hosts.each(let_them_try)


def let_them_try(machine: SandboxHost) -> Results:
    release = machine.live("victim")
    pid = machine.root(f"systemctl show -P MainPID victim@{release}.service").strip()
    token = machine.root("cat /proc/sys/kernel/random/uuid").strip()
    target = {"app": "victim", "pid": int(pid), "release": release, "token": token}
    found: Results = {}
    for kind in kinds(machine.debian):
        app = f"a-{kind}"
        data = f"/srv/{app}/shared/data"
        machine.root(f"cat > {data}/target.new && mv {data}/target.new {data}/target.json", json.dumps(target))
        found[kind, "site"] = json.loads(machine.ask(app, "/attempts").partition(" ")[2])
        machine.root(f"systemctl start {app}.once@{machine.live(app)}.service")
        found[kind, "process"] = machine.wait_for(f"{data}/process.json", token)
        found[kind, "timer"] = machine.wait_for(f"{data}/timer.json", token)
    now = machine.root(f"systemctl show -P MainPID victim@{release}.service").strip()
    assert now == pid, "the victim was killed"
    return found


def column_of(kind: str, runs: str) -> str:
    """The column of the table: systemd runs timers whatever the process manager."""
    if kind in COLUMNS:
        return kind
    return "strict" if runs == "timer" else "other"


@pytest.mark.parametrize("runs", ["site", "process", "timer"])
@pytest.mark.parametrize(("debian", "kind"), ON_EACH)
def test_the_table_is_right(tried: dict[str, Results], debian: str, kind: str, runs: str) -> None:
    results = {name: result for name, result in tried[debian][kind, runs].items() if name not in ("token", "user")}
    table = promised()
    assert set(results) == set(table)
    column = column_of(kind, runs)
    wrong = {name: result for name, result in results.items() if (result == "done") != table[name][column]}
    assert wrong == {}
    # It was refused, and did not fail for another reason. Programs say it in words.
    other = {
        name: result for name, result in results.items() if result != "done" and not result.startswith("RuntimeError: ")
    }
    assert {name: result for name, result in other.items() if result not in REFUSALS} == {}


def test_what_was_refused_is_there(machine: SandboxHost) -> None:
    # A path that leads nowhere would be refused as well.
    release = machine.live("victim")
    paths = [
        "/srv/victim/shared/data/secret.txt",
        "/srv/victim/current/src/victim.py",
        "/srv/victim/current/env",
        f"/srv/victim/releases/{release}/release.json",
        "/var/log/victim/error.log",
        "/var/log/nginx/victim.access.log",
        "/srv/victim/current/gunicorn.sock",
        f"/run/victim/{release}.sock",
        "/var/lib/flaskworks/release.key",
        "/home/anybody/readable",
        "/etc/shadow",
        "/proc/meminfo",
    ]
    assert machine.root(f"for path in {' '.join(paths)}; do test -e $path || echo $path; done") == ""
    assert "@victim" in machine.root("cat /proc/net/unix")
    assert machine.root("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8701))'") == ""


@pytest.mark.parametrize(("debian", "kind"), ON_EACH)
def test_it_ran_as_the_applications_own_user(tried: dict[str, Results], debian: str, kind: str) -> None:
    users = {tried[debian][kind, runs]["user"] for runs in ("site", "process", "timer")}
    assert len(users) == 1
    assert 0 not in users


def test_a_build_sees_nothing_of_what_is_fetched_for_another(machine: SandboxHost) -> None:
    machine.root("systemd-run --quiet --unit=fetching --uid=flaskworks-build --setenv=PASSWORD=canary sleep 300")
    pid = machine.root("systemctl show -P MainPID fetching").strip()
    tries = f"tr '\\0' ' ' < /proc/{pid}/environ | grep -o canary; ls -d /proc/{pid}/root/etc; ls -d /srv/victim"
    tries += "; ls -d /var/cache/flaskworks/victim"
    tries += "; systemctl show --property=Environment fetching | grep -o canary"
    outside = machine.root("runuser -u flaskworks-build -- sh -s", tries, check=False).split()
    assert outside == ["canary", f"/proc/{pid}/root/etc", "/srv/victim", "/var/cache/flaskworks/victim", "canary"]
    sandbox = BuildSandbox("a-strict", "a-strict", {}).properties(())
    options = " ".join(shlex.quote(f"--property={one}") for one in sandbox)
    inside = machine.root(f"systemd-run --quiet --pipe --wait {options} sh -s", f"{tries}; echo tried", check=False)
    machine.root("systemctl stop fetching")
    assert inside.split() == ["tried"]


def test_no_attempt_left_anything_behind(machine: SandboxHost) -> None:
    planted = machine.root("find / -xdev -name '*planted*' -not -path '/opt/open/*' -not -path '/proc/*' || true")
    assert planted == ""


def test_the_status_shows_presets_and_scores(machine: SandboxHost) -> None:
    apps = {app["app"]: app["sandbox"] for app in json.loads(machine.root("flaskworks --json"))["apps"]}
    limits = {"off": 9.2, "standard": 3.0, "strict": 1.2, "isolated": 0.5}
    for kind, limit in limits.items():
        assert apps[f"a-{kind}"]["preset"] == kind
        assert apps[f"a-{kind}"]["changed"] == []
        assert 0 < apps[f"a-{kind}"]["score"] <= limit
    (other,) = {"supervisor", "cron"}.intersection(kinds(machine.debian))
    assert apps[f"a-{other}"] == {"preset": None, "changed": [], "score": None}
    assert re.search(r"sandbox: isolated, exposure 0\.\d of 10", machine.root("flaskworks a-isolated"))
