"""Local directories as sources: what belongs to them, their digest, and the way to the host."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_source import (
    leaves_tree,
    pack_source,
    source_digest,
    source_files,
    unpack_source,
    unpacked_digest,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "pkg" / "__pycache__").mkdir(parents=True)
    (root / "pkg" / "app.py").write_text("x = 1\n")
    (root / "pkg" / "__pycache__" / "app.pyc").write_text("")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to("/usr/bin/python3")
    (root / "env").mkdir()
    (root / "env" / "pyvenv.cfg").write_text("")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "latest").symlink_to("pkg/app.py")
    (root / "folder").symlink_to("pkg")
    return root


def test_environments_and_bytecode_are_no_source(site: Path) -> None:
    assert source_files(str(site)) == ["folder", "latest", "pkg/app.py", "run.sh"]


def test_a_checkout_has_what_gitignore_lets_pass(site: Path) -> None:
    (site / ".gitignore").write_text("*.log\nenv/\n")
    (site / "debug.log").write_text("")
    (site / "new.py").write_text("")
    (site / "gone.py").write_text("")
    subprocess.run(["git", "-C", str(site), "init", "-q"], check=True)
    subprocess.run(["git", "-C", str(site), "add", "gone.py", "pkg/app.py"], check=True)
    (site / "gone.py").unlink()
    assert source_files(str(site)) == [".gitignore", "folder", "latest", "new.py", "pkg/app.py", "run.sh"]


def test_a_folder_that_a_checkout_ignores_is_taken_whole(site: Path) -> None:
    subprocess.run(["git", "-C", str(site.parent), "init", "-q"], check=True)
    (site.parent / ".gitignore").write_text("site/\n*.sh\n")
    assert "run.sh" in source_files(str(site))


def test_the_digest_depends_on_nothing_but_the_tree(site: Path, tmp_path: Path) -> None:
    before = source_digest(str(site))
    copy = tmp_path / "elsewhere"
    subprocess.run(["cp", "-a", str(site), str(copy)], check=True)
    os.utime(copy / "run.sh", (1, 1))
    (copy / "pkg" / "app.py").chmod(0o600)
    assert source_digest(str(copy)) == before


@pytest.mark.parametrize("change", ["content", "name", "mode", "link"])
def test_the_digest_sees_every_change(site: Path, change: str) -> None:
    before = source_digest(str(site))
    if change == "content":
        (site / "pkg" / "app.py").write_text("x = 2\n")
    elif change == "name":
        (site / "pkg" / "app.py").rename(site / "pkg" / "main.py")
    elif change == "mode":
        (site / "run.sh").chmod(0o644)
    else:
        (site / "latest").unlink()
        (site / "latest").symlink_to("run.sh")
    assert source_digest(str(site)) != before


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "pkg/../../x"])
def test_links_out_of_the_tree_are_refused(site: Path, target: str) -> None:
    (site / "escape").symlink_to(target)
    with pytest.raises(ReleaseError, match="points outside"):
        source_files(str(site))


def test_pipes_and_empty_directories_are_refused(site: Path, tmp_path: Path) -> None:
    os.mkfifo(site / "pipe")
    with pytest.raises(ReleaseError, match="neither a file nor a link"):
        source_files(str(site))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match="is empty"):
        source_files(str(tmp_path / "empty"))
    with pytest.raises(ReleaseError, match="does not exist"):
        source_files(str(tmp_path / "nowhere"))


def test_the_host_gets_the_same_tree(site: Path, tmp_path: Path) -> None:
    archive, there = tmp_path / "a.tar.gz", tmp_path / "there"
    there.mkdir()
    pack_source(str(site), str(archive))
    unpack_source(str(archive), str(there))
    assert unpacked_digest(str(there)) == source_digest(str(site))
    (there / "pkg" / "more.py").write_text("")
    assert unpacked_digest(str(there)) != source_digest(str(site))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_an_archive_can_write_nowhere_else(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    (tmp_path / "there").mkdir()
    with pytest.raises(ReleaseError):
        unpack_source(str(archive), str(tmp_path / "there"))
    assert not (tmp_path / "evil").exists()


def test_an_archive_with_a_device_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo("null")
        entry.type = tarfile.CHRTYPE
        tar.addfile(entry)
    (tmp_path / "there").mkdir()
    with pytest.raises(ReleaseError, match="something else"):
        unpack_source(str(archive), str(tmp_path / "there"))


@given(st.lists(st.sampled_from(["a", "..", "."]), min_size=1, max_size=6))
def test_a_link_leaves_the_tree_exactly_when_its_path_does(parts: list[str]) -> None:
    depth = 2  # the link is x/y/link
    left = False
    for part in parts:
        depth += {"a": 1, "..": -1, ".": 0}[part]
        left = left or depth < 0
    # A path that leaves and comes back can't come back into the same tree by these names: only its end counts.
    assert leaves_tree("x/y/link", "/".join(parts)) is (depth < 0 or (left and _end_outside(parts)))


def _end_outside(parts: list[str]) -> bool:
    return os.path.normpath(os.path.join("x/y", *parts)).startswith("..")
