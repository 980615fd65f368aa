"""The role gunicorn_configs, alone."""

from __future__ import annotations

import json
import shlex
from typing import Any

GUNICORN = "/opt/first/by-uv/bin/gunicorn"
CONFIG = "/etc/gunicorn/threaded.py"


def test_gunicorn_serves_with_the_file_alone(host: Any) -> None:
    with host.sudo("nobody"):
        serve = f"cd /; timeout 20 {GUNICORN} --config {CONFIG} >/tmp/threaded.log 2>/tmp/threaded.err & pid=$!; "
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8701/page?q=1').status)"
        tries = f"for i in $(seq 50); do python3 -c {shlex.quote(ask)} 2>/dev/null && break; sleep 0.1; done; "
        result = host.run(serve + tries + "kill $pid; wait $pid; cat /tmp/threaded.log")
    status, line = result.stdout.splitlines()
    assert status == "200", host.file("/tmp/threaded.err").content_string
    record = json.loads(line)
    assert (record["request_path"], record["remote_addr"], record["status_code"]) == ("/page", "127.0.0.1", 200)


def test_the_settings_are_what_was_written(host: Any) -> None:
    text = host.file(CONFIG).content_string
    assert "threads = 4\n" in text
    assert "max_requests = 500\n" in text
    evented = host.file("/etc/gunicorn/evented.conf.py")
    assert (evented.group, evented.mode) == ("www-data", 0o640)
    assert 'worker_class = "gevent"\n' in evented.content_string
    assert "workers = max(1, min(processors, memory // (128 * 2**20), 12))\n" in evented.content_string
