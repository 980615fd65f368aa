"""Promise: a host in trouble gives a clear error, the old release serves on, and the next run needs no clean-up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.machine import debians, folder_of
from e2e.story import Story, story


@pytest.fixture(scope="module", params=debians())
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A host whose /srv is a file system of its own, small enough to fill."""
    name = f"crash{request.param}-trouble"
    before = "mountpoint -q /srv || mount -t tmpfs -o size=300M,mode=0755 tmpfs /srv"
    with story(name, request.param, folder_of(name, tmp_path_factory), before=before) as made:
        yield made


@pytest.fixture(autouse=True)
def recovers(site: Story) -> Iterator[None]:
    """Afterwards v2 goes live, and v1 again: whatever failed has left nothing in the way."""
    yield
    for version in ("v2", "v1"):
        run = site.deploy(version)
        assert (run.status, site.visit("/")) == (0, version), run.text
    assert site.deploy("v1").recap()["changed"] == 0


def refused(site: Story, version: str, *words: str) -> None:
    """The deploy fails with these words; v1 serves."""
    run = site.deploy(version)
    assert run.status != 0, run.text
    for word in words:
        assert word in run.flat, run.text
    assert site.visit("/") == "v1"
    assert site.units() == set()


def test_a_full_disk(site: Story) -> None:
    site.root("dd if=/dev/zero of=/srv/filler bs=1M 2>/dev/null || true")
    try:
        refused(site, "v3", "No space left on device")
    finally:
        site.root("rm /srv/filler")


def test_a_disk_that_fills_while_packages_are_installed(site: Story) -> None:
    site.write_inventory(python={"requirements": ["requirements.txt"], "packages": ["requests", "gevent"]})
    free = int(site.root("df --output=avail -k /srv | tail -n 1"))
    site.root(f"dd if=/dev/zero of=/srv/filler bs=1k count={free - 2048} 2>/dev/null")
    try:
        refused(site, "v3", "failed at the step 'python'", "No space left on device")
    finally:
        site.root("rm /srv/filler")
        site.write_inventory()


def test_a_file_system_that_became_read_only(site: Story) -> None:
    site.root("mount -o remount,ro /srv")
    try:
        refused(site, "v3", "Read-only file system")
    finally:
        site.root("mount -o remount,rw /srv")


def test_a_repository_that_is_gone(site: Story) -> None:
    site.root("mv /var/lib/story.git /var/lib/gone.git")
    try:
        refused(site, "v3", "git can't read /var/lib/story.git")
    finally:
        site.root("mv /var/lib/gone.git /var/lib/story.git")


def test_a_kept_release_that_was_tampered_with_is_not_used_again(site: Story) -> None:
    assert site.deploy("v3").status == 0
    third = site.live()
    assert site.deploy("v1").status == 0
    site.root(f"echo 'app = None' >> /srv/story/releases/{third}/src/story.py")
    run = site.play("rollback", "-e", "app=story", "-e", f"release={third}")
    assert run.status != 0
    assert f"release {third} of story was changed on the host since it was sealed" in run.flat
    assert site.deploy("v3").status == 0
    assert site.live() != third
    assert site.visit("/") == "v3"


def test_a_live_release_that_was_tampered_with_is_replaced(site: Story) -> None:
    live = site.live()
    site.root(f"echo 'app = None' >> /srv/story/releases/{live}/src/story.py")
    run = site.deploy("v1")
    assert (run.status, run.recap()["changed"]) == (0, 1), run.text
    assert site.live() != live
    assert "was changed on the host by hand" in run.flat
