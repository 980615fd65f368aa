"""What nginx is given for sites as data, without a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import check_entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_files import site_files
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(ROOT / "roles/nginx_sites/templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def sites(entries: dict[str, Any]) -> dict[str, Any]:
    checked, problems = check_entries(entry_points("nginx_sites"), entries, "nginx_sites")
    assert not problems, problems
    return checked


def files(entries: dict[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
    defaults = {
        "worker_connections": 4096,
        "client_header_timeout": 15,
        "remove_default": True,
        "catch_all": True,
        "ipv6": True,
    }
    return site_files(sites(entries), **{**defaults, **options})


def rendered(entries: dict[str, Any], path: str, **options: Any) -> str:
    entry = files(entries, **options)[path]
    return TEMPLATES.get_template(entry["template"]).render(**entry.get("vars", {}))


def site(entry: dict[str, Any], **options: Any) -> str:
    whole = {"server_names": ["x.test"], "upstream": "127.0.0.1:1", **entry}
    return rendered({"x": whole}, "/etc/nginx/sites-available/x.conf", **options)
