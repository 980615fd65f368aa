"""Digests, ids, pruning, states: the decisions of the release module that need no host."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    release_cleanup,
    release_drain,
    release_history,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import without_password
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_submodules import (
    absolute_url,
    is_local,
    submodule_links,
    submodule_urls,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_application import graceful_timeout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cutover import switch
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_digest import (
    changed_parts,
    input_parts,
    inputs_digest,
    secrets_digest,
    tree_seal,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_drain import Connected, connected
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import (
    ReleaseError,
    failure_report,
    hidden_parts,
    scrub,
    standing_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_git import commit_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import releases_to_remove
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_inspect import prepared
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    RELEASE_ID,
    Layout,
    instance_name,
    new_release_id,
    public_target,
    relative_path,
    shared_served,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_rollback import unfinished
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import (
    application_properties,
    run_transient,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    in_start_order,
    unit_texts,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units_systemd import blocks_of
from hypothesis import given
from hypothesis import strategies as st

APP: dict[str, Any] = {
    "user": "blog",
    "base": "/srv/blog",
    "log_dir": "/var/log/blog",
    "keep": 5,
    "source": {"type": "git", "url": "https://git.example.org/blog.git", "version": "main", "subdir": ""},
    "python": {"interpreter": "python3", "installer": "uv", "requirements": [], "constraints": [], "packages": []},
    "server": {"type": "gunicorn", "settings": {"wsgi_app": "blog:app"}},
    "units": {"blog@.service": {"Service": {"ExecStart": "/x"}}},
    "public": {"static": "src:static/", "media": "shared:media/"},
    "shared": ["media", "instance"],
    "env": {"A": "1"},
    "secrets": {"KEY": "hidden-value"},
    "files": {"config.py": "X = 1\n"},
    "commands": {"build": []},
    "health": {"path": "/"},
}
UNITS = {"blog@.service": "text"}


def digest_of(**changes: Any) -> str:
    return inputs_digest(input_parts(APP | changes, "a" * 40, "abi", "config", UNITS, {}))


@pytest.mark.parametrize(
    "change",
    [
        {"env": {"A": "2"}},
        {"python": {**APP["python"], "packages": ["redis"]}},
        {"public": {}},
        {"shared": ["media"]},
        {"commands": {"build": ["make"]}},
        {"source": {**APP["source"], "subdir": "x"}},
        {"source": {**APP["source"], "strip": False}},
        {"secrets": {}},
        {"files": {}},
    ],
)
def test_each_input_makes_another_release(change: dict[str, Any]) -> None:
    assert digest_of(**change) != digest_of()


@pytest.mark.parametrize(
    "change",
    [
        {"health": {"path": "/other"}},
        {"keep": 9},
        {"source": {**APP["source"], "url": "https://mirror.example.org/blog.git", "version": "v1"}},
        {"source": {**APP["source"], "deploy_key": "k", "host_key": "h", "user": "u", "password": "p", "strip": True}},
        {"secrets": {"KEY": "another"}},
        {"files": {"config.py": "X = 2\n"}},
    ],
)
def test_what_is_no_part_of_a_release_makes_none(change: dict[str, Any]) -> None:
    """A secret's value counts through its keyed digest only: the id, which is public, does not depend on it."""
    assert digest_of(**change) == digest_of()


def test_code_interpreter_settings_and_units_count() -> None:
    seen = {
        inputs_digest(input_parts(APP, version, abi, config, units, {}))
        for version, abi, config, units in [
            ("a" * 40, "abi", "config", UNITS),
            ("b" * 40, "abi", "config", UNITS),
            ("a" * 40, "other", "config", UNITS),
            ("a" * 40, "abi", "other", UNITS),
            ("a" * 40, "abi", "config", {"blog@.service": "other"}),
        ]
    }
    assert len(seen) == 5


def test_no_part_holds_a_value() -> None:
    parts = input_parts(APP | {"env": {"A": "visible-value"}}, "a" * 40, "abi", "config", UNITS, {})
    assert "value" not in json.dumps(parts)


def test_the_digest_of_secrets_needs_the_hosts_key() -> None:
    one = secrets_digest(b"1" * 32, {"A": "x"}, {})
    assert one != secrets_digest(b"2" * 32, {"A": "x"}, {})
    assert one != secrets_digest(b"1" * 32, {"A": "y"}, {})
    assert one != secrets_digest(b"1" * 32, {}, {"A": "x"})
    assert one == secrets_digest(b"1" * 32, {"A": "x"}, {})


def test_changes_are_told_in_words() -> None:
    old = {"code": "a" * 40, "units": "1", "python": "1"}
    assert changed_parts(old, {"code": "b" * 40, "units": "2", "python": "1"}) == [
        f"code: {'a' * 12} -> {'b' * 12}",
        "units changed",
    ]


def test_the_version_of_a_package_is_told_whole() -> None:
    """Its first characters are those of its name."""
    new = {"code": "flask-blog==2.1.10"}
    assert changed_parts({"code": "a" * 64}, new) == [f"code: {'a' * 12} -> flask-blog==2.1.10"]
    assert changed_parts({}, new) == ["code: none -> flask-blog==2.1.10"]


def test_a_seal_breaks_when_a_file_changes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "release.json").write_text("1")
    seal = tree_seal(str(tmp_path), frozenset({"release.json"}))
    (tmp_path / "release.json").write_text("22")
    assert tree_seal(str(tmp_path), frozenset({"release.json"})) == seal
    for change in (
        (tmp_path / "a").chmod,
        lambda _mode: (tmp_path / "a").write_text("2"),
        lambda _mode: os.mkdir(tmp_path / "d"),
    ):
        change(0o600)
        changed = tree_seal(str(tmp_path), frozenset({"release.json"}))
        assert changed != seal
        seal = changed


def test_ids_sort_by_time_and_are_never_taken_twice() -> None:
    first = new_release_id("ab" * 32, [], 1_700_000_000)
    assert first == "20231114-221320-abababab"
    second = new_release_id("ab" * 32, [first], 1_700_000_000)
    assert second > first
    assert RELEASE_ID.match(second)


def test_paths_stay_inside() -> None:
    assert relative_path("a/./b/", "x") == "a/b"
    for wrong in ("", "/etc", "..", "../a", "a/../../b", "a\0b"):
        with pytest.raises(ReleaseError, match="must be a relative path"):
            relative_path(wrong, "x")
    assert public_target("src:a/b/") == ("src", "a/b")
    for wrong in ("a/b", "other:a", "src:/etc", "shared:../x"):
        with pytest.raises(ReleaseError):
            public_target(wrong)


def test_only_what_nginx_serves_gets_its_group() -> None:
    assert shared_served(APP) == {"media"}
    assert shared_served({"shared": ["media"], "public": {"x": "shared:media/avatars"}}) == {"media"}
    assert shared_served({"shared": ["media"], "public": {"x": "shared:mediathek"}}) == set()


def live(release: str) -> dict[str, str]:
    return {"release": release, "outcome": "live"}


def test_pruning_goes_by_when_a_release_was_live() -> None:
    history = [live("1"), live("2"), live("3"), live("1")]
    assert releases_to_remove(["1", "2", "3"], history, 2, ["1"]) == ["2"]
    assert releases_to_remove(["1", "2", "3"], history, 1, ["2"]) == ["3"]
    assert releases_to_remove(["1", "2", "3", "4"], [*history, {"release": "4", "outcome": "failed"}], 3, []) == ["4"]


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef").map(live)),
    st.integers(-1, 9),
    st.lists(st.sampled_from("abcdef")),
)
def test_what_is_in_use_is_never_removed(
    ids: list[str], history: list[dict[str, str]], keep: int, in_use: list[str]
) -> None:
    gone = releases_to_remove(ids, history, keep, in_use)
    assert not set(gone) & set(in_use)
    assert len(ids) - len(gone) >= min(len(ids), max(keep, 1))


def test_a_torn_line_of_history_is_left_out(tmp_path: Path) -> None:
    layout = Layout("blog", str(tmp_path))
    release_history.append_history(layout, {"release": "1"}, os.getgid())
    with open(layout.history, "a") as stream:
        stream.write('{"release": "2", "outc')
    assert [entry["release"] for entry in release_history.read_history(layout)] == ["1"]
    release_history.append_history(layout, {"release": "3"}, os.getgid())
    assert [entry["release"] for entry in release_history.read_history(layout)] == ["1", "3"]


def test_the_way_back_leads_to_what_was_live_and_is_good() -> None:
    history = [{"release": name, "outcome": "live"} for name in ("1", "2", "3")]
    history.append({"release": "4", "outcome": "failed"})
    assert release_history.previous_good(history, "3", {"1", "2", "3", "4"}, {}) == "2"
    assert release_history.previous_good(history, "3", {"1", "3", "4"}, {}) == "1"
    assert release_history.previous_good(history, "2", {"1", "2", "3"}, {"3": {}}) == "1"
    assert release_history.previous_good(history, "1", {"1"}, {}) is None


def test_an_interrupted_rollback_goes_no_further(tmp_path: Path) -> None:
    layout = Layout("blog", str(tmp_path))
    (tmp_path / "current").symlink_to("releases/20260101-000000-aaaaaaaa")
    assert unfinished(layout) == ""
    for action, release, expected in (
        ("rollback", "20260101-000000-aaaaaaaa", "20260101-000000-aaaaaaaa"),
        ("rollback", "20260101-000001-bbbbbbbb", ""),
        ("deploy", "20260101-000000-aaaaaaaa", ""),
    ):
        Path(layout.journal).write_text(json.dumps({"action": action, "release": release}))
        assert unfinished(layout) == expected


def test_what_a_page_still_asks_for_is_never_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout("blog", str(tmp_path))
    ids = [f"20260101-00000{number}-aaaaaaaa" for number in range(4)]
    for release_id in ids:
        os.makedirs(layout.release(release_id))
        Path(layout.record(release_id)).write_text(json.dumps({"id": release_id, "seal": "x"}))
    (tmp_path / "current").symlink_to(f"releases/{ids[3]}")
    (tmp_path / "previous").symlink_to(f"releases/{ids[0]}")
    monkeypatch.setattr(release_cleanup, "commands_in", lambda layout: {ids[1]})
    monkeypatch.setattr(release_cleanup, "installed_instances", lambda app: {})
    assert release_cleanup.prune(layout, 1) == [ids[2]]


LISTING = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/blog/x.sock
0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/blog/x.sock
0000000000000000: 00000003 00000000 00000000 0001 02     0 /run/blog/x.sock
0000000000000000: 00000003 00000000 00000000 0001 03 102 /run/blog/y.sock
0000000000000000: 00000003 00000000 00000000 0001 03 103
"""


def test_established_and_waiting_connections_count() -> None:
    assert connected(LISTING, "/run/blog/x.sock") == Connected(1, frozenset({101}))
    assert connected(LISTING, "/run/blog/z.sock") == Connected(0, frozenset())


def test_the_drain_waits_as_long_as_gunicorn_itself() -> None:
    assert graceful_timeout({}) == 30
    assert graceful_timeout({"server": {"settings": {"graceful_timeout": 90}}}) == 90


def drained(listings: list[list[str]], monkeypatch: pytest.MonkeyPatch, limit: float = 60.0) -> tuple[bool, float]:
    """Drain against a clock that only sleeping moves; the last listing stays. Returns the answer and the seconds."""
    clock, looks = [0.0], iter(listings)
    last: list[list[str]] = [[]]

    def look() -> str:
        last[0] = next(looks, last[0])
        lines = [f"0: 3 0 00000000 0001 03 {inode} /run/blog/x.sock" for inode in last[0]]
        return "\n".join(["Num RefCount", "0: 2 0 00010000 0001 01 1 /run/blog/x.sock", *lines])

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    done = release_drain.drain("/run/blog/x.sock", limit, lambda line: None, look)
    return done, clock[0]


def test_one_look_that_finds_nobody_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the queue and a worker a connection is in neither."""
    done, seconds = drained([["0"], [], ["7"], [], []], monkeypatch)
    assert done
    assert seconds == pytest.approx(4 * release_drain.PAUSE)


def test_a_stream_does_not_hold_up_the_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    done, seconds = drained([["7", "8"], ["7"]], monkeypatch)
    assert not done
    assert release_drain.SETTLED < seconds < release_drain.SETTLED + 1


def test_requests_that_end_one_by_one_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    listings = [[str(inode) for inode in range(1, left + 1)] for left in range(5, 0, -1) for dummy in range(40)]
    done, seconds = drained([*listings, []], monkeypatch)
    assert done
    assert seconds > 9


def test_one_who_waits_is_waited_for_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    done, seconds = drained([["7", "0"]], monkeypatch, limit=20)
    assert not done
    assert seconds == pytest.approx(20, abs=0.2)


def test_the_switch_is_one_rename(tmp_path: Path) -> None:
    layout = Layout("blog", str(tmp_path))
    for release in ("20260101-000000-aaaaaaaa", "20260101-000001-bbbbbbbb"):
        (tmp_path / "current.new").symlink_to("left over")
        switch(layout, release)
        assert layout.live() == release
        assert set(os.listdir(tmp_path)) <= {"current", "previous"}
    assert os.readlink(layout.previous) == "releases/20260101-000000-aaaaaaaa"


COMMIT, TAG, PEELED = "a" * 40, "b" * 40, "c" * 40
REFS = (
    f"{COMMIT}\trefs/heads/v1\n{TAG}\trefs/tags/v1\n{PEELED}\trefs/tags/v1^{{}}\n"
    f"{COMMIT}\trefs/heads/main\n{COMMIT}\tHEAD\n"
)


@pytest.mark.parametrize(
    ("version", "commit"), [("v1", PEELED), ("main", COMMIT), ("HEAD", COMMIT), ("v", None), ("heads/main", None)]
)
def test_a_version_means_a_tag_before_a_branch(version: str, commit: str | None) -> None:
    assert commit_of(REFS, version) == commit


def test_a_password_leaves_the_url() -> None:
    url, variables = without_password("https://me:p%40ss@git.example.org:8443/x.git")
    assert url == "https://git.example.org:8443/x.git"
    assert variables["FLASKWORKS_GIT_PASSWORD"] == "p@ss"
    for plain in ("https://git.example.org/x.git", "git@example.org:x.git", "/srv/git/x", "ssh://git@example.org/x"):
        assert without_password(plain) == (plain, {})


def test_submodules_are_found() -> None:
    listing = f"100644 blob {COMMIT}\tREADME\0" + f"160000 commit {TAG}\tlib/theme\0"
    assert submodule_links(listing) == {"lib/theme": TAG}
    assert submodule_urls("submodule.a.b.path\nlib/theme\0submodule.a.b.url\n../theme.git\0") == {
        "lib/theme": "../theme.git"
    }
    assert absolute_url("https://x.org/me/site.git", "../theme.git") == "https://x.org/me/theme.git"
    assert absolute_url("/srv/git/site", "../theme") == "/srv/git/theme"
    assert absolute_url("git@x.org:me/site.git", "../theme.git") == "git@x.org:me/theme.git"
    assert absolute_url("git@x.org:site.git", "../theme.git") == "git@x.org:theme.git"
    assert absolute_url("https://x.org/a", "https://y.org/b") == "https://y.org/b"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("file:///x", True),
        ("/x", True),
        ("x/y", True),
        ("https://x/y", False),
        ("git@x:y", False),
        ("ssh://x/y", False),
    ],
)
def test_paths_on_the_host_are_recognised(url: str, local: bool) -> None:
    assert is_local(url) is local


def test_secrets_are_blacked_out_in_every_form() -> None:
    text = "KEY='tricky\\nvalue' and\ntricky\nvalue, https://me:word@x.org/"
    clean = scrub(text, ["tricky\nvalue", "no"])
    assert "tricky" not in clean
    assert "word@" not in clean
    assert "and" in clean
    assert hidden_parts("DEBUG = 1\nKEY = 'abcdefgh'\n") == ["DEBUG = 1", "KEY = 'abcdefgh'", "abcdefgh"]


def test_a_failure_names_step_cause_words_and_what_serves() -> None:
    report = failure_report(
        "blog", "probe", "500", "out", "line of the journal", standing_of("x-1", "x-2", "active"), ["journal"]
    )
    assert "at the step 'probe': 500" in report
    assert "out" in report
    assert "line of the ********" in report
    assert "Release x-1 is still serving" in report
    assert standing_of(None, "x-2", "").startswith("No release is live")
    assert "is failed" in standing_of("x-2", "x-2", "failed")
    assert "not there" in standing_of("x-1", "x-2", "")


def test_a_failing_program_can_not_paint_on_the_terminal() -> None:
    words = "\x1b]0;title\x07\x1b[31mred\x1b[0m \x9b2J\u202e\tgr\u00fcn\x7f\nhun\x1b[1mter2\x1b[0m2-hunter22"
    report = failure_report("blog", "probe", "500", words, words, "x", iter(["hunter22-hunter22", "a\x07bcd"]))
    assert not set(report) & set("\x1b\x07\x9b\x7f\u202e")
    assert "red " in report
    assert "   gr\u00fcn" in report
    assert "hunter22" not in report


def test_a_command_gets_the_sandbox_but_not_the_life_of_the_service() -> None:
    service = {
        "Type": "notify",
        "ExecStart": "/x",
        "User": "blog",
        "ProtectSystem": "strict",
        "PrivateTmp": True,
        "Restart": "always",
    }
    properties = application_properties(
        service | {"EnvironmentFile": "/srv/blog/releases/%i/env", "ReadWritePaths": ["/a", "/b%%"]}, "ID"
    )
    assert properties == [
        *("User=blog", "ProtectSystem=strict", "PrivateTmp=yes", "EnvironmentFile=/srv/blog/releases/ID/env"),
        *("ReadWritePaths=/a", "ReadWritePaths=/b%"),
    ]


def test_variables_never_reach_an_argument_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ansible_collections.flaskworks.deploy.plugins.module_utils import release_sandbox

    seen: list[Any] = []

    def fake(argv: list[str], **options: Any) -> None:
        seen.extend(argv)
        (path,) = [word.partition("EnvironmentFile=")[2] for word in argv if "EnvironmentFile=" in word]
        seen_file.append((Path(path).read_text(), os.stat(path).st_mode & 0o777))

    seen_file: list[tuple[str, int]] = []
    monkeypatch.setattr(release_sandbox, "run", fake)
    monkeypatch.setattr(release_sandbox, "RUN_DIRECTORY", str(tmp_path / "run"))
    run_transient("x.service", ["sh", "-c", "echo $HOME"], [], "/", {"TOKEN": "canary"})
    assert "canary" not in " ".join(seen)
    assert seen[-1] == "echo $$HOME"
    assert seen_file == [('TOKEN="canary"\n', 0o600)]
    assert os.listdir(tmp_path / "run") == []


def test_units_are_named_ordered_and_read() -> None:
    assert instance_name("blog@.socket", "ID") == "blog@ID.socket"
    assert in_start_order(["a.timer", "a.service", "a.socket"]) == ["a.socket", "a.service", "a.timer"]
    text = (
        "Id=a.service\nActiveState=active\nUnitFileState=enabled\n\nId=b.socket\nActiveState=inactive\nUnitFileState=\n"
    )
    assert blocks_of(text) == {
        "a.service": {"Id": "a.service", "ActiveState": "active", "UnitFileState": "enabled"},
        "b.socket": {"Id": "b.socket", "ActiveState": "inactive", "UnitFileState": ""},
    }
    with pytest.raises(ReleaseError, match=r"must be a template like blog@\.service"):
        unit_texts({"units": {"blog.service": {}}})


def test_a_unit_always_reads_the_releases_environment() -> None:
    service = prepared(APP)["units"]["blog@.service"]["Service"]
    assert service["EnvironmentFile"] == "/srv/blog/releases/%i/env"
    assert service["User"] == "blog"
    own = prepared(APP | {"units": {"blog@.service": {"Service": {"User": "other"}}}})
    assert own["units"]["blog@.service"]["Service"]["User"] == "other"
    assert "EnvironmentFile" not in APP["units"]["blog@.service"]["Service"]


def test_two_owners_keep_their_lists_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(release_history, "OWNERS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    release_history.record_owner("one", "blog", "active")
    release_history.record_owner("one", "shop", "stopped")
    assert release_history.owner_apps("one") == {"blog": "active", "shop": "stopped"}
    assert release_history.owner_apps("two") == {}
    assert release_history.other_owner("two", "blog") == "one"
    assert release_history.other_owner("one", "blog") is None
    release_history.record_owner("one", "blog", None)
    assert release_history.owner_apps("one") == {"shop": "stopped"}
    with pytest.raises(ReleaseError, match="owner's name"):
        release_history.owner_apps("../etc")
