# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From checked entries of nginx_sites to the files of nginx's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import nginx_transfer as transfer
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_access import (
    guesses,
    htpasswd,
    htpasswd_path,
    zone,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_extra import bare, directives
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_headers import Headers, default_maps
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_locations import (
    alias_views,
    closed_pages,
    location_views,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_pages import (
    PAGES,
    PLACE,
    error_pages,
    redirects,
    text_files,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_rewrites import rewrites, unresolved
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_tls import listens, tls_files, tls_view, with_hsts
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_waf import DIRECTORY as WAF
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_waf import used, waf_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import identifier, quoted

Entry = Mapping[str, Any]

# Headers that a place of the templates is about.
_RETRY_SAYS = ("cache-control", "retry-after")
_UPGRADE_SAYS = ("connection", "upgrade")


def site_files(
    sites: Mapping[str, Entry],
    *,
    worker_connections: int,
    client_header_timeout: int,
    remove_default: bool,
    catch_all: bool,
    ipv6: bool,
) -> dict[str, dict[str, Any]]:
    """Return path -> entry, as file_set takes them, for sites that check_sites found right."""
    files: dict[str, dict[str, Any]] = {
        "/etc/nginx/nginx.conf": {
            "template": "nginx.conf.j2",
            "vars": {"worker_connections": worker_connections, "client_header_timeout": client_header_timeout},
            "shared": True,
        },
        "/etc/nginx/conf.d/00-visitors.conf": {"template": "visitors.conf.j2", "shared": True},
        "/etc/nginx/conf.d/00-answers.conf": {
            "template": "answers.conf.j2",
            "vars": {"headers": default_maps()},
            "shared": True,
        },
    }
    # A port has one default server, whoever serves on it: so the file is named after the port, and the owners share it.
    for port in sorted(_ports_without_default(sites, welcome=not remove_default)) if catch_all else []:
        files[f"/etc/nginx/conf.d/00-unknown-hosts-{port}.conf"] = {
            "template": "unknown_hosts.conf.j2",
            "vars": {"listens": listens({port}, ipv6)},
            "shared": True,
        }
    files |= tls_files(sites, catch_all=catch_all, ipv6=ipv6)
    if remove_default:
        files["/etc/nginx/sites-enabled/default"] = {"absent": True}
    for name, site in sites.items():
        files[f"/etc/nginx/sites-available/{name}.conf"] = {
            "template": "site.conf.j2",
            "vars": {"site": site_view(name, site, ipv6=ipv6)},
        }
        files.update(waf_files(name, site))
        files[f"/etc/nginx/sites-enabled/{name}.conf"] = {"link": f"../sites-available/{name}.conf"}
        files |= {path: {"content": text} for path, text in text_files(name, site).items()}
        if site.get("basic_auth"):
            files[htpasswd_path(name)] = {
                "content": htpasswd(name, site["basic_auth"]["users"]),
                "group": "www-data",
                "mode": "0640",
                "sensitive": True,
            }
    return files


def site_view(name: str, site: Entry, *, ipv6: bool) -> dict[str, Any]:
    """Return what the template of one site reads, in the words of nginx."""
    site, variable = with_hsts(site), identifier(name)
    trusted = site["trusted_proxies"]
    scheme = f"$nginx_sites_scheme_{variable}" if trusted else "$scheme"
    limits = {"": site.get("rate_limit"), **{url: item.get("rate_limit") for url, item in site["locations"].items()}}
    zones = {url: zone(name, url, limit) for url, limit in limits.items() if limit and limit["rate"]}
    headers = Headers(name, site)
    own_headers, aliases = headers.site(), alias_views(site, headers)
    pages = _pages(name, site)
    for alias in aliases:
        alias["closed_pages"] = closed_pages(alias, pages["error_pages"], site.get("basic_auth"))
    return {
        "name": name,
        **tls_view(site, ipv6=ipv6, scheme=scheme),
        "server_names": [server_name.lower() for server_name in site["server_names"]],
        "upstream": f"http://{site['upstream']}",
        "aliases": aliases,
        "includes": site["includes"],
        "locations": location_views(site, headers, zones),
        "zones": list(zones.values()),
        "guesses": guesses(name, site),
        "visitor": f"$nginx_sites_visitor_{variable}",
        "headers": own_headers,
        "retry_headers": headers.place(without=_RETRY_SAYS),
        "header_maps": headers.maps,
        "hide_headers": site["hide_headers"],
        "proxy_headers": _proxy_headers(site["extra"]),
        "auth": _auth(name, site.get("basic_auth")),
        **pages,
        "gzip": {**site["gzip"], "types": transfer.gzip_types(site)},
        "buffers": {**site["buffers"], "busy": transfer.busy(site)},
        "client": transfer.client_lines(site["client"]),
        "cache": f"$nginx_sites_cache_{variable}" if any(alias["cache"] for alias in aliases) else "",
        "cache_map": transfer.cache_map(site),
        "waf": f"{WAF}/{name}.conf" if used(site) else "",
        "max_body": site["max_body"],
        "timeouts": site["timeouts"],
        "trusted_proxies": trusted,
        "trusted": f"$nginx_sites_trusted_{variable}" if trusted else "",
        "access_log": _access_log(name, site),
        "scheme": scheme,
        "extra": site["extra"].strip("\n").splitlines(),
    }


def _proxy_headers(extra: str) -> list[str]:
    """Return the lines by hand for a place that says what the application is told: nginx hands none down to it."""
    lines = [words for words in directives(extra, "proxy_set_header") if len(words) > 1]
    return [f"{' '.join(words)};" for words in lines if bare(words[1]).lower() not in _UPGRADE_SAYS]


def _auth(name: str, auth: Entry | None) -> dict[str, str]:
    return {"realm": quoted(auth["realm"]), "file": htpasswd_path(name)} if auth else {}


def _pages(name: str, site: Entry) -> dict[str, Any]:
    """Return what the templates read of pages and of addresses that lead elsewhere."""
    pages = error_pages(name, site)
    texts = bool(text_files(name, site))
    return {
        "error_pages": pages,
        "error_texts": {"url": f"{PLACE}/", "directory": f"{PAGES}/{name}/"} if texts else {},
        "retry": any(page["to"].startswith("@") for page in pages),
        "intercept_errors": site["intercept_errors"],
        "redirects": redirects(site),
        "rewrites": rewrites(site),
        "unresolved": unresolved(site),
    }


def _access_log(name: str, site: Entry) -> str:
    kind = {"json": "nginx_sites_json"}.get(site["access_log"], site["access_log"])
    return "off" if kind == "none" else f"/var/log/nginx/{name}.access.log {kind}"


def _ports_without_default(sites: Mapping[str, Entry], *, welcome: bool) -> set[int]:
    own = {port for site in sites.values() if site["default_server"] for port in site["listen"]}
    if welcome:
        # Debian's welcome site is the default server of this one.
        own.add(80)
    return {port for site in sites.values() for port in site["listen"]} - own
