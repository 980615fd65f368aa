"""What differs between two releases: read from their directories, told without any value of a variable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_diff as diff
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_diff_text import diff_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import environment_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout

OLD, NEW = "20260101-000000-aaaaaaaa", "20260102-000000-bbbbbbbb"
CANARY = "canary-5f2d"


def release(layout: Layout, release_id: str, **keys: Any) -> None:
    """Lay a release out as a build does it."""
    folder = Path(layout.release(release_id))
    for name in ("units", "public", "src/config"):
        (folder / name).mkdir(parents=True)
    record = {
        "id": release_id,
        "seal": "x",
        "created": "2026-01-01T00:00:00Z",
        "source": {"version": keys["version"], "resolved": keys["version"] * 40},
        "parts": {"code": keys["version"] * 40, "commands": keys["version"], "user": "same"},
        "secrets": ["KEY"],
        "files": ["config/x.py"],
        "packages": keys["packages"],
        "python": "cpython-313 /usr/bin/python3.13",
    }
    (folder / "release.json").write_text(json.dumps(record))
    (folder / "env").write_text(environment_text({"MODE": keys["version"], "KEY": CANARY + keys["version"]}))
    (folder / "gunicorn.conf.py").write_text(f"bind = 'x'\nworkers = {keys['workers']}\n# {release_id}\n")
    (folder / "requirements.lock").write_text("flask==3.0 --hash=sha256:1\n")
    (folder / "units" / f"blog@{release_id}.service").write_text(f"ExecStart=/srv/{release_id}\n")
    (folder / "src/config/x.py").write_text(CANARY + keys["version"])
    for name, target in keys["static"].items():
        (folder / "public" / name).symlink_to(target)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout("blog", str(tmp_path))
    release(found, OLD, version="1", workers=2, packages={"flask": "3.0", "redis": "5.0"}, static={"a": "../src/a"})
    packages = {"flask": "3.1", "celery": "5.4"}
    release(found, NEW, version="2", workers=4, packages=packages, static={"a": "../src/b", "b": "../src/b"})
    (tmp_path / "current").symlink_to(f"releases/{NEW}")
    (tmp_path / "previous").symlink_to(f"releases/{OLD}")
    return found


@pytest.mark.parametrize("asked", [[], ["previous"], ["previous", "live"], [OLD, NEW], ["aaaa"], ["aaaa", "bbbb"]])
def test_two_releases_are_compared(layout: Layout, asked: list[str]) -> None:
    found = diff.compared(layout, asked)
    assert (found["old"]["release"], found["new"]["release"]) == (OLD, NEW)
    assert found["packages"] == {
        "added": [{"name": "celery", "version": "5.4"}],
        "removed": [{"name": "redis", "version": "5.0"}],
        "changed": [{"name": "flask", "old": "3.0", "new": "3.1"}],
    }
    assert found["settings"] == {"gunicorn.conf.py": ["-workers = 2", "+workers = 4"]}
    assert found["units"] == {}
    assert found["environment"] == {"added": [], "removed": [], "changed": ["MODE"]}
    assert found["secrets"] == {"added": [], "removed": [], "changed": ["KEY"]}
    assert found["files"] == {"added": [], "removed": [], "changed": ["config/x.py"]}
    assert found["static"] == {"added": ["b"], "removed": [], "changed": ["a"]}
    assert found["other"] == ["commands"]
    assert found["code"] is True
    assert found["python"] is None
    assert CANARY not in json.dumps(found)


def test_the_text_says_the_same(layout: Layout) -> None:
    text = diff_text(diff.compared(layout, []))
    assert "code: 1 11111111 -> 2 22222222" in text or "code: 1" in text
    assert ["flask", "3.0", "3.1"] in [line.split() for line in text.splitlines()]
    assert ["redis", "5.0", "-"] in [line.split() for line in text.splitlines()]
    assert "secrets: changed KEY" in text
    assert "static maps: added b; changed a" in text
    assert "  -workers = 2" in text
    assert "changed too: commands" in text
    assert CANARY not in text


def test_the_same_release_differs_in_nothing(layout: Layout) -> None:
    found = diff.compared(layout, ["live", "live"])
    assert diff.is_same(found)
    assert diff_text(found).endswith("nothing differs")


def test_an_older_record_is_read_from_its_requirements(layout: Layout) -> None:
    path = Path(layout.record(OLD))
    record = json.loads(path.read_text())
    del record["packages"]
    path.write_text(json.dumps(record))
    assert diff.compared(layout, [])["packages"]["changed"] == [{"name": "flask", "old": "3.0", "new": "3.1"}]


@pytest.mark.parametrize(
    ("asked", "words"),
    [(["zzz"], "'zzz' is no kept release of blog"), (["2026"], "'2026' fits 2 kept releases of blog"), ([""], "''")],
)
def test_a_release_that_is_not_meant_clearly(layout: Layout, asked: list[str], words: str) -> None:
    with pytest.raises(LookupError, match=words):
        diff.compared(layout, asked)


def test_there_may_be_no_release_before(layout: Layout) -> None:
    (Path(layout.base) / "previous").unlink()
    with pytest.raises(LookupError, match="blog has no previous release to compare with"):
        diff.compared(layout, [])
