"""Shared directories in a source that a build could fill: root leaves all that lies behind its links alone."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_parts, release_shared
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout

RELEASE = "20260314-101500-bbbbbbbb"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout("blog", str(tmp_path / "blog"))
    Path(found.source(RELEASE)).mkdir(parents=True)
    return found


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Another site's data."""
    place = tmp_path / "other" / "shared"
    (place / "uploads" / "deep").mkdir(parents=True)
    (place / "uploads" / "photo").write_text("theirs")
    return place


def seal(layout: Layout, shared: str) -> None:
    order = SimpleNamespace(layout=layout, app={"shared": [shared]}, group=os.getegid())
    release_parts.seal_source(order, RELEASE, [])  # type: ignore[arg-type]


@pytest.mark.parametrize("shared", ["static/uploads", "static/uploads/deep", "a/static/uploads"])
def test_nothing_behind_a_link_above_a_shared_directory_is_deleted(layout: Layout, victim: Path, shared: str) -> None:
    place = Path(layout.source(RELEASE), shared.partition("static")[0])
    place.mkdir(exist_ok=True)
    (place / "static").symlink_to(victim)
    with pytest.raises(ReleaseError, match=r"static of the source is a link or no directory") as caught:
        seal(layout, shared)
    assert caught.value.step == "shared"
    assert (victim / "uploads" / "photo").read_text() == "theirs"
    assert (victim / "uploads" / "deep").is_dir()


@pytest.mark.parametrize("shared", ["static/uploads", "a/static/uploads"])
def test_nothing_behind_a_link_above_a_shared_directory_is_copied(layout: Layout, victim: Path, shared: str) -> None:
    source, seed = Path(layout.source(RELEASE)), Path(layout.release(RELEASE), "seed")
    place = source / shared.partition("static")[0]
    place.mkdir(exist_ok=True)
    (place / "static").symlink_to(victim)
    with pytest.raises(ReleaseError, match=r"static of the source is a link or no directory"):
        release_shared.keep_tracked(str(source), str(seed), [shared])
    assert not seed.exists()


def test_a_file_above_a_shared_directory_is_named(layout: Layout) -> None:
    Path(layout.source(RELEASE), "static").touch()
    with pytest.raises(ReleaseError, match=r"static of the source .* static/uploads can't lie below it"):
        seal(layout, "static/uploads")


def test_what_is_tracked_is_kept_once(layout: Layout, victim: Path) -> None:
    source, seed = Path(layout.source(RELEASE)), Path(layout.release(RELEASE), "seed")
    (source / "static" / "uploads").mkdir(parents=True)
    (source / "static" / "uploads" / "first").write_text("ours")
    (source / "empty").mkdir()
    (source / "link").symlink_to(victim)
    names = ["static/uploads", "empty", "link", "absent/deep", "static/other"]
    assert release_shared.keep_tracked(str(source), str(seed), names) == ["static/uploads"]
    assert (seed / "static" / "uploads" / "first").read_text() == "ours"
    assert os.listdir(seed) == ["static"]


@pytest.mark.parametrize("kind", ["directory", "file", "link", "absent"])
def test_only_the_thing_itself_is_dropped(layout: Layout, victim: Path, kind: str) -> None:
    place = Path(layout.source(RELEASE), "static", "uploads")
    place.parent.mkdir()
    if kind == "directory":
        place.mkdir()
        (place / "link").symlink_to(victim)
    elif kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to(victim / "uploads")
    release_shared.drop(layout.source(RELEASE), "static/uploads")
    assert not os.path.lexists(place)
    assert (victim / "uploads" / "photo").read_text() == "theirs"
    release_shared.drop(layout.source(RELEASE), "absent/uploads")
