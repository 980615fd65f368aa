# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""gunicorn.conf.py from plain data: one file that gunicorn 20.1 to 27 take, and that a person can read.

Settings that an older gunicorn doesn't know are ignored in its file (on its command line they would be fatal), so all
settings go into the file and none on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import access_record
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_check import (
    Settings,
    check_settings,
    flag,
    http2,
    octal,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_settings import SECTIONS, SETTINGS
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import GROUP_LIMITS, WORDS, assignments

__all__ = ["ACCESS_LOGS", "GunicornConfigError", "check_settings", "packages_for", "render_config"]

ACCESS_LOGS = ("json", "classic", "none")
CLASSIC_FORMAT = '%(t)s %(p)s %(h)s "%(r)s" %(s)s %(L)s %(b)s "%(f)s" "%(a)s"'
DEFAULTS: dict[str, Any] = {
    "control_socket_disable": True,  # its default place is $HOME, which a system user doesn't have
    "umask": 0o007,  # gunicorn's own 0 makes a socket that everybody may write
    "worker_tmp_dir": "/dev/shm",  # a heartbeat file on a disk can block a worker; /dev/shm is there in every sandbox
}

HEADER = """\
# Managed by Ansible (flaskworks.deploy): what is changed here by hand is overwritten.
# Each name is a setting of gunicorn; what is not listed has gunicorn's own default.
"""

NOTIFY = """\

# gunicorn tells systemd that it is ready before a worker has imported the application. Here the first worker that has
# done so tells it (the unit needs Type=notify and NotifyAccess=all), so that a broken application fails to start.
_notify_socket = os.environ.pop("NOTIFY_SOCKET", None)


def _notify_ready():
    if _notify_socket:
        address = "\\0" + _notify_socket[1:] if _notify_socket.startswith("@") else _notify_socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(b"READY=1\\nSTATUS=The application is imported", address)
"""

# atoms() feeds access_log_format; with the plain dict as wrapper nothing is escaped a second time. Works the same for
# gunicorn's statsd logger, syslog and logconfig, because only the message changes. gevent_pywsgi logs requests that it
# could not read without an environ, and the asgi worker's request_time is no timedelta.
JSON_LOGGER = """\


class JsonLogger({base}):
    atoms_wrapper_class = dict

    def atoms(self, resp, req, environ, request_time):
        status = (resp.status.decode() if isinstance(resp.status, bytes) else str(resp.status))[:3]
        seconds = getattr(request_time, "days", 0) * 86400 + request_time.seconds + request_time.microseconds / 1e6
        return {{"json": access_record(environ or {{}}, status, getattr(resp, "sent", None), seconds)}}


logger_class = JsonLogger
access_log_format = "%(json)s"
"""

# The worker hands requests to tornado's own server, which tells gunicorn's log nothing.
TORNADO_LOG = """\


class _Answer:
    def __init__(self, status, sent):
        self.status, self.sent, self.headers = status, sent, ()


def _log_requests(worker):
    def log(environ, status, length, seconds):
        environ.setdefault("RAW_URI", environ["SCRIPT_NAME"] + environ["PATH_INFO"])
        if environ["REMOTE_ADDR"] == "0.0.0.0":  # tornado's name for whoever comes over a unix socket
            environ["REMOTE_ADDR"] = ""
        worker.log.access(_Answer(status, length), (), environ, datetime.timedelta(seconds=seconds))

    worker.wsgi = logged(worker.wsgi, log)
"""

# gunicorn's own wrapper escapes quotes alone: old gunicorns let line breaks of folded headers pass.
CLASSIC_LOGGER = '''\


class _OneLine(dict):
    def __getitem__(self, name):
        value = self.get(name, "-")
        if not isinstance(value, str):
            return value
        text = value.encode("unicode_escape").decode("ascii").replace('"', '\\\\"')
        # Cut, so that journald does not make two lines of one.
        return text if len(text) <= 15000 else text[:15000].rstrip("\\\\") + "..."


class ClassicLogger({base}):
    """One line for each request: what is not plain ASCII is escaped as Python does, quotes and backslashes too."""

    atoms_wrapper_class = _OneLine

    def atoms(self, resp, req, environ, request_time):
        unread = dict.fromkeys(("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL"), "-")
        found = super().atoms(resp, req, environ or unread, request_time)
        if found["h"] in (None, "", "-"):  # a unix socket: only the proxy in front can have sent this header
            found["h"] = "".join(((environ or {{}}).get("HTTP_X_REAL_IP") or "").split()) or "-"
        return found


logger_class = ClassicLogger
'''


JOURNAL = """\


access_log_format = access_mark() + access_log_format
"""


class GunicornConfigError(ValueError):
    """The settings can't be rendered; `problems` lists why."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def packages_for(worker_class: str, settings: Settings | None = None) -> list[str]:
    """Requirements beside gunicorn itself that the worker class and the settings need, as gunicorn's own extras.

    An extra lets the resolver find the release that fits the site's gunicorn: 27 wants gevent >= 24.10.1, 20.1 any.
    A worker class given as a dotted path brings its own package, which is the caller's to name.
    """
    values = dict(settings or {})
    extras = []
    if worker_class.startswith("gevent"):
        extras.append("gevent")
    if worker_class == "tornado":
        extras.append("tornado")
    if http2(values):
        extras.append("http2")
    if values.get("http_parser") == "fast":
        extras.append("fast")
    if values.get("proc_name"):
        extras.append("setproctitle")
    packages = [f"gunicorn[{','.join(extras)}]"] if extras else []
    if values.get("reload_engine") == "inotify":
        packages.append("inotify")
    if values.get("asgi_loop") == "uvloop":
        packages.append("uvloop")
    return packages


def render_config(
    settings: Settings,
    *,
    access_log: str = "json",
    notify: str = "arbiter",
    limits: Mapping[str, str] | None = None,
) -> str:
    """The text of gunicorn.conf.py; the same settings give the same text, in whatever order they come.

    access_log   json (one object a line), classic, or none (gunicorn's own settings decide)
    limits       cpu and memory as systemd reads them (150%, 512M), for the number of workers
    notify       who tells systemd "ready": arbiter (gunicorn's way) or worker (once the application is imported)
    Raises GunicornConfigError when check_settings finds a problem, ValueError for an unknown access_log or notify.
    """
    if access_log not in ACCESS_LOGS:
        raise ValueError(f"access_log: must be one of {', '.join(ACCESS_LOGS)}, not {access_log!r}")
    if notify not in ("arbiter", "worker"):
        raise ValueError(f"notify: must be arbiter or worker, not {notify!r}")
    if problems := check_settings(settings, access_log=access_log):
        raise GunicornConfigError(problems)
    values = _with_defaults(settings, access_log)
    hooks = {name: values.pop(name) for name in list(values) if SETTINGS[name][0] == "hook"}
    logger = _logger(values, access_log)
    by_itself, to_journal = _logs_by_itself(values, access_log), access_log != "none" and values.get("accesslog") == "-"
    body = [_imports(values, hooks, logger, notify, by_itself, to_journal)]
    body += [f"{GROUP_LIMITS}\n"] if values.get("workers") in WORDS else []
    body.append(_sections(values, limits or {}))
    if logger:
        base = "gunicorn.instrument.statsd.Statsd" if values.get("statsd_host") else "gunicorn.glogging.Logger"
        body += [access_record.ACCESS_RECORD] if access_log == "json" else []
        body.append(logger.format(base=base))
    if to_journal:
        body += [access_record.MARK, JOURNAL]
    at_start = []
    if by_itself:
        body += [access_record.LOGGED, TORNADO_LOG]
        at_start.append("_log_requests(worker)")
    if notify == "worker":
        body.append(NOTIFY)
        at_start.append("_notify_ready()")
    if at_start:
        hooks.setdefault("post_worker_init", "")
    body.append(_hooks(hooks, at_start))
    return HEADER + "".join(part for part in body if part)


def _with_defaults(settings: Settings, access_log: str) -> dict[str, Any]:
    values = {**DEFAULTS, **settings}
    if "control_socket" in settings and "control_socket_disable" not in settings:
        del values["control_socket_disable"]
    if values.get("threads", 1) > 1:
        values.setdefault("worker_class", "gthread")
    if access_log != "none":
        values.setdefault("accesslog", "-")
    if access_log == "classic":
        values["access_log_format"] = CLASSIC_FORMAT
    return values


def _logger(values: Mapping[str, Any], access_log: str) -> str:
    """The source of the logger; none of ours beside one that the user brings."""
    if access_log == "json":
        return JSON_LOGGER
    return CLASSIC_LOGGER if access_log == "classic" and "logger_class" not in values else ""


def _logs_by_itself(values: Mapping[str, Any], access_log: str) -> bool:
    """Whether the worker class has to be told to write the access log."""
    return access_log != "none" and values.get("worker_class") == "tornado"


def _imports(
    values: Mapping[str, Any], hooks: Mapping[str, str], logger: str, notify: str, tornado: bool, to_journal: bool
) -> str:
    names = set()
    if logger:
        names.add("gunicorn.instrument.statsd" if values.get("statsd_host") else "gunicorn.glogging")
    if logger == JSON_LOGGER:
        names |= {*access_record.IMPORTS}
    if tornado:
        names |= {"datetime", "time"}
    if to_journal:
        names.add("os")
    if notify == "worker":
        names |= {"os", "socket"}
    if any(hooks.values()):
        names |= {"importlib", "operator"}
    if values.get("workers") in WORDS:
        names.add("os")
    standard = sorted(name for name in names if not name.startswith("gunicorn"))
    ours = sorted(names - set(standard))
    blocks = ["".join(f"import {name}\n" for name in group) for group in (standard, ours) if group]
    return "".join(f"\n{block}" for block in blocks)


def _sections(values: Mapping[str, Any], limits: Mapping[str, str]) -> str:
    lines = []
    for section, group in SECTIONS.items():
        present = [name for name in group if name in values]
        if present:
            lines += ["", f"# {section}"]
        for name in present:
            if name == "workers" and values[name] in WORDS:
                lines += assignments(values[name], values.get("worker_class", "sync"), **limits)
            else:
                lines.append(f"{name} = {_literal(name, values)}")
    return "\n".join(lines) + "\n"


def _literal(name: str, values: Mapping[str, Any]) -> str:
    kind, value = SETTINGS[name][0], values[name]
    if kind == "mode":
        return f"0o{octal(value):03o}"
    if name == "proxy_protocol":  # a boolean before gunicorn 25
        return {"off": "False", "auto": "True"}.get(flag(name, value), repr(value))
    if kind == "choice":
        return _python(flag(name, value))
    if kind == "list":
        return _python([value] if isinstance(value, str) else list(value))
    return _python(value)


def _python(value: Any) -> str:
    """Source text of plain data; text in double quotes where it needs no escape, else as repr() writes it.

    Ansible hands over subclasses of str, dict and list, whose own repr() isn't source text.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_python(key)}: {_python(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_python, value)) + "]"
    if isinstance(value, str):
        text = "".join(value)
        quoted = repr(text)
        return f'"{quoted[1:-1]}"' if quoted[1:-1] == text and '"' not in text else quoted
    return repr(
        value if value is None or isinstance(value, bool) else float(value) if isinstance(value, float) else int(value)
    )


def _hooks(hooks: Mapping[str, str], at_start: Sequence[str]) -> str:
    """The functions that gunicorn calls; ``at_start`` are our own lines of post_worker_init."""
    if not hooks:
        return ""
    text = ""
    if any(hooks.values()):
        text += (
            "\n\ndef _imported(path):\n"
            '    """Import a hook when it runs: with the application\'s code on the path, and anew after a reload."""\n'
            '    module, _, name = path.partition(":")\n'
            "    return operator.attrgetter(name)(importlib.import_module(module))\n"
        )
    for name in SETTINGS:
        if name in hooks:
            parameters = ", ".join(map(str, SETTINGS[name][1]))
            text += f"\n\ndef {name}({parameters}):\n"
            if hooks[name]:
                text += (
                    f"    {'return ' if name == 'ssl_context' else ''}_imported({_python(hooks[name])})({parameters})\n"
                )
            if name == "post_worker_init":
                text += "".join(f"    {line}\n" for line in at_start)
    return text
