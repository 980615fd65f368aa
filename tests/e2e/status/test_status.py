"""Promise: the status says what the host says by other means, in one execution, and changes nothing."""

from __future__ import annotations

import datetime
import json
import re
import time

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units_systemd import blocks_of
from e2e.status.host import CANARY, Deployed, StatusHost

WEB = "systemctl show --timestamp=unix 'blog@{id}.service' -p Id,ActiveState,MainPID,NRestarts,ActiveEnterTimestamp"


def test_the_json_says_what_the_host_says(deployed: Deployed) -> None:
    machine = deployed.machine
    done, found = machine.status()
    assert done.status == 0, done.text
    (app,) = found["apps"]
    assert (app["app"], app["owner"], app["state"]) == ("blog", "flask_apps", "live")
    assert app["release"] == deployed.second == machine.live("blog")
    history = [json.loads(line) for line in machine.root("cat /srv/blog/releases.jsonl").splitlines()]
    entry = next(line for line in history if line["release"] == deployed.second)
    assert (app["since"], app["by"], app["version"]) == (entry["time"], entry["by"], entry["version"])
    assert app["probe_at_deploy_ms"] == round(entry["phases"]["probe"] * 1000)
    facts = blocks_of(machine.root(WEB.format(id=deployed.second)))[f"blog@{deployed.second}.service"]
    web = app["web"]
    assert (web["active"], str(web["restarts"])) == (facts["ActiveState"], facts["NRestarts"])
    children = machine.root(f"ps --no-headers --ppid {facts['MainPID']} -o pid").split()
    assert web["workers"] == web["workers_configured"] == len(children) == 3
    started = datetime.datetime.fromtimestamp(int(facts["ActiveEnterTimestamp"][1:]), datetime.UTC)
    assert web["since"] == started.strftime("%Y-%m-%dT%H:%M:%SZ")
    resident = machine.root(f"ps --no-headers -o rss -p {','.join([facts['MainPID'], *children])}").split()
    assert 0 < web["memory_bytes"] <= sum(map(int, resident)) * 1024 * 1.5
    assert (app["probe"]["good"], app["probe"]["status"]) == (True, 200)
    assert 0 < app["probe"]["ms"] < 5000
    kept = {release["id"]: release for release in app["releases"]}
    assert (
        sorted(kept)
        == sorted(machine.root("ls /srv/blog/releases").split())
        == sorted([deployed.first, deployed.second])
    )
    assert (kept[deployed.first]["ended"], kept[deployed.second]["ended"]) == ("replaced", "live")
    assert kept[deployed.first]["live_until"] == app["since"]
    (failure,) = app["failures"]
    assert (failure["step"], failure["outcome"]) == ("probe", "failed")
    assert "500" in failure["problem"]
    assert app["activity"] is None


def test_the_table_says_the_same(deployed: Deployed) -> None:
    machine = deployed.machine
    done, found = machine.status()
    (app,) = found["apps"]
    head, line = re.findall(r"^(?:HOST|status\d+) .*$", done.text, re.MULTILINE)[:2]
    assert head.split() == ["HOST", "APP", "RELEASE", "VERSION", "SINCE", "BY", "STATE", "WORKERS", "MEMORY", "PROBE"]
    assert line.split()[:3] == [machine.name, "blog", deployed.second]
    assert app["version"][:12] in line
    assert re.search(r" (s|min) ago +\S+@\S+ +live +3/3 +\d+ MiB +\d+ ms$", line)
    assert f"\n    {deployed.first}" in done.text
    assert re.search(r"last failures:\n    .* ago, \S+, at the step 'probe': .*500", done.text)


def test_it_is_one_execution_and_changes_nothing(machine: StatusHost) -> None:
    listing = "find /srv /etc /usr/local /var/lib/flaskworks -xdev -printf '%p %T@ %C@ %m %l\\n' | sort | md5sum"
    files, before = machine.root(listing), machine.executions()
    done, dummy = machine.status("--diff")
    assert machine.executions() - before == 1 + 1, "one by the playbook, one by the counting itself"
    assert done.recap(machine.name)["changed"] == 0
    done, found = machine.status("--check")
    assert (done.recap(machine.name)["changed"], len(found["apps"])) == (0, 1)
    assert machine.root(listing) == files


def test_json_is_printed_when_asked_for(machine: StatusHost) -> None:
    done, found = machine.status("-e", "status_format=json")
    text = done.text[done.text.index("\n{\n") : done.text.index("\n}\n") + 2]
    printed = json.loads(text)["hosts"][machine.name]
    assert printed == found
    wrong, dummy = machine.status("-e", "status_format=xml")
    assert wrong.status != 0
    assert "xml" in wrong.text


def test_an_unknown_application_is_red(machine: StatusHost) -> None:
    done, found = machine.status("-e", "app=blok")
    assert done.status != 0
    assert "there is no application 'blok': did you mean 'blog'?" in done.text
    done, found = machine.status("-e", "app=blog")
    assert (done.status, len(found["apps"])) == (0, 1)


def test_a_deploy_that_runs_or_was_cut_short_is_told(machine: StatusHost) -> None:
    note = {"release": "20260314-101500-1f2e3d4c", "action": "deploy", "by": "otto@pc", "step": "python", "pid": 1}
    note["since"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    machine.root(f"umask 077; echo '{json.dumps(note)}' >/srv/blog/journal.json")
    machine.root("systemd-run --quiet --unit=holder flock /run/flaskworks/blog.lock sleep 100")
    try:
        machine.wait("! flock --nonblock /run/flaskworks/blog.lock true")
        done, found = machine.status()
        activity = found["apps"][0]["activity"]
        assert (activity["state"], activity["by"], activity["step"]) == ("running", "otto@pc", "python")
        assert "live, deploying" in done.text
        assert "by otto@pc, begun" in done.text
    finally:
        machine.root("systemctl stop holder")
    try:
        assert "live, interrupted" in machine.flaskworks().text
    finally:
        machine.root("rm /srv/blog/journal.json")
    assert "interrupted" not in machine.flaskworks().text


def test_a_site_that_is_down_is_not_started_by_the_question(deployed: Deployed) -> None:
    machine, unit = deployed.machine, f"blog@{deployed.second}"
    machine.root(f"systemctl stop {unit}.service 2>/dev/null")
    try:
        dummy, found = machine.status()
        assert (found["apps"][0]["state"], found["apps"][0]["probe"]) == ("idle", None)
        machine.root(f"systemctl stop {unit}.socket")
        dummy, found = machine.status()
        assert found["apps"][0]["state"] == "down"
        assert machine.run(f"systemctl is-active {unit}.service").text.strip() == "inactive"
    finally:
        machine.root(f"systemctl start {unit}.socket {unit}.service")
    assert machine.get("/health").status_code == 200
    machine.root(f"kill -STOP $(systemctl show -p MainPID --value {unit}.service) $(pgrep -u blog gunicorn)")
    try:
        started = time.monotonic()
        state = json.loads(machine.flaskworks("blog", "--json").text)
        assert time.monotonic() - started < 12, "the probe is bounded"
        assert (state["state"], state["probe"]["status"]) == ("unhealthy", None)
    finally:
        machine.root("pkill -CONT -u blog")


def test_processes_and_timers_with_their_states(deployed: Deployed) -> None:
    machine, release = deployed.machine, deployed.second
    dummy, found = machine.status()
    (worker,), (timer,) = found["apps"][0]["processes"], found["apps"][0]["timers"]
    assert (worker["name"], worker["number"], worker["active"]) == ("worker", 1, "active")
    assert (timer["name"], timer["active"], timer["next"]) == ("tidy", "active", "2030-01-01T00:00:00Z")
    assert (timer["last"], timer["result"]) == (None, None)
    machine.run(f"sudo systemctl start blog.tidy@{release}.service")
    try:
        done, found = machine.status()
        (timer,) = found["apps"][0]["timers"]
        assert timer["result"] == "exit-code"
        assert timer["last"].startswith("20")
        assert re.search(r"worker 1 +active", done.text)
        assert re.search(r"tidy +active .* ago \(exit-code\)", done.text)
        machine.root(f"systemctl stop blog.worker.1@{release}")
        assert json.loads(machine.flaskworks("blog", "--json").text)["state"] == "degraded"
    finally:
        machine.root(f"systemctl reset-failed blog.tidy@{release}.service; systemctl start blog.worker.1@{release}")


def test_no_secret_is_told(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> None:
    machine = deployed.machine
    done, found = machine.status("-vvv")
    words = done.text + json.dumps(found) + machine.flaskworks("blog", "--json").text + deployed.failed.text
    assert CANARY not in words
