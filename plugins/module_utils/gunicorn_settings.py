# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every setting of gunicorn 27.0.1, as (kind, limits): made by tests/tools/gunicorn_table.py, not by hand.

bool str class dict hook   limits: (), for a hook the names of its parameters
int mode                   limits: (lowest, highest); a mode is written in octal
choice choices             limits: the words; `choices` is a comma-separated text of them
list texts networks        limits: (); a list of texts, a comma-separated text, one of addresses or networks
user                       limits: (); a name or a number
"""

from __future__ import annotations

GUNICORN = "27.0.1"

WORKER_CLASSES = ("sync", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado", "gthread", "asgi")

# fmt: off
# Section in gunicorn's manual -> settings, both in the order of the manual.
SECTIONS: dict[str, dict[str, tuple[str, tuple[object, ...]]]] = {
    "Config File": {
        "config": ("str", ()),
        "wsgi_app": ("str", ()),
    },
    "Server Socket": {
        "bind": ("list", ()),
        "backlog": ("int", (1, None)),
    },
    "Worker Processes": {
        "workers": ("int", (1, None)),
        "worker_class": ("class", ()),
        "threads": ("int", (1, None)),
        "worker_connections": ("int", (1, None)),
        "max_requests": ("int", (0, None)),
        "max_requests_jitter": ("int", (0, None)),
        "timeout": ("int", (0, None)),
        "graceful_timeout": ("int", (0, None)),
        "keepalive": ("int", (0, None)),
        "asgi_loop": ("choice", ("auto", "asyncio", "uvloop")),
        "asgi_lifespan": ("choice", ("auto", "on", "off")),
        "asgi_disconnect_grace_period": ("int", (0, None)),
        "websocket_max_message_size": ("int", (0, None)),
        "http_parser": ("choice", ("auto", "fast", "python")),
    },
    "Security": {
        "limit_request_line": ("int", (0, None)),
        "limit_request_fields": ("int", (1, 32768)),
        "limit_request_field_size": ("int", (0, None)),
    },
    "Debugging": {
        "reload": ("bool", ()),
        "reload_engine": ("choice", ("auto", "poll", "inotify")),
        "reload_extra_files": ("list", ()),
        "spew": ("bool", ()),
        "check_config": ("bool", ()),
        "print_config": ("bool", ()),
    },
    "Server Mechanics": {
        "preload_app": ("bool", ()),
        "sendfile": ("bool", ()),
        "reuse_port": ("bool", ()),
        "chdir": ("str", ()),
        "daemon": ("bool", ()),
        "raw_env": ("list", ()),
        "pidfile": ("str", ()),
        "worker_tmp_dir": ("str", ()),
        "user": ("user", ()),
        "group": ("user", ()),
        "umask": ("mode", (0, 511)),
        "initgroups": ("bool", ()),
        "tmp_upload_dir": ("str", ()),
        "secure_scheme_headers": ("dict", ()),
        "forwarded_allow_ips": ("networks", ()),
        "pythonpath": ("str", ()),
        "paste": ("str", ()),
        "proxy_protocol": ("choice", ("off", "v1", "v2", "auto")),
        "proxy_allow_ips": ("networks", ()),
        "protocol": ("choice", ("http", "uwsgi")),
        "uwsgi_allow_ips": ("networks", ()),
        "raw_paste_global_conf": ("list", ()),
        "permit_obsolete_folding": ("bool", ()),
        "strip_header_spaces": ("bool", ()),
        "permit_unconventional_http_method": ("bool", ()),
        "permit_unconventional_http_version": ("bool", ()),
        "casefold_http_method": ("bool", ()),
        "forwarder_headers": ("texts", ()),
        "header_map": ("choice", ("drop", "refuse", "dangerous")),
        "root_path": ("str", ()),
    },
    "Logging": {
        "accesslog": ("str", ()),
        "disable_redirect_access_to_syslog": ("bool", ()),
        "access_log_format": ("str", ()),
        "errorlog": ("str", ()),
        "loglevel": ("choice", ("debug", "info", "warning", "error", "critical")),
        "capture_output": ("bool", ()),
        "logger_class": ("class", ()),
        "logconfig": ("str", ()),
        "logconfig_dict": ("dict", ()),
        "logconfig_json": ("str", ()),
        "syslog_addr": ("str", ()),
        "syslog": ("bool", ()),
        "syslog_prefix": ("str", ()),
        "syslog_facility": ("choice", (
            "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "security",
            "syslog", "user", "uucp", "local0", "local1", "local2", "local3", "local4", "local5",
            "local6", "local7",
        )),
        "enable_stdio_inheritance": ("bool", ()),
        "statsd_host": ("str", ()),
        "dogstatsd_tags": ("str", ()),
        "statsd_prefix": ("str", ()),
        "enable_backlog_metric": ("bool", ()),
    },
    "Process Naming": {
        "proc_name": ("str", ()),
        "default_proc_name": ("str", ()),
    },
    "Server Hooks": {
        "on_starting": ("hook", ("server",)),
        "on_reload": ("hook", ("server",)),
        "when_ready": ("hook", ("server",)),
        "pre_fork": ("hook", ("server", "worker")),
        "post_fork": ("hook", ("server", "worker")),
        "post_worker_init": ("hook", ("worker",)),
        "worker_int": ("hook", ("worker",)),
        "worker_abort": ("hook", ("worker",)),
        "pre_exec": ("hook", ("server",)),
        "pre_request": ("hook", ("worker", "req")),
        "post_request": ("hook", ("worker", "req", "environ", "resp")),
        "child_exit": ("hook", ("server", "worker")),
        "worker_exit": ("hook", ("server", "worker")),
        "nworkers_changed": ("hook", ("server", "new_value", "old_value")),
        "on_exit": ("hook", ("server",)),
        "ssl_context": ("hook", ("config", "default_ssl_context_factory")),
    },
    "SSL": {
        "keyfile": ("str", ()),
        "certfile": ("str", ()),
        "ssl_version": ("int", (0, None)),
        "cert_reqs": ("int", (0, 2)),
        "ca_certs": ("str", ()),
        "suppress_ragged_eofs": ("bool", ()),
        "do_handshake_on_connect": ("bool", ()),
        "ciphers": ("str", ()),
    },
    "HTTP/2": {
        "http_protocols": ("choices", ("h1", "h2")),
        "http2_cleartext": ("choice", ("off", "prior-knowledge", "upgrade", "both")),
        "http2_max_concurrent_streams": ("int", (1, None)),
        "http2_initial_window_size": ("int", (0, 2147483647)),
        "http2_max_frame_size": ("int", (16384, 16777215)),
        "http2_max_header_list_size": ("int", (0, None)),
    },
    "Dirty Arbiters": {
        "dirty_apps": ("list", ()),
        "dirty_workers": ("int", (0, None)),
        "dirty_timeout": ("int", (0, None)),
        "dirty_threads": ("int", (0, None)),
        "dirty_graceful_timeout": ("int", (0, None)),
    },
    "Dirty Arbiter Hooks": {
        "on_dirty_starting": ("hook", ("arbiter",)),
        "dirty_post_fork": ("hook", ("arbiter", "worker")),
        "dirty_worker_init": ("hook", ("worker",)),
        "dirty_worker_exit": ("hook", ("arbiter", "worker")),
    },
    "Control": {
        "control_socket": ("str", ()),
        "control_socket_mode": ("mode", (0, 511)),
        "control_socket_disable": ("bool", ()),
    },
}
# fmt: on

SETTINGS = {name: entry for group in SECTIONS.values() for name, entry in group.items()}
