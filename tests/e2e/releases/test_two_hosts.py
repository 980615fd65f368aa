"""Promise: of several hosts one migrates the database and must be healthy before the others begin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.machine import folder_of
from e2e.story import Story, story


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Story, Story]]:
    """Two hosts with the same site; the inventory of the first one has both."""
    names = {"releases-first13": "13", "releases-second12": "12"}
    places = [(name, debian, folder_of(name, tmp_path_factory)) for name, debian in names.items()]
    with story(*places[0]) as first, story(*places[1]) as second:
        first.write_inventory([second])
        yield first, second


def migrations(site: Story) -> list[str]:
    return site.root("cat /srv/story/shared/data/migrations.log").split()


def test_the_first_host_migrates_and_both_go_live(both: tuple[Story, Story]) -> None:
    run = both[0].deploy("v2")
    assert run.status == 0, run.text
    assert [site.visit("/") for site in both] == ["v2", "v2"]
    assert migrations(both[0]) == ["v1", "v2"]
    # Its v1 came from a run of its own.
    assert migrations(both[1]) == ["v1"]
    again = both[0].deploy("v2")
    assert "changed=1" not in again.text


def test_what_fails_on_the_first_host_never_begins_on_the_second(both: tuple[Story, Story]) -> None:
    before = both[1].history()
    run = both[0].deploy("probe")
    assert run.status != 0
    assert [site.visit("/") for site in both] == ["v2", "v2"]
    assert both[1].history() == before


def test_both_go_back_together(both: tuple[Story, Story]) -> None:
    run = both[0].play("rollback", "-e", "app=story")
    assert run.status == 0, run.text
    assert [site.visit("/") for site in both] == ["v1", "v1"]
