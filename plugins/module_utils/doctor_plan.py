# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor has to know of a plan: nothing secret, and no more than it judges. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import to_record


def wanted(plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return application -> ``domains`` (and names that lead to the first), ``ports``, ``tls`` (whether visitors come
    by https to nginx), ``tls_ports``, ``trusted_proxies``, ``scheme`` (of the health check), ``server`` (as a release's
    record has it) and ``wsgi``.
    """
    found = {}
    for name, release in plan["releases"].items():
        site = plan["nginx_sites"].get(name) or {}
        tls = site.get("tls") or {}
        # A site with TLS and without a list of ports has the port of https.
        tls_ports = sorted(set(tls.get("ports") or [443])) if tls else []
        found[name] = {
            # The site's own come first: it is asked by the first one.
            "domains": [*(site.get("server_names") or []), *(site.get("redirect_from") or [])],
            "ports": sorted({*site.get("listen", []), *tls_ports}),
            "tls": bool(tls),
            "tls_ports": tls_ports,
            "trusted_proxies": list(site.get("trusted_proxies") or []),
            "scheme": str(release["health"].get("scheme") or "http"),
            "server": to_record(release["server"]),
            "wsgi": str(release["server"]["settings"].get("wsgi_app") or ""),
        }
    return found
