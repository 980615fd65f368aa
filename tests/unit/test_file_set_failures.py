"""What can go wrong with a transaction: full disks, crashes of others, interrupts, secrets, two owners."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    file_set_changes,
    file_set_engine,
    file_set_journal,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import write_new
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change, finish
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_engine import apply_set
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, parse
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import (
    RESTORED,
    STEPS,
    Store,
    host_lock,
)
from unit.file_set_place import DONE, Killed, Place, Recorder, in_killed_child


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(file_set_journal, "LOCK", str(tmp_path / "run" / "lock"))
    return Place(tmp_path)


def everything(root: Path) -> dict[str, Any]:
    """All below a directory, with what could show that something was written."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        text = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_ino, status.st_mode, status.st_mtime_ns, text)
    return found


def wanted(place: Place, entries: dict[str, Any]) -> Any:
    return parse({f"{place.files}/{name}": place.entry(entry) for name, entry in entries.items()}, {})


def killed(place: Place, step: str, entries: dict[str, Any], owner: str = "me") -> None:
    store = Killed(owner, f"{place.root}/state", step)
    assert in_killed_child(lambda: apply_set(store, wanted(place, entries), [Recorder()]))


class FullDisk(Store):
    """A store on a disk that is full from a certain step on."""

    def __init__(self, owner: str, state: str, step: str) -> None:
        super().__init__(owner, state)
        self.step, self.full = step, False

    def _fail(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{self.folder}/journal.json")

    def advance(self, journal: dict[str, Any], step: str) -> None:
        self.full = self.full or step == self.step
        if self.full:
            self._fail()
        super().advance(journal, step)

    def write_record(self, paths: Any, pending: bool) -> None:
        if self.full:
            self._fail()
        super().write_record(paths, pending)


@pytest.mark.parametrize("step", [step for step in STEPS if step != "recorded"])
def test_disk_that_fills_up_at_any_step_changes_nothing(place: Place, step: str) -> None:
    place.run({"a": "old\n", "l": {"link": "a"}})
    before = everything(place.files)
    entries = {"a": "new\n", "b/c": "c\n", "l": {"link": "b"}}
    store = FullDisk("me", f"{place.root}/state", step)
    with pytest.raises(FileSetError, match=r"No space left on device: .* is full"):
        apply_set(store, wanted(place, entries), [Recorder()])
    after = everything(place.files)
    assert after.keys() == before.keys()
    # The very same files, not copies of them.
    assert {path: facts[0] for path, facts in after.items()} == {path: facts[0] for path, facts in before.items()}
    assert place.run(entries).changed
    assert place.tree() == {"a": "new\n", "b": "/", "b/c": "c\n", "l": "-> b"}


def test_disk_that_fills_up_while_staging_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run({"a": "old\n", "b": "old\n"})
    before = everything(place.files)

    def write(path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
        write_new(path, data[:1], mode, uid, gid)
        if path.endswith(".b.flaskworks~"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(file_set_changes, "write_new", write)
    with pytest.raises(FileSetError) as caught:
        place.run({"a": "new\n", "b": "new\n"})
    assert f"{place.files} is full\nNothing on the host was changed" in str(caught.value)
    assert everything(place.files).keys() == before.keys()
    assert place.tree() == {"a": "old\n", "b": "old\n"}


def test_interrupt_puts_everything_back(place: Place) -> None:
    class Interrupted(Recorder):
        def apply(self, changes: Sequence[Change]) -> None:
            raise KeyboardInterrupt

    place.run({"a": "old\n"})
    program = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        place.run({"a": "new\n", "b": "b\n"}, program)
    assert place.tree() == {"a": "old\n"}
    assert program.calls[-1] == "restore"


def test_any_exception_of_a_program_puts_everything_back(place: Place) -> None:
    class Broken(Recorder):
        def verify(self) -> None:
            raise ValueError("a fault of ours")

    place.run({"a": "old\n"})
    with pytest.raises(FileSetError, match="ValueError: a fault of ours\nEverything was put back"):
        place.run({"a": "new\n"}, Broken())
    assert place.tree() == {"a": "old\n"}


def test_program_that_does_not_take_the_old_files_either_is_asked_again_by_the_next_run(place: Place) -> None:
    class Stubborn(Recorder):
        def restore(self, before: Any) -> None:
            raise FileSetError("it is dead")

    place.run({"a": "old\n"})
    with pytest.raises(FileSetError, match="not everything runs as before:\nit is dead"):
        place.run({"a": "new\n"}, Stubborn("verify"))
    program = Recorder()
    assert place.run({"a": "old\n"}, program).changed
    assert "apply" in program.calls


@pytest.mark.parametrize("step", STEPS)
def test_check_mode_after_a_crash_predicts_against_the_originals_and_writes_nothing(place: Place, step: str) -> None:
    place.run({"a": "old\n", "gone": "gone\n", "l": {"link": "a"}})
    killed(place, step, {"a": "new\n", "c/d": "d\n", "l": {"link": "c"}})
    entries = {"a": "other\n", "c/d": "d\n", "l": {"link": "a"}}
    before = everything(place.root)
    predicted = place.run(entries, check=True)
    assert everything(place.root) == before
    done = place.run(entries)
    assert predicted.changed_paths == done.changed_paths
    assert predicted.diff == done.diff
    assert place.tree() == {"a": "other\n", "c": "/", "c/d": "d\n", "l": "-> a"}


@pytest.mark.parametrize("step", STEPS)
def test_crash_of_another_owner_is_put_right_before_a_program_reads_half_of_it(place: Place, step: str) -> None:
    place.run({"a": "old\n", "b": "old\n"}, owner="one")
    killed(place, step, {"a": "new\n", "b": "new\n", "c": "new\n"}, owner="one")
    seen: dict[str, str] = {}

    class Looking(Recorder):
        def apply(self, changes: Sequence[Change]) -> None:
            seen.update(place.tree())

    place.run({"z": "z\n"}, Looking(), owner="two")
    old = {"a": "old\n", "b": "old\n", "z": "z\n"}
    new = {"a": "new\n", "b": "new\n", "c": "new\n", "z": "z\n"}
    assert {name: text for name, text in seen.items() if not name.startswith(".")} == (new if step in DONE else old)
    program = Recorder()
    assert place.run({"a": "old\n", "b": "old\n"}, program, owner="one").recovered == (step not in DONE)
    assert place.tree() == old
    # Its program may have read the new files, so it is made to read the old ones.
    assert ("apply" in program.calls) == (STEPS.index(step) >= STEPS.index("kept"))


@pytest.mark.parametrize("refuse", ["validate", "apply", "verify"])
def test_killed_while_a_refusal_is_undone(place: Place, refuse: str) -> None:
    place.run({"a": "old\n", "b": "b\n"})
    before = place.tree()
    parsed = wanted(place, {"a": "new\n", "c/d": "d\n"})
    store = Killed("me", f"{place.root}/state", RESTORED)
    assert in_killed_child(lambda: apply_set(store, parsed, [Recorder(refuse)]))
    program = Recorder()
    outcome = place.run({"a": "old\n", "b": "b\n"}, program)
    assert place.tree() == before
    assert outcome.recovered
    assert ("apply" in program.calls) == (refuse != "validate")


@pytest.mark.parametrize("survived", range(3))
def test_killed_while_tidying_up_the_change_stays(place: Place, survived: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run(dict.fromkeys("abc", "old\n"))
    left = [survived]

    def killing(entry: Any) -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        finish(entry)

    with monkeypatch.context() as patch:
        patch.setattr(file_set_engine, "finish", killing)
        assert in_killed_child(lambda: place.run({"a": "new\n", "b": "new\n"}))
    program = Recorder()
    assert not place.run({"a": "new\n", "b": "new\n"}, program).changed
    assert place.tree() == {"a": "new\n", "b": "new\n"}
    assert program.calls == []


def test_what_somebody_else_made_since_the_crash_stays(place: Place) -> None:
    killed(place, "swapped", {"a": "new\n"})
    (place.files / "a").write_text("by hand\n")
    place.run({})
    assert place.tree() == {"a": "by hand\n"}


def test_an_owner_can_neither_write_nor_remove_what_another_manages(place: Place) -> None:
    place.run({"a": "one\n", "d": {"directory": True}}, owner="one")
    for entries in ({"a": "two\n"}, {"a": {"absent": True}}, {"a": {"link": "b"}}, {"d": "two\n"}):
        with pytest.raises(FileSetError, match="belongs to one on this host"):
            place.run(entries, owner="two")
        with pytest.raises(FileSetError, match="belongs to one on this host"):
            place.run(entries, owner="two", check=True)
    assert place.tree() == {"a": "one\n", "d": "/"}


def test_a_directory_of_two_owners_goes_with_the_second(place: Place) -> None:
    for owner in ("one", "two"):
        place.run({"d": {"directory": True}}, owner=owner)
    place.run({}, owner="one")
    assert place.tree() == {"d": "/"}
    place.run({}, owner="two")
    assert place.tree() == {}


def test_an_owner_without_files_leaves_no_claim_and_no_state(place: Place) -> None:
    place.run({"a": "one\n"}, owner="one")
    (place.files / "a").unlink()
    assert not place.run({}, owner="one").changed
    place.run({"a": "two\n"}, owner="two")
    place.run({}, owner="two")
    assert os.listdir(place.root / "state") == []


def test_a_directory_that_took_the_place_of_a_file_is_left_alone(place: Place) -> None:
    place.run({"a": "x\n"})
    (place.files / "a").unlink()
    (place.files / "a" / "theirs").mkdir(parents=True)
    assert not place.run({}).changed
    assert place.tree() == {"a": "/", "a/theirs": "/"}


def test_content_that_was_sensitive_stays_hidden_when_it_is_no_longer(place: Place) -> None:
    place.run({"a": {"content": "canary-1\n", "sensitive": True}})
    outcome = place.run({"a": "plain\n"})
    assert outcome.changed
    assert "canary" not in repr(outcome)


def test_content_that_others_may_not_read_is_hidden_when_its_origin_is_unknown(place: Place) -> None:
    (place.files / "a").write_text("canary-1\n")
    (place.files / "a").chmod(0o640)
    assert "canary" not in repr(place.run({"a": "plain\n"}))


def test_a_program_that_quotes_a_secret_is_not_quoted(place: Place) -> None:
    class Quoting(Recorder):
        def validate(self, changes: Sequence[Change]) -> None:
            raise FileSetError('unknown directive "canary-1" in line 2: token canary-2;')

    secret = {"content": "listen 80\ncanary-1 x;\nset token 'canary-2';\n", "sensitive": True}
    with pytest.raises(FileSetError) as caught:
        place.run({"a": secret, "b": "plain\n"}, Quoting())
    assert "canary" not in str(caught.value)
    assert 'unknown directive "********" in line 2' in str(caught.value)


def test_the_journal_holds_no_content(place: Place) -> None:
    place.run({"a": {"content": "canary-1\n", "sensitive": True}})
    killed(place, "swapped", {"a": {"content": "canary-2\n", "sensitive": True}})
    assert "swapped" in (place.root / "state" / "me" / "journal.json").read_text()
    assert "canary" not in "".join(path.read_text() for path in (place.root / "state").rglob("*") if path.is_file())


def test_mode_of_a_kept_file_alone_is_a_change_that_is_shown(place: Place) -> None:
    place.run({"a": {"content": "x\n", "mode": "0600"}})
    (diff,) = place.run({"a": {"content": "x\n", "mode": "0644"}}).diff
    assert ("0600" in diff["before"], "0644" in diff["after"]) == (True, True)


def test_a_second_run_at_the_same_time_is_told_who_is_at_work(place: Place) -> None:
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with host_lock("first"):
            os.write(ready[1], b"x")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    started = time.monotonic()
    try:
        with pytest.raises(FileSetError, match=rf"another run \(first, process {child}, since"), host_lock("b", 0.2):
            pass
        assert time.monotonic() - started < 2
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)
    with host_lock("b", 0.2):
        assert "b, process" in Path(file_set_journal.LOCK).read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")
@pytest.mark.parametrize("kind", ["link", "directory", "everybody"])
def test_a_place_that_a_user_could_redirect_is_refused(place: Place, kind: str) -> None:
    folder = place.files / "theirs"
    if kind == "link":
        (place.files / "real").mkdir()
        folder.symlink_to("real")
        os.lchown(folder, 65534, 65534)
    else:
        folder.mkdir()
        os.chmod(folder, 0o777 if kind == "everybody" else 0o755)
        os.chown(folder, 0 if kind == "everybody" else 65534, 0)
    words = {"link": "is a link that is not root's", "directory": "is not root's", "everybody": "written by everybody"}
    with pytest.raises(FileSetError, match=words[kind]):
        place.run({"theirs/a": "x\n"})


def test_roots_own_link_in_a_path_is_followed_and_one_at_its_end_is_not(place: Place) -> None:
    (place.files / "real").mkdir()
    (place.files / "way").symlink_to("real")
    (place.files / "real" / "a").symlink_to(place.root / "elsewhere")
    (place.root / "elsewhere").write_text("untouched")
    place.run({"way/a": "x\n"})
    assert (place.files / "real" / "a").read_text() == "x\n"
    assert not (place.files / "real" / "a").is_symlink()
    assert (place.root / "elsewhere").read_text() == "untouched"


def test_the_state_has_its_modes_whatever_the_umask(tmp_path: Path) -> None:
    """The build user reads a file beside the root of all owners, who are root's alone."""
    before = os.umask(0o077)
    try:
        Store("a", str(tmp_path / "state" / "file_set")).write_record({"/x": {"kind": "file"}}, pending=False)
    finally:
        os.umask(before)
    places = [tmp_path / name for name in ("state", "state/file_set", "state/file_set/a")]
    assert [item.stat().st_mode & 0o777 for item in places] == [0o755, 0o700, 0o700]
