# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports that containers publish: they are forwarded, so that ufw's rules for what comes in are never asked.

An engine's own program is not needed. Docker forwards by rules of the nat table (chain DOCKER), which others do in the
same way (podman's NETAVARK-... and CNI-...), and by a docker-proxy for each port, which says on its command line what
it does. Where no bridge is, there is nothing of this, and no program is run.
"""

from __future__ import annotations

import contextlib
import glob
import ipaddress
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import Rule
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import output

CHECK = "docker-port"


def docker_facts() -> dict[str, Any]:
    """Return what containers publish on this host, as plain data for docker_findings(); as root.

    ``published``: port, proto, address, target and by. ``filtered``: rules of somebody's own in DOCKER-USER.
    """
    found = [port for line in _commands() if (port := proxy_port(line))]
    filtered: list[str] = []
    if glob.glob("/sys/class/net/*/bridge"):
        for program, family in (("iptables-save", 4), ("ip6tables-save", 6)):
            found += nat_ports(output([program, "-t", "nat"]), family)
            filtered += own_filters(output([program, "-t", "filter"]))
    return {"published": found, "filtered": filtered}


def docker_findings(facts: Mapping[str, Any], active: bool, rules: Sequence[Rule] = ()) -> list[Finding]:
    """Return a finding for each published port that others reach although ufw does not let them.

    ``active``: whether ufw is on; when it is off nothing goes past it. ``rules``: those of ufw.
    """
    if not active:
        return []
    ports: dict[tuple[int, str], dict[str, Any]] = {}
    for item in facts["published"]:
        if not ipaddress.ip_address(item["address"]).is_loopback and not _is_open(item, rules):
            ports.setdefault((item["port"], item["proto"]), item)
    return [_finding(item, facts["filtered"]) for dummy, item in sorted(ports.items())]


def _finding(item: Mapping[str, Any], filtered: Sequence[str]) -> Finding:
    port, place = item["port"], "" if ipaddress.ip_address(item["address"]).is_unspecified else f" on {item['address']}"
    seen = f"port {port}/{item['proto']} is published by a container{place} ({item['by']}, to {item['target']})"
    inside = item["target"].rpartition(":")[2]
    if filtered:
        return Finding(
            "info",
            "",
            CHECK,
            f"{seen}; ufw is not asked for it, but DOCKER-USER has rules of its own, like '{filtered[0]}'",
            "see that these rules let in who should come in, and nobody else",
        )
    return Finding(
        "warning",
        "",
        CHECK,
        f"{seen} and open to everybody, past ufw",
        f"publish it on this host alone (127.0.0.1:{port}:{inside}) and let nginx serve it, or filter it in the chain"
        " DOCKER-USER",
    )


def _is_open(item: Mapping[str, Any], rules: Iterable[Rule]) -> bool:
    """Tell whether ufw lets everybody in there anyway."""
    return any(
        rule.policy == "allow"
        and rule.source == "any"
        and rule.reach == "all"
        and rule.proto in ("any", item["proto"])
        and any(low <= item["port"] <= high for low, high in rule.spans)
        for rule in rules
    )


def proxy_port(command: str) -> dict[str, Any] | None:
    """Return what the command line of a docker-proxy publishes (words end in NUL); None for other programs."""
    words = command.split("\0")
    if os.path.basename(words[0]) != "docker-proxy":
        return None
    said = {word.lstrip("-"): value for word, value in itertools.pairwise(words) if word.startswith("-")}
    try:
        return {
            "port": int(said["host-port"]),
            "proto": said.get("proto", "tcp"),
            "address": str(ipaddress.ip_address(said.get("host-ip", "0.0.0.0"))),
            "target": f"{ipaddress.ip_address(said['container-ip'])}:{int(said['container-port'])}",
            "by": "docker-proxy",
        }
    except (KeyError, ValueError):
        return None


def nat_ports(text: str, family: int) -> list[dict[str, Any]]:
    """Return the ports that rules in the output of ``iptables-save -t nat`` forward (iptables-extensions(8), DNAT)."""
    found = []
    for line in text.splitlines():
        # A ! before the interface of the bridge says "from everywhere else".
        rule = re.match(r"-A (\S+) .*-j DNAT .*--to-destination (\S+)", line)
        port = re.search(r"(?<!! )--dport (\d+)(?!:)\b", line)
        proto = re.search(r"(?<!! )-p (tcp|udp|sctp)\b", line)
        if rule is None or port is None or proto is None:
            continue
        address = re.search(r"(?<!! )-d (\S+)", line)
        place = address[1].partition("/")[0] if address else {4: "0.0.0.0", 6: "::"}[family]
        found.append(
            {"port": int(port[1]), "proto": proto[1], "address": place, "target": rule[2], "by": f"nat {rule[1]}"}
        )
    return found


def own_filters(text: str) -> list[str]:
    """Return the rules in DOCKER-USER, the chain that Docker leaves to people; its own rule there is a RETURN."""
    lines = [line.removeprefix("-A DOCKER-USER ") for line in text.splitlines() if line.startswith("-A DOCKER-USER ")]
    return [line for line in lines if line != "-j RETURN"]


def _commands() -> list[str]:
    """Return the command lines of what calls itself docker-proxy and is root's: others may say anything."""
    found = []
    for place in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            command = _text(f"{place}/cmdline")
            if "docker-proxy" in command and re.search(r"^Uid:\s+0\s+0\s", _text(f"{place}/status"), re.MULTILINE):
                found.append(command)
    return found


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
