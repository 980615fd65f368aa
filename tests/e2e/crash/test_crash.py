"""Promise: whatever is killed at whatever step, the site serves on, and the next run brings the release live.

The module is patched, in a copy of the collection for this test alone, to kill or stop itself when a step has been
written to the journal. The steps are those of the code.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import STEPS
from e2e.machine import debians, folder_of
from e2e.playbooks import ROOT, end
from e2e.story import DOMAIN, Story, story
from e2e.visitors import Load

PATCH = """

_write = Run._write


def _write_and_end(self, name):
    _write(self, name)
    for signal, path in ((9, "/run/kill-at"), (19, "/run/stop-at")):
        if os.path.exists(path) and open(path).read().strip() == name:
            os.unlink(path)
            os.kill(os.getpid(), signal)


Run._write = _write_and_end
"""


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection in which a release can be cut short at any step."""
    folder = tmp_path_factory.mktemp("patched")
    place = folder / "ansible_collections" / "flaskworks" / "deploy"
    for part in ("meta", "plugins", "roles", "playbooks"):
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", place)
    with (place / "plugins" / "module_utils" / "release_run.py").open("a") as stream:
        stream.write(PATCH)
    return folder


@pytest.fixture(scope="module", params=debians())
def site(
    request: pytest.FixtureRequest, collections: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    name = f"crash{request.param}"
    with story(name, request.param, folder_of(name, tmp_path_factory), collections) as made:
        yield made


@pytest.fixture
def setting(site: Story) -> str:
    """A value that makes the next deploy a new release."""
    value = str(time.monotonic_ns())
    site.write_inventory(env={"SETTING": value})
    return value


@pytest.fixture(scope="module")
def visitors(site: Story) -> Iterator[Load]:
    """Who asks all the time."""
    with Load(site.root, DOMAIN, rate=10) as load:
        yield load


def converged(site: Story, setting: str, changed: int | None) -> None:
    """The next run brings the release live, cleans up, and the one after it has nothing to do."""
    run = site.play("deploy")
    assert run.status == 0, run.text
    assert changed is None or run.recap()["changed"] == changed, run.text
    assert site.visit("/setting") == setting
    # A job whose controller is gone may have ended before that run, which then was the one with nothing to do.
    assert run.recap()["changed"] == 0 or site.play("deploy").recap()["changed"] == 0
    live = site.live()
    assert site.units() == set()
    assert site.root("ls /srv/story/journal.json 2>/dev/null || true") == ""
    # A release that was cut short between its record and the switch is a kept one for the next run.
    told = [entry for entry in site.history() if (entry["release"], entry["outcome"]) == (live, "live")]
    assert len([entry for entry in told if entry["action"] in ("deployed", "reactivated")]) == 1
    unfinished = "for r in /srv/story/releases/*; do test -e $r/release.json || echo $r; done"
    assert site.root(unfinished) == ""
    assert site.root("pgrep --euid story --full --count worker.py").strip() == "1"
    # Socket and service, the worker, the timer; the timer's job is enabled by the timer.
    enabled = site.root("systemctl list-unit-files --state=enabled --no-legend 'story*' | awk '{print $1}'").split()
    assert len(enabled) == 4
    assert all(live in unit for unit in enabled)


@pytest.mark.parametrize("step", STEPS)
def test_the_module_is_killed(site: Story, visitors: Load, setting: str, step: str) -> None:
    before = site.visit("/setting")
    site.root(f"echo {step} > /run/kill-at")
    run = site.play("deploy")
    assert run.status != 0, run.text
    assert "was cut short while" in run.flat
    assert site.visit("/setting") in {before, setting}
    converged(site, setting, 1)


@pytest.mark.parametrize("step", tuple(STEPS)[tuple(STEPS).index("units") : tuple(STEPS).index("prune")])
def test_the_way_back_is_killed(site: Story, visitors: Load, setting: str, step: str) -> None:
    """The next rollback finishes this one, and goes no further back."""
    earlier = site.live()
    assert site.play("deploy").status == 0
    bad = site.live()
    site.root(f"echo {step} > /run/kill-at")
    assert site.play("rollback", "-e", "app=story").status != 0
    run = site.play("rollback", "-e", "app=story")
    assert (run.status, run.recap()["changed"], site.live()) == (0, 1, earlier), run.text
    assert list(json.loads(site.root("cat /srv/story/rolled_back.json"))) == [bad]
    assert site.units() == set()
    site.root("rm /srv/story/rolled_back.json")


@pytest.mark.parametrize("step", STEPS)
def test_the_controller_is_killed(site: Story, visitors: Load, setting: str, step: str) -> None:
    """What it began is brought to its end on the host; the next run waits for that."""
    site.root(f"echo {step} > /run/stop-at")
    process = site.begin("deploy")
    stopped = "ps -eo pid,stat,args | awk '$2 ~ /^T/ {print $1}'"
    deadline = time.monotonic() + 60
    while not (pid := site.root(stopped).strip()):
        assert time.monotonic() < deadline, "the step was not reached"
        time.sleep(0.2)
    end(process)
    site.root(f"kill -{int(signal.SIGCONT)} {pid}")
    converged(site, setting, None)


def test_none_of_the_visitors_has_noticed(visitors: Load) -> None:
    """After the kills above: the load has run through all of them."""
    visitors.stop()
    assert visitors.summary["lost"] == 0, visitors.summary
    assert len(visitors.records) > 1000
    assert {record.version for record in visitors.records} == {"v1"}


@pytest.mark.parametrize("step", STEPS)
def test_the_host_is_killed(site: Story, setting: str, step: str) -> None:
    before = site.visit("/setting")
    site.root(f"echo {step} > /run/stop-at")
    process = site.begin("deploy")
    deadline = time.monotonic() + 60
    while site.root("ps -eo stat | grep --count ^T || true").strip() == "0":
        assert time.monotonic() < deadline, "the step was not reached"
        time.sleep(0.2)
    site.restart("--hard")
    end(process)
    deadline = time.monotonic() + 30
    while site.visit("/setting") not in {before, setting}:
        assert time.monotonic() < deadline, "the site is not back after the boot"
        time.sleep(0.5)
    converged(site, setting, 1)
