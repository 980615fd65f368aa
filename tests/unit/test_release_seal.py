"""Sealing needs root: it gives files away."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_seal import (
    ensure_directory,
    open_to_web,
    seal_tree,
)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give files away; the tests on hosts cover it too"
)
USER = GROUP = 12345


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    (root / "pkg" / "static").mkdir(parents=True)
    for name in ("pkg/app.py", "pkg/static/site.css", "pkg/static-private"):
        (root / name).write_text("x")
    (root / "run").write_text("x")
    (root / "run").chmod(0o4777)
    (root / "link").symlink_to("pkg/app.py")
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            os.chown(os.path.join(folder, name), USER, USER, follow_symlinks=False)
    os.chown(root, USER, USER)
    return root


def look(path: Path) -> tuple[str, int, int]:
    entry = path.lstat()
    return oct(stat.S_IMODE(entry.st_mode)), entry.st_uid, entry.st_gid


def test_everything_becomes_roots_and_only_the_map_is_public(tree: Path) -> None:
    seal_tree(str(tree), GROUP, ["pkg/static/"])
    assert look(tree) == ("0o751", 0, GROUP)
    assert look(tree / "pkg" / "app.py") == ("0o640", 0, GROUP)
    assert look(tree / "run") == ("0o750", 0, GROUP)
    assert look(tree / "pkg" / "static") == ("0o755", 0, GROUP)
    assert look(tree / "pkg" / "static" / "site.css") == ("0o644", 0, GROUP)
    assert look(tree / "pkg" / "static-private") == ("0o640", 0, GROUP)
    assert look(tree / "link")[1:] == (0, GROUP)


def test_a_link_is_never_followed(tree: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("x")
    os.chown(victim, USER, USER)
    (tree / "evil").symlink_to(victim)
    with pytest.raises(ReleaseError, match=r"the link evil points outside"):
        seal_tree(str(tree), GROUP)
    assert victim.lstat().st_uid == USER


def test_two_links_that_lead_outside_together_are_refused(tree: Path) -> None:
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "up").symlink_to("../../pkg")
    (tree / "evil").symlink_to("deep/er/up/../..")
    with pytest.raises(ReleaseError, match=r"the link evil points outside"):
        seal_tree(str(tree), GROUP)


def test_an_allowed_link_may_leave(tree: Path) -> None:
    (tree / "python").symlink_to("/usr/bin/python3")
    seal_tree(str(tree), GROUP, allowed_link=lambda name, target: (name, target) == ("python", "/usr/bin/python3"))


def test_hard_links_and_pipes_are_refused(tree: Path, tmp_path: Path) -> None:
    os.link(tree / "run", tmp_path / "second")
    with pytest.raises(ReleaseError, match="hard link"):
        seal_tree(str(tree), GROUP)
    (tmp_path / "second").unlink()
    os.mkfifo(tree / "pipe")
    with pytest.raises(ReleaseError, match="neither a file"):
        seal_tree(str(tree), GROUP)


def test_a_sealed_tree_can_be_opened_later(tree: Path) -> None:
    seal_tree(str(tree), GROUP)
    open_to_web(str(tree), ["pkg/static"])
    assert look(tree / "pkg" / "static" / "site.css")[0] == "0o644"
    assert look(tree / "pkg" / "app.py")[0] == "0o640"


@pytest.mark.parametrize("start", ["pkg/static", "pkg/static/css", "pkg"])
def test_nothing_behind_a_link_is_opened(tree: Path, tmp_path: Path, start: str) -> None:
    seal_tree(str(tree), GROUP)
    outside = tmp_path / "outside"
    (outside / "static" / "css").mkdir(parents=True)
    (outside / "static" / "css" / "secret").write_text("x")
    for path in (outside, *outside.rglob("*")):
        path.chmod(0o700)
    # As by way of bin/python, which may lead out of an environment.
    linked = tree / start.removesuffix("/css")
    linked.rename(tmp_path / "away")
    linked.symlink_to(outside / linked.relative_to(tree / "pkg") if start != "pkg" else outside)
    with pytest.raises(ReleaseError, match=f"{start} is a link or lies behind one"):
        open_to_web(str(tree), [start])
    assert {oct(path.stat().st_mode & 0o777) for path in outside.rglob("*")} == {"0o700"}


def test_shared_directories_are_made_without_following_the_users_links(tmp_path: Path) -> None:
    base, outside = tmp_path / "shared", tmp_path / "outside"
    base.mkdir()
    outside.mkdir()
    ensure_directory(str(base), "a/b", USER, GROUP, 0o2750)
    assert look(base / "a" / "b") == ("0o2750", USER, GROUP)
    (base / "theirs").symlink_to(outside)
    os.chown(base / "theirs", USER, USER, follow_symlinks=False)
    for name in ("theirs", "theirs/deeper"):
        with pytest.raises(ReleaseError, match="a link that the application made"):
            ensure_directory(str(base), name, USER, GROUP, 0o750)
    assert look(outside)[1] == 0
    (base / "disk").symlink_to(outside)
    ensure_directory(str(base), "disk", USER, GROUP, 0o750)
    with pytest.raises(ReleaseError, match=r"nginx follows none .*mount --bind"):
        ensure_directory(str(base), "disk", USER, GROUP, 0o750, links=False)
    assert os.listdir(outside) == []
    (base / "file").write_text("")
    with pytest.raises(ReleaseError, match="not a directory"):
        ensure_directory(str(base), "file", USER, GROUP, 0o750)
