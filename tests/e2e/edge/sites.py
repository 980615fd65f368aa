"""The sites of the scenario, as an inventory has them, and what lies about beside them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from e2e.playbooks import ROOT

# As a site that means it has; with a self-signed certificate there is none unless asked for.
TLS = {"mode": "self-signed", "hsts": 31536000}
APPS: dict[str, dict[str, Any]] = {
    # All that a site can be told, so that gixy and the attacks meet it.
    "mirror": {
        "static": {"/static/": "src:static/", "/media/": "shared:media/", "/drop/": "shared:drop/"},
        "nginx": {
            "locations": {
                "/ws": {"websocket": True},
                "/events": {"stream": True},
                "/unbuffered": {"request_buffering": False},
                "/limited": {"rate_limit": {"rate": 1, "burst": 5}},
                "/inner": {"allow": ["127.0.0.1"], "headers": {"X-Inner": "yes"}},
            },
            "rate_limit": {"rate": 10000, "burst": 10000},
            "headers": {"X-Frame-Options": "DENY", "Permissions-Policy": "camera=()"},
            "hide_headers": ["X-Powered-By"],
            "redirects": {"/was/": {"to": "/is/"}, "/before": {"to": "/after"}},
            "rewrites": [
                {"match": "^/sent/(.*)$", "to": "/received/$1", "status": 302},
                {"match": "^/quiet/(.*)$", "to": "/told/$1"},
            ],
            "error_pages": {"404": {"text": "<h1>Nothing here</h1>"}},
            "static_cache": {"others": 60},
            "static_compressed": ["gzip"],
            "client": {"body_timeout": 30},
        },
    },
    "locked": {
        "static": {"/static/": "src:static/"},
        "nginx": {"basic_auth": {"users": {"ada": "lovelace"}, "except": ["/open/"]}},
    },
    "tornado": {"server": {"worker_class": "tornado", "workers": 2}},
    "alone": {"server": "gevent"},
    "guard": {
        "nginx": {
            "max_body": "256k",
            "locations": {"/unbuffered": {"request_buffering": False}},
            "waf": {"mode": "block", "exclusions": [{"rule": 942100, "path": "/search", "argument": "q"}]},
        }
    },
    "watch": {"nginx": {"waf": {"mode": "detect"}}},
    "secure": {
        "tls": TLS,
        "static": {"/static/": "src:static/", "/media/": "shared:media/"},
        "nginx": {"locations": {"/unbuffered": {"request_buffering": False}, "/ws": {"websocket": True}}},
    },
    "vault": {"tls": TLS, "nginx": {"basic_auth": {"users": {"ada": "lovelace"}}}},
}
# What nobody may fetch: the table looks for these marks. Made here, so that no such file is part of the project.
HIDDEN = (".env", ".htpasswd", "deep/.hidden/file.txt")
UPLOADS = """
cd /srv/mirror/shared
echo picture >media/picture.txt; echo MARK-OF-A-HIDDEN-FILE >media/.hidden; mkdir media/deep
echo MARK-OF-THE-DATABASE >instance/data.db
ln -s /etc/passwd media/passwd; ln -s ../../../../../../etc/passwd media/deep/passwd
ln -s ../instance/data.db media/database; ln -s .. media/out; ln -s / media/host
ln -s /srv/mirror/current/src media/release
mv drop drop.before; ln -s / drop
chmod -R o+rX . ; chmod o+x /srv/mirror/shared
"""


def entry(name: str, source: Path, trusted: str) -> dict[str, Any]:
    """One application as an inventory has it."""
    own = APPS.get(name, {})
    whole = {
        "source": {"path": str(source)},
        "wsgi": "mirror:app",
        "domains": [f"{name}.test"],
        "server": {"workers": 2},
    }
    limited = {"/limited": {"rate_limit": {"rate": 1, "burst": 5}}}
    nginx = {"trusted_proxies": [trusted], "locations": limited} if name == "tornado" else {}
    return {**whole, "shared": ["media", "drop", "instance", "seen"], **own, "nginx": {**nginx, **own.get("nginx", {})}}


def write_source(folder: Path) -> Path:
    """The code of the sites, with files that nobody may fetch."""
    source = folder / "site"
    shutil.copytree(ROOT / "tests/apps/mirror", source, dirs_exist_ok=True)
    for name in HIDDEN:
        path = source / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("MARK-OF-A-HIDDEN-FILE\n")
    (source / "static/large.txt").write_text("0123456789\n" * 1000)
    return source
