"""The transaction over real files in a temporary directory, also when it is killed at any point."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import file_set_engine, file_set_journal
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_engine import apply_set
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, look, parse
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import STEPS
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import Commands, in_context
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_programs import declared
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import unit_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.file_set_place import DONE, Killed, Place, Recorder, in_killed_child


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(file_set_journal, "LOCK", str(tmp_path / "run" / "lock"))
    return Place(tmp_path)


def test_applies_files_links_and_directories(place: Place) -> None:
    outcome = place.run({"a": "one\n", "d": {"directory": True}, "d/b": "two\n", "l": {"link": "a"}})
    assert place.tree() == {"a": "one\n", "d": "/", "d/b": "two\n", "l": "-> a"}
    assert sorted(outcome.changed_paths) == [f"{place.files}/{name}" for name in ("a", "d", "d/b", "l")]
    assert outcome.applied


def test_second_run_changes_nothing_and_asks_nothing(place: Place) -> None:
    place.run({"a": "one\n", "l": {"link": "a"}})
    program = Recorder()
    outcome = place.run({"a": "one\n", "l": {"link": "a"}}, program)
    assert not outcome.changed
    assert program.calls == []


def test_removes_what_is_no_longer_listed_and_nothing_else(place: Place) -> None:
    (place.files / "foreign").write_text("theirs")
    place.run({"a": "one\n", "d": {"directory": True}, "d/b": "two\n"})
    place.run({"a": "one\n", "made/on/the/way": "x"})
    place.run({"a": "one\n"})
    assert place.tree() == {"a": "one\n", "foreign": "theirs"}


def test_directory_with_foreign_files_stays(place: Place) -> None:
    place.run({"d": {"directory": True}, "d/b": "two\n"})
    (place.files / "d" / "foreign").write_text("theirs")
    place.run({})
    assert place.tree() == {"d": "/", "d/foreign": "theirs"}
    (place.files / "d" / "foreign").unlink()
    assert place.run({}).changed
    assert place.tree() == {}


def test_two_owners_never_purge_or_claim_each_others_files(place: Place) -> None:
    place.run({"a": "mine\n"}, owner="one")
    place.run({"b": "theirs\n"}, owner="two")
    assert not place.run({"a": "mine\n"}, owner="one").changed
    with pytest.raises(FileSetError, match="belongs to two"):
        place.run({"a": "mine\n", "b": "mine too\n"}, owner="one")
    assert place.tree() == {"a": "mine\n", "b": "theirs\n"}


@pytest.mark.parametrize("refuse", ["validate", "apply", "verify"])
def test_a_refusal_puts_everything_back(place: Place, refuse: str) -> None:
    (place.files / "gone").write_text("was there")
    place.run({"a": "old\n", "l": {"link": "a"}})
    before = place.tree()
    program = Recorder(refuse)
    with pytest.raises(FileSetError, match=f"{refuse} refuses"):
        place.run({"a": "new\n", "l": {"link": "b"}, "sub/c": "c\n", "gone": {"absent": True}}, program)
    assert place.tree() == before
    assert (program.calls[-2:] == ["withdraw", "restore"]) == (refuse != "validate")
    # What failed fails again instead of being taken for done.
    with pytest.raises(FileSetError, match=f"{refuse} refuses"):
        place.run({"a": "new\n"}, Recorder(refuse))


def test_check_mode_predicts_and_writes_nothing(place: Place) -> None:
    place.run({"a": "old\n", "b": "b\n"})
    before = place.tree()
    wanted = {"a": "new\n", "sub/c": "c\n"}
    predicted = place.run(wanted, check=True)
    assert place.tree() == before
    done = place.run(wanted)
    assert predicted.changed_paths == done.changed_paths
    assert predicted.diff == done.diff


def test_check_mode_predicts_where_user_and_group_do_not_exist(place: Place) -> None:
    entry = {"content": "x", "owner": "no-such-user-1", "group": "no-such-group-1"}
    assert place.run({"a": entry}, check=True).changed
    with pytest.raises(FileSetError, match="the user no-such-user-1 does not exist"):
        place.run({"a": entry})
    assert place.tree() == {}


def test_sensitive_content_is_in_no_diff(place: Place) -> None:
    place.run({"a": {"content": "canary-1\n", "sensitive": True, "mode": "0600"}})
    changed = place.run({"a": {"content": "canary-2\n", "sensitive": True, "mode": "0600"}})
    removed = place.run({})
    assert "canary" not in repr(changed.diff) + repr(removed.diff)
    assert changed.diff[0]["before"] != changed.diff[0]["after"]


def test_mode_and_kind_of_what_is_there_are_brought_right(place: Place) -> None:
    (place.files / "a").symlink_to("elsewhere")
    place.run({"a": {"content": "x", "mode": "0640"}})
    seen = look(f"{place.files}/a")
    assert (seen.kind, seen.mode) == ("file", 0o640)
    os.chmod(place.files / "a", 0o666)
    assert place.run({"a": {"content": "x", "mode": "0640"}}).changed
    assert look(f"{place.files}/a").mode == 0o640


def test_a_directory_in_the_way_is_refused_before_anything_changes(place: Place) -> None:
    (place.files / "z").mkdir()
    for check in (True, False):
        with pytest.raises(FileSetError, match="is a directory and can't become a file"):
            place.run({"a": "x", "z": "y"}, check=check)
    assert place.tree() == {"z": "/"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"relative": {"content": ""}}, "not a plain absolute path"),
        ({"/a/../b": {"content": ""}}, "not a plain absolute path"),
        ({"/a": {"content": "", "link": "b"}}, "exactly one of"),
        ({"/a": {}}, "exactly one of"),
        ({"/a": {"content": "", "mod": "0644"}}, "unknown key mod"),
        ({"/a": {"content": "", "mode": "rw"}}, "octal"),
        ({"/a": "text"}, "is not a dictionary"),
    ],
)
def test_bad_entries_are_refused(files: dict[str, Any], message: str) -> None:
    with pytest.raises(FileSetError, match=message):
        parse(files, {})


def test_all_bad_entries_are_named_at_once() -> None:
    with pytest.raises(FileSetError) as caught:
        parse({"a": {"content": ""}, "/b": {}}, {})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_each_step_the_next_run_finishes(place: Place, step: str) -> None:
    place.run({"a": "old\n", "b": "b\n", "l": {"link": "a"}})
    before = place.tree()
    wanted = {"a": "new\n", "c/d": "d\n", "l": {"link": "c"}}
    parsed = parse({f"{place.files}/{name}": place.entry(entry) for name, entry in wanted.items()}, {})
    store = Killed("me", f"{place.root}/state", step)
    assert in_killed_child(lambda: apply_set(store, parsed, [Recorder()]))
    predicted = place.run(wanted, check=True)
    program = Recorder()
    outcome = place.run(wanted, program)
    assert outcome.recovered
    assert predicted.changed == outcome.changed
    assert predicted.changed_paths == outcome.changed_paths
    assert place.tree() == {"a": "new\n", "c": "/", "c/d": "d\n", "l": "-> c"}
    assert ("apply" in program.calls) == (step not in DONE)
    assert not place.run(wanted).changed
    assert before != place.tree()


@pytest.mark.parametrize("step", [step for step in STEPS if step not in DONE])
def test_killed_then_asked_for_the_old_set_everything_is_as_before(place: Place, step: str) -> None:
    """What was written but perhaps applied is applied again, although no file differs any more."""
    place.run({"a": "old\n"})
    before = place.tree()
    parsed = parse({f"{place.files}/{name}": place.entry("new\n") for name in ("a", "b")}, {})
    assert in_killed_child(lambda: apply_set(Killed("me", f"{place.root}/state", step), parsed, [Recorder()]))
    program = Recorder()
    outcome = place.run({"a": "old\n"}, program)
    assert place.tree() == before
    assert outcome.changed == ("apply" in program.calls) == (step in ("kept", "swapped", "applied"))


@pytest.mark.parametrize("survived", range(4))
def test_killed_between_two_renames_and_again_while_recovering(
    place: Place, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run(dict.fromkeys("abcd", "old\n"))
    wanted = dict.fromkeys("abcd", "new\n")

    def killing(original: Any) -> Any:
        left = [survived]

        def call(*arguments: Any) -> Any:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return original(*arguments)

        return call

    for name in ("swap", "put_back"):
        with monkeypatch.context() as patch:
            patch.setattr(file_set_engine, name, killing(getattr(file_set_engine, name)))
            assert in_killed_child(lambda: place.run(wanted))
    assert place.run(wanted).recovered
    assert place.tree() == wanted


contents = st.dictionaries(
    st.sampled_from(["a", "b", "c/d", "c/e", "f"]), st.sampled_from(["", "one\n", "two\n"]), max_size=5
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=contents, new=contents, step=st.sampled_from(STEPS))
def test_any_set_over_any_other_killed_anywhere(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, str], new: dict[str, str], step: str
) -> None:
    root = tmp_path_factory.mktemp("place")
    file_set_journal.LOCK, lock = f"{root}/run/lock", file_set_journal.LOCK
    try:
        place = Place(root)
        place.run(old)
        parsed = parse({f"{place.files}/{name}": place.entry(entry) for name, entry in new.items()}, {})
        in_killed_child(lambda: apply_set(Killed("me", f"{root}/state", step), parsed, [Recorder()]))
        place.run(new)
        assert place.tree() == {**new, **({"c": "/"} if {"c/d", "c/e"} & set(new) else {})}
        assert not place.run(new).changed
    finally:
        file_set_journal.LOCK = lock


def test_commands_verify_is_asked_when_nothing_changes(place: Place) -> None:
    entries = {"a": "x\n"}
    place.run(entries)
    marker = place.root / "marker"
    commands = Commands([], [["touch", str(marker)]], [["test", "-e", str(marker)]], [])
    assert place.run(entries, commands).changed
    assert marker.exists()
    assert not place.run(entries, commands).changed


def test_context_holds_the_candidate(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy has new files in place, removed ones gone, and no staged name."""
    place.run({"a": "old\n", "b": "b\n"})
    seen: dict[str, str] = {}

    class Looking(Recorder):
        def validate(self, changes: Sequence[Change]) -> None:
            def remember(context: dict[str, str]) -> None:
                for path in Path(context[str(place.files)]).iterdir():
                    seen[path.name] = path.read_text()

            in_context([str(place.files)], changes, remember)

    place.run({"a": "new\n", "c": "c\n"}, Looking())
    assert seen == {"a": "new\n", "c": "c\n"}


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/etc/systemd/system/a.service", "a.service"),
        ("/etc/systemd/system/a@.service", "a@.service"),
        ("/etc/systemd/system/a.service.d/limits.conf", "a.service"),
        ("/etc/systemd/system/notes.txt", None),
        ("/etc/nginx/a.service", None),
    ],
)
def test_unit_of(path: str, unit: str | None) -> None:
    assert unit_of(path) == unit


def test_declared_users_and_groups() -> None:
    text = '# c\nu blog - "Flask blog" /srv/blog\ng web -\nm blog web\n'
    assert declared(text) == (["blog"], ["web"], [("blog", "web")])
