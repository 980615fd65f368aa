"""Running servers for unit tests: environments made by the product's own library, hostile requests, strict logs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs

CACHE = Path(__file__).parents[2] / ".cache"
FIELDS = [
    "@timestamp",
    "remote_addr",
    "protocol",
    "host",
    "request_method",
    "request_path",
    "status_code",
    "response_length",
    "referer",
    "user_agent",
    "x_tracking_id",
    "request_time",
    "request_id",
]
HOSTILE = [
    b'quote " backslash \\ tab \t end',
    b"invalid \xff\xfe\xc3",
    b"surrogate \xed\xa0\x80",
    "snowman \u2603 and \u00fc".encode(),
    b"{}[],:null%s%(h)s{x}",
    b"\\u0000\\n",
]
PATHS = [b"/a%0Ab", b"/%22%5C%09", b"/%ff%fe", b'/plain?token=secret&"=1', b"/%ed%a0%80"]


class Server:
    """One running server with its logs."""

    def __init__(self, process: subprocess.Popen[bytes], address: str | tuple[str, int], directory: Path) -> None:
        self.process, self.address, self.directory = process, address, directory

    def ask(self, path: bytes = b"/", **headers: bytes) -> bytes:
        """The raw response to one raw request."""
        with socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET) as client:
            client.settimeout(10)
            client.connect(self.address)
            lines = [b"GET " + path + b" HTTP/1.1", b"Host: example.org", b"Connection: close"]
            lines += [name.replace("_", "-").encode() + b": " + value for name, value in headers.items()]
            client.sendall(b"\r\n".join([*lines, b"", b""]))
            return b"".join(iter(lambda: client.recv(65536), b""))

    def log(self, name: str = "access.log") -> list[bytes]:
        return (self.directory / name).read_bytes().splitlines()

    def records(self, count: int, name: str = "access.log") -> list[dict[str, Any]]:
        """The log as strict JSON, once it has at least `count` lines."""
        wait(lambda: len(self.log(name)) >= count, f"{count} lines in {name}")
        records = [json.loads(line) for line in self.log(name)]
        json.dumps(records, ensure_ascii=False).encode("utf-8")  # a lone surrogate would raise
        return records


def wait(condition: Callable[[], Any], what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what}"
        time.sleep(0.02)


def environment(*packages: str) -> Path:
    """An environment with these packages, made by the product's own library and kept for the next run."""
    run = venvs.plain_runner()
    env = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "HTTP"))}
    spec = venvs.VenvSpec(interpreter=sys.executable, packages=packages, env=env)
    abi = venvs.interpreter_abi(spec.interpreter, run)
    dest = CACHE / "gunicorns" / venvs.inputs_digest(spec, abi)[:16]
    if venvs.sealed(str(dest)) is None:
        uv = venvs.ensure_uv(run, env=env, root=str(CACHE / "uv-for-tests"))
        venvs.discard(str(dest))
        scratch = dest.with_suffix(".scratch")
        scratch.mkdir(parents=True, exist_ok=True)
        resolved = venvs.resolve(spec, abi, run, uv, str(scratch))
        venvs.build(spec, resolved, str(dest), run, uv)
        venvs.seal(str(dest), inputs=venvs.inputs_digest(spec, abi), abi=abi, resolved=resolved)
    return dest
