"""What the doctor makes of the words of programs, of files below /srv, and of an application that is loaded."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    dns_names,
    doctor_facts,
    doctor_facts_app,
    doctor_facts_files,
    doctor_facts_net,
    doctor_facts_restarts,
    doctor_facts_web,
    doctor_heard,
    doctor_inside,
    venvs_seal,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_said as said
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_files import kinds_of, mounted_elsewhere
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_restarts import counted, restarts_of_day
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_plan import wanted
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_versions import accepts
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_web import TEST_ADDRESS
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout

ROOT = Path(__file__).resolve().parents[2]
# As Flask and Werkzeug are built, as far as the doctor looks: the real ones are in the scenario.
SITE = """
print("words of the site")
class ProxyFix:
    def __init__(self, app, x_for=1, x_proto=1):
        self.app, self.x_for, self.x_proto = app, x_for, x_proto
    def __call__(self, environ, start_response):
        values = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(values) >= self.x_for:
            environ.update({"REMOTE_ADDR": values[-self.x_for]})
        return self.app(environ, start_response)
class Flask:
    session_interface = None
    def __init__(self, key):
        self.config = {"SECRET_KEY": key, "SESSION_COOKIE_SECURE": True, "DEBUG": False}
    def __call__(self, environ, start_response):
        return self.wsgi_app(environ, start_response)
    def wsgi_app(self, environ, start_response):
        self.request_context(environ)
        start_response("200 OK", [])
        return [b""]
    def request_context(self, environ):
        return None
class Copies:
    def __init__(self, app):
        self.app = app
    def __call__(self, environ, start_response):
        return self.app({**environ, "REMOTE_ADDR": "192.0.2.77"}, start_response)
def create_app(hops=1, key=None):
    app = Flask(key)
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=1)
    return app
inner = create_app(0, "canary-2f9e-canary-2f9e-canary-2f9e")
outer = ProxyFix(inner, x_for=1)
copied = Copies(create_app(0))
def plain(environ, start_response):
    start_response("200 OK", [])
    return [b""]
def late(environ, start_response):
    yield from outer(environ, start_response)
def failing(environ, start_response):
    raise RuntimeError("canary-77")
"""


@pytest.mark.parametrize(
    ("specifier", "version", "holds"),
    [
        (">=3.10", "3.13.5", True),
        (">=3.10", "3.9.2", False),
        (">=3.10,<4", "3.13.5", True),
        (">=3.10, <3.13", "3.13.0", False),
        ("~=3.11", "3.13.5", True),
        ("~=3.11.2", "3.12.0", False),
        ("==3.11.*", "3.11.9", True),
        ("==3.11.*", "3.12.1", False),
        ("!=3.11.*", "3.11.9", False),
        ("==3.11", "3.11.0", True),
        ("<=3.11", "3.11.9", False),
        (">3.11", "3.11.0", False),
        (">=3.13", "3.13.0rc1", True),
        ("three", "3.11", None),
        ("", "3.11", None),
        (">=3.10", "", None),
    ],
)
def test_versions_of_python(specifier: str, version: str, holds: bool | None) -> None:
    assert accepts(specifier, version) is holds


def test_listeners_of_ss() -> None:
    listing = (
        'LISTEN 0 511  0.0.0.0:80   0.0.0.0:* users:(("nginx",pid=12,fd=6),("nginx",pid=11,fd=6))\n'
        'LISTEN 0 128     [::]:443     [::]:* users:(("odd \\"name\\"",pid=3,fd=4))\n'
        "LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*\n\nESTAB 0 0 a:1 b:2\n"
    )
    assert [(one["address"], one["port"], one["program"], one["pid"]) for one in said.listeners(listing)] == [
        ("0.0.0.0", 80, "nginx", 12),
        ("[::]", 443, 'odd \\"name\\"', 3),
        ("127.0.0.53%lo", 53, "a process of another namespace", 0),
    ]


def test_addresses_of_getent() -> None:
    listing = "192.0.2.1     STREAM blog\n192.0.2.1     DGRAM\n2001:DB8::1     STREAM\nfe80::1%eth0 RAW\n"
    assert said.addresses(listing) == ["192.0.2.1", "2001:db8::1", "fe80::1"]


def test_names_are_asked_of_dns_and_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def dns(name: str) -> list[str] | None:
        asked.append(name)
        return {"www.blog.test": [], "vps1": ["203.0.113.5"]}.get(name)

    def run(argv: list[str], **dummy: Any) -> subprocess.CompletedProcess[str]:
        known = {"www.blog.test": "203.0.113.9 STREAM\n", "vps1": "127.0.1.1 STREAM\n10.0.0.5 RAW\n"}
        return subprocess.CompletedProcess(argv, 0, known.get(argv[-1], ""), "")

    monkeypatch.setattr(dns_names, "addresses", dns)
    monkeypatch.setattr(doctor_facts_net, "run", run)
    assert doctor_facts_net.looked_up(["*.blog.test", "silent.test"]) == {"*.blog.test": [], "silent.test": None}
    assert asked == ["www.blog.test", "silent.test"]
    assert doctor_facts_net.known_here(["*.blog.test"]) == {"*.blog.test": ["203.0.113.9"]}
    assert doctor_facts_net.known_as(["vps1", "silent.test"]) == ["10.0.0.5", "203.0.113.5"]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_the_time_of_a_controller_in_any_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """What the role says in its task is rendered, in a zone of the controller."""
    tasks = yaml.safe_load((ROOT / "roles/flask_apps/tasks/doctor.yml").read_text())
    (given,) = [task["flaskworks.deploy.doctor"] for task in tasks if "flaskworks.deploy.doctor" in task]
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        rendered = Templar(DataLoader()).template(trust_as_template(given["controller_time"]))
    time.tzset()
    assert abs(float(rendered) - time.time()) < 5


def test_settings_of_the_system() -> None:
    assert [said.periodic(text) for text in ("value='1'\n", "value='1d'\n", "value='0'\n", "")] == [1, 1, 0, 0]
    packages = "ii \tapt\t\nun \tntp\ttime-daemon\nrc \tntpsec\ttime-daemon\nii \tchrony\tx, time-daemon\nii \tx\n"
    assert (said.time_service(packages), said.time_service("")) == ("chrony", "")
    assert (said.periodic("", True), said.periodic("value='0'\n", True)) == (True, False)
    config = "# /etc/systemd/journald.conf\n[Journal]\n#Storage=auto\n"
    assert said.journal_storage(config) == "auto"
    assert said.journal_storage(f"{config}Storage=persistent\n# x\n[Journal]\nStorage = volatile\n") == "volatile"
    kernels = ["vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-28-amd64", "initrd.img-7", "vmlinuz-6.1.0-28-cloud-amd64"]
    assert said.newest_kernel(kernels[:3]) == "6.1.0-28-amd64"
    assert said.newest_kernel([]) == ""
    assert said.same_flavour("6.1.0-28-amd64", "6.1.0-9-amd64")
    assert not said.same_flavour("6.1.0-28-amd64", "6.1.0-9-cloud-amd64")
    meminfo = "MemTotal:  2048 kB\nMemAvailable: 1024 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
    assert said.memory(meminfo) == {"total": 2**21, "available": 2**20, "swap_total": 0, "swap_free": 0}


def test_kills_of_the_journal() -> None:
    text = "Memory cgroup out of memory: Killed process 812 (gunicorn) total-vm:1kB"
    lines: list[dict[str, Any]] = [
        {"_TRANSPORT": "kernel", "MESSAGE": text, "__REALTIME_TIMESTAMP": "1700000000000000"},
        {"_TRANSPORT": "kernel", "MESSAGE": "eth0: link is up"},
        {"_TRANSPORT": "kernel", "MESSAGE": [1, 2]},
        {"_TRANSPORT": "journal", "UNIT": "blog.service", "MESSAGE": text},
    ]
    found = said.kills("\n".join([*map(json.dumps, lines), "cut sho"]))
    assert [one["what"] for one in found] == ["gunicorn", "blog.service"]
    assert [one["time"] for one in found] == ["2023-11-14T22:13:20Z", "?"]


def test_what_upgrades_a_host_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = {"APT::Periodic::Unattended-Upgrade": "value='1'\n", "APT::Periodic::Update-Package-Lists": "value='1'\n"}
    systemd = {"apt-daily.timer": "enabled\n", "apt-daily-upgrade.timer": "masked\n"}

    def run(argv: list[str], **dummy: Any) -> subprocess.CompletedProcess[str]:
        words = "ii " if argv[0] == "dpkg-query" else systemd[argv[-1]]
        return subprocess.CompletedProcess(argv, 0, words, "")

    monkeypatch.setattr(doctor_facts, "run", run)
    monkeypatch.setattr(doctor_facts, "answer", lambda *words: apt.get(words[-1], ""))
    timers = {"apt-daily.timer": "enabled", "apt-daily-upgrade.timer": "masked"}
    assert doctor_facts._upgrades() == {"installed": True, "off": [], "timers": timers}
    apt |= {"APT::Periodic::Enable": "value='0'\n", "APT::Periodic::Update-Package-Lists": "value='0'\n"}
    assert doctor_facts._upgrades()["off"] == ["APT::Periodic::Enable", "APT::Periodic::Update-Package-Lists"]


def test_restarts_of_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted('"UNIT": "a"}\n{"UNIT": "a.service"}\n{"UNIT": "b.service"}\n{"UNIT": "a.service"}\n{}\n[]\n') == {
        "a.service": 2,
        "b.service": 1,
    }
    asked: list[list[str]] = []

    def last_words(argv: list[str], dummy: float) -> str:
        asked.append(argv)
        return '{"UNIT": "a.service"}\n'

    monkeypatch.setattr(doctor_facts_restarts, "last_words", last_words)
    often = [{"unit": "a.service", "restarts": 3}, {"unit": "b.conf", "restarts": 9}]
    calm = {"unit": "c.service", "restarts": 2}
    assert restarts_of_day({"web": calm, "processes": []}) == restarts_of_day({}) == {}
    assert asked == []
    assert restarts_of_day({"web": calm, "processes": often}) == {"a.service": 1}
    assert [word for word in asked[0] if word.startswith(("UNIT=", "_UID="))] == ["_UID=0", "UNIT=a.service"]


def test_lines_of_the_live_release() -> None:
    log = "Traceback\n[2026-03-14 10:14:59 +0000] [1] old\nOSError\n[2026-03-14 12:15:00 +0200] [1] new\nKeyError\n"
    assert said.lines_since(log, "2026-03-14T10:15:00Z") == ["[2026-03-14 12:15:00 +0200] [1] new", "KeyError"]
    assert said.lines_since(log, "2026-03-14T10:15:01Z") == []
    odd = "[2026-99-99 99:99:99 +0000] [1] evil\n[0001-01-01 00:00:00] evil\n[9999-12-31 23:59:59,1] evil\n"
    assert said.lines_since(odd + log, "2026-03-14T10:15:00Z")[-1] == "KeyError"


def test_flags_of_cookies() -> None:
    headers = ["session=canary; Secure; HttpOnly; Path=/; SameSite=Lax", "theme=dark", "\x00=;"]
    assert said.cookies(headers) == [
        {"name": "session", "secure": True, "httponly": True, "samesite": "Lax"},
        {"name": "theme", "secure": False, "httponly": False, "samesite": ""},
    ]


@pytest.mark.parametrize(
    ("inside", "owner", "mode", "kinds"),
    [
        ("releases/1/src/a.py", 0, 0o100640, []),
        ("releases/1/src/a.py", 7, 0o100640, []),  # it is being built
        ("releases/1/src/a.py", 1000, 0o100640, ["own-code"]),
        ("releases/1/src/a.py", 1001, 0o100640, ["foreign"]),
        ("releases/1/src/a.py", 0, 0o100646, ["world-writable"]),
        ("shared/x", 1000, 0o100640, []),
        ("shared/x", 0, 0o100640, ["foreign"]),
        ("shared/x", 1001, 0o100642, ["world-writable", "foreign"]),
        ("shared/tmp", 1000, stat.S_IFDIR | 0o1777, []),
        ("shared/tmp", 1000, stat.S_IFDIR | 0o777, ["world-writable"]),
        ("shared/link", 1001, stat.S_IFLNK | 0o777, []),
    ],
)
def test_files_below_srv(inside: str, owner: int, mode: int, kinds: list[str]) -> None:
    facts = os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    assert list(kinds_of(facts, inside, 1000, 7)) == kinds
    # A directory that is no application's is judged by its mode alone.
    assert list(kinds_of(facts, inside, None, None)) == [kind for kind in kinds if kind == "world-writable"]


@pytest.mark.parametrize(
    ("changed", "owner", "mode", "path", "start"),
    [
        ("releases/1", 0, 0o755, "releases/1/src/a.py", "releases/1/src/a.py"),
        ("releases/1", 1000, 0o755, "releases/1/src/a.py", "releases/1"),
        ("releases/1", 0, 0o1777, "releases/1/src/a.py", "releases/1"),
        (".", 1000, 0o755, "releases/1/src/a.py", "."),
        ("shared/uploads", 1000, 0o755, "shared/uploads/x", "shared"),
        ("shared", 0, 0o755, "shared/uploads/x", "shared"),
    ],
)
def test_how_far_root_can_name_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, owner: int, mode: int, path: str, start: str
) -> None:
    base = tmp_path / "blog"
    lstat = os.lstat
    directory = os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    other = os.stat_result((stat.S_IFDIR | mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    below = {str(base.joinpath(*Path(path).parts[:depth])): directory for depth in range(len(Path(path).parts))}
    seen = {**below, str(base / changed): other}
    facts = os.stat_result((0o100646, 0, 0, 1, 7, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "lstat", lambda place: seen.get(str(place)) or lstat(place))
    monkeypatch.setattr(doctor_facts_files, "_walk", lambda root: iter([(str(base / path), facts)]))
    monkeypatch.setattr(doctor_facts_files, "_user_id", lambda name: {"blog": 1000}.get(name, 8))
    found = doctor_facts_files.file_facts({"blog": {}}, str(tmp_path))
    assert {one["kind"] for one in found} == {"world-writable", "foreign"}
    assert {(one["start"], one["uid"]) for one in found} == {(str(base / start), 7)}


def test_what_is_beyond_the_limit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("blog/shared/uploads/1", "blog/shared/uploads/2", "shop/shared/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(doctor_facts_files, "MOST", 8)
    assert doctor_facts_files.file_facts({}, str(tmp_path)) == [], "two sites, three directories in them, three files"
    monkeypatch.setattr(doctor_facts_files, "MOST", 7)
    (one,) = doctor_facts_files.file_facts({}, str(tmp_path))
    (rest,) = one.pop("rest")
    assert one == {"kind": "unseen", "app": "", "path": str(tmp_path), "count": 7}
    assert rest in {str(tmp_path / "blog/shared"), str(tmp_path / "shop/shared")}
    monkeypatch.setattr(doctor_facts_files, "MOST", 2)
    (one,) = doctor_facts_files.file_facts({}, str(tmp_path))
    assert len(one["rest"]) == 2, "both sites, of which nothing was looked at"


@pytest.mark.parametrize(
    ("inside", "owner", "group", "mode", "kinds"),
    [
        ("releases/1/src/a.py", 0, 1000, 0o100660, ["group-code"]),
        ("releases/1/src", 0, 33, stat.S_IFDIR | 0o775, ["group-code"]),
        ("releases/1/src/a.py", 0, 5, 0o100660, []),
        ("releases/1/src/a.py", 0, 1000, 0o100640, []),
        ("releases/1/src/a.py", 1000, 1000, 0o100660, ["own-code"]),
        ("shared/x", 1000, 1000, 0o100660, []),
    ],
)
def test_files_that_a_group_may_write(inside: str, owner: int, group: int, mode: int, kinds: list[str]) -> None:
    facts = os.stat_result((mode, 0, 0, 1, owner, group, 0, 0, 0, 0))
    assert list(kinds_of(facts, inside, 1000, None, [1000, 33])) == kinds


def test_the_build_user_has_what_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (
        "releases/1/src/a",
        "releases/2/src/a",
        "venvs/1/a",
        "venvs/2/a",
        "repo.git/HEAD",
        "archives/a",
        "shared/a",
    )
    for name in (*files, "releases/1/release.json", f"venvs/1/{venvs_seal.MARKER}"):
        (tmp_path / "blog" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "blog" / name).touch()
    sealed = {"releases", "releases/1/src/a", "venvs/1/a", "archives/a", "shared/a"}
    facts = os.stat_result((0o100644, 0, 0, 1, 7, 0, 0, 0, 0, 0))
    looked = [(str(tmp_path / "blog" / name), facts) for name in ("releases", *files)]
    monkeypatch.setattr(doctor_facts_files, "_walk", lambda root: iter(looked))
    monkeypatch.setattr(doctor_facts_files, "_user_id", lambda name: {"blog": 1000}.get(name, 7))
    (found,) = doctor_facts_files.file_facts({"blog": {}}, str(tmp_path))
    assert (found["kind"], found["count"]) == ("foreign", len(sealed))
    assert os.path.relpath(found["path"], tmp_path / "blog") in sealed


def test_file_systems_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a b/hung", "disk/file"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    mounted = str(tmp_path / "a b").replace(" ", "\\040")
    mounts = (
        f"31 1 8:1 / {tmp_path} rw - ext4 /dev/sda1 rw\n"
        f"32 31 0:9 / {mounted} rw,relatime shared:7 - nfs4 nas:/x rw\n"
        f"33 31 8:2 / {tmp_path}/disk rw - xfs /dev/sdb1 rw\ncut"
    )
    assert mounted_elsewhere(mounts) == {str(tmp_path / "a b")}
    assert mounted_elsewhere("30 1 0:4 / /srv/x/proc rw - proc proc rw\n") == {"/srv/x/proc"}
    monkeypatch.setattr(doctor_facts_files, "read_text", lambda path: mounts)
    assert [path for path, dummy in doctor_facts_files._walk([str(tmp_path)])] == [
        f"{tmp_path}/disk",
        f"{tmp_path}/disk/file",
    ]


def test_the_environment_of_a_release() -> None:
    text = 'A="x"\nFLASK_DEBUG="0"\nDEBUG="1"\nSECRET_KEY="dev"\nJWT_SECRET_KEY="canary-19"\nSECRET_KEYS="x"\n'
    facts = doctor_facts_app.environment_facts(text, ["blog"])
    assert facts["debug_variables"] == ["DEBUG"]
    keys = [(one["name"], one["known"]) for one in facts["secret_keys"]]
    assert sorted(keys) == [
        ("JWT_SECRET_KEY", False),
        ("SECRET_KEY", True),
    ]
    assert "canary" not in str(facts)


@pytest.mark.parametrize(
    ("line", "on"),
    [
        *[(f"FLASK_DEBUG={value}", False) for value in ("0", "false", "No", "")],
        *[(f"FLASK_DEBUG={value}", True) for value in ("1", "off", "none")],
        *[(f"{name}={value}", False) for name in ("DEBUG", "DJANGO_DEBUG") for value in ("0", "off", "None", "False")],
        *[(f"{name}={value}", True) for name in ("DEBUG", "DJANGO_DEBUG") for value in ("1", "true", "release")],
        # Python looks whether it is there (PEP 565 and -X dev).
        *[(f"PYTHONDEVMODE={value}", bool(value)) for value in ("", "0", "1")],
        *[(f"WERKZEUG_DEBUG_PIN={value}", bool(value)) for value in ("", "off", "0", "123-456-789")],
    ],
)
def test_words_that_switch_a_debugger_off(line: str, on: bool) -> None:
    name, dummy, value = line.partition("=")
    facts = doctor_facts_app.environment_facts(f'{name}="{value}"\n', ["blog"])
    assert facts["debug_variables"] == ([name] if on else [])
    assert facts["debugger_without_pin"] is (line == "WERKZEUG_DEBUG_PIN=off")
    assert "123" not in str(facts)


def test_the_python_that_a_project_wants() -> None:
    for text in (f'[project]\nrequires-python = ">={"9" * 5000}"\n', f"a = {'9' * 5000}\n"):
        assert doctor_facts_app.requires_python(text) == "", "Python converts no number of so many digits"
    assert doctor_facts_app.requires_python('[project]\nrequires-python = ">=3.10"\n') == ">=3.10"
    for text in ("", "[project]\nname = 'x'\n", "project = 1\n", "[project]\nrequires-python = 3\n", "[bro ken"):
        assert doctor_facts_app.requires_python(text) == ""


def asked(folder: Path, wsgi: str) -> dict[str, Any]:
    """Run the program as the doctor does, with this test's Python."""
    (folder / "site_of_the_test.py").write_text(SITE)
    order = {
        "wsgi": wsgi,
        "path": "/",
        "headers": {"Host": "x", "X-Forwarded-For": TEST_ADDRESS, "X-Forwarded-Proto": "https"},
        "names": ["blog"],
        "known": ["dev"],
    }
    program = Path(doctor_inside.__file__).read_text()
    argv = [sys.executable, "-", json.dumps(order)]
    done = subprocess.run(argv, input=program, capture_output=True, text=True, cwd=folder, check=True, timeout=60)
    assert "canary" not in done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("wsgi", "flask", "address", "hops"),
    [
        ("create_app()", True, TEST_ADDRESS, 1),
        ("create_app(hops=2)", True, "", 2),
        ("create_app(0)", True, "", None),
        ("inner", True, "", None),
        ("outer", True, TEST_ADDRESS, 1),
        ("copied", True, TEST_ADDRESS, None),
        ("plain", False, "", None),
        ("late", False, TEST_ADDRESS, None),
        ("failing", False, "", None),
    ],
)
def test_what_an_application_sees(tmp_path: Path, wsgi: str, flask: bool, address: str, hops: int | None) -> None:
    found = asked(tmp_path, f"site_of_the_test:{wsgi}")
    assert (found["flask"], found["seen"]) == (flask, {"address": address, "scheme": "https"})
    assert (found["proxy_fix"] or {}).get("x_for") == hops


def test_what_its_settings_say(tmp_path: Path) -> None:
    found = asked(tmp_path, 'site_of_the_test:create_app(1, "dev")')
    assert found["secret"] == {"name": "SECRET_KEY", "length": 3, "kinds": 3, "known": True, "name_like": False}
    assert found["cookie"] == {"name": "session", "secure": True, "httponly": True, "samesite": ""}
    assert asked(tmp_path, "site_of_the_test:create_app()")["cookie"] is None
    assert asked(tmp_path, "site_of_the_test:nothing") == {"error": "AttributeError"}


def test_what_a_plan_tells() -> None:
    release = {"health": {"scheme": "https"}, "server": {"type": "gunicorn", "settings": {"wsgi_app": "blog:app"}}}
    site = {"server_names": ["blog.test"], "listen": [80], "trusted_proxies": []}
    plan = {"releases": {"blog": release}, "nginx_sites": {"blog": site}}
    assert wanted(plan)["blog"] == {
        "domains": ["blog.test"],
        "ports": [80],
        "tls": False,
        "tls_ports": [],
        "trusted_proxies": [],
        "scheme": "https",
        "server": {
            "type": "gunicorn",
            "access_log": "",
            "error_log": "",
            "workers": 1,
            "worker_class": "sync",
            "limits": {},
        },
        "wsgi": "blog:app",
    }
    plan["nginx_sites"]["blog"] = {**site, "tls": {"certificate": "/c", "key": "/k", "ports": [8443]}}
    found = wanted(plan)["blog"]
    assert (found["ports"], found["tls"], found["tls_ports"]) == ([80, 8443], True, [8443])
    plan["nginx_sites"]["blog"] = {**site, "redirect_from": ["www.blog.test"]}
    assert wanted(plan)["blog"]["domains"] == ["blog.test", "www.blog.test"]


def test_an_application_can_not_hide_the_rest_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_at(name: str, status: Any, *dummy: Any) -> dict[str, Any]:
        if name == "evil":
            raise RecursionError("canary")
        return {"status": status, "missing": {}}

    monkeypatch.setattr(doctor_facts_app, "_facts", looked_at)
    found = doctor_facts_app.app_facts({"evil": {"a": 1}, "good": {"b": 2}}, {})
    assert found["good"] == {"status": {"b": 2}, "missing": {}}
    assert found["evil"]["status"] == {"a": 1}
    assert found["evil"]["missing"]
    assert "canary" not in str(found)


def test_only_the_last_words_of_a_program_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_heard, "MOST", 1000)
    program = "import sys; given = sys.stdin.read(); print('x' * 300000, file=sys.stderr); print('x' * 300000 + given)"
    assert doctor_heard.last_words([sys.executable, "-c", program], 60, "canary") == "x" * 993 + "canary\n"
    began = time.monotonic()
    assert doctor_heard.last_words([sys.executable, "-c", "while True: print('y')"], 1) == "y\n" * 500
    assert doctor_heard.last_words(["/bin/sleep", "60"], 0.2, "not read") == ""
    assert time.monotonic() - began < 30


def test_a_page_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_facts_web, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as visitor, contextlib.suppress(OSError):
                visitor.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    visitor.sendall(b"x")
                    time.sleep(0.02)

        threading.Thread(target=drip, daemon=True).start()
        connection = doctor_facts_web._connection(server.getsockname()[1], False, "x.test")
        began = time.monotonic()
        status, dummy, body = doctor_facts_web._get(connection, "x.test", "/", {})
    assert (status, set(body)) == (200, {ord("x")})
    assert time.monotonic() - began < 3


def test_an_answer_of_the_program_is_not_believed_to_have_its_shape(tmp_path: Path) -> None:
    good = asked(tmp_path, 'site_of_the_test:create_app(1, "dev")')
    assert said.inside(json.dumps(good)) == good
    assert said.inside('noise\n{"error": "RuntimeError"}') == {"error": "RuntimeError"}
    spoilt: list[Any] = [
        {**good, "secret": {**good["secret"], "length": float("inf")}},
        [],
        7,
        {},
        {**good, "seen": None},
        {**good, "secret": {"length": "x"}},
        {**good, "cookie": 7},
    ]
    for answer in ["", "no json", "[" * 100_000, *map(json.dumps, spoilt)]:
        with pytest.raises(ValueError):  # noqa: PT011
            said.inside(answer)


@pytest.mark.parametrize(("place", "left_out"), [("-", True), ("/var/log/blog/access.log", False)])
def test_the_journal_is_asked_without_what_visitors_write_and_again_for_systemds_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, left_out: bool
) -> None:
    layout, release = Layout("blog", str(tmp_path)), "20260314-101500-1f2e3d4c"
    unit = Path(layout.units(release)) / layout.service(release)
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nProtectSystem=strict\n")
    Path(layout.record(release)).write_text(json.dumps({"server": {"access_log": place}}))
    asked: list[list[str]] = []

    def last_words(words: list[str], dummy: float) -> str:
        asked.append(words)
        return f"{len(asked)}\n"

    monkeypatch.setattr(doctor_facts_app, "last_words", last_words)
    found = doctor_facts_app._words(layout, release, {}, "2026-03-14T10:15:00Z")
    assert (found["lines"], found["system"]) == (["1"], ["2"])
    assert ("PRIORITY=6" in asked[0]) is left_out
    assert "PRIORITY=5" not in asked[0]
    assert asked[1][-2:] == ["_TRANSPORT=journal", "_UID=0"]
