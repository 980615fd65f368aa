"""Wheelhouses: known by their content, sent as a whole, and collected for another Python than the controller's."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import wheelhouse
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.plugin_utils import wheel_collector as collector

CPYTHON = {"implementation": "cpython", "version": "3.13", "machine": "x86_64", "libc": ["glibc", "2.41"]}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    for name in ("a-1.0-py3-none-any.whl", "b-2.0-cp313-cp313-manylinux_2_17_x86_64.whl"):
        (folder / name).write_text(name)
    (folder / "wheelhouse.json").write_text("{}")
    return folder


def test_a_wheelhouse_is_placed_once_and_the_one_before_goes(house: Path, tmp_path: Path) -> None:
    wheels, archive, group = str(tmp_path / "wheels"), str(tmp_path / "x.tar"), os.getgid()
    digest = wheelhouse.wheelhouse_digest(str(house))
    wheelhouse.pack_wheelhouse(str(house), archive)
    assert not wheelhouse.has_wheelhouse(digest, wheels)
    place = wheelhouse.placed_wheelhouse(archive, digest, wheels, group)
    assert wheelhouse.wheels_in(place) == wheelhouse.wheels_in(str(house))
    assert wheelhouse.placed_wheelhouse("", digest, wheels, group) == place
    (house / "c-1.0-py3-none-any.whl").write_text("c")
    other = wheelhouse.wheelhouse_digest(str(house))
    assert other != digest
    wheelhouse.pack_wheelhouse(str(house), archive)
    wheelhouse.placed_wheelhouse(archive, other, wheels, group)
    assert os.listdir(wheels) == [other]


def test_another_content_than_announced_is_refused(house: Path, tmp_path: Path) -> None:
    archive = str(tmp_path / "x.tar")
    wheelhouse.pack_wheelhouse(str(house), archive)
    with pytest.raises(ReleaseError, match="changed while it was being sent"):
        wheelhouse.placed_wheelhouse(archive, "0" * 64, str(tmp_path / "wheels"), os.getgid())
    with pytest.raises(ReleaseError, match="sent no wheelhouse"):
        wheelhouse.placed_wheelhouse("", "0" * 64, str(tmp_path / "wheels"), os.getgid())


@pytest.mark.parametrize("name", ["../evil.whl", "/tmp/evil.whl", "evil.txt", "x/y.whl"])
def test_nothing_but_wheels_is_unpacked(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ReleaseError, match="something else than wheels"):
        wheelhouse.placed_wheelhouse(str(archive), "0" * 64, str(tmp_path / "wheels"), os.getgid())


def test_an_empty_or_missing_wheelhouse_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"fill it by flaskworks\.deploy\.wheelhouse"):
        wheelhouse.wheelhouse_digest(str(tmp_path))
    with pytest.raises(ReleaseError, match="can't be read: No such file"):
        wheelhouse.wheelhouse_digest(str(tmp_path / "none"))


def test_platforms_end_at_the_host_s_own_c_library() -> None:
    tags = collector.platform_tags(CPYTHON)
    assert tags[0] == "manylinux_2_41_x86_64"
    assert "manylinux_2_42_x86_64" not in tags
    assert tags[-5:] == [
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
        "manylinux2010_x86_64",
        "manylinux1_x86_64",
        "linux_x86_64",
    ]
    assert "manylinux1_aarch64" not in collector.platform_tags({**CPYTHON, "machine": "aarch64"})


@pytest.mark.parametrize("other", [{"implementation": "pypy"}, {"machine": "mips"}, {"libc": ["", ""]}])
def test_what_wheels_can_t_be_collected_for(other: dict[str, Any]) -> None:
    with pytest.raises(collector.WheelError):
        collector.platform_tags({**CPYTHON, **other})


def test_what_was_fetched_and_is_needed_no_more_goes_and_what_was_put_there_stays(house: Path) -> None:
    place = str(house)
    assert collector._note(place, "blog: 3.11", ["a-1.0-py3-none-any.whl"]) == []
    assert collector._note(place, "shop: 3.11", ["b-2.0-cp313-cp313-manylinux_2_17_x86_64.whl"]) == []
    (house / "mine-1.0-py3-none-any.whl").write_text("by hand")
    assert collector._note(place, "shop: 3.11", ["a-1.0-py3-none-any.whl"]) == [
        "b-2.0-cp313-cp313-manylinux_2_17_x86_64.whl"
    ]
    assert sorted(path.name for path in house.glob("*.whl")) == ["a-1.0-py3-none-any.whl", "mine-1.0-py3-none-any.whl"]


def test_two_versions_of_a_package_are_fetched_one_after_the_other() -> None:
    lines = ["a==1 --hash=x", "b==1 --hash=y", "a==2 --hash=z", "uv==1", "b==1 --hash=y"]
    assert list(collector._apart(lines)) == [["a==1 --hash=x", "b==1 --hash=y"], ["a==2 --hash=z"], ["uv==1"]]
