# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which ports the firewall opens for an application, and for whom."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_tls import PORT, has_tls


def open_ports(entry: Entry) -> list[int]:
    """Return the ports on which the site of an application is reached."""
    return sorted({*entry["nginx"]["listen"], *([PORT] if has_tls(entry) else [])})


def check_allow_from(report: Report, entry: Entry) -> None:
    """Each network by itself, and that an authority is let in where one asks."""
    if entry["nginx"]["allow_from"] and entry["tls"]["mode"] == "acme":
        text = (
            "shuts out the authority, which asks port 80 from wherever it likes: take tls.mode files, or leave it out"
        )
        report.add("allow-from", "nginx.allow_from", text)
    seen: set[str] = set()
    for index, source in enumerate(entry["nginx"]["allow_from"]):
        key = f"nginx.allow_from[{index}]"
        try:
            network = ipaddress.ip_network(source, strict=False)
        except ValueError:
            report.add("allow-from", key, f"'{source}' is no address or network: write 192.0.2.10 or 192.0.2.0/24")
            continue
        address = source.partition("/")[0]
        if ipaddress.ip_address(address) != network.network_address:
            report.add("allow-from", key, f"'{source}' has bits beyond its mask: write '{network}' or '{address}'")
        elif network.prefixlen == 0:
            text = f"'{source}' is everybody of one protocol: leave allow_from out, or name the networks"
            report.add("allow-from", key, text)
        elif str(network) in seen:
            report.add("allow-from", key, f"'{source}' is listed twice: remove one")
        seen.add(str(network))


def check_sources(sites: dict[str, Entry], reports: dict[str, Report], firewall: bool) -> None:
    """What only shows when all applications are seen: ports that two of them open for different networks."""
    first: dict[int, str] = {}
    for name, entry in sites.items():
        if entry["nginx"]["allow_from"] and not firewall:
            text = "is kept by the firewall, and flask_apps_firewall is false: remove one of them"
            reports[name].add("allow-from", "nginx.allow_from", text)
            continue
        for port in open_ports(entry):
            other = first.setdefault(port, name)
            if _sources(sites[other]) != _sources(entry):
                # Of two the one that restricts is told: it is the one that would be open.
                told, open_for = (name, other) if entry["nginx"]["allow_from"] else (other, name)
                networks = sites[told]["nginx"]["allow_from"]
                text = (
                    f"port {port} is open for other networks because of '{open_for}', and a firewall knows ports, not"
                    " names: give one of them another port under nginx.listen, both the same allow_from, or let nginx"
                    f" ask: locations: {{/: {{allow: {json.dumps(networks)}}}}}"
                )
                reports[told].add("allow-from", "nginx.allow_from", text)
                break


def _sources(entry: Entry) -> set[str]:
    return {str(ipaddress.ip_network(source, strict=False)) for source in entry["nginx"]["allow_from"]}


def rules(entries: dict[str, Entry]) -> dict[str, Any]:
    """Return the firewall's rules of all sites, for the role ufw_rules.

    One rule has the ports that are open for everybody: two sites share a port, not a rule. A site that is open for some
    has a rule of its own; no application has a dot in its name.
    """
    everybody = [entry for entry in entries.values() if not entry["nginx"]["allow_from"]]
    ports = sorted({port for entry in everybody for port in open_ports(entry)})
    common = {"proto": "tcp", "policy": "allow"}
    found = {"sites": {"ports": [str(port) for port in ports], **common, "comment": "sites"}} if ports else {}
    for name, entry in sorted(entries.items()):
        if entry["nginx"]["allow_from"]:
            own = [str(port) for port in open_ports(entry)]
            found[f"site.{name}"] = {"ports": own, **common, "from": entry["nginx"]["allow_from"], "comment": name}
    return found
