"""Who may say that an environment is complete: not the foreign code that runs while it is built."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_build, venvs, venvs_seal

FORGED = '{"abi": "x", "digest": "x", "inputs": ["known"], "made": 1}'
STRANGER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    place = tmp_path / "venvs" / "0f343b0931126a20"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch(0o755)
    (place / venvs_seal.FROZEN).write_text("flask==3.1.3\n")
    venvs.seal(str(place), inputs="known", abi="x", resolved="flask==3.1.3\n")
    return place


def complete(place: Path, owner: int | None = None) -> bool:
    found = venvs.find_sealed(str(place.parent), "known", owner)
    assert (found is None) == (venvs.sealed(str(place), owner) is None)
    return found is not None


def test_what_was_sealed_is_complete(environment: Path) -> None:
    assert complete(environment)
    assert venvs.frozen(str(environment)) == "flask==3.1.3\n"


@as_root
@pytest.mark.parametrize("name", [".", venvs_seal.MARKER])
def test_a_marker_of_somebody_else_is_none(environment: Path, name: str) -> None:
    os.chown(environment / name, STRANGER, STRANGER)
    assert not complete(environment)


@as_root
def test_an_environment_may_belong_to_another_user_and_the_marker_may_not(environment: Path) -> None:
    os.chown(environment, STRANGER, STRANGER)
    assert complete(environment, STRANGER)
    assert not complete(environment, STRANGER + 1)
    venvs.seal(str(environment), inputs="more", abi="x", resolved="", owner=STRANGER)
    assert complete(environment, STRANGER), "it remembers the inputs that it had"
    os.chown(environment / venvs_seal.MARKER, STRANGER, STRANGER)
    assert not complete(environment, STRANGER)


@pytest.mark.parametrize("name", [venvs_seal.MARKER, venvs_seal.FROZEN])
@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "absent"])
def test_no_link_is_read(environment: Path, tmp_path: Path, name: str, kind: str) -> None:
    place = environment / name
    place.rename(tmp_path / "kept")
    makers: dict[str, Callable[[], None]] = {"link": lambda: place.symlink_to(tmp_path / "kept")}
    makers |= {"pipe": lambda: os.mkfifo(place), "directory": place.mkdir, "absent": lambda: None}
    makers[kind]()
    if name == venvs_seal.MARKER:
        assert not complete(environment)
    else:
        assert venvs.frozen(str(environment)) == ""


def test_a_linked_environment_is_none(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(environment)
    assert venvs.sealed(str(tmp_path / "link")) is None
    assert venvs.frozen(str(tmp_path / "link")) == ""


@as_root
def test_a_frozen_set_of_somebody_else_says_nothing(environment: Path) -> None:
    os.chown(environment / venvs_seal.FROZEN, STRANGER, STRANGER)
    assert venvs.frozen(str(environment), STRANGER) == ""
    os.chown(environment, STRANGER, STRANGER)
    assert venvs.frozen(str(environment)) == ""
    assert venvs.frozen(str(environment), STRANGER) == "flask==3.1.3\n"


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_whatever_stands_for_a_marker_goes(environment: Path, tmp_path: Path, kind: str) -> None:
    marker, other = environment / venvs_seal.MARKER, tmp_path / "other"
    other.mkdir()
    if kind != "file":
        marker.unlink()
    if kind == "link":
        marker.symlink_to(other)
    elif kind == "directory":
        (marker / "deep").mkdir(parents=True)
    venvs.unseal(str(environment))
    assert not os.path.lexists(marker)
    venvs.unseal(str(environment))
    if kind == "directory":
        (marker / "deep").mkdir(parents=True)
    venvs.discard(str(environment))
    assert not environment.exists()
    assert other.is_dir()


@pytest.fixture
def sealing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """This user builds; the names of what was sealed, with the markers that it had."""
    seen: list[str] = []

    def look(root: str, group: int, **_options: object) -> None:
        seen.append(",".join(sorted(os.listdir(root))))

    monkeypatch.setattr(release_build, "BUILD_USER", pwd.getpwuid(os.getuid()).pw_name)
    monkeypatch.setattr(release_build, "seal_tree", look)
    return seen


def test_a_build_that_forges_a_seal_and_fails_leaves_nothing(environment: Path, sealing: list[str]) -> None:
    def forge() -> None:
        (environment / venvs_seal.MARKER).write_text(FORGED)
        (environment / venvs_seal.FROZEN).symlink_to("/etc/passwd")
        raise venvs.VenvError("as a setup.py does")

    with pytest.raises(venvs.VenvError, match=r"as a setup\.py does"):
        release_build._build_environment(str(environment), os.getgid(), forge)
    assert not environment.exists()
    assert sealing == []


def test_the_error_of_a_build_is_told_when_nothing_can_be_removed(
    environment: Path, sealing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        shutil.rmtree(environment)
        monkeypatch.setattr(venvs, "discard", os.unlink)
        raise venvs.VenvError("the first error")

    with pytest.raises(venvs.VenvError, match="the first error"):
        release_build._build_environment(str(environment), os.getgid(), fail)


def test_a_forged_seal_is_gone_before_root_owns_what_was_built(environment: Path, sealing: list[str]) -> None:
    def forge() -> None:
        (environment / "bin").mkdir()
        (environment / venvs_seal.MARKER).write_text(FORGED)

    release_build._build_environment(str(environment), os.getgid(), forge)
    assert sealing == ["bin"]
    assert venvs.sealed(str(environment)) is None
