"""A host on which a site was deployed twice and a third deploy failed, and the means to look at it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import requests
from e2e.machine import Machine
from e2e.playbooks import Run

CANARY = "canary-7f3a91-$HOME-never-shown"

SITE = """
import os, sys
from flask import Flask
def create_app():
    app = Flask(__name__)
    @app.get("/")
    def index():
        return "{word}"
    @app.get("/health")
    def health():
        return "fine", {status}
    @app.get("/say/<word>")
    def say(word):
        print("said", word, file=sys.stderr, flush=True)
        return word
    return app
"""


class StatusHost(Machine):
    """A host with one site."""

    def status(self, *options: str) -> tuple[Run, dict[str, Any]]:
        """Run the playbook status; return what it said, and the JSON of this host."""
        kept = self.folder / "status.json"
        kept.unlink(missing_ok=True)
        done = self.play("playbooks/status.yml", "-e", f"status_file={kept}", *options)
        hosts: dict[str, Any] = json.loads(kept.read_text())["hosts"] if kept.exists() else {}
        return done, hosts.get(self.name, {})

    def deploy(self, word: str, *options: str, playbook: str = "site.yml", status: int = 200) -> Run:
        """Bring the site up that answers this word."""
        site = self.folder / word
        (site / "blog").mkdir(parents=True, exist_ok=True)
        (site / "blog" / "__init__.py").write_text(SITE.format(word=word, status=status))
        (site / "requirements.txt").write_text("flask\n")
        entry = {
            "source": {"path": str(site)},
            "wsgi": "blog:create_app()",
            "domains": ["blog.test"],
            "shared": ["data"],
            "server": {"workers": 3},
            "secrets": {"SECRET_KEY": CANARY},
            "processes": {"worker": {"run": "sleep 1000"}},
            "timers": {"tidy": {"run": "false", "calendar": "2030-01-01 00:00:00 UTC"}},
            # This machine may be busy; a bad answer is not waited for as long.
            "health": {"path": "/health", "timeout": 30 if status == 200 else 8},
        }
        return self.bring({"blog": entry}, *options, playbook=playbook)

    def get(self, path: str) -> requests.Response:
        """What a visitor gets."""
        with requests.Session() as session:
            session.trust_env = False
            port = self.facts["published_ports"]["80"]
            return session.get(f"http://127.0.0.1:{port}{path}", headers={"Host": "blog.test"}, timeout=15)


@dataclass
class Deployed:
    """A host, and what happened on it: ids of the two releases, what failed, and what ``logs -f`` showed meanwhile."""

    machine: StatusHost
    first: str = ""
    second: str = ""
    failed: Run = field(default_factory=lambda: Run(0, ""))
    followed: str = ""
