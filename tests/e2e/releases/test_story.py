"""Promise: whatever is deployed, visitors lose nothing and meet no bad release. Through nginx, under load."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from e2e.machine import debians, folder_of
from e2e.story import BAD, DOMAIN, Story, story
from e2e.visitors import Load


@pytest.fixture(scope="module", params=debians("12,13"))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    name = f"releases-story{request.param}"
    with story(name, request.param, folder_of(name, tmp_path_factory)) as made:
        yield made


def lossless(load: Load, versions: set[str]) -> None:
    """Nothing was lost, and nobody else has answered than these."""
    assert load.summary["lost"] == 0, load.summary
    assert {record.version for record in load.records if record.kind in ("page", "post", "slow")} <= versions
    assert len(load.records) > 100


def load(site: Story) -> Load:
    return Load(site.root, DOMAIN, rate=100, post_share=0.3, static_path="/setting", static_share=0.1)


def test_v2_goes_live_with_its_process_and_its_timer(site: Story) -> None:
    old = site.live()
    with load(site) as visitors:
        run = site.deploy("v2")
    assert run.status == 0, run.text
    lossless(visitors, {"v1", "v2"})
    assert site.visit("/") == "v2"
    assert site.units() == set(), "something of the old release is left"
    assert site.root("tail -n 1 /srv/story/shared/data/worker.log").startswith("v2 ")
    assert site.root("cat /srv/story/shared/data/migrations.log").split() == ["v1", "v2"]
    assert f"story.tick@{site.live()}.timer" in site.root("systemctl list-timers --no-legend 'story*'")
    assert site.root("readlink /srv/story/previous").strip() == f"releases/{old}"
    for progress in ("getting the source", "preparing the Python environment", "switching to it"):
        assert progress in run.text


def test_files_of_the_page_that_a_visitor_still_has_open_stay_reachable(site: Story) -> None:
    assert site.visit("/static/style.v2.css") == "/* v2 */"
    assert site.visit("/static/style.v1.css") == "/* v1 */"
    assert site.visit("/static/style.v0.css") == "404"


def test_the_same_again_is_nothing_and_costs_little(site: Story) -> None:
    def executions() -> int:
        return int(site.root("journalctl --sync; journalctl -q -o cat _COMM=sudo | grep -c COMMAND= || true"))

    before = executions()
    run = site.deploy("v2")
    assert (run.status, run.recap()["changed"]) == (0, 0), run.text
    # The count itself is one.
    assert executions() - before - 1 <= 4


@pytest.mark.parametrize("version", BAD)
def test_a_bad_release_reaches_nobody(site: Story, version: str) -> None:
    live = site.live()
    with load(site) as visitors:
        run = site.deploy(version)
    assert run.status != 0
    lossless(visitors, {"v2"})
    assert (site.live(), site.units()) == (live, set())
    step, words = {
        "import": ("check", "broken at import"),
        "probe": ("probe", "503 SERVICE UNAVAILABLE where 200 is wanted"),
        "dependency": ("python", "no-such-package-anywhere"),
        "migration": ("before_switch", "the migration failed"),
        "worker": ("processes", "story.worker.1@"),
    }[version]
    assert f"failed at the step '{step}'" in run.flat
    assert words in run.flat
    assert f"Release {live} is still serving" in run.flat
    last = site.history()[-1]
    assert (last["outcome"], last["step"], last["asked"]) == ("failed", step, version)


def test_the_next_good_one_needs_no_clean_up(site: Story) -> None:
    run = site.deploy("v3")
    assert (run.status, site.visit("/")) == (0, "v3"), run.text
    assert site.deploy("v3").recap()["changed"] == 0


def test_back_and_forth_any_number_of_times(site: Story) -> None:
    third = site.live()
    migrations = site.root("cat /srv/story/shared/data/migrations.log")
    with load(site) as visitors:
        assert site.play("rollback", "-e", "app=story").status == 0
        assert site.visit("/") == "v2"
        second = site.live()
        again = site.deploy("v3")
        assert again.status != 0
        assert f"this is release {third}, which was rolled back from at" in again.flat
        assert site.live() == second
        for number in range(2):
            run = site.play("rollback", "-e", "app=story", "-e", f"release={third[-8:]}")
            assert (run.status, site.live()) == (0, third), f"{number}: {run.text}"
            run = site.play("rollback", "-e", "app=story")
            assert (run.status, site.live()) == (0, second), f"{number}: {run.text}"
    lossless(visitors, {"v2", "v3"})
    assert site.root("cat /srv/story/shared/data/migrations.log") == migrations
    assert site.root("tail -n 1 /srv/story/shared/data/worker.log").startswith("v2 ")
    first = site.play("rollback", "-e", "app=story")
    assert (first.status, site.visit("/")) == (0, "v1"), first.text
    none = site.play("rollback", "-e", "app=story")
    assert none.status != 0
    assert "story has no earlier good release; there are:" in none.flat


def test_what_was_rolled_back_from_goes_live_by_force(site: Story) -> None:
    run = site.deploy("v3", "-e", "force=true")
    assert (run.status, site.visit("/")) == (0, "v3"), run.text
    assert site.deploy("v3").recap()["changed"] == 0
    assert [entry["action"] for entry in site.history()[-2:]] == ["rolled_back", "reactivated"]


def test_settings_come_back_with_their_release(site: Story) -> None:
    site.write_inventory(env={"SETTING": "new"}, source={"git": "/var/lib/story.git", "version": "v3"})
    assert site.play("deploy").status == 0
    assert site.visit("/setting") == "new"
    assert site.play("rollback", "-e", "app=story").status == 0
    assert (site.visit("/setting"), site.visit("/")) == ("", "v3")
    site.write_inventory()


def test_a_name_that_nobody_knows_is_refused(site: Story) -> None:
    run = site.play("rollback", "-e", "app=stroy")
    assert run.status != 0
    assert "There is no application 'stroy'. The inventory has story." in run.flat
    run = site.play("rollback", "-e", "app=story", "-e", "release=29990101")
    assert "'29990101' is no kept release of story; there are:" in run.flat


def test_a_stream_that_never_ends_does_not_hold_up_a_deploy_for_long(site: Story) -> None:
    site.root(f"systemd-run --quiet --unit=stream curl -sN -H 'Host: {DOMAIN}' http://127.0.0.1/stream")
    time.sleep(1)
    started = time.monotonic()
    run = site.deploy("v2", "-e", "force=true")
    assert (run.status, site.visit("/")) == (0, "v2"), run.text
    assert "long requests are left: they have 30 s to end" in run.text
    assert time.monotonic() - started < 60


def test_two_at_once_the_second_is_told_who_and_what_to_do(site: Story) -> None:
    site.write_inventory(commands={"build": ["sleep 8"]})
    first = site.begin("deploy", "-e", "version=v1")
    while "build" not in site.root("cat /srv/story/journal.json || true"):
        time.sleep(0.2)
    refused = site.deploy("v1")
    assert refused.status != 0
    assert "another deploy of story is running:" in refused.flat
    assert "Wait for it with -e lock_wait=300" in refused.flat
    waited = site.deploy("v1", "-e", "lock_wait=60")
    assert (waited.status, waited.recap()["changed"]) == (0, 0), waited.text
    assert first.wait(60) == 0
    site.write_inventory(commands={"build": ["sleep 300"]})
    stuck = site.begin("deploy", "-e", "version=v2")
    while "build" not in site.root("cat /srv/story/journal.json || true"):
        time.sleep(0.2)
    site.write_inventory()
    broken = site.deploy("v2", "-e", "break_lock=true")
    assert (broken.status, site.visit("/")) == (0, "v2"), broken.text
    assert stuck.wait(60) != 0
    assert "cut short" in (stuck.stdout.read() if stuck.stdout else "")


def test_the_live_release_outlives_any_pruning(site: Story) -> None:
    site.root("touch --date=2001-01-01 /srv/story/releases/*")
    site.write_inventory(keep=1)
    before = site.live()
    assert site.deploy("v3").status == 0
    # The one before is needed for its static files.
    assert site.root("ls /srv/story/releases").split() == sorted([before, site.live()])
    assert site.visit("/") == "v3"
    site.write_inventory()


def test_a_deploy_that_needs_packages_says_which_and_what_to_do(site: Story) -> None:
    live = site.live()
    site.write_inventory(python={"requirements": ["requirements.txt"], "apt": ["sl"]})
    run = site.deploy("v3")
    assert run.status != 0
    assert "The host lacks packages that the applications need: sl." in run.flat
    assert "ansible-playbook flaskworks.deploy.site --tags packages --limit story" in run.flat
    assert site.live() == live
    site.write_inventory()


def test_hooks_run_around_a_release_that_changes(site: Story, tmp_path: Path) -> None:
    def hook(name: str, line: str) -> str:
        path = tmp_path / f"{name}.yml"
        task = {"name": f"The hook {name}", "become": True, "ansible.builtin.command": {"argv": ["sh", "-c", line]}}
        path.write_text(yaml.safe_dump([{**task, "changed_when": True}]))
        return str(path)

    before = hook("before", "readlink /srv/story/current > /root/hook.before")
    after = hook("after", "flaskworks story run -- sh -c 'id -un; echo $SETTING' > /root/hook.after")
    hooks = json.dumps({"flask_apps_hooks": {"before_releases": [before], "after_releases": [after]}})
    old = site.live()
    site.write_inventory(env={"SETTING": "for the hook"})
    run = site.deploy("v3", "-e", hooks)
    assert run.status == 0, run.text
    assert site.root("cat /root/hook.before").strip() == f"releases/{old}"
    assert site.root("cat /root/hook.after").splitlines() == ["story", "for the hook"]
    site.root("rm /root/hook.after")
    assert site.deploy("v3", "-e", hooks).status == 0
    assert site.root("ls /root/hook.after 2>/dev/null || true") == "", "nothing changed, so there is no after"
