"""The site of the scenario: one WSGI and one ASGI callable, the host that has it, and what is asked of it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import yaml
from e2e.playbooks import Run
from e2e.story import DOMAIN, Story

PAGES = """
import os, sys, threading, time

MADE = []
STYLE = "style.css"

def make(name, *, quoted=""):
    MADE.append(name)
    return app

def app(environ, start_response):
    path, status = environ["PATH_INFO"], "200 OK"
    if path == "/slow":
        time.sleep(1.5)
    facts = {
        "program": os.path.basename(sys.argv[0]),
        "pid": os.getpid(),
        "software": environ.get("SERVER_SOFTWARE"),
        "thread": threading.current_thread().name,
        "patched": "gevent" in time.sleep.__module__,
        "made": MADE,
        "workers": environ["wsgi.multiprocess"],
    }
    body = repr(facts).encode() if path == "/facts" else b"fine"
    if path == "/missing":
        status = "404 Not Found"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

ASGI = """
import asyncio, os

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": "echo " + message["text"]})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/slow":
            await asyncio.sleep(1.5)
        if scope["path"] == "/stream":
            for number in range(50):
                await send({"type": "http.response.body", "body": b"line\\n", "more_body": True})
                await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"fine"})
"""

# Speaks just enough of RFC 6455 to send one text and read one.
WEBSOCKET = """
import base64, os, socket, sys
with socket.create_connection(("127.0.0.1", 80), 10) as client:
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall((
        "GET /ws HTTP/1.1\\r\\nHost: %s\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
        "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: %s\\r\\n\\r\\n" % (sys.argv[1], key)).encode())
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += client.recv(1)
    mask, text = b"\\1\\2\\3\\4", b"hello"
    client.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(text)))
    length = client.recv(2)[1]
    print(head.split()[1].decode(), client.recv(length).decode())
"""


class Site(Story):
    """A host with the site; ``chosen`` is what the inventory says of the server."""

    def prepare(self, before: str = "true") -> None:
        self.root("apt-get -qq update && apt-get -qq install --yes curl >/dev/null 2>&1")
        self.code = self.folder / "code"
        (self.code / "static").mkdir(parents=True, exist_ok=True)
        (self.code / "pages.py").write_text(PAGES)
        (self.code / "asgi_pages.py").write_text(ASGI)
        (self.code / "static" / "style.css").write_text("/* style */\n")
        self.write_inventory()

    def write_inventory(self, others: Any = (), allow_dev_server: bool = False, **changes: Any) -> None:
        locations = {"/ws": {"websocket": True}, "/stream": {"stream": True}}
        plain: dict[str, Any] = {"requirements": []}
        super().write_inventory(
            others,
            **{
                **{"source": {"path": str(self.code)}, "wsgi": "pages:app", "python": plain, "server": {}},
                **{"shared": [], "commands": {}, "processes": {}, "timers": {}, "health": {"path": "/"}},
                "nginx": {"locations": locations},
                **changes,
            },
        )
        if allow_dev_server:
            inventory = yaml.safe_load(self.inventory.read_text())
            inventory["flask_hosts"]["vars"]["allow_dev_server"] = True
            self.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False))

    def choose(self, server: Any, **changes: Any) -> Run:
        """Bring the site up to date with this server."""
        self.write_inventory(server=server, **changes)
        return self.play("site.yml")

    def records(self, mark: str) -> list[dict[str, Any]]:
        """Return the lines of the application's access log in which ``mark`` is, once there is one."""
        deadline = time.monotonic() + 5
        lines: list[str] = []
        while not lines and time.monotonic() < deadline:
            lines = self.root(f"grep -h {mark} /var/log/story/access.log || true").splitlines()
        return [json.loads(line) for line in lines]

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.root("flaskworks story --json"))
        return found

    def main_pid(self) -> int:
        return int(self.root(f"systemctl show --property=MainPID --value story@{self.live()}.service"))

    def process_facts(self) -> dict[str, Any]:
        """Return what the application sees of its server."""
        text = self.visit("/facts")
        assert re.fullmatch(r"\{.*\}", text), text
        found: dict[str, Any] = yaml.safe_load(text)
        return found

    def websocket(self) -> str:
        return self.root(f"python3 - {DOMAIN}", WEBSOCKET).strip()


def write_requirements(folder: Path, *lines: str) -> None:
    """Give the site requirements of its own; none without lines."""
    path = folder / "requirements.txt"
    if lines:
        path.write_text("".join(f"{line}\n" for line in lines))
    else:
        path.unlink(missing_ok=True)
