"""Prints plugins/module_utils/gunicorn_settings.py for the gunicorn that is installed beside this interpreter.

Run it as `python tests/tools/gunicorn_table.py > plugins/module_utils/gunicorn_settings.py`. A unit test compares the
two, so that a gunicorn with other settings is noticed on the day it enters the lock file.
"""

from __future__ import annotations

import inspect
import textwrap

from gunicorn import __version__, config, reloader
from gunicorn.glogging import SYSLOG_FACILITIES, Logger
from gunicorn.workers import SUPPORTED_WORKERS

HEADER = '''\
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every setting of gunicorn {version}, as (kind, limits): made by tests/tools/gunicorn_table.py, not by hand.

bool str class dict hook   limits: (), for a hook the names of its parameters
int mode                   limits: (lowest, highest); a mode is written in octal
choice choices             limits: the words; `choices` is a comma-separated text of them
list texts networks        limits: (); a list of texts, a comma-separated text, one of addresses or networks
user                       limits: (); a name or a number
"""

from __future__ import annotations

GUNICORN = "{version}"
'''

KINDS: dict[str, tuple[str, tuple[object, ...]]] = {
    "validate_asgi_lifespan": ("choice", ("auto", "on", "off")),
    "validate_asgi_loop": ("choice", ("auto", "asyncio", "uvloop")),
    "validate_bool": ("bool", ()),
    "validate_chdir": ("str", ()),
    "validate_class": ("class", ()),
    "validate_dict": ("dict", ()),
    "validate_group": ("user", ()),
    "validate_header_map_behaviour": ("choice", ("drop", "refuse", "dangerous")),
    "validate_http2_cleartext": ("choice", ("off", "prior-knowledge", "upgrade", "both")),
    "validate_http2_frame_size": ("int", (16384, 16777215)),
    "validate_http2_stream_limit": ("int", (1, None)),
    "validate_http2_window_size": ("int", (0, 2**31 - 1)),
    "validate_http_parser": ("choice", ("auto", "fast", "python")),
    "validate_http_protocols": ("choices", ("h1", "h2")),
    "validate_list_of_files_or_patterns": ("list", ()),
    "validate_list_string": ("list", ()),
    "validate_pos_int": ("int", (0, None)),
    "validate_proxy_protocol": ("choice", ("off", "v1", "v2", "auto")),
    "validate_reload_engine": ("choice", tuple(reloader.reloader_engines)),
    "validate_ssl_version": ("int", (0, None)),
    "validate_statsd_address": ("str", ()),
    "validate_string": ("str", ()),
    "validate_string_to_addr_list": ("networks", ()),
    "validate_string_to_list": ("texts", ()),
    "validate_user": ("user", ()),
}
# What gunicorn's own check would let pass or read in its own way.
NARROWED: dict[str, tuple[str, tuple[object, ...]]] = {
    "backlog": ("int", (1, None)),
    "cert_reqs": ("int", (0, 2)),
    "limit_request_fields": ("int", (1, 32768)),
    "loglevel": ("choice", tuple(reversed(Logger.LOG_LEVELS))),
    "protocol": ("choice", ("http", "uwsgi")),
    "syslog_facility": ("choice", tuple(SYSLOG_FACILITIES)),
    "threads": ("int", (1, None)),
    "worker_connections": ("int", (1, None)),
    "workers": ("int", (1, None)),
}


def describe(setting: type[config.Setting]) -> tuple[str, tuple[object, ...]]:
    """(kind, limits) of one setting class; KeyError for a validator that this script has never met."""
    name = setting.validator.__name__
    if name in ("_validate_callable", "validate_post_request"):
        return "hook", tuple(inspect.signature(setting.default).parameters)
    if getattr(setting.type, "__name__", "") == "auto_int":
        return "mode", (0, 0o777)
    return NARROWED.get(setting.name) or KINDS[name]


def row(name: str, kind: str, limits: tuple[object, ...]) -> str:
    """One line of the table, short enough for the linter."""
    line = f'        "{name}": {(kind, limits)!r},'.replace("'", '"')
    if len(line) <= 118:
        return line
    words = textwrap.fill(
        repr(limits).strip("()").replace("'", '"'), 104, initial_indent=" " * 12, subsequent_indent=" " * 12
    )
    return f'        "{name}": ("{kind}", (\n{words},\n        )),'


def table() -> str:
    """The text of the generated module."""
    lines = [HEADER.format(version=__version__)]
    lines.append(f"WORKER_CLASSES = {tuple(SUPPORTED_WORKERS)!r}".replace("'", '"') + "\n")
    lines.append("# fmt: off\n# Section in gunicorn's manual -> settings, both in the order of the manual.")
    lines.append("SECTIONS: dict[str, dict[str, tuple[str, tuple[object, ...]]]] = {")
    sections: dict[str, list[type[config.Setting]]] = {}
    for setting in config.KNOWN_SETTINGS:
        sections.setdefault(setting.section, []).append(setting)
    for section, settings in sections.items():
        lines.append(f'    "{section}": {{')
        for setting in settings:
            lines.append(row(setting.name, *describe(setting)))
        lines.append("    },")
    lines += [
        "}",
        "# fmt: on",
        "",
        "SETTINGS = {name: entry for group in SECTIONS.values() for name, entry in group.items()}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
