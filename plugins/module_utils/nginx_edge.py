# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of what a site does at its edge, for the role nginx_sites and for the plan, which have the same keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_access import (
    address_faults,
    limit_faults,
    password_faults,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_headers import header_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_pages import page_faults, redirect_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_transfer import (
    buffer_faults,
    cache_faults,
    client_faults,
    gzip_faults,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_waf import waf_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import directory

# Debian's package with what serves files that were compressed by brotli.
BROTLI = "libnginx-mod-http-brotli-static"
# The keys of an entry of nginx_sites that an application's ``nginx`` has as well, with the same meaning.
KEYS = (
    "rate_limit",
    "headers",
    "hide_headers",
    "basic_auth",
    "error_pages",
    "intercept_errors",
    "retry_page",
    "redirects",
    "rewrites",
    "gzip",
    "buffers",
    "client",
    "static_cache",
    "static_compressed",
)


Check = Callable[[Mapping[str, Any], Collection[str], Collection[str]], Iterator[tuple[str, str]]]

# Each takes the site, the URL prefixes that nginx serves itself, and all for which it is settled who answers.
CHECKS: Mapping[str, Check] = {
    "rate-limit": lambda site, dummy, dummy_: limit_faults(site),
    "network": lambda site, dummy, dummy_: address_faults(site),
    "header": lambda site, dummy, dummy_: header_faults(site),
    "basic-auth": lambda site, static, dummy: password_faults(site, static),
    "error-page": lambda site, static, dummy: page_faults(site, static),
    "redirect": lambda site, dummy, taken: redirect_faults(site, taken),
    "gzip": lambda site, dummy, dummy_: gzip_faults(site),
    "buffers": lambda site, dummy, dummy_: buffer_faults(site),
    "client": lambda site, dummy, dummy_: client_faults(site),
    "static-cache": lambda site, static, dummy: cache_faults(site, static),
    "waf": lambda site, dummy, dummy_: waf_faults(site["waf"]),
}


def edge_faults(site: Mapping[str, Any], static: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Return rule, key and text of all that is wrong. ``static``: the URL prefixes that nginx serves itself."""
    prefixes = [directory(url) for url in static]
    taken = [*prefixes, *site["locations"], *(site.get("basic_auth") or {"except": []})["except"]]
    for rule, check in CHECKS.items():
        for key, text in check(site, prefixes, taken):
            yield rule, key, text
