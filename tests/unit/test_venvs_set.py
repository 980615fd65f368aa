"""A set of environments: what moves, what stays, and what a failure leaves."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs, venvs_set
from ansible_collections.flaskworks.deploy.plugins.modules import python_venvs
from unit.test_venvs import UV_ROOT, uv, wheel

__all__ = ["uv"]  # a fixture

Apply = Callable[..., venvs_set.Report]


@pytest.fixture
def apply(tmp_path: Path, uv: str, monkeypatch: pytest.MonkeyPatch) -> Apply:
    """Apply entries, each given by the keys that matter, from a directory of wheels."""
    monkeypatch.setattr(venvs_set, "TOOLS", str(UV_ROOT))
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "alpha", "1.0")
    wheel(tmp_path / "wheels", "beta", "1.0")
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "UV_CACHE_DIR": str(tmp_path / "cache")}
    common: dict[str, Any] = {"python": sys.executable, "installer": "uv", "project": "", "requirements": []}
    common |= {"constraints": [], "packages": ["alpha"], "owner": pwd.getpwuid(os.getuid()).pw_name}
    common |= {"group": grp.getgrgid(os.getgid()).gr_name}

    def run(owner: str = "me", check: bool = False, **entries: dict[str, Any]) -> venvs_set.Report:
        full = {name: {**common, "path": str(tmp_path / name), **entry} for name, entry in entries.items()}
        return venvs_set.apply_set(owner, full, env, check=check, state=str(tmp_path / "state"))

    return run


def tree(path: Path) -> list[str]:
    """Everything below a directory, links with their targets."""
    return sorted(f"{p} {os.readlink(p) if p.is_symlink() else p.stat().st_mtime_ns}" for p in path.rglob("*"))


def test_the_life_of_a_set(apply: Apply, tmp_path: Path) -> None:
    assert apply(check=True, one={}, two={"packages": ["beta"]}).changed == ["one", "two"]
    assert not (tmp_path / "one").exists()
    assert apply(one={}, two={"packages": ["beta"]}).changed == ["one", "two"]
    first = os.readlink(tmp_path / "one")
    before = tree(tmp_path / "one.releases")

    again = apply(one={}, two={"packages": ["beta"]})
    assert (again.changed, again.removed, again.diff) == ([], [], [])
    assert tree(tmp_path / "one.releases") == before

    with pytest.raises(venvs_set.SetError, match=r"(?s)^two: .*no-such-thing"):
        apply(one={"packages": ["alpha", "beta"]}, two={"packages": ["no-such-thing"]})
    assert os.readlink(tmp_path / "one") == first

    predicted = apply(check=True, one={"packages": ["alpha", "beta"]})
    done = apply(one={"packages": ["alpha", "beta"]})
    assert (predicted.changed, predicted.removed) == (done.changed, done.removed) == (["one"], [str(tmp_path / "two")])
    assert "+" not in done.diff[0]["after"]
    assert "beta==1.0" in done.diff[0]["after"]
    assert "beta==1.0" not in done.diff[0]["before"]
    assert not (tmp_path / "two").is_symlink()
    assert not (tmp_path / "two.releases").exists()
    assert (tmp_path / first).is_dir(), "processes may still import from the environment before"

    back = apply(one={})
    assert (back.changed, os.readlink(tmp_path / "one")) == (["one"], first)


def test_owners_do_not_remove_each_others(apply: Apply, tmp_path: Path) -> None:
    apply("me", one={})
    apply("you", two={})
    assert apply("me").removed == [str(tmp_path / "one")]
    assert (tmp_path / "two" / "bin" / "python").exists()


def test_what_was_cut_short_is_built_again(apply: Apply, tmp_path: Path) -> None:
    apply(one={})
    release = (tmp_path / "one").resolve()
    (release / ".flaskworks-venv.json").unlink()
    (release / "bin" / "alpha-tool").unlink()
    assert apply(one={}).changed == ["one"]
    assert (release / "bin" / "alpha-tool").exists()
    assert venvs.sealed(str(release))


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_not_ours_stays(apply: Apply, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "one"
    makers: dict[str, Callable[[], None]] = {"file": place.touch, "directory": place.mkdir}
    makers.get(kind, lambda: place.symlink_to("/usr"))()
    with pytest.raises(venvs_set.SetError, match=r"one: path: .* was not made here"):
        apply(one={})
    assert place.exists()
    apply()
    assert place.exists()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"path": "relative"}, "must be absolute"),
        ({"path": "/top"}, "must be absolute, and not directly below"),
        ({"owner": "no-such-user"}, "no-such-user"),
        ({"python": "python3.99"}, r"python3\.99 is not on this host"),
        ({"requirements": ["/no/such/file"]}, "/no/such/file can't be read"),
    ],
)
def test_faults_are_told_before_anything_is_made(
    apply: Apply, tmp_path: Path, entry: dict[str, Any], said: str
) -> None:
    with pytest.raises(venvs_set.SetError, match=rf"(?s)one: .*{said}.*\ntwo: "):
        apply(one=entry, two={"path": "relative"}, three={})
    assert not (tmp_path / "three").exists()


def test_check_mode_says_yes_where_something_is_still_to_come(apply: Apply) -> None:
    assert apply(check=True, one={"requirements": ["/no/such/file"]}).changed == ["one"]


def test_the_module_and_the_role_have_the_same_entry() -> None:
    role = Path(__file__).parents[2] / "roles" / "python_venvs" / "meta" / "argument_specs.yml"
    options = yaml.safe_load(role.read_text())["argument_specs"]["entry"]["options"]
    for option in options.values():
        del option["description"]
    assert options == python_venvs.ENTRY
