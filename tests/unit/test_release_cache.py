"""The cache of a build: its application's alone, in a directory where no build can put anything."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    release_build,
    release_cache,
    release_removal,
    server_pins,
    venvs,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import CACHE_DIRECTORY, Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import BuildSandbox

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
BUILDER = 12345 if os.geteuid() == 0 else os.getuid()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    caches = tmp_path / "cache" / "flaskworks"
    monkeypatch.setattr(release_cache, "CACHE_DIRECTORY", str(caches))
    return caches


def ensure(app: str) -> None:
    release_cache.ensure_cache(app, BUILDER, os.getgid())


def look(path: Path) -> tuple[str, int]:
    entry = path.lstat()
    return oct(stat.S_IMODE(entry.st_mode)), entry.st_uid


def test_each_application_has_its_own(place: Path) -> None:
    ensure("blog")
    (place / "blog" / "uv").mkdir()
    for app in ("shop", "blog"):
        ensure(app)
    assert look(place) == ("0o711", os.geteuid())
    assert look(place / "blog") == look(place / "shop") == ("0o700", BUILDER)
    assert (place / "blog" / "uv").is_dir()


@pytest.mark.parametrize("mode", [0o755, 0o711, 0o700])
def test_nothing_is_kept_of_the_cache_that_all_had(place: Path, tmp_path: Path, mode: int) -> None:
    if mode == 0o711 and os.geteuid() != 0:
        pytest.skip("only its owner tells it from the new one")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    for name in ("uv/archive-v0", "pip", "scratch.blog", "blog/uv"):
        (place / name).mkdir(parents=True)
    (place / "shop").symlink_to(victim)
    (place / "uv" / "file").touch()
    if mode != 0o700:  # that is how a run that was killed leaves it
        os.chown(place, BUILDER, os.getgid())
    place.chmod(mode)
    ensure("blog")
    assert os.listdir(place) == ["blog"]
    assert os.listdir(place / "blog") == []
    assert look(place) == ("0o711", os.geteuid())
    assert os.listdir(victim) == ["file"]


@as_root
def test_a_cache_of_another_user_is_made_anew(place: Path) -> None:
    ensure("blog")
    (place / "blog" / "uv").mkdir()
    os.chown(place / "blog", BUILDER + 1, 0)
    ensure("blog")
    assert os.listdir(place / "blog") == []
    assert look(place / "blog") == ("0o700", BUILDER)


def test_a_build_sees_no_other_cache() -> None:
    properties = BuildSandbox("blog", "blog", {}).properties(["/srv/blog/x"])
    caches = [item for item in properties if CACHE_DIRECTORY in item]
    own = f"{CACHE_DIRECTORY}/blog"
    assert caches == [f"TemporaryFileSystem={CACHE_DIRECTORY}:ro", f"BindPaths={own}", f"ReadWritePaths={own}"]


def test_it_goes_with_its_application(place: Path, tmp_path: Path) -> None:
    for app in ("blog", "shop"):
        ensure(app)
    for keep in (True, False):
        found = release_removal.remains(Layout("blog", str(tmp_path / "blog")), str(tmp_path / "log"), keep)
        assert found == [str(place / "blog")]


@pytest.mark.parametrize("kind", ["directory", "file", "link", "absent"])
def test_what_an_earlier_build_left_for_scratch_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(release_build, "BUILD_USER", pwd.getpwuid(os.getuid()).pw_name)
    scratch, victim = tmp_path / "scratch", tmp_path / "victim"
    (victim / "deep").mkdir(parents=True)
    if kind == "directory":
        (scratch / "deep").mkdir(parents=True)
    elif kind == "file":
        scratch.touch()
    elif kind == "link":
        scratch.symlink_to(victim)
    release_build._owned_by_builder(str(scratch))
    assert scratch.is_dir()
    assert not scratch.is_symlink()
    assert os.listdir(scratch) == []
    assert os.listdir(victim) == ["deep"]


@pytest.mark.parametrize(("hashes", "cache"), [(False, "blog"), (True, "blog/scratch")])
def test_hashes_are_demanded_of_an_empty_cache(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashes: bool, cache: str
) -> None:
    """Nothing that an earlier build left is installed where everything has to have a hash."""
    specs: list[venvs.VenvSpec] = []

    def stop(spec: venvs.VenvSpec) -> venvs.VenvSpec:
        specs.append(spec)
        raise venvs.VenvError("enough")

    monkeypatch.setattr(release_build, "_owned_by_builder", os.mkdir)
    monkeypatch.setattr(venvs, "detect", stop)
    monkeypatch.setattr(server_pins, "advice", lambda *_given: "")
    ensure("blog")
    app = {"python": {"require_hashes": hashes}, "server": {"type": "flask"}}
    order = SimpleNamespace(app=app, layout=Layout("blog", str(tmp_path)), build_env={}, version="x")
    with pytest.raises(ReleaseError, match="can't be made"):
        release_build._environment(order, BuildSandbox("blog", "blog", {}), str(tmp_path))  # type: ignore[arg-type]
    env = specs[0].env
    assert (env["UV_CACHE_DIR"], env["PIP_CACHE_DIR"]) == (f"{place}/{cache}/uv", f"{place}/{cache}/pip")
    assert env["HOME"] == f"{place}/blog/scratch"
    assert os.listdir(place / "blog") == []
