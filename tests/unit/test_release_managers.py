"""What a release has under supervisor and cron: units, launcher, control script, and what they leave below /run."""

from __future__ import annotations

import base64
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import launcher, release_instances
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_units_cron as cron
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_units_supervisor as supervisor
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_units_tmpfiles as tmpfiles
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import environment_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_instances import Instance
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_launcher import launcher_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    in_start_order,
    instance_texts,
    kinds_of,
    log_words,
    main_unit,
    unit_texts,
)
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from hypothesis import given
from hypothesis import strategies as st

SPEC = entry_points("flask_apps")
ID = "20260314-101500-1f2e3d4c"
BLOG: dict[str, Any] = {
    "source": {"git": "https://git.example.org/blog.git", "version": "v1"},
    "wsgi": "blog:app",
    "domains": ["blog.example.org"],
    "processes": {"worker": {"run": "celery -n 'w%i' worker", "count": 2, "stop_timeout": 120}},
    "timers": {"tidy": {"run": "flask tidy", "calendar": "daily"}},
    "limits": {"nofile": 4096},
}


def plan(manager: str, **keys: Any) -> dict[str, Any]:
    return make_plan(SPEC, {"blog": {**BLOG, "process_manager": manager, **keys}})


def texts(manager: str, **keys: Any) -> dict[str, str]:
    """Return the units of one release."""
    return instance_texts(unit_texts(plan(manager, **keys)["releases"]["blog"]), ID)


def test_each_manager_has_units_of_its_own_and_all_have_timers() -> None:
    timers = {f"blog.tidy@{ID}.timer", f"blog.tidy@{ID}.service"}
    programs = [f"blog@{ID}", f"blog.worker.1@{ID}", f"blog.worker.2@{ID}"]
    assert set(texts("systemd")) == {*timers, f"blog@{ID}.socket", *(f"{name}.service" for name in programs)}
    assert set(texts("supervisor")) == {*timers, f"blog@{ID}.tmpfiles", *(f"{name}.conf" for name in programs)}
    assert set(texts("cron")) == {*timers, f"blog@{ID}.tmpfiles", *(f"{name}.cron" for name in programs)}


def test_the_directory_comes_first_and_the_kinds_are_told_apart() -> None:
    kinds = kinds_of("blog", texts("supervisor"))
    assert kinds.web == [f"blog@{ID}.tmpfiles", f"blog@{ID}.conf"]
    assert kinds.processes == [f"blog.worker.1@{ID}.conf", f"blog.worker.2@{ID}.conf"]
    assert kinds.timers == [f"blog.tidy@{ID}.timer"]
    assert in_start_order(["a.cron", "a.conf", "a.service", "a.tmpfiles"])[0] == "a.tmpfiles"


def test_the_packages_are_those_of_the_managers_in_use() -> None:
    assert "supervisor" in plan("supervisor")["packages"]
    assert not {"supervisor", "cron"} & set(plan("systemd")["packages"])
    assert "cron" in plan("cron")["packages"]


def test_a_program_of_supervisor() -> None:
    text = texts("supervisor")[f"blog@{ID}.conf"]
    for line in (
        f"[program:blog@{ID}]",
        f"command=/srv/blog/releases/{ID}/launch web",
        "user=blog",
        "autostart=true",
        "autorestart=unexpected",
        "exitcodes=0",
        "stopsignal=TERM",
        # gunicorn's own 30 s, and then some.
        "stopwaitsecs=35",
        "killasgroup=true",
        "stdout_logfile=/var/log/supervisor/blog/web.log",
        "stdout_logfile_maxbytes=0",
    ):
        assert line in text.splitlines()
    slow = texts("supervisor", server={"settings": {"graceful_timeout": 90}})[f"blog@{ID}.conf"]
    assert "stopwaitsecs=95" in slow.splitlines()
    worker = texts("supervisor")[f"blog.worker.2@{ID}.conf"].splitlines()
    assert "stopwaitsecs=120" in worker
    assert "autorestart=true" in worker


def test_a_percent_sign_is_no_expression_of_supervisor() -> None:
    text = supervisor.text("blog@.conf", {"program": {"command": "date +%s%i"}})
    assert supervisor.instance_text(text, ID).splitlines()[-1] == f"command=date +%%s{ID}"


def test_its_units_can_be_removed_when_its_package_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = tmp_path / f"blog@{ID}.conf"
    unit.touch()
    # apt remove leaves the configuration.
    (tmp_path / "supervisord.conf").touch()
    monkeypatch.setattr(supervisor, "CONFIGURATION", str(tmp_path / "supervisord.conf"))
    monkeypatch.setattr(supervisor, "PROGRAM", "no-such-supervisord")
    monkeypatch.setattr(supervisor, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(supervisor, "PATIENCE", 0)
    supervisor.remove([unit.name])
    assert not unit.exists()


def test_its_password_may_hold_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(listener: socket.socket) -> None:
        connection, dummy = listener.accept()
        with connection:
            # Whole: to close with a part unread resets the connection, and the client would ask a second time.
            request = b""
            while not request.endswith(b"</methodCall>\n"):
                request += connection.recv(65536)
            asked.append(request)
            connection.sendall(b"HTTP/1.1 401 no\r\nContent-Length: 0\r\n\r\n")

    path = tmp_path / "s"
    (tmp_path / "supervisord.conf").write_text(f"[unix_http_server]\nfile={path}\nusername=ann\npassword=a@b/#%%\n")
    monkeypatch.setattr(supervisor, "CONFIGURATION", str(tmp_path / "supervisord.conf"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        server = threading.Thread(target=answer, args=(listener,))
        server.start()
        with pytest.raises(xmlrpc.client.ProtocolError):
            supervisor._connected().getState()
        server.join()
    assert base64.b64encode(b"ann:a@b/#%") in asked[0]


def test_its_logs_are_rotated_by_root_and_once() -> None:
    policies = plan("supervisor")["logrotate_policies"]
    assert policies["blog.supervisor"]["paths"] == ["/var/log/supervisor/blog/*.log"]
    assert policies["blog.supervisor"]["postrotate"] == [
        "! systemctl --quiet is-active supervisor.service"
        " || systemctl kill --signal=USR2 --kill-whom=main supervisor.service"
    ]
    assert "su" not in policies["blog.supervisor"]
    assert set(plan("cron")["logrotate_policies"]) == {"blog"}


def test_an_entry_of_cron_has_a_name_that_cron_reads() -> None:
    for unit in (f"blog@{ID}.cron", f"blog.worker.1@{ID}.cron", f"blog-api@{ID}.cron"):
        assert set(os.path.basename(cron.path_of(unit))) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    text = texts("cron")[f"blog.worker.1@{ID}.cron"]
    assert f"* * * * * blog /srv/blog/releases/{ID}/control check worker.1\n" in text


def test_the_entries_of_an_application_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cron, supervisor, tmpfiles):
        monkeypatch.setattr(module, "DIRECTORY", str(tmp_path))
    for module, suffix in ((cron, "cron"), (supervisor, "conf"), (tmpfiles, "tmpfiles")):
        for path in tmp_path.iterdir():
            path.unlink()
        own = {f"blog@{ID}.{suffix}", *({f"blog.worker.1@{ID}.{suffix}"} if suffix != "tmpfiles" else ())}
        for unit in (*own, f"blog-api@{ID}.{suffix}", f"blog-worker-1@{ID}.{suffix}", f"bl@{ID}.{suffix}"):
            Path(module.path_of(unit)).touch()
        assert set(module.found("blog")) == own
        assert module.found("blog-api") == [f"blog-api@{ID}.{suffix}"]


def test_the_user_and_the_script_come_from_the_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "DIRECTORY", str(tmp_path))
    unit = f"blog@{ID}.cron"
    assert cron._entry(unit) == ("blog", f"/srv/blog/releases/{ID}/control")
    check = {"user": "other", "command": "/data/blog/releases/%i/control check web"}
    Path(cron.path_of(unit)).write_text(cron.instance_text(cron.text("blog@.cron", {"Check": check}), ID))
    assert cron._entry(unit) == ("other", f"/data/blog/releases/{ID}/control")


def test_a_program_of_cron_that_goes_on_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(Instance, "running", lambda self: 4711)
    with pytest.raises(ReleaseError, match="does not end: end its process 4711") as raised:
        cron.remove([f"blog@{ID}.cron"])
    assert raised.value.output == f"/srv/blog/releases/{ID}/control is gone"


def test_the_server_of_a_release_by_its_suffix(tmp_path: Path) -> None:
    layout = Layout("blog", str(tmp_path))
    assert main_unit(layout, ID) == f"blog@{ID}.service"
    Path(layout.units(ID)).mkdir(parents=True)
    for name in texts("supervisor"):
        (Path(layout.units(ID)) / name).touch()
    assert main_unit(layout, ID) == f"blog@{ID}.conf"


def test_commands_keep_their_sandbox() -> None:
    systemd = plan("systemd")["releases"]["blog"]["units"]["blog@.service"]["Service"]
    sandbox = plan("cron")["releases"]["blog"]["sandbox"]
    assert {key: systemd[key] for key in sandbox} == sandbox
    assert sandbox["NoNewPrivileges"] is True


def test_all_output_goes_to_the_log_that_is_rotated() -> None:
    assert plan("supervisor")["releases"]["blog"]["server"]["settings"]["capture_output"] is True
    assert "capture_output" not in plan("systemd")["releases"]["blog"]["server"]["settings"]


@pytest.mark.parametrize("manager", ["supervisor", "cron"])
def test_only_systemd_keeps_the_journal_from_dropping_lines(manager: str) -> None:
    with pytest.raises(InventoryError, match="can't keep the journal"):
        plan(manager, logs={"to": "journal"})


def test_what_programs_say_is_shown_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SUPERVISOR_LOGS", str(tmp_path))
    (tmp_path / "blog").mkdir()
    (tmp_path / "blog" / "web.log").touch()
    (tmp_path / "blog" / "worker.1.log").write_text("it works\n")
    journal = ["journalctl", "--no-pager", "--quiet", "--lines=5"]
    assert log_words([f"blog@{ID}.conf", f"blog.worker.1@{ID}.conf", f"blog.tidy@{ID}.service"], 5) == [
        [*journal, f"--unit=blog.tidy@{ID}.service"],
        ["tail", "--lines=5", "--", f"{tmp_path}/blog/worker.1.log"],
    ]
    assert log_words([f"blog@{ID}.cron"], 5) == [[*journal, f"--identifier=blog@{ID}"]]


def test_only_what_systemd_does_not_run_has_programs() -> None:
    assert launcher_files("blog", plan("systemd")["releases"]["blog"]) == {}
    assert set(launcher_files("blog", plan("supervisor")["releases"]["blog"])) == {"launch"}
    assert set(launcher_files("blog", plan("cron")["releases"]["blog"])) == {"launch", "control"}


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.text(max_size=40)))
def test_the_launcher_reads_what_systemd_reads(variables: dict[str, str]) -> None:
    variables = {
        name: value
        for name, value in variables.items()
        if "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    }
    assert launcher.read_variables(environment_text(variables)) == variables


def test_what_an_instance_left_is_believed_only_as_far_as_it_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_instances, "RUN", str(tmp_path))
    instance = Instance.of_unit(f"blog.worker.1@{ID}.conf")
    assert (instance.app, instance.process, instance.release) == ("blog", "worker.1", ID)
    assert instance.name == f"blog.worker.1@{ID}"
    assert (instance.running(), instance.known(), instance.restarts()) == (0, False, 0)
    run = tmp_path / "blog" / ID
    run.mkdir(parents=True)
    start = release_instances.start_time(os.getpid())
    (run / "worker.1.pid").write_text(f"{os.getpid()} {start}\n")
    assert instance.running() == os.getpid()
    for text in (f"{os.getpid()} {int(start) - 1}\n", f"{os.getpid()}\n", "x y\n", "", f"-1 {start}\n"):
        (run / "worker.1.pid").write_text(text)
        assert instance.running() == 0, text
    secret = tmp_path / "secret"
    secret.write_text(f"{os.getpid()} {start}\n")
    (run / "worker.1.pid").unlink()
    (run / "worker.1.pid").symlink_to(secret)
    assert instance.running() == 0
    (run / "worker.1.starts").write_text("3 100 200\n")
    assert instance.restarts() == 2
    instance.restarts_begin()
    assert instance.restarts() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_site_names_nobody_elses_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_instances, "RUN", str(tmp_path))
    (tmp_path / "blog" / ID).mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], user=65534) as other:
        pid = tmp_path / "blog" / ID / "web.pid"
        pid.write_text(f"{other.pid} {release_instances.start_time(other.pid)}\n")
        assert Instance.of_unit(f"blog@{ID}.cron").running() == 0
        os.chown(pid.parent, 65534, -1)
        assert Instance.of_unit(f"blog@{ID}.cron").running() == other.pid
        other.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes the application's user")
def test_a_site_makes_root_wait_no_longer_than_its_programs_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = tmp_path / "control"
    control.write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/asked\nexec sleep 60\n")
    control.chmod(0o755)
    monkeypatch.setattr(cron, "_PATIENCE", 0.2)
    monkeypatch.setattr(cron, "_entry", lambda name: (pwd.getpwuid(os.getuid()).pw_name, str(control)))
    begun = time.monotonic()
    cron.stop([f"blog@{ID}.cron"])
    assert time.monotonic() - begun < 30
    assert (tmp_path / "asked").read_text().split() == ["stop-soon", "stop"]


def test_the_time_that_a_program_has_to_end_is_the_scripts(tmp_path: Path) -> None:
    control = tmp_path / "control"
    control.write_text(launcher_files("blog", plan("cron")["releases"]["blog"], ID)["control"])
    assert [cron._time_to_stop(str(control), name) for name in ("worker.1", "none")] == [120.0, 0.0]


class Release:
    """A release on this machine, of the user who runs the tests, whose server is a small program."""

    SERVER = (
        "import os, signal, socket, time\n"
        "made = socket.socket(fileno=3)\n"
        "assert (os.environ['LISTEN_FDS'], os.environ['LISTEN_PID']) == ('1', str(os.getpid()))\n"
        "signal.signal(signal.SIGUSR1, lambda *dummy: open('../reopened', 'w').close())\n"
        "open('../variables', 'w').write(repr((dict(os.environ), os.getcwd(), os.umask(0o27))))\n"
        "while True:\n"
        "    made.accept()[0].sendall(str(os.getpid()).encode())\n"
    )

    def __init__(self, base: Path) -> None:
        self.directory = base / "releases" / ID
        self.run = base / "run" / "blog" / ID
        (self.directory / "src").mkdir(parents=True)
        (self.directory / "env").write_text('SECRET="a \\"quoted\\" one"\n')
        (self.directory / "src" / "server.py").write_text(self.SERVER)
        self.run.mkdir(parents=True)
        app = plan("cron")["releases"]["blog"] | {"user": pwd.getpwuid(os.getuid()).pw_name, "base": str(base)}
        for name, text in launcher_files("blog", app, ID).items():
            text = text.replace(f"/run/blog/{ID}", str(self.run))
            words = f'["{self.directory}/venv/bin/gunicorn", "--config", "{self.directory}/gunicorn.conf.py"]'
            text = text.replace(words, f'["{sys.executable}", "{self.directory}/src/server.py"]')
            text = text.replace("exec celery -n \\'w%i\\' worker", "exec sleep 60")
            # What is said here goes nowhere: there is no journal.
            silent = """sh -c 'exec "$@" >/dev/null 2>&1' -"""
            text = text.replace('systemd-cat --identifier="$unit"', silent).replace("logger --tag", "true")
            (self.directory / name).write_text(text)
            (self.directory / name).chmod(0o755)

    def control(self, *words: str, status: int = 0) -> str:
        argv = ["dash", str(self.directory / "control"), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stdout

    def answer(self) -> int:
        """Return the process that answers at the socket."""
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.settimeout(5)
            visitor.connect(str(self.run / "sock"))
            return int(visitor.recv(20))

    def kill(self) -> None:
        for path in self.run.glob("*.pid"):
            if pid := launcher.running(str(path)):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    if not (shutil.which("dash") and shutil.which("flock") and os.path.exists("/usr/bin/python3")):
        pytest.skip("no Debian")
    # The path of a socket has at most 107 characters.
    base = Path("/tmp") / f"managers.{os.getpid()}"
    shutil.rmtree(base, ignore_errors=True)
    made = Release(base)
    yield made
    made.kill()
    shutil.rmtree(base)


def until(check: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_life_under_the_control_script(release: Release) -> None:
    assert "does not run" in release.control("status", status=3)
    release.control("start")
    pid = release.answer()
    assert f"process {pid}" in release.control("status")
    assert "runs already" in release.control("start")
    release.control("check")
    assert release.answer() == pid
    variables, directory, umask = eval((release.directory / "variables").read_text())
    assert variables["SECRET"] == 'a "quoted" one'
    assert variables["VIRTUAL_ENV"] == f"{release.directory}/venv"
    assert "PYTEST_CURRENT_TEST" not in variables
    assert variables["LANG"] == launcher.language()
    assert (directory, umask) == (f"{release.directory}/src", 0o27)
    assert (release.run / "sock").stat().st_mode & 0o777 == 0o660
    release.control("reopen")
    until((release.directory / "reopened").exists)
    # Killed: the next check starts it, and the socket is a new one.
    os.kill(pid, signal.SIGKILL)
    until(lambda: not launcher.running(str(release.run / "web.pid")))
    assert "died" in release.control("status", status=1)
    release.control("check")
    until(lambda: launcher.running(str(release.run / "web.pid")))
    until(lambda: release.answer() not in (0, pid))
    # Stopped on purpose: no check starts it.
    second = release.answer()
    release.control("stop")
    assert launcher.start_time(second) == ""
    release.control("check")
    assert "was stopped" in release.control("status", status=3)
    release.control("restart")
    assert release.answer() not in (pid, second)


def test_the_language_is_that_of_the_host(tmp_path: Path) -> None:
    paths = [str(tmp_path / "locale.conf"), str(tmp_path / "locale")]
    assert launcher.language(paths) == "C.UTF-8"
    (tmp_path / "locale").write_text('# LANG=x\nLC_TIME=C\nLANG="de_DE.UTF-8"\n')
    assert launcher.language(paths) == "de_DE.UTF-8"
    (tmp_path / "locale.conf").write_text("LANG=fr_FR.UTF-8\n")
    assert launcher.language(paths) == "fr_FR.UTF-8"


def test_what_does_not_end_is_killed_with_all_that_it_has_started(release: Release) -> None:
    stubborn = (
        "import signal, subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('../child', 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\n"
    )
    (release.directory / "src" / "server.py").write_text(stubborn + Release.SERVER)
    control = release.directory / "control"
    control.write_text(control.read_text().replace(" web) timeout=35 ;;", " web) timeout=1 ;;"))
    release.control("start")
    server, child = release.answer(), int((release.directory / "child").read_text())
    release.control("stop")
    assert launcher.start_time(server) == ""
    until(lambda: launcher.start_time(child) == "")


def test_no_program_holds_the_lock(release: Release) -> None:
    release.control("start")
    argv = ["flock", "--nonblock", str(release.run / "web.lock"), "true"]
    assert subprocess.run(argv, check=False).returncode == 0


def test_the_process_of_somebody_else_is_not_taken_for_ours(release: Release) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        (release.run / "web.pid").write_text(f"{other.pid} 12345\n")
        assert "died" in release.control("status", status=1)
        release.control("stop")
        assert other.poll() is None
        (release.run / "web.pid").write_text(f"{other.pid} 12345\n")
        release.control("start")
        assert release.answer() != other.pid
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_server_that_nobody_watches_is_ended_by_the_next(release: Release) -> None:
    words = [str(release.directory / "launch"), "web"]
    first = subprocess.Popen(words)
    until((release.run / "sock").exists)
    until(lambda: release.answer() == first.pid)
    second = subprocess.Popen(words)
    try:
        assert first.wait(timeout=10) == -signal.SIGTERM
        until(lambda: release.answer() == second.pid)
    finally:
        second.kill()
        second.wait()


def test_what_ends_again_and_again_is_given_up(release: Release) -> None:
    (release.directory / "src" / "server.py").write_text("raise SystemExit(3)")
    words = [str(release.directory / "launch"), "web"]
    ends = [subprocess.run(words, capture_output=True, text=True, check=False) for dummy in range(6)]
    assert [end.returncode for end in ends] == [3, 3, 3, 3, 3, 1]
    assert "it is given up" in ends[-1].stderr


def test_a_process_needs_no_socket(release: Release) -> None:
    release.control("start", "worker.2")
    assert "runs, process" in release.control("status", "worker.2")
    assert not (release.run / "sock").exists()
    release.control("stop", "worker.2")


def test_wrong_words_are_answered(release: Release) -> None:
    release.control("start", "nobody", status=64)
    release.control("destroy", status=64)
    release.control(status=64)


def test_a_signal_for_logs_kills_nobody_who_does_not_know_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        assert not launcher.catches(process.pid, signal.SIGUSR1)
        process.kill()
    before = signal.signal(signal.SIGUSR2, lambda *dummy: None)
    assert launcher.catches(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)


def test_shell_finds_no_fault_with_the_script(tmp_path: Path) -> None:
    script = tmp_path / "control"
    script.write_text(launcher_files("blog", plan("cron")["releases"]["blog"], ID)["control"])
    assert subprocess.run(["dash", "-n", str(script)], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
        assert done.stdout == ""
