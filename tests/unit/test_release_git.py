"""git on a real mirror: what a git that was killed leaves is no obstacle, and no file of a home counts."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    git_mirror,
    git_run,
    release_build,
    release_git,
    release_sandbox,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import owned_directory
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_git import place_commit

LOCKS = ("config.lock", "packed-refs.lock", "shallow.lock", "refs/heads/main.lock", "objects/info/commit-graph.lock")


@pytest.fixture
def me(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This user as the one that builds."""
    name = pwd.getpwuid(os.getuid()).pw_name
    for module in (git_run, git_mirror, release_build):
        monkeypatch.setattr(module, "BUILD_USER", name)
    if os.getuid():
        # Only root may name groups, if only none.
        run = release_sandbox.run
        monkeypatch.setattr(git_run, "run_as", lambda user, argv, **options: run(argv, **options))
    config = tmp_path / "gitconfig"
    config.write_text(git_run.GIT_CONFIG_TEXT)
    monkeypatch.setattr(git_run, "GIT_CONFIG", str(config))


@pytest.fixture
def origin(tmp_path: Path) -> tuple[str, str]:
    """A repository and its commit."""
    path = tmp_path / "origin"
    git = ["git", "-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    (path / "app.py").write_text("one\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    told = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return str(path), told.stdout.strip()


def place(tmp_path: Path, origin: tuple[str, str], name: str) -> Path:
    destination = tmp_path / name
    destination.mkdir()
    url, commit = origin
    assert place_commit(str(tmp_path / "mirror"), {"url": url}, commit, "", str(destination), {}) == []
    assert (destination / "app.py").read_text() == "one\n"
    return tmp_path / "mirror"


@pytest.mark.usefixtures("me")
def test_a_mirror_serves_after_a_git_that_was_killed(tmp_path: Path, origin: tuple[str, str]) -> None:
    mirror = place(tmp_path, origin, "first")
    assert not list(mirror.glob("flaskworks-index*")), "the index is this run's alone"
    left = [*LOCKS, "flaskworks-index", "flaskworks-index.lock", "flaskworks-index.17.ab", "objects/pack/tmp_pack_x"]
    for name in left:
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_text("")
    kept = mirror / "refs/heads/tmp_branch"
    shutil.copy(mirror / "refs/heads/main", kept)
    url = origin[0]
    (Path(url) / "app.py").write_text("two\n")
    git = ["git", "-C", url, "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "commit", "-q", "-a", "-m", "two"], check=True)
    told = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    git_mirror.prepare_mirror(str(mirror), {})
    assert [name for name in left if (mirror / name).exists()] == []
    assert kept.exists()
    for name in LOCKS:
        (mirror / name).write_text("")
    (tmp_path / "second").mkdir()
    place_commit(str(mirror), {"url": url}, told.stdout.strip(), "", str(tmp_path / "second"), {})
    assert (tmp_path / "second" / "app.py").read_text() == "two\n"


@pytest.mark.usefixtures("me")
@pytest.mark.parametrize("missing", ["", "objects", "refs", "HEAD", "config"])
def test_a_mirror_that_was_cut_short_is_made_again(tmp_path: Path, origin: tuple[str, str], missing: str) -> None:
    mirror = place(tmp_path, origin, "first")
    if not missing:
        shutil.rmtree(mirror)
        mirror.mkdir()
    elif (mirror / missing).is_dir():
        shutil.rmtree(mirror / missing)
    else:
        (mirror / missing).unlink()
    place(tmp_path, origin, "second")


@pytest.mark.usefixtures("me")
def test_git_has_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []

    def run_as(user: str, argv: list[str], **options: dict[str, str]) -> subprocess.CompletedProcess[str]:
        seen.append(options["env"])
        return subprocess.CompletedProcess(argv, 0, f"{'a' * 40}\tHEAD\n", "")

    monkeypatch.setattr(git_run, "run_as", run_as)
    release_git.resolve_commit({"url": "ssh://git.example.org/x.git"}, {"HOME": str(tmp_path)})
    (environment,) = seen
    assert environment["HOME"] == "/nonexistent"
    assert environment["GIT_SSH_COMMAND"].startswith("ssh -F ")


def test_a_directory_is_not_handed_over_through_a_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(0o700)
    (tmp_path / "scratch").symlink_to(other)
    with pytest.raises(OSError, match="scratch"):
        owned_directory(str(tmp_path / "scratch"), os.getuid(), os.getgid(), 0o755)
    assert other.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("me")
def test_a_scratch_directory_that_was_swapped_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, scratch = tmp_path / "other", tmp_path / "scratch"
    other.mkdir(0o700)
    mkdir = os.mkdir

    def swapped(path: str, mode: int) -> None:
        mkdir(path, mode)
        os.rmdir(path)
        os.symlink(other, path)

    monkeypatch.setattr(os, "mkdir", swapped)
    with pytest.raises(OSError, match="scratch"):
        release_build._owned_by_builder(str(scratch))
