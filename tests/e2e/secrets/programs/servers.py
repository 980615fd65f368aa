"""Serves a repository, and an index of one package, each to those who know its password, which stdin tells."""

from __future__ import annotations

import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    " -keyout /opt/secrets/key.pem -out /opt/ca.pem"
)


def handler(folder: str, word: str) -> type[http.server.SimpleHTTPRequestHandler]:
    allowed = "Basic " + base64.b64encode(f"ann:{word}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, request: object, address: object, server: object) -> None:
            super().__init__(request, address, server, directory=folder)  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if self.headers.get("Authorization", "") != allowed:
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic realm=x")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *dummy: object) -> None:
            pass

    return Handler


def write_repository(versions: dict[str, str]) -> None:
    work = Path("/opt/secrets/work")
    work.mkdir(parents=True)
    git = ["git", "-C", str(work), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "none", str(work)], check=True)
    for name, text in versions.items():
        (work / "site_code.py").write_text(text)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", name], check=True)
        subprocess.run([*git, "tag", name], check=True)
    subprocess.run(["git", "clone", "-q", "--mirror", str(work), "/opt/secrets/git/site.git"], check=True)
    subprocess.run(["git", "-C", "/opt/secrets/git/site.git", "update-server-info"], check=True)


def write_index() -> None:
    folder = Path("/opt/secrets/index/simple/privatething")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "privatething-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("privatething.py", "")
        info = "privatething-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: privatething\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def go_on_alone() -> None:
    """Let the caller end."""
    if os.fork():
        os._exit(0)
    os.setsid()
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)


def main() -> None:
    given = json.load(sys.stdin)
    os.umask(0o077)
    write_repository(given["versions"])
    subprocess.run(CERTIFICATE.split(), check=True, capture_output=True)
    os.chmod("/opt/ca.pem", 0o644)
    write_index()
    go_on_alone()
    for port, root, word in ((8443, "git", given["git"]), (8441, "index", given["index"])):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler(f"/opt/secrets/{root}", word))
        if port == 8443:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain("/opt/ca.pem", "/opt/secrets/key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()


main()
