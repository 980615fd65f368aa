"""A small site and its entry, as the plan would hand it to the release module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import STRICT

SITE = """
import json, os, time
from flask import Flask
{top}
def create_app():
    app = Flask(__name__)
    @app.get("/")
    def index():
        return "{word}"
    @app.get("/environment")
    def environment():
        return json.dumps(dict(os.environ))
    @app.get("/slow")
    def slow():
        time.sleep(1.5)
        return "slow"
    @app.get("/health")
    def health():
        {health}
    return app
"""


def write_site(folder: Path, word: str, top: str = "", health: str = "return 'fine'") -> Path:
    """Write the site's source; return its directory."""
    (folder / "blog" / "static").mkdir(parents=True, exist_ok=True)
    (folder / "media").mkdir(exist_ok=True)
    (folder / "blog" / "__init__.py").write_text(SITE.format(word=word, top=top, health=health))
    (folder / "blog" / "static" / "site.css").write_text("body {}\n")
    (folder / "media" / "placeholder").write_text("tracked\n")
    (folder / "requirements.txt").write_text("flask\n")
    return folder


def entry(source: Path | dict[str, Any], name: str = "blog", **changes: Any) -> dict[str, Any]:
    """Return the entry of an application; ``changes`` replace its keys."""
    base, release = f"/srv/{name}", f"/srv/{name}/releases/%i"
    unit = {"Description": f"{name} %i", "Requires": f"{name}@%i.socket", "After": f"network.target {name}@%i.socket"}
    service = {
        "Type": "notify",
        "NotifyAccess": "all",
        "User": name,
        "Group": name,
        "Sockets": f"{name}@%i.socket",
        "WorkingDirectory": f"{release}/src",
        "EnvironmentFile": f"{release}/env",
        "ExecStart": f"{release}/venv/bin/gunicorn --config {release}/gunicorn.conf.py",
        "KillMode": "mixed",
        "TimeoutStopSec": 40,
        **STRICT,
        "LimitCORE": 0,
        "MemoryMax": "512M",
        "TasksMax": 200,
        "ReadWritePaths": f"{base}/shared /var/log/{name}",
    }
    socket = {
        "ListenStream": f"/run/{name}/%i.sock",
        "SocketUser": name,
        "SocketGroup": "www-data",
        "SocketMode": "0660",
        "RemoveOnStop": True,
        "Backlog": 2048,
    }
    given = source if isinstance(source, dict) else {"type": "path", "path": str(source)}
    plain: dict[str, Any] = {
        "user": name,
        "base": base,
        "log_dir": f"/var/log/{name}",
        "keep": 3,
        "source": {"subdir": "", **given},
        "python": {
            "interpreter": "python3",
            "installer": "pip",
            "requirements": [],
            "constraints": [],
            "packages": ["gunicorn"],
        },
        "server": {
            "type": "gunicorn",
            "settings": {"wsgi_app": "blog:create_app()", "workers": 2, "worker_class": "gthread", "threads": 4},
        },
        "units": {
            f"{name}@.service": {"Unit": unit, "Service": service, "Install": {"WantedBy": "multi-user.target"}},
            f"{name}@.socket": {"Socket": socket, "Install": {"WantedBy": "sockets.target"}},
        },
        "public": {"static": "src:blog/static/", "media": "shared:media/"},
        "shared": ["media", "instance"],
        "env": {},
        "secrets": {},
        "files": {},
        "commands": {},
        "health": {"path": "/health", "status": [200], "timeout": 10, "host": "blog.example.org", "scheme": "http"},
    }
    return plain | changes
