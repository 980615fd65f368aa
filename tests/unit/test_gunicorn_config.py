"""gunicorn settings: what is refused, and that what is rendered is what gunicorn then reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    gunicorn_check,
    gunicorn_config,
    gunicorn_settings,
)
from gunicorn.app.base import Application
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

REPOSITORY = Path(__file__).parents[2]
TABLE = REPOSITORY / "plugins" / "module_utils" / "gunicorn_settings.py"


class Loaded(Application):  # type: ignore[misc]
    """gunicorn's own reading of a configuration file."""

    def __init__(self, path: Path) -> None:
        self.cfg = Config()
        self.load_config_from_file(str(path))


def load(text: str, tmp_path: Path) -> Config:
    path = tmp_path / "gunicorn.conf.py"
    path.write_text(text, encoding="utf-8")
    return Loaded(path).cfg


def check(**settings: Any) -> list[str]:
    return gunicorn_config.check_settings(settings)


def test_the_table_is_that_of_the_installed_gunicorn() -> None:
    tool = [sys.executable, str(REPOSITORY / "tests" / "tools" / "gunicorn_table.py")]
    made = subprocess.run(tool, check=True, capture_output=True, text=True).stdout
    assert made == TABLE.read_text(), (
        "run: python tests/tools/gunicorn_table.py > plugins/module_utils/gunicorn_settings.py"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"worker": 3}, "worker: gunicorn has no such setting; did you mean workers?"),
        ({"preload": True}, "did you mean preload_app?"),
        ({"log-level": "info"}, "did you mean loglevel?"),
        ({"qqqq": 1}, "qqqq: gunicorn has no such setting"),
        ({"daemon": True}, "daemon: can't be set here"),
        ({"ssl_version": 2}, "use the hook ssl_context"),
        ({"workers": 0}, "workers: must be 1 or more, not 0"),
        ({"workers": "many"}, 'workers: must be a whole number, "auto" or "cpu", not \'many\''),
        ({"timeout": "30"}, "timeout: must be a whole number, not '30'"),
        ({"timeout": True}, "timeout: must be a whole number, not True"),
        ({"limit_request_fields": 40000}, "limit_request_fields: must be 32768 or less"),
        ({"http2_max_frame_size": 1}, "http2_max_frame_size: must be 16384 or more"),
        ({"preload_app": "yes"}, "preload_app: must be true or false"),
        ({"loglevel": "loud"}, "loglevel: must be one of debug, info, warning, error, critical"),
        ({"umask": "0089"}, "umask: must be an octal mode"),
        ({"umask": 4095}, "umask: must be an octal mode"),
        ({"proc_name": 5}, "proc_name: must be text (write it in quotes), not 5"),
        ({"proc_name": "a\0b"}, "NUL"),
        ({"forwarded_allow_ips": "10.0.0.1/8"}, "forwarded_allow_ips: 10.0.0.1/8 has host bits set"),
        ({"bind": "nonsense/here"}, "bind: 'nonsense/here' must be HOST:PORT"),
        ({"bind": ["127.0.0.1:99999"]}, "a port is 1 to 65535"),
        ({"bind": ["unix:/" + "x" * 107]}, "longer than the 107 bytes"),
        ({"bind": []}, "bind: must name one address or more"),
        ({"bind": [8000]}, "bind: must be a list of texts"),
        ({"raw_env": ["NOVALUE"]}, "must be NAME=value"),
        ({"wsgi_app": "blog app"}, "wsgi_app: must be module:callable"),
        ({"post_fork": "def post_fork(s, w): pass"}, "post_fork: must be package.module:function"),
        ({"worker_class": "eventlet"}, "eventlet was removed in gunicorn 26.0; use gevent or gthread"),
        ({"worker_class": "gaiohttp"}, "use gevent or gthread"),
        ({"worker_class": "gtread"}, "'gtread' is no worker class; did you mean gthread?"),
        ({"worker_class": "sync", "threads": 4}, "threads: with worker_class sync gunicorn silently runs gthread"),
        ({"worker_class": "gevent", "threads": 4}, "threads: has no effect on gevent workers"),
        ({"worker_connections": 9}, "worker_connections: has no effect on sync workers"),
        ({"worker_class": "gthread", "threads": 4, "worker_connections": 2}, "leave threads idle"),
        ({"keepalive": 5}, "keepalive: sync workers close every connection"),
        ({"keyfile": "/k"}, "keyfile: has no effect without certfile"),
        ({"max_requests_jitter": 5}, "max_requests_jitter: has no effect without max_requests"),
        ({"asgi_loop": "uvloop", "worker_class": "gthread"}, "asgi_loop: has no effect without worker_class: asgi"),
        ({"http_protocols": "h1,h2", "worker_class": "gthread"}, "h2 needs certfile"),
        ({"http_protocols": "h2", "certfile": "/c"}, "sync workers don't speak HTTP/2"),
        ({"http_protocols": "h3"}, "http_protocols: must be a comma-separated text of h1, h2"),
        ({"preload_app": True, "reload": True}, "preload_app: can't be used together with reload"),
        ({"logconfig": "/a", "logconfig_json": "/b"}, "keep one of the two"),
        ({"control_socket": "/run/x", "control_socket_disable": True}, "control_socket: has no effect"),
        ({"logger_class": "my.Logger"}, "logger_class: is set by access_log: json"),
        ({"access_log_format": "%(h)s"}, "access_log_format: is set by access_log: json"),
        ({"logconfig_dict": []}, "logconfig_dict: must be a dict"),
        ({"user": ""}, "user: must be a name or a number"),
    ],
)
def test_refused(settings: dict[str, Any], said: str) -> None:
    problems = check(**settings)
    assert any(said in problem for problem in problems), problems
    with pytest.raises(gunicorn_config.GunicornConfigError):
        gunicorn_config.render_config(settings)


def test_all_problems_at_once() -> None:
    assert len(check(worker=1, timeout="x", worker_class="eventlet")) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"worker_class": "uvicorn.workers.UvicornWorker", "threads": 2, "worker_connections": 4, "keepalive": 5},
        {"worker_class": "gthread", "threads": 4, "keepalive": 75, "worker_connections": 2000},
        {"threads": 4, "keepalive": 75},
        {"worker_class": "gevent", "worker_connections": 2000, "keepalive": 75},
        {"bind": ["unix:/run/a.sock", "[::1]:80", ":8000", "fd://3", "example.org"]},
        {"proxy_protocol": False, "asgi_lifespan": False, "worker_class": "asgi", "umask": 0o027},
        {"forwarded_allow_ips": "*", "proxy_protocol": True, "proxy_allow_ips": "10.0.0.0/8, ::1"},
        {"certfile": "/pair.pem", "http_protocols": "h2,h1", "worker_class": "gthread", "user": 33},
        {"keyfile": "/k", "certfile": "/c", "max_requests": 9, "max_requests_jitter": 3},
    ],
)
def test_accepted(settings: dict[str, Any]) -> None:
    assert check(**settings) == []
    compile(gunicorn_config.render_config(settings), "gunicorn.conf.py", "exec")


SAMPLES: dict[str, list[Any]] = {
    "bool": [True, False],
    "str": ["/tmp", "quote \" and ' and \\ and \u00fc"],
    "class": ["sync"],
    "dict": [{"A": "b"}],
    "hook": ["posixpath:join"],
    "list": [["unix:/tmp/x.sock"]],
    "texts": ["SCRIPT_NAME,PATH_INFO"],
    "networks": ["127.0.0.1,10.0.0.0/8"],
    "user": [0],
    "mode": ["0027", 0o600],
}


def samples(name: str) -> list[Any]:
    kind, limits = gunicorn_settings.SETTINGS[name]
    if kind in ("choice", "choices"):
        return list(limits)
    special: dict[str, list[Any]] = {
        "dirty_workers": [2],
        "raw_env": [["A=b"]],
        "chdir": ["/tmp"],
        "statsd_host": ["localhost:8125"],
        "reload_extra_files": [["/etc/passwd"]],
    }
    if name in special:
        return special[name]
    if kind == "int":
        return [limit for limit in limits if limit is not None]
    return ["blog:app"] if name == "wsgi_app" else SAMPLES[kind]


def beside(name: str) -> dict[str, Any]:
    """Other settings without which this one would be refused."""
    threaded = {"worker_class": "gthread"}
    switches: dict[str, dict[str, Any]] = {
        "asgi": {"worker_class": "asgi"},
        "certfile": {"certfile": "/c"},
        "dirty_apps": {"dirty_apps": ["a:b"], "dirty_workers": 1},
        "dirty_workers": {"dirty_workers": 1},
        "http2": {"http2_cleartext": "both", **threaded},
        "max_requests": {"max_requests": 1},
        "proxy_protocol": {"proxy_protocol": "auto"},
        "reload": {"reload": True},
        "statsd_host": {"statsd_host": "x:1"},
        "syslog": {"syslog": True},
        "uwsgi": {"protocol": "uwsgi"},
    }
    needed = switches[gunicorn_check.NEEDS[name][0]] if name in gunicorn_check.NEEDS else {}
    if name in ("http2_cleartext", "http_protocols", "keepalive", "threads", "worker_connections"):
        needed = {**threaded, "certfile": "/c"}
    return needed


@pytest.mark.parametrize("name", sorted(set(gunicorn_settings.SETTINGS) - set(gunicorn_check.NOT_IN_A_FILE)))
def test_every_setting_reaches_gunicorn(name: str, tmp_path: Path) -> None:
    for value in samples(name):
        text = gunicorn_config.render_config({**beside(name), name: value}, access_log="none")
        got, plain = load(text, tmp_path).settings[name].get(), Config()
        if gunicorn_settings.SETTINGS[name][0] == "hook":
            assert got.__module__ != "gunicorn.config"
            continue
        plain.set(name, int(value, 8) if gunicorn_settings.SETTINGS[name][0] == "mode" and value == "0027" else value)
        assert got == plain.settings[name].get()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_the_quoting(text: str) -> None:
    rendered = gunicorn_config.render_config({"raw_env": [f"A={text}"], "logconfig_dict": {text: [text, 1, None, 2.5]}})
    names: dict[str, Any] = {}
    exec(compile(rendered, "gunicorn.conf.py", "exec"), names)
    assert names["raw_env"] == [f"A={text}"]
    assert names["logconfig_dict"] == {text: [text, 1, None, 2.5]}


def test_the_same_settings_give_the_same_text_in_any_order() -> None:
    one = gunicorn_config.render_config({"workers": 2, "bind": "127.0.0.1:1", "on_exit": "a:b", "when_ready": "a:c"})
    other = gunicorn_config.render_config({"when_ready": "a:c", "on_exit": "a:b", "bind": "127.0.0.1:1", "workers": 2})
    assert one == other


@pytest.mark.parametrize(
    ("worker", "cpus", "count"), [("sync", 1, 3), ("gthread", 2, 5), ("sync", 64, 12), ("gevent", 3, 3)]
)
def test_workers_auto_is_counted_where_it_runs(
    worker: str, cpus: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cpus)))
    text = gunicorn_config.render_config({"workers": "auto", "worker_class": worker})
    assert load(text.replace("/sys/fs/cgroup", str(tmp_path)), tmp_path).workers == count


def test_safe_defaults_that_can_be_overridden(tmp_path: Path) -> None:
    ours = load(gunicorn_config.render_config({}), tmp_path)
    assert (ours.umask, ours.worker_tmp_dir, ours.control_socket_disable, ours.accesslog) == (
        0o007,
        "/dev/shm",
        True,
        "-",
    )
    theirs = load(
        gunicorn_config.render_config({"umask": "022", "control_socket": "/run/x", "accesslog": "/l"}), tmp_path
    )
    assert (theirs.umask, theirs.control_socket_disable, theirs.accesslog) == (0o022, False, "/l")


def test_packages() -> None:
    assert gunicorn_config.packages_for("sync") == []
    assert gunicorn_config.packages_for("gevent") == ["gunicorn[gevent]"]
    assert gunicorn_config.packages_for("tornado", {"proc_name": "x"}) == ["gunicorn[tornado,setproctitle]"]
    assert gunicorn_config.packages_for("asgi", {"asgi_loop": "uvloop"}) == ["uvloop"]
    assert gunicorn_config.packages_for("gthread", {"http_protocols": "h1,h2"}) == ["gunicorn[http2]"]


@pytest.mark.parametrize("wrong", [{"access_log": "xml"}, {"notify": "nobody"}])
def test_unknown_variants(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        gunicorn_config.render_config({}, **wrong)


@pytest.mark.parametrize("kind", ["json", "classic"])
def test_lines_are_notices_in_the_journal_and_nowhere_else(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = gunicorn_config.render_config({"wsgi_app": "a:b"}, access_log=kind)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    plain = load(text, tmp_path).access_log_format
    out = os.fstat(1)
    monkeypatch.setenv("JOURNAL_STREAM", f"{out.st_dev}:{out.st_ino + 1}")
    assert load(text, tmp_path).access_log_format == plain, "standard output leads elsewhere"
    monkeypatch.setenv("JOURNAL_STREAM", f"{out.st_dev}:{out.st_ino}")
    assert load(text, tmp_path).access_log_format == f"<5>{plain}"
    text = gunicorn_config.render_config({"wsgi_app": "a:b", "accesslog": "/var/log/a/access.log"}, access_log=kind)
    assert load(text, tmp_path).access_log_format == plain
