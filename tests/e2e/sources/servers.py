"""A host that serves its own sources: git over ssh and https, archives over http, an address that swallows."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from e2e.playbooks import build_env
from e2e.release_host import ReleaseHost, ReleaseRun

SPEC = entry_points("flask_apps")
SITE = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{word}"]
"""
# A user whose repositories are reached with the deploy key, as a git server has them.
GIT_SERVER = """
set -e
useradd --create-home --shell /bin/sh git && usermod -p '*' git
install -d -o git -g git -m 0700 /home/git/.ssh
cat > /home/git/.ssh/authorized_keys && chown git: /home/git/.ssh/authorized_keys
export GIT_CONFIG_COUNT=4 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=t GIT_CONFIG_KEY_1=user.email
export GIT_CONFIG_VALUE_1=t@example.org GIT_CONFIG_KEY_2=protocol.file.allow GIT_CONFIG_VALUE_2=always
export GIT_CONFIG_KEY_3=init.defaultBranch GIT_CONFIG_VALUE_3=main
git init -q /opt/theme && cd /opt/theme
echo green > colour && git add -A && git commit -qm theme
git clone -q --bare /opt/theme /home/git/theme.git
git init -q /opt/work && cd /opt/work
mkdir blog && printf '%s' "$SITE" > blog/__init__.py
git submodule --quiet add /opt/theme theme && git config -f .gitmodules submodule.theme.url ../theme.git
git add -A && git commit -qm one
git checkout -qb big
echo '*.png filter=lfs' > .gitattributes
printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%064d\\nsize 12\\n' 0 > blog/logo.png
git rm -qf theme && git add -A && git commit -qm pointers && git checkout -q main
git clone -q --bare /opt/work /home/git/site.git
chown -R git: /home/git/*.git
"""
# git's dumb protocol behind a password, on two ports; what arrives on the second is written down.
HTTPS_SERVER = """
import base64, http.server, pathlib, ssl, sys, threading
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        given = self.headers.get("Authorization", "")
        if self.server.server_port == 8444:
            with open("/run/second.log", "a") as log:
                log.write(f"{self.path} {given}\\n")
        if given != "Basic " + base64.b64encode(b"ann:s3cr3t-p%ss").decode():
            self.send_response(401); self.send_header("WWW-Authenticate", "Basic realm=git"); self.end_headers()
        else:
            super().do_GET()
    def __init__(self, *args):
        super().__init__(*args, directory="/opt/dumb")
for port in (8443, 8444):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/opt/tls.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
"""
DUMB = """
set -e
mkdir -p /opt/dumb && cd /opt/dumb
export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=t GIT_CONFIG_KEY_1=user.email
export GIT_CONFIG_VALUE_1=t@example.org
git clone -q /opt/work plain && cd plain && git checkout -q -B plain && git rm -qf theme && git commit -qm plain
git checkout -q -b greedy && printf '[submodule "theme"]\\n\\tpath = theme\\n\\turl = %s\\n' \\
    https://localhost:8444/theme.git > .gitmodules
git update-index --add --cacheinfo 160000,$(git -C /opt/theme rev-parse HEAD),theme
git add .gitmodules && git commit -qm greedy
cd .. && git clone -q --bare plain site.git && git -C site.git update-server-info
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
    -keyout /opt/key.pem -out /opt/ca.pem 2>/dev/null
cat /opt/key.pem /opt/ca.pem > /opt/tls.pem && chmod 0644 /opt/ca.pem
cat > /opt/https.py
systemd-run --quiet --unit=https-git python3 /opt/https.py
"""
# A full queue of connections: what comes next waits for an answer that never comes.
BLACK_HOLE = """
import socket, time
server = socket.socket(); server.bind(("127.0.0.1", 8099)); server.listen(0)
held = []
for number in range(4):
    client = socket.socket(); client.setblocking(False); client.connect_ex(("127.0.0.1", 8099)); held.append(client)
time.sleep(3600)
"""


@dataclass
class Sources:
    """The host, what it serves, and the keys that belong to it."""

    host: ReleaseHost
    folder: Path
    deploy_key: str
    host_key: str

    def deploy(self, *options: str, env: dict[str, str] | None = None, **apps: dict[str, Any]) -> ReleaseRun:
        """Deploy applications, each defined as an inventory does it."""
        plan = make_plan(SPEC, {name: definition(name, **keys) for name, keys in apps.items()})
        return self.host.deploy(
            plan["releases"], *options, build_env={**build_env(), **(env or {})}, owner="+".join(apps)
        )

    def git(self, **keys: str) -> dict[str, Any]:
        """The site over ssh."""
        given = {"git": "git@localhost:site.git", "deploy_key": self.deploy_key, "host_key": self.host_key, **keys}
        return {"source": {key: value for key, value in given.items() if value}}


def definition(name: str, **keys: Any) -> dict[str, Any]:
    """An application of the inventory: hardly more than it must say."""
    small = {"wsgi": "blog:app", "domains": [f"{name}.example.org"], "server": {"worker_class": "sync", "workers": 1}}
    return {**small, **keys}


def key_pair(folder: Path, name: str) -> tuple[str, str]:
    """Return a new private key and its public line."""
    path = folder / name
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path.read_text(), path.with_suffix(".pub").read_text()


def said(output: str) -> str:
    """What was printed, without line breaks and what a terminal's width puts between words."""
    return " ".join(output.replace("\\n", " ").split())


def serve(host: ReleaseHost) -> Sources:
    """Make the host serve all of it, unless it does."""
    if host.root("test -e /opt/served || echo new"):
        dummy, public = key_pair(host.folder, "deploy")
        slow = 'restrict,command="sleep 0.7; exec git-shell -c \\"$SSH_ORIGINAL_COMMAND\\"" '
        host.root(f"SITE='{SITE.format(word='from git')}'; export SITE\n{GIT_SERVER}", slow + public)
        host.root(DUMB, HTTPS_SERVER)
        host.root("cat > /opt/hole.py && systemd-run --quiet --unit=black-hole python3 /opt/hole.py", BLACK_HOLE)
        host.root(
            "mkdir -p /opt/files && systemd-run --quiet --unit=files"
            " python3 -um http.server --bind 127.0.0.1 --directory /opt/files 8000; touch /opt/served"
        )
    pinned = host.root("cat /etc/ssh/ssh_host_ed25519_key.pub")
    return Sources(host, host.folder, (host.folder / "deploy").read_text(), pinned)
