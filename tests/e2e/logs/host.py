"""A host with one site in several ways of running and logging, each behind a port of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from e2e.machine import Machine

LINES = 100_000
SITE = f"""
import json, sys
def answer(path, header):
    if path == "/say":
        for number in range({LINES}):
            print("said", number, "." * 60)
    return json.dumps({{"id": header}}).encode()
def app(environ, start_response):
    body = answer(environ["PATH_INFO"], environ.get("HTTP_X_REQUEST_ID"))
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Request-ID", "of the application")])
    return [body]
async def as_asgi(scope, receive, send):
    headers = {{name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}}
    body = answer(scope["path"], headers.get("x-request-id"))
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}})
    await send({{"type": "http.response.body", "body": body}})
"""
# How the site runs, by the name of the application.
APPS: dict[str, dict[str, Any]] = {
    "single": {"server": {"worker_class": "sync", "workers": 2}},
    "threads": {"server": {"worker_class": "gthread", "workers": 2}},
    # Everybody on the host is a proxy that is believed.
    "greenlets": {"server": {"worker_class": "gevent", "workers": 2}, "nginx": {"trusted_proxies": ["127.0.0.1"]}},
    "loop": {"server": {"worker_class": "asgi", "workers": 2}, "wsgi": "site_of_logs:as_asgi"},
    "alone": {"server": "gevent"},
    "alone-journaled": {"server": "gevent", "logs": {"to": "journal"}},
    "classic": {"logs": {"access": "classic"}},
    "journaled": {"logs": {"to": "journal"}},
    "spoken": {"logs": {"to": "journal", "access": "classic"}},
    "silent": {"logs": {"access": "none"}},
}
PORTS = {name: 8101 + number for number, name in enumerate(APPS)}


def entries(source: Path) -> dict[str, Any]:
    """The applications as an inventory has them."""
    made = {}
    for name, own in APPS.items():
        entry = {"source": {"path": str(source)}, "wsgi": "site_of_logs:app", "server": {"workers": 1}, **own}
        made[name] = {**entry, "nginx": {"listen": [PORTS[name]], **own.get("nginx", {})}}
    return made


class LogsHost(Machine):
    """The host, asked by its own programs: they reach sockets and ports without anything in between."""

    def attack(self, address: str, count: int) -> dict[int, int]:
        """Send hostile requests; return number -> status."""
        return dict(json.loads(self.root(f"python3 /root/hostile.py --count {count} --seed {count} {address}")))

    def answer(self, app: str, path: str, *headers: str) -> tuple[str, str]:
        """Return the id in the answer's header, and the id that the application saw."""
        options = " ".join(f"-H '{header}'" for header in headers)
        said = self.root(f"curl -s -i {options} http://127.0.0.1:{PORTS[app]}{path}")
        ids = re.findall(r"^X-Request-ID: (\S*)\r?$", said, re.MULTILINE | re.IGNORECASE)
        assert len(ids) == 1, said
        return ids[0], json.loads(said.splitlines()[-1])["id"]

    def lines(self, path: str, after: int = 0) -> list[str]:
        """Return the lines of a log behind the first `after`; it must be UTF-8."""
        return self.root(f"tail -n +{after + 1} {path}").split("\n")[:-1]

    def count(self, path: str) -> int:
        return int(self.root(f"cat {path} | wc -l"))
