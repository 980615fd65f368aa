# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The site of an application, for the role nginx_sites."""

from __future__ import annotations

import posixpath
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import nginx_waf
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_tls as tls
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_edge import KEYS
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import base_of, own_nginx_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_web import public_name

_SHARED = "shared:"


def site(name: str, entry: Entry) -> dict[str, Any]:
    """Return the site of an application, for the role nginx_sites."""
    nginx, base = entry["nginx"], base_of(name)
    return {
        "server_names": [domain.lower() for domain in entry["domains"]],
        **tls.site(name, entry),
        "default_server": not entry["domains"],
        "upstream": f"unix:{base}/current/gunicorn.sock",
        "aliases": {url: _served(base, url, target) for url, target in sorted(entry["static"].items())},
        "uploads": [url for url, target in sorted(entry["static"].items()) if target.startswith(_SHARED)],
        # The application can put a link in place of any directory below it.
        "uploads_root": f"{base}/shared",
        **({"waf": nginx["waf"]} if nginx_waf.used(nginx) else {}),
        "max_body": nginx["max_body"],
        "locations": {
            url: {key: value for key, value in location.items() if value is not None}
            for url, location in sorted(nginx["locations"].items())
        },
        **{key: nginx[key] for key in KEYS if nginx.get(key) is not None},
        "timeouts": nginx["timeouts"],
        "trusted_proxies": nginx["trusted_proxies"],
        "access_log": {"classic": "combined"}.get(entry["logs"]["access"], entry["logs"]["access"]),
        "includes": [f"{own_nginx_files(name)}/*.conf"],
        "extra": nginx["extra"],
    }


def _served(base: str, url: str, target: str) -> str | list[str]:
    """Return where the files of one static map are.

    A page that came from the release before goes on asking for its files. What is shared is the same for all releases,
    and is looked up where it is, so that no link in it counts.
    """
    if target.startswith(_SHARED):
        return f"{base}/shared/{posixpath.normpath(target.removeprefix(_SHARED))}/"
    return [f"{base}/{link}/public/{public_name(url)}/" for link in ("current", "previous")]
