# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of an owner's rules others defeat: ufw asks the rules in their order, and the first that fits decides."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Collection, Sequence

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import Rule

CHECK = "firewall-open"
_OPENS = ("allow", "limit")


def defeated(rules: Sequence[Rule], wanted: Collection[Rule]) -> list[str]:
    """Return what is wrong with wanted refusals and limits that nobody meets, because one before them lets in."""
    own = {rule.key for rule in wanted}
    found = []
    for index, rule in enumerate(rules):
        if rule.policy == "allow" or rule.key not in own:
            continue
        opens, nothing = (("allow",), "limited") if rule.policy == "limit" else (_OPENS, "refused")
        for other in rules[:index]:
            if other.policy in opens and _covers(other, rule):
                whom = "everybody" if other.source == "any" else other.source
                found.append(
                    f"{rule.text()}: '{other.text()}' is asked before and lets {whom} in, so nothing is {nothing}:"
                    f" {_remedy(other)}"
                )
    return found


def left_open(rules: Sequence[Rule], wanted: Collection[Rule]) -> list[Finding]:
    """Return a warning for each rule of others that opens a port to everybody which the owner opens for networks.

    Other owners may rightly want so: it is no error. One family that is open is enough.
    """
    own = [rule for rule in rules if rule.key in {one.key for one in wanted}]
    narrow = [rule for rule in own if rule.policy in _OPENS and rule.source != "any"]
    found: dict[tuple[str, ...], Finding] = {}
    for other in rules:
        if other in own or other.policy not in _OPENS or other.source != "any" or other.reach != "all":
            continue
        # What the owner himself says of everybody comes first, or is an error.
        said = [rule for rule in own if rule.source == "any" and rule.family == other.family]
        for rule in narrow:
            if rule.shares_ports(other) and not any(one.shares_ports(rule) for one in said):
                evidence = f"'{other.words()}' lets everybody in, although '{rule.words()}' is for some networks"
                # Once for the two rules, one of each family, that ufw makes of one command.
                key = (_remedy(other), other.port, other.proto)
                found.setdefault(key, Finding("warning", "", CHECK, evidence, _remedy(other)))
    return list(found.values())


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Tell whether a rule is about all clients of another one, on one of its ports."""
    if wide.reach != "all" or wide.family != narrow.family or not wide.shares_ports(narrow):
        return False
    return wide.source == "any" or (
        narrow.source != "any" and _network(narrow).subnet_of(_network(wide))  # type: ignore[arg-type]
    )


def _network(rule: Rule) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(rule.source)


def _remedy(rule: Rule) -> str:
    if rule.marks:
        return f"take it off the list of '{rule.comment}', or give one of the two another port"
    return f"remove that rule: {_removal(rule)}"


def _removal(rule: Rule) -> str:
    """Return the command that removes a rule made by hand. ufw writes a profile as the last but two (ufw(8))."""
    words = rule.raw.split()
    profile = words[6].replace("%20", " ") if len(words) == 9 else "-"
    if rule.source == "any" and profile != "-":
        return f"ufw delete {rule.policy} {shlex.quote(profile)}"
    if rule.raw and (rule.port != "any" or words[0] != rule.policy):
        return "ufw delete with its number, of ufw status numbered"
    source = f"from {rule.source} to any"
    if rule.port == "any":
        return f"ufw delete {rule.policy} {'' if rule.proto == 'any' else f'proto {rule.proto} '}{source}"
    if rule.source == "any":
        return f"ufw delete {rule.policy} {rule.port}{'' if rule.proto == 'any' else f'/{rule.proto}'}"
    proto = "" if rule.proto == "any" else f"proto {rule.proto} "
    return f"ufw delete {rule.policy} {proto}{source} port {rule.port}"
