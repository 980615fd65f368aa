# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a set of gunicorn settings, told before gunicorn sees it.

gunicorn ignores a misspelt name in its file, and its --check-config returns 0 for it, as for unknown worker classes and
combinations in which one setting silently switches another off. Everything here is a pure function of the settings.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_settings import SETTINGS, WORKER_CLASSES
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import WORDS

Settings = Mapping[str, Any]

NOT_IN_A_FILE = {
    "check_config": "it is a command line switch",
    "config": "it is a command line switch",
    "daemon": "the process manager needs gunicorn in the foreground",
    "default_proc_name": "gunicorn overwrites it with the name of the application; use proc_name",
    "print_config": "it is a command line switch",
    "ssl_version": "gunicorn ignores it; use the hook ssl_context",
}
WORKERS_GONE = {
    "eventlet": "was removed in gunicorn 26.0",
    "gaiohttp": "was removed from gunicorn long ago",
    "egg:gunicorn#eventlet": "was removed in gunicorn 26.0",
}
# Names by which the command line, or an older gunicorn, knows a setting.
OTHER_NAMES = {
    "access_logfile": "accesslog",
    "access_logformat": "access_log_format",
    "env": "raw_env",
    "error_logfile": "errorlog",
    "log_config": "logconfig",
    "log_file": "errorlog",
    "log_level": "loglevel",
    "name": "proc_name",
    "paster": "paste",
    "pid": "pidfile",
    "preload": "preload_app",
}
# setting -> one of these must be set for it to have any effect
NEEDS = {
    "asgi_disconnect_grace_period": ("asgi",),
    "asgi_lifespan": ("asgi",),
    "asgi_loop": ("asgi",),
    "ca_certs": ("certfile", "ssl_context"),
    "cert_reqs": ("certfile", "ssl_context"),
    "ciphers": ("certfile", "ssl_context"),
    "dirty_graceful_timeout": ("dirty_apps",),
    "dirty_threads": ("dirty_apps",),
    "dirty_timeout": ("dirty_apps",),
    "dirty_workers": ("dirty_apps",),
    "dirty_apps": ("dirty_workers",),
    "disable_redirect_access_to_syslog": ("syslog",),
    "dogstatsd_tags": ("statsd_host",),
    "http2_initial_window_size": ("http2",),
    "http2_max_concurrent_streams": ("http2",),
    "http2_max_frame_size": ("http2",),
    "http2_max_header_list_size": ("http2",),
    "keyfile": ("certfile",),
    "max_requests_jitter": ("max_requests",),
    "proxy_allow_ips": ("proxy_protocol",),
    "reload_engine": ("reload",),
    "reload_extra_files": ("reload",),
    "statsd_prefix": ("statsd_host",),
    "syslog_addr": ("syslog",),
    "syslog_facility": ("syslog",),
    "syslog_prefix": ("syslog",),
    "uwsgi_allow_ips": ("uwsgi",),
    "websocket_max_message_size": ("asgi",),
}
# two of which only one can count
EXCLUSIVE = (
    ("logconfig_dict", "logconfig"),
    ("logconfig_dict", "logconfig_json"),
    ("logconfig_json", "logconfig"),
    ("paste", "wsgi_app"),
    ("preload_app", "reload"),
)
CONDITIONS = {
    "asgi": "worker_class: asgi",
    "http2": "h2 in http_protocols, or http2_cleartext",
    "uwsgi": "protocol: uwsgi",
}
HOOK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
WSGI_APP = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:.+)?", re.DOTALL)
UNIX_PATH_MAX = 107  # bytes, unix(7): sun_path less its closing NUL


def check_settings(settings: Settings, *, access_log: str = "json") -> list[str]:
    """Problems as sentences "name: what is wrong; what to do", in the order of the settings; empty when all is well.

    access_log: json | classic | none, which decides who owns logger_class and access_log_format.
    """
    problems: list[str] = []
    for name, value in settings.items():
        if name not in SETTINGS:
            problems.append(f"{name}: gunicorn has no such setting{_did_you_mean(str(name))}")
        elif name in NOT_IN_A_FILE:
            problems.append(f"{name}: can't be set here: {NOT_IN_A_FILE[name]}")
        elif wrong := _wrong_value(name, value):
            problems.append(f"{name}: {wrong}")
    return problems or _combinations(settings) + _log_conflicts(settings, access_log)


def flag(name: str, value: Any) -> Any:
    """The word that a YAML boolean means for a setting whose choices include on and off (YAML reads `off` as false)."""
    if not isinstance(value, bool):
        return value
    limits = SETTINGS[name][1]
    return ("on" if "on" in limits else "auto") if value else "off"


def octal(value: Any) -> int | None:
    """A file mode from an int (YAML's 0027 is one already) or text like "0027" and "0o027"; None when it is neither."""
    if isinstance(value, str) and re.fullmatch(r"(0o)?[0-7]{1,4}", value):
        return int(value.removeprefix("0o"), 8)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def http2(settings: Settings) -> bool:
    """Whether the settings switch HTTP/2 on."""
    protocols = str(settings.get("http_protocols", "h1")).split(",")
    return "h2" in [item.strip() for item in protocols] or _active(settings, "http2_cleartext")


def _did_you_mean(name: str) -> str:
    plain = name.lower().replace("-", "_").lstrip("_")
    guess = OTHER_NAMES.get(plain) or next(iter(difflib.get_close_matches(plain, SETTINGS, 1, 0.7)), None)
    return f"; did you mean {guess}?" if guess else ""


def _wrong_value(name: str, value: Any) -> str | None:
    kind, limits = SETTINGS[name]
    if name == "workers" and value in WORDS:
        return None
    if kind == "bool":
        return None if isinstance(value, bool) else f"must be true or false, not {value!r}"
    if kind == "int":
        return _wrong_int(name, value, limits)
    if kind == "mode":
        mode = octal(value)
        return None if mode is not None and 0 <= mode <= 0o777 else f'must be an octal mode like "0027", not {value!r}'
    if kind == "choice":
        value = flag(name, value) if "off" in limits else value
        return None if value in limits else f"must be one of {', '.join(map(str, limits))}, not {value!r}"
    if kind == "dict":
        return None if isinstance(value, Mapping) else f"must be a dict, not {value!r}"
    if kind == "user":
        named = isinstance(value, (int, str)) and not isinstance(value, bool) and value != ""
        return None if named else f"must be a name or a number, not {value!r}"
    if kind == "list":
        return _wrong_list(name, value)
    return _wrong_text(name, value)


def _wrong_int(name: str, value: Any, limits: tuple[object, ...]) -> str | None:
    word = ', "auto" or "cpu"' if name == "workers" else ""
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number{word}, not {value!r}"
    low, high = limits
    if isinstance(low, int) and value < low:
        return f"must be {low} or more, not {value}"
    if isinstance(high, int) and value > high:
        return f"must be {high} or less, not {value}"
    return None


def _wrong_list(name: str, value: Any) -> str | None:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in items):
        return f"must be a list of texts, not {value!r}"
    if name == "bind":
        if not items:
            return "must name one address or more"
        return next((wrong for wrong in map(_wrong_address, items) if wrong), None)
    if name == "raw_env":
        bad = next((item for item in items if not re.match(r"[A-Za-z_]\w*=", item)), None)
        return f"{bad!r} must be NAME=value" if bad is not None else None
    return None


def _wrong_address(address: str) -> str | None:
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").removeprefix("//")
        if not path:
            return f"{address!r} names no path"
        if len(path.encode()) > UNIX_PATH_MAX:
            return f"{address!r} is longer than the {UNIX_PATH_MAX} bytes that a unix socket's path may have"
        return None
    if address.startswith("fd://"):
        return None if address[5:].isdigit() else f"{address!r} must be fd://NUMBER"
    match = re.fullmatch(r"(?:tcp://)?(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]/]*)(?::(\d+))?", address)
    if not match or not any(match.groups()):
        return f"{address!r} must be HOST:PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER"
    if match[2] and not 1 <= int(match[2]) <= 65535:
        return f"{address!r}: a port is 1 to 65535"
    return None


def _wrong_text(name: str, value: Any) -> str | None:
    kind, limits = SETTINGS[name]
    if not isinstance(value, str):
        return f"must be text{' (write it in quotes)' if isinstance(value, (int, float)) else ''}, not {value!r}"
    if "\0" in value:
        return "must not hold a NUL character"
    if kind == "hook" and not HOOK.fullmatch(value):
        return f"must be package.module:function, which is imported when the hook runs, not {value!r}"
    if kind == "class":
        return _wrong_worker(value) if name == "worker_class" else None
    if kind == "networks":
        return next((wrong for wrong in map(_wrong_network, filter(None, value.split(","))) if wrong), None)
    if kind == "choices":
        bad = [item for item in value.split(",") if item.strip() not in limits]
        return f"must be a comma-separated text of {', '.join(map(str, limits))}, not {value!r}" if bad else None
    if name == "wsgi_app" and not WSGI_APP.fullmatch(value):
        return f"must be module:callable, not {value!r}"
    return None


def _wrong_worker(value: str) -> str | None:
    if value in WORKERS_GONE:
        return f"{value} {WORKERS_GONE[value]}; use gevent or gthread"
    if value in WORKER_CLASSES or re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+|egg:\S+#\S+", value):
        return None
    guess = difflib.get_close_matches(value, WORKER_CLASSES, 1)
    hint = f"did you mean {guess[0]}?" if guess else f"there are {', '.join(WORKER_CLASSES)}, or a dotted path"
    return f"{value!r} is no worker class; {hint}"


def _wrong_network(text: str) -> str | None:
    if text.strip() == "*":
        return None
    try:
        ipaddress.ip_network(text.strip())
    except ValueError as error:
        return f"{error}; write addresses or networks, separated by commas"
    return None


def _active(settings: Settings, name: str) -> bool:
    """Whether a setting is there and not its own "off"."""
    value = settings.get(name)
    return bool(value) and not (SETTINGS[name][0] == "choice" and flag(name, value) == "off")


def _holds(settings: Settings, condition: str) -> bool:
    if condition == "http2":
        return http2(settings)
    if condition == "asgi":
        return "asgi" in str(settings.get("worker_class", "sync")).lower() or "." in str(
            settings.get("worker_class", "")
        )
    if condition == "uwsgi":
        return settings.get("protocol") == "uwsgi"
    return _active(settings, condition)


def _combinations(settings: Settings) -> list[str]:
    problems = []
    for name, conditions in NEEDS.items():
        if _active(settings, name) and not any(_holds(settings, condition) for condition in conditions):
            needed = " or ".join(CONDITIONS.get(condition, condition) for condition in conditions)
            problems.append(f"{name}: has no effect without {needed}")
    for one, other in EXCLUSIVE:
        if _active(settings, one) and _active(settings, other):
            problems.append(f"{one}: can't be used together with {other}; keep one of the two")
    if settings.get("control_socket_disable", True) and "control_socket_disable" in settings:
        problems += [
            f"{name}: has no effect with control_socket_disable: true"
            for name in ("control_socket", "control_socket_mode")
            if name in settings
        ]
    if http2(settings) and not any(_active(settings, n) for n in ("certfile", "ssl_context", "http2_cleartext")):
        problems.append("http_protocols: h2 needs certfile, or http2_cleartext, to be spoken at all")
    return problems + _worker_combinations(settings)


def _worker_combinations(settings: Settings) -> list[str]:
    problems = []
    threads = settings.get("threads", 1)
    worker = settings.get("worker_class") or ("gthread" if threads > 1 else "sync")
    if worker not in WORKER_CLASSES:
        return []
    if worker == "sync" and threads > 1:
        problems.append("threads: with worker_class sync gunicorn silently runs gthread; say worker_class: gthread")
    elif worker != "gthread" and threads > 1:
        problems.append(f"threads: has no effect on {worker} workers; use worker_connections, or worker_class: gthread")
    if "worker_connections" in settings and worker in ("sync", "tornado"):
        problems.append(f"worker_connections: has no effect on {worker} workers")
    if worker == "gthread" and settings.get("worker_connections", threads) < threads:
        problems.append("worker_connections: fewer connections than threads leave threads idle for ever")
    if worker == "sync" and settings.get("keepalive"):
        problems.append("keepalive: sync workers close every connection; use worker_class: gthread, or leave it out")
    if http2(settings) and worker in ("sync", "tornado"):
        problems.append(f"http_protocols: {worker} workers don't speak HTTP/2; use gthread, gevent or asgi")
    return problems


def _log_conflicts(settings: Settings, access_log: str) -> list[str]:
    if access_log == "none":
        return []
    ours = ("logger_class", "access_log_format") if access_log == "json" else ("access_log_format",)
    return [
        f"{name}: is set by access_log: {access_log}; use access_log: none to choose it yourself"
        for name in ours
        if name in settings
    ]
