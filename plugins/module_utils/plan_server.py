# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The server of an application: what is wrong with it, what it needs, and what a release says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_check import check_settings
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_config import packages_for
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_settings import SETTINGS
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import WORDS

WORKER_CLASS = "gthread"
_GTHREAD_THREADS = 4
_SINGLE_THREADED = ("sync", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado", "asgi")
# Servers of one process: what they are called in a sentence, the settings that mean something to them, how to get more.
_ONE_PROCESS = {
    "gevent": (
        "gevent alone",
        ("worker_connections", "graceful_timeout", "umask"),
        "it is for applications that keep state in memory; use type gunicorn with worker_class gevent for more",
    ),
    "flask": ("the development server", ("graceful_timeout", "umask"), "use type gunicorn for more"),
}
# Other names under which people look for the development server.
_DEVELOPMENT_SERVERS = ("dev", "development", "flask run", "flask-run", "runserver", "run_simple", "werkzeug")

# Settings of gunicorn that are said elsewhere or follow from what a release is.
_MANAGED_SETTINGS = {
    "wsgi_app": "say it as wsgi",
    "workers": "say it as server.workers",
    "worker_class": "say it as server.worker_class",
    "threads": "say it as server.threads",
    "bind": "systemd opens the socket; ports are under nginx.listen",
    "backlog": "systemd opens the socket; say it as systemd.Socket.Backlog",
    "reuse_port": "systemd opens the socket",
    "chdir": "an application starts in its source",
    "pythonpath": "an application starts in its source; install what else it needs",
    "user": "an application runs as the user of its name",
    "group": "an application runs as the user of its name",
    "initgroups": "an application runs as the user of its name",
    "daemon": "systemd needs gunicorn in the foreground",
    "pidfile": "systemd knows the process",
    "config": "the file of the release is the configuration",
    "paste": "say what to run as wsgi",
    "raw_env": "say it as env or secrets",
    "reload": "the code of a release never changes",
    "reload_engine": "the code of a release never changes",
    "reload_extra_files": "the code of a release never changes",
    "accesslog": "logs are below /var/log; say what they look like under logs",
    "errorlog": "logs are below /var/log",
    "certfile": "nginx stands in front",
    "keyfile": "nginx stands in front",
    "protocol": "nginx speaks HTTP to the application",
    "proxy_protocol": "nginx speaks HTTP to the application",
}


def check_type(report: Report, said: Any, allow_dev_server: bool) -> Any:
    """Check the kind of server in an application as it was written; return it without one that can't be."""
    server = said.get("server") if isinstance(said, Mapping) else None
    if not isinstance(server, Mapping):
        return said
    name = server.get("type")
    if name in _DEVELOPMENT_SERVERS:
        text = f"'{name}' is not available; did you mean 'flask', the development server?"
    elif name == "flask" and not allow_dev_server:
        text = (
            "'flask' is the development server: slow, and not safe to let others reach. Use gunicorn, or leave the key"
            " out; on hosts that serve nobody but developers say allow_dev_server: true, a variable of the inventory"
        )
    else:
        return said
    report.add("dev-server", "server.type", text)
    return {**said, "server": {key: value for key, value in server.items() if key != "type"}}


def check_server(report: Report, entry: Entry) -> None:
    """The server's keys: ours, the user's settings, and both together."""
    server, before = entry["server"], len(report.problems)
    workers = server["workers"]
    if workers not in WORDS and (isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 1000):
        text = f"{workers!r} is no number of processes: write a number from 1 on, auto or cpu"
        report.add("workers", "server.workers", text)
    threads = server.get("threads")
    if threads is not None and not 1 <= threads <= 1000:
        report.add("threads", "server.threads", f"{threads} is no number of threads: write one from 1 on")
    for name in server["settings"]:
        if name in _MANAGED_SETTINGS:
            report.add("gunicorn-managed", f"server.settings.{name}", f"is not set here: {_MANAGED_SETTINGS[name]}")
    own = {name: value for name, value in server["settings"].items() if name not in _MANAGED_SETTINGS}
    if server["type"] in _ONE_PROCESS:
        _check_one_process(report, server, own)
    elif len(report.problems) == before:
        _check_gunicorn(report, entry, own)


def _check_gunicorn(report: Report, entry: Entry, own: Mapping[str, Any]) -> None:
    server = entry["server"]
    worker_class, threads = server.get("worker_class") or WORKER_CLASS, server.get("threads")
    if threads is not None and threads > 1 and worker_class in _SINGLE_THREADED:
        text = (
            f"{worker_class} workers have no threads (gunicorn would silently run others, or ignore it): use"
            " worker_class gthread, or remove threads"
        )
        report.add("threads", "server.threads", text)
        return
    ours = {
        "workers": server["workers"],
        "worker_class": worker_class,
        **({} if threads is None else {"threads": threads}),
    }
    for problem in check_settings({**ours, **own}, access_log=entry["logs"]["access"]):
        name, _colon, text = problem.partition(": ")
        key = f"server.{name}" if name in ours else f"server.settings.{name}"
        report.add("gunicorn-setting", key, text)


def _check_one_process(report: Report, server: Entry, own: Mapping[str, Any]) -> None:
    """A server without worker processes: what would ask for some, and settings that only gunicorn has."""
    called, taken, instead = _ONE_PROCESS[server["type"]]
    if server["workers"] not in ("auto", 1):
        report.add("server-keys", "server.workers", f"{called} is one process, not {server['workers']!r}: {instead}")
    for key in ("worker_class", "threads"):
        if server.get(key) is not None:
            report.add("server-keys", f"server.{key}", f"means nothing to {called}: remove it, or use type gunicorn")
    for name, value in own.items():
        key = f"server.settings.{name}"
        if name not in taken:
            only = "only gunicorn has it" if name in SETTINGS else hint(name, taken)
            report.add("server-keys", key, f"is no setting of {called}, which takes {', '.join(taken)}; {only}")
            continue
        for problem in check_settings({"worker_class": "gevent", name: value}, access_log="none"):
            report.add("gunicorn-setting", key, problem.partition(": ")[2])


def needed_packages(server: Mapping[str, Any]) -> list[str]:
    """Return the requirements of a server: its own package first, by its plain name, then what else it needs."""
    if server["type"] == "gunicorn":
        settings = server["settings"]
        return ["gunicorn", *packages_for(settings["worker_class"], settings)]
    return {"gevent": ["gevent"], "flask": ["werkzeug"]}[server["type"]]


def server_of(entry: Entry, logs: str) -> dict[str, Any]:
    """Return what serves a release: ``type``, ``settings``, ``access_log``, and the ``limits`` that its workers share.

    ``logs``: the directory of the application's logs.
    """
    limits = {key: entry["limits"][key] for key in ("cpu", "memory") if entry["limits"][key]}
    return {
        "type": entry["server"]["type"],
        "settings": _settings(entry, logs),
        "access_log": entry["logs"]["access"],
        "limits": limits,
    }


def _settings(entry: Entry, logs: str) -> dict[str, Any]:
    """Return the settings of the server in gunicorn's words, the user's last."""
    server = entry["server"]
    settings: dict[str, Any] = {"wsgi_app": entry["wsgi"]}
    if server["type"] == "gunicorn":
        settings |= {"workers": server["workers"], "worker_class": server.get("worker_class") or WORKER_CLASS}
        threads = server.get("threads")
        if threads is None and settings["worker_class"] == "gthread":
            threads = _GTHREAD_THREADS
        if threads is not None:
            settings["threads"] = threads
    files = entry["logs"]["to"] == "file"
    if entry["logs"]["access"] != "none":
        settings["accesslog"] = f"{logs}/access.log" if files else "-"
    settings["errorlog"] = f"{logs}/error.log" if files else "-"
    if files and server["type"] == "gunicorn" and entry["process_manager"] != "systemd":
        # One log for all that is said, which is opened again when it was rotated.
        settings["capture_output"] = True
    # Workers set their own, whatever the unit's UMask= says. nginx reads uploads through the group of their directory.
    settings["umask"] = "0027"
    return {**settings, **server["settings"]}
