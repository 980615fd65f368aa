"""Files that several owners list."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import file_set_journal
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError
from unit.file_set_place import Place

SHARED = {"content": "one\n", "shared": True}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(file_set_journal, "LOCK", str(tmp_path / "run" / "lock"))
    return Place(tmp_path)


def test_the_last_owner_removes_a_shared_file(place: Place) -> None:
    place.run({"a": SHARED}, owner="one")
    assert not place.run({"a": SHARED}, owner="two").changed
    assert not place.run({}, owner="one").changed
    assert place.tree() == {"a": "one\n"}
    place.run({}, owner="two")
    assert place.tree() == {}


def test_the_last_content_stands(place: Place) -> None:
    place.run({"a": SHARED}, owner="one")
    assert place.run({"a": {**SHARED, "content": "two\n"}}, owner="two", check=True).changed
    place.run({"a": {**SHARED, "content": "two\n"}}, owner="two")
    assert place.tree() == {"a": "two\n"}


@pytest.mark.parametrize(("first", "second"), [(SHARED, "one\n"), ("one\n", SHARED)])
def test_both_owners_have_to_share(place: Place, first: object, second: object) -> None:
    place.run({"a": first}, owner="one")
    with pytest.raises(FileSetError, match="belongs to one"):
        place.run({"a": second}, owner="two")


def test_a_file_of_another_owner_keeps_all_folders_above_it(place: Place) -> None:
    place.run({"made/on/the/way": SHARED}, owner="one")
    place.run({"made/on/the/way": SHARED}, owner="two")
    place.run({}, owner="one")
    assert place.tree()["made/on/the/way"] == "one\n"
    place.run({}, owner="two")
    place.run({}, owner="one")
    assert place.tree() == {}
