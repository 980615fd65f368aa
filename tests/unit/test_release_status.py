"""What a host's files and programs say becomes a status: pure functions, and the whole on a made-up host."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    release_history,
    release_status,
    release_status_past,
    release_status_probe,
    release_status_units,
    release_units_systemd,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_status_host as said
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import Health
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_past import (
    kept_releases,
    last_failures,
    probe_seconds,
    replaced_by,
    version_of,
    went_live,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_sizes import tree_size

A, B, C = (f"20260314-10150{number}-1f2e3d4c" for number in range(3))


def live(release: str, moment: str, action: str = "deployed", **more: Any) -> dict[str, Any]:
    return {"release": release, "time": moment, "action": action, "outcome": "live", **more}


def test_since_is_when_the_release_went_live_last() -> None:
    history = [live(A, "t1"), live(B, "t2"), live(A, "t3", "reactivated")]
    assert went_live(history, A) == history[2]
    assert went_live(history, B) == history[1]
    assert went_live(history, C) is None


def test_a_start_of_what_was_live_anyway_does_not_count() -> None:
    history = [live(A, "t1"), live(A, "t2", "started"), live(A, "t3", "started")]
    assert went_live(history, A) == history[0]
    assert went_live(history[1:], A) == history[1], "the beginning of the history is lost"


def test_what_failed_did_not_end_a_release() -> None:
    history = [live(A, "t1"), {"release": B, "time": "t2", "outcome": "failed"}, live(C, "t3")]
    assert replaced_by(history, A) == history[2]
    assert replaced_by(history, C) is None
    assert replaced_by(history, B) is None
    assert replaced_by([live(A, "t1"), live(B, "t2"), live(A, "t3")], A) is None


def test_kept_releases_and_how_they_ended() -> None:
    records: dict[str, dict[str, Any]] = {
        A: {"created": "t0", "by": "anna", "source": {"type": "git", "version": "v1", "resolved": "aaaa"}},
        B: {"created": "t2", "source": {"type": "git", "version": "v2", "resolved": "bbbb"}},
        C: {"created": "t9"},
    }
    history = [live(A, "t1"), live(B, "t2"), live(A, "t3", "rolled_back", **{"from": B})]
    marks = {B: {"time": "t3", "by": "otto", "to": A, "digest": "kept apart"}}
    kept = kept_releases(records, history, marks, A)
    assert [(item["id"], item["ended"]) for item in kept] == [(C, "never live"), (B, "rolled back"), (A, "live")]
    assert kept[1]["rolled_back"] == {"time": "t3", "by": "otto", "to": A}
    assert (kept[1]["live_from"], kept[1]["live_until"]) == ("t2", "t3")
    assert (kept[2]["live_from"], kept[2]["live_until"]) == ("t3", None)
    assert (kept[2]["asked"], kept[2]["version"], kept[2]["by"]) == ("v1", "aaaa", "anna")
    assert kept[0]["rolled_back"] is None
    replaced = kept_releases(records, [live(A, "t1"), live(B, "t2")], {}, B)
    assert [item["ended"] for item in replaced] == ["never live", "live", "replaced"]
    stopped = kept_releases(records, [live(A, "t1")], {}, None)
    assert stopped[-1]["ended"] == "stopped"


def test_the_version_of_the_inventory_comes_from_the_history_or_the_record() -> None:
    assert version_of({}, {}) == {"asked": None, "version": None}
    assert version_of({"source": "broken"}, {"version": "abc"}) == {"asked": None, "version": "abc"}
    record = {"source": {"version": "main", "resolved": "abc"}}
    assert version_of(record, {"asked": "v2", "version": "abc"}) == {"asked": "v2", "version": "abc"}
    assert version_of(record, {}) == {"asked": "main", "version": "abc"}


def test_the_newest_three_failures() -> None:
    history = [
        {"outcome": "failed", "time": str(number), "release": A, "step": "probe", "problem": "p" * 5000}
        for number in range(4)
    ]
    history.append({"outcome": "interrupted", "time": "5", "release": B, "asked": "v2", "version": "abc"})
    failures = last_failures([*history, live(A, "6")])
    assert [failure["time"] for failure in failures] == ["5", "3", "2"]
    assert (failures[0]["version"], failures[0]["problem"], failures[0]["step"]) == ("v2", None, None)
    assert len(failures[1]["problem"]) == release_status_past.LONGEST_PROBLEM


@pytest.mark.parametrize(
    ("entry", "seconds"),
    [(None, None), ({}, None), ({"phases": "x"}, None), ({"phases": {"probe": 0.5}}, 0.5), ({"phases": {}}, None)],
)
def test_the_probe_of_the_deploy(entry: dict[str, Any] | None, seconds: float | None) -> None:
    assert probe_seconds(entry) == seconds


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        (f"blog@{A}.service", ("web", "", 0)),
        (f"blog@{A}.socket", ("socket", "", 0)),
        (f"blog.worker.2@{A}.service", ("process", "worker", 2)),
        (f"blog.clean-up@{A}.timer", ("timer", "clean-up", 0)),
        (f"blog.clean-up@{A}.service", ("job", "clean-up", 0)),
        (f"blog-api@{A}.service", None),
        (f"blog.worker.2@{A}.timer", None),
        (f"blog@{A}.timer", None),
        (f"blog.clean@{A}.socket", None),
        ("blog.service", None),
        ("", None),
    ],
)
def test_what_a_unit_is_for(unit: str, wanted: tuple[str, str, int] | None) -> None:
    assert said.unit_name("blog", unit) == (said.UnitName(*wanted) if wanted else None)


@pytest.mark.parametrize(
    ("value", "number"),
    [("12", 12), ("0", 0), ("[not set]", None), ("infinity", None), (str(2**64 - 1), None), (None, None), ("", None)],
)
def test_numbers_of_systemd(value: str | None, number: int | None) -> None:
    assert said.count(value) == number


@pytest.mark.parametrize(
    ("value", "moment"), [("@1795248347", 1795248347), ("", None), (None, None), ("@0", None), ("Sat 2026", None)]
)
def test_times_of_systemd(value: str | None, moment: int | None) -> None:
    assert said.moment(value) == moment


def test_times_of_timers() -> None:
    listing = [
        {"next": 1795305600000000, "left": 5, "last": 0, "unit": "a.timer", "activates": "a.service"},
        {"next": None, "last": 1795248964306862, "unit": "b.timer", "activates": ""},
        {"next": 2**64 - 1, "last": None, "unit": "c.timer"},
        {"next": 1},
        "odd",
    ]
    assert said.timer_times(json.dumps(listing)) == {
        "a.timer": (1795305600.0, None),
        "b.timer": (None, 1795248964.306862),
        "c.timer": (None, None),
    }
    assert said.timer_times("") == {}
    assert said.timer_times("{}") == {}


STATS = {
    1: "1 (systemd) S 0 1 1 0",
    10: "10 (gunicorn: maste) S 1 10 10 0",
    11: "11 (a ) R 99 (b) S 10 10 10 0",
    12: "12 (gunicorn) R 10 10 10 0",
    13: "13 (gunicorn) Z 10 10 10 0",
    14: "14 (child of worker) S 12 10 10 0",
    15: "15 (other) S 1 15 15 0",
    16: "",
}


def test_workers_are_the_living_children_of_the_main_process() -> None:
    assert said.workers(10, STATS) == 2
    assert said.workers(0, STATS) == 0
    assert said.workers(999, STATS) == 0
    assert said.family(10, STATS) == {10, 11, 12, 13, 14}
    assert said.family(999, STATS) == set()


def test_the_share_of_memory() -> None:
    assert said.proportional_size("Rss:    100 kB\nPss:      12 kB\nPss_Dirty: 5 kB\n") == 12288
    assert said.proportional_size("") == 0


def test_files_that_can_be_dropped_are_no_need_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_status_units, "CONTROL_GROUPS", str(tmp_path))
    write(tmp_path / "system.slice" / "x" / "memory.stat", "anon 9\ninactive_file 3000\nactive_file 7\n")

    def memory(group: str, current: str) -> Any:
        unit = {"MemoryCurrent": current, "ControlGroup": group}
        return release_status_units._service(unit, release_status_units.Host(0.0))["memory_bytes"]

    assert memory("/system.slice/x", "4096") == 1096
    assert memory("/system.slice/x", "2000") == 0, "both numbers are not of one moment"
    assert memory("/system.slice/x", "[not set]") is None
    assert memory("", "4096") == memory("/system.slice/gone", "4096") == 4096


def test_who_has_a_lock_is_read_and_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "app.lock"
    path.touch()
    found = path.stat()
    place = (os.major(found.st_dev), os.minor(found.st_dev)), found.st_ino
    with path.open() as stream:
        assert said.lock_holder(Path("/proc/locks").read_text(), *place) is None
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert said.lock_holder(Path("/proc/locks").read_text(), *place) == os.getpid()


@pytest.mark.parametrize(
    ("line", "pid"),
    [
        ("1: FLOCK  ADVISORY  WRITE 812 00:19:1093 0 EOF", 812),
        ("1: -> FLOCK  ADVISORY  WRITE 812 00:19:1093 0 EOF", None),
        ("1: POSIX  ADVISORY  WRITE 812 00:19:1093 0 EOF", None),
        ("1: FLOCK  ADVISORY  WRITE 812 00:19:10930 0 EOF", None),
        ("1: FLOCK  ADVISORY  WRITE 812 00:1a:1093 0 EOF", None),
        ("nonsense", None),
    ],
)
def test_lines_of_locks(line: str, pid: int | None) -> None:
    assert said.lock_holder(line, (0, 0x19), 1093) == pid


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ('workers = 3\nerrorlog = "/var/log/x"\n', {"workers": 3, "errorlog": "/var/log/x"}),
        ("workers = min(2 * len(os.sched_getaffinity(0)) + 1, 12)\n", {"workers": 9}),
        ("workers = min(len(os.sched_getaffinity(0)), 3)\n", {"workers": 3}),
        ("import os\nworkers = os.cpu_count()\n\ndef post_fork(a, b):\n    workers = 4\n", {}),
        ("workers = open('/etc/passwd').read()\n", {}),
        ("workers = min()\n", {}),
        ("workers = 'a' + 'b'\n", {}),
        ("workers = (\n", {}),
        ("\0", {}),
        ("a, b = 1, 2\nraw_env = ['A=b']\n", {"raw_env": ["A=b"]}),
    ],
)
def test_settings_are_read_and_never_run(config: str, settings: dict[str, Any]) -> None:
    assert said.gunicorn_settings(config, 4) == settings


UP = {"active": "active", "socket": "active"}
GOOD, BAD = {"good": True}, {"good": False}


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        (("active", None, None, [], [], None), "no release"),
        (("active", A, UP, [], [], None), "live"),
        (("active", A, UP, [], [], GOOD), "live"),
        (("active", A, UP, [], [], BAD), "unhealthy"),
        (("active", A, UP, [{"active": "failed"}], [], GOOD), "degraded"),
        (("active", A, UP, [], [{"active": "inactive"}], GOOD), "degraded"),
        (("active", A, UP, [{"active": "active"}], [{"active": "active"}], GOOD), "live"),
        (("active", A, {**UP, "socket": "failed"}, [], [], GOOD), "degraded"),
        (("active", A, {**UP, "active": "inactive"}, [], [], None), "idle"),
        (("active", A, {"active": "inactive", "socket": "inactive"}, [], [], None), "down"),
        (("stopped", A, {"active": "inactive", "socket": "inactive"}, [], [], None), "stopped"),
        (("active", A, {**UP, "active": "activating"}, [], [], None), "starting"),
        (("active", A, {**UP, "active": "deactivating"}, [], [], None), "stopping"),
        (("active", A, {**UP, "active": "failed"}, [], [], None), "failed"),
        (("active", A, {**UP, "active": "reloading"}, [], [], GOOD), "live"),
    ],
)
def test_one_word_for_an_application(arguments: Any, state: str) -> None:
    assert release_status.state_of(*arguments) == state


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(1)
        self.send_response(200 if self.path != "/bad" else 503)
        self.end_headers()
        if self.path == "/trickle":
            for dummy in range(20):
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.1)

    def log_message(self, *arguments: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "s.sock")
    with _Server(path, _Answers) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield path
        running.shutdown()


def test_all_are_asked_at_once_and_nobody_is_waited_for_too_long(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_status_probe, "PROBE_LIMIT", 0.4)
    paths = {"fine": "/", "bad": "/bad", "slow": "/slow", "trickle": "/trickle"}
    targets = {name: (server, Health(path=path)) for name, path in paths.items()}
    started = time.monotonic()
    answers = release_status_probe.probe_all({**targets, "gone": (server + "x", Health())})
    assert time.monotonic() - started < 1.5
    assert (answers["fine"]["good"], answers["fine"]["status"]) == (True, 200)
    assert 0 < answers["fine"]["ms"] < 400
    assert (answers["bad"]["good"], answers["bad"]["status"]) == (False, 503)
    assert (answers["slow"]["good"], answers["slow"]["status"]) == (False, None)
    assert answers["trickle"]["good"] is False, "an answer that never ends is none"
    assert answers["gone"]["answer"].startswith("connection refused")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's record of owners below a directory; nothing of systemd."""
    owners = tmp_path / "owners"
    for module in (release_status, release_history):
        monkeypatch.setattr(module, "OWNERS_DIRECTORY", str(owners))
    monkeypatch.setattr(release_status, "RUN_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr(release_status, "SITES_DIRECTORY", str(tmp_path / "nginx"))
    return tmp_path


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def test_a_host_that_is_not_prepared_and_one_without_applications(place: Path) -> None:
    status = release_status.host_status()
    assert (status["prepared"], status["apps"], status["missing"]) == (False, [], {})
    assert release_status.host_status(["blog"])["missing"] == {"blog": "this host has none"}
    write(place / "owners" / "flask_apps.json", {"apps": {}})
    status = release_status.host_status()
    assert (status["prepared"], status["apps"]) == (True, [])


def test_applications_of_one_owner_or_of_all(place: Path) -> None:
    write(place / "owners" / "one.json", {"apps": {"fw-shop": "active"}})
    write(place / "owners" / "two.json", {"apps": {"fw-blog": "stopped"}})
    write(place / "owners" / "cut.json", '{"apps": {"x')
    assert release_status.known_apps() == {"fw-shop": ("one", "active"), "fw-blog": ("two", "stopped")}
    assert release_status.known_apps("two") == {"fw-blog": ("two", "stopped")}
    assert release_status.known_apps("nobody") == {}
    status = release_status.host_status(["fw-blok"], probe=False)
    assert status["missing"] == {"fw-blok": "did you mean 'fw-blog'?"}
    assert [app["app"] for app in release_status.host_status(probe=False)["apps"]] == ["fw-blog", "fw-shop"]


def shown(**units: str) -> Callable[..., Any]:
    class Done:
        returncode, stderr = 0, ""

        def __init__(self, stdout: str) -> None:
            self.stdout = stdout

    return lambda argv, **dummy: Done(units["timers"] if "list-timers" in argv else units["units"])


def test_the_status_of_an_application_from_its_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = place / "blog"
    release = base / "releases" / B
    names = [
        f"blog@{B}.service",
        f"blog@{B}.socket",
        f"blog.w.1@{B}.service",
        f"blog.t@{B}.timer",
        f"blog.t@{B}.service",
    ]
    for name in names:
        write(release / "units" / name, "")
    write(release / "gunicorn.conf.py", "workers = 3\n")
    source = {"type": "git", "version": "v2", "resolved": "bbbb"}
    write(
        release / "release.json", {"id": B, "seal": "s", "created": "c", "by": "anna", "source": source, "venv": "v1"}
    )
    write(base / "releases" / A / "release.json", {"id": A, "created": "unfinished"})
    write(base / "venvs" / "v1" / "file", "x" * 5000)
    (base / "current").symlink_to(f"releases/{B}")
    (base / "previous").symlink_to(f"releases/{A}")
    lines = [live(B, "2026-03-14T10:15:00Z", by="anna", phases={"probe": 0.25}), {"outcome": "failed", "problem": "p"}]
    write(base / "releases.jsonl", "\n".join(map(json.dumps, lines)) + '\n{"cut')
    write(
        base / "journal.json", {"release": C, "action": "deploy", "by": "otto", "since": "s", "step": "probe", "pid": 7}
    )
    entered = int(time.time()) - 100
    service = f"ActiveState=active\nSubState=running\nActiveEnterTimestamp=@{entered}\nMainPID=0\nNRestarts=2\n"
    blocks = [f"Id={name}\n{service}MemoryCurrent=4096\nMemoryPeak=8192\nMemoryMax=infinity" for name in names]
    timers = json.dumps([{"unit": names[3], "next": 1795305600000000, "last": 1795248964000000}])
    for module in (release_status_units, release_units_systemd):
        monkeypatch.setattr(module, "run", shown(units="\n\n".join(blocks), timers=timers))
    layout = Layout("blog", str(base))
    host = release_status_units.look_at_host([layout])
    status = release_status.app_status(layout, ("flask_apps", "active"), host, None, sizes=True)
    assert (status["state"], status["release"], status["previous"]) == ("live", B, A)
    assert (status["asked"], status["version"], status["by"]) == ("v2", "bbbb", "anna")
    assert (status["since"], status["probe_at_deploy_ms"]) == ("2026-03-14T10:15:00Z", 250)
    web = status["web"]
    assert (web["memory_bytes"], web["memory_peak_bytes"], web["memory_limit_bytes"]) == (4096, 8192, None)
    assert (web["restarts"], web["workers_configured"], web["workers"]) == (2, 3, 0)
    assert 100 <= web["uptime_s"] < 110
    assert [(one["name"], one["number"], one["active"]) for one in status["processes"]] == [("w", 1, "active")]
    assert [(one["name"], one["next"]) for one in status["timers"]] == [("t", "2026-11-22T00:00:00Z")]
    assert status["timers"][0]["last"] == "2026-11-21T08:16:04Z"
    activity = status["activity"]
    assert (activity["state"], activity["by"], activity["step"], activity["pid"]) == ("interrupted", "otto", "probe", 7)
    assert [item["id"] for item in status["releases"]] == [B], "an unfinished one can't be gone back to"
    assert status["venvs"][0]["bytes"] >= 5000
    assert status["venvs"][0]["releases"] == [B]
    assert len(status["failures"]) == 1
    assert status["maintenance"] is False
    write(place / "nginx" / "blog" / "maintenance.conf", "")
    assert release_status.app_status(layout, ("x", "active"), host, None)["maintenance"] is True
    json.dumps(status)


def test_a_running_deploy_is_told_by_its_lock(place: Path) -> None:
    layout = Layout("blog", str(place / "blog"))
    write(place / "run" / "blog.lock", {"by": "otto", "since": "now", "pid": 1})
    with (place / "run" / "blog.lock").open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        status = release_status.app_status(
            layout, ("x", "active"), release_status_units.Host(time.time(), locks=Path("/proc/locks").read_text()), None
        )
    activity = status["activity"]
    assert (activity["state"], activity["by"], activity["pid"]) == ("running", "otto", os.getpid())
    assert (status["state"], status["release"], status["web"], status["releases"]) == ("no release", None, None, [])


def test_an_old_release_without_history_is_dated_by_its_link(place: Path) -> None:
    base = place / "blog"
    base.mkdir()
    (base / "current").symlink_to(f"releases/{A}")
    layout = Layout("blog", str(base))
    host = release_status_units.look_at_host([layout])
    status = release_status.app_status(layout, ("x", "active"), host, None)
    assert status["since"].startswith("20")
    assert (status["release"], status["state"], status["previous"]) == (A, "down", None)
    assert status["web"]["workers_configured"] is None


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 10000)
    alone = tree_size(str(tmp_path))
    os.link(tmp_path / "one", tmp_path / "two")
    assert tree_size(str(tmp_path)) == alone >= 10000
    assert tree_size(str(tmp_path / "none")) == 0
