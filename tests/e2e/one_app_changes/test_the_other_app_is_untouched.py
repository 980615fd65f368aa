"""Promise: what changes one app leaves the processes, the units and the release of the other alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from e2e.playbooks import ROOT
from e2e.support import Site, current_release, output, pids, play, published_site


@pytest.fixture
def moving(host: Any) -> Site:
    return published_site(host, "moving.test")


@pytest.fixture
def still(host: Any) -> Site:
    return published_site(host, "still.test")


def traces(host: Any, app: str, site: Site) -> dict[str, str]:
    """All that a restart, a reload or a rewrite of an app would leave its mark on."""
    release = current_release(host, app)
    unit = f"{app}@{release}.service"
    files = f"/etc/systemd/system/{app}@* /etc/nginx/sites-*/{app}.conf /etc/logrotate.d/{app} /srv/{app}/current"
    return {
        "release": release,
        "processes": str(pids(site)),
        "started": output(
            host, "systemctl show --property=ActiveEnterTimestampMonotonic,NRestarts,InvocationID %s", unit
        ),
        "files": output(host, f"stat --format='%n %i %Y %Z' {files}"),
        "releases": output(host, f"stat --format='%i %Y' /srv/{app}/releases"),
    }


@pytest.mark.parametrize("option", ["moving_greeting=Servus", "moving_secret=another-secret-of-the-moving-site"])
def test_a_changed_setting_restarts_its_own_app_only(host: Any, moving: Site, still: Site, option: str) -> None:
    before, old = traces(host, "still", still), traces(host, "moving", moving)
    run = play(host, "site.yml", "-e", option)
    assert len(run.changed) == 1, run.changed
    assert traces(host, "still", still) == before
    after = traces(host, "moving", moving)
    assert after["release"] != old["release"]
    assert after["processes"] != old["processes"]
    if "greeting" in option:
        assert moving.get("/").text == "Servus\n"


def test_changed_code_restarts_its_own_app_only(host: Any, moving: Site, still: Site, tmp_path: Path) -> None:
    source = tmp_path / "hello"
    shutil.copytree(ROOT / "tests" / "apps" / "hello", source)
    (source / "VERSION").write_text("2\n")
    before = traces(host, "still", still)
    play(host, "site.yml", "-e", f"moving_source={source}")
    assert traces(host, "still", still) == before
    assert (moving.get("/version").text, still.get("/version").text) == ("2\n", "1\n")


def test_a_changed_site_of_nginx_restarts_nobody(host: Any, moving: Site, still: Site) -> None:
    play(host, "site.yml")
    before, own = traces(host, "still", still), traces(host, "moving", moving)
    run = play(host, "site.yml", "-e", "moving_body=2m")
    assert len(run.changed) == 1, run.changed
    assert traces(host, "still", still) == before
    after = traces(host, "moving", moving)
    assert (after["processes"], after["started"]) == (own["processes"], own["started"])
    assert "client_max_body_size 2m;" in host.file("/etc/nginx/sites-available/moving.conf").content_string
    play(host, "site.yml")


def test_a_narrowed_run_changes_its_app_and_purges_nothing(host: Any, moving: Site, still: Site) -> None:
    before = traces(host, "still", still)
    play(host, "site.yml", "-e", "app=moving", "-e", "moving_greeting=Moin")
    assert moving.get("/").text == "Moin\n"
    assert traces(host, "still", still) == before


def test_a_run_without_a_change_leaves_both_alone(host: Any, moving: Site, still: Site) -> None:
    play(host, "site.yml")
    before = [traces(host, "still", still), traces(host, "moving", moving)]
    assert play(host, "site.yml").changed == []
    assert [traces(host, "still", still), traces(host, "moving", moving)] == before
