"""A host that is examined: one site on it, and what is found."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from e2e.machine import Machine
from e2e.playbooks import Run

RECORDS = "/run/names"
CANARY = "canary-91c7de-never-shown-f00d-4a1b77"

# Each of its faults is switched on by a variable of its environment.
SITE = """
import os
from flask import Flask, session
from werkzeug.debug import DebuggedApplication
from werkzeug.middleware.proxy_fix import ProxyFix
def create_app():
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=os.environ["SECRET_KEY"],
        SESSION_COOKIE_SECURE=not os.environ.get("INSECURE_COOKIE"),
        SESSION_COOKIE_SAMESITE="Lax",
        DEBUG=bool(os.environ.get("SHOW_ERRORS")),
    )
    hops = int(os.environ.get("HOPS", "1"))
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=1, x_host=1)
    if os.environ.get("OFFER_DEBUGGER"):
        app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=True)
    @app.get("/")
    def index():
        session["seen"] = True
        return "hello"
    @app.get("/note")
    def note():
        with open("/var/lib/note", "w") as file:
            return file.name
    @app.get("/health")
    def health():
        return "fine", 500 if os.environ.get("BROKEN") else 200
    return app
"""


class DoctorHost(Machine):
    """A host with one site, whose inventory may say the wrong thing."""

    # The words by which ansible-playbook reads what the inventory says.
    said: tuple[str, ...] = ()

    def serve_names(self) -> None:
        """Have a DNS of its own asked first, with the records of the file RECORDS."""
        program = base64.b64encode((Path(__file__).parent / "name_server.py").read_bytes()).decode()
        self.root(
            f"systemctl -q is-active names && exit; : >{RECORDS}; echo {program} | base64 -d >/run/name_server.py;"
            f" systemd-run -q --unit=names python3 /run/name_server.py 127.0.0.2 {RECORDS};"
            # The file is mounted: it can't be replaced.
            ' before="$(cat /etc/resolv.conf)"; printf "nameserver 127.0.0.2\n%s\n" "$before" >/etc/resolv.conf'
        )
        self.wait("ss -Hlun | grep -q 127.0.0.2:53")

    def claim(self, **changes: Any) -> None:
        """Write what the inventory says of the site."""
        site = self.folder / "site"
        (site / "blog").mkdir(parents=True, exist_ok=True)
        (site / "blog" / "__init__.py").write_text(SITE)
        (site / "requirements.txt").write_text("flask\n")
        entry = {
            "source": {"path": str(site)},
            "wsgi": "blog:create_app()",
            "domains": ["blog.test"],
            "shared": ["data"],
            "server": {"workers": 2},
            "secrets": {"SECRET_KEY": CANARY},
            "processes": {"worker": {"run": "sleep 1000"}},
            "timers": {"tidy": {"run": "false", "calendar": "2030-01-01 00:00:00 UTC"}},
            "health": {"path": "/health"},
            # Somebody in front speaks TLS with the visitors.
            "nginx": {"trusted_proxies": ["198.51.100.0/24"]},
        }
        self.said = self.say({"blog": {**entry, **changes}})

    def examine(self, *options: str) -> tuple[Run, dict[str, Any]]:
        """Run the playbook; return what it said, and the JSON of this host."""
        kept = self.folder / "doctor.json"
        kept.unlink(missing_ok=True)
        done = self.play("playbooks/doctor.yml", *self.said, "-e", f"doctor_file={kept}", *options)
        hosts: dict[str, Any] = json.loads(kept.read_text())["hosts"] if kept.exists() else {}
        return done, hosts.get(self.name, {})

    def found(self, *options: str) -> set[tuple[str, str, str]]:
        """Return level, application and check of each finding that is no remark."""
        done, said = self.examine("-e", "doctor_fail_on=never", *options)
        assert done.status == 0, done.text[-3000:]
        findings = said["findings"]
        assert all(one["evidence"] and one["fix"] for one in findings)
        return {(one["level"], one["app"], one["check"]) for one in findings if one["level"] != "info"}
