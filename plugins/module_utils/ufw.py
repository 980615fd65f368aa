# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ufw's rules as data: read from its files, checked, and compared with what is wanted. Nothing here runs ufw.

A rule that this collection made says so in its comment, with a tag per owner: ``flaskworks ssh; shop: sites``. Two
owners who need the same port share one rule, and it goes when the last of them no longer lists it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARK = "flaskworks "
SSH = "ssh"
ANYWHERE = ("0.0.0.0/0", "::/0")
# Ports that one rule of iptables' multiport match takes, a range counting as two: see iptables-extensions(8).
MULTIPORT = 15


class UfwError(Exception):
    """Rules that can't be applied; the message is for a person."""


@dataclass(frozen=True)
class Rule:
    """One rule for incoming connections. ``ports`` as ufw writes them (``80,443``), ``source`` ``any`` or a network."""

    policy: str
    proto: str
    ports: str
    source: str = "any"
    # A rule by hand may say more (an interface, a destination, outgoing); then this is its whole tuple.
    other: str = ""

    def words(self) -> list[str]:
        """Return the rule as arguments of ufw; see ufw(8)."""
        proto = [] if self.proto == "any" else ["proto", self.proto]
        return [self.policy, *proto, "from", self.source, "to", "any", "port", self.ports]

    def __str__(self) -> str:
        return self.other or f"{self.policy} {self.ports}/{self.proto} from {self.source}"

    def covers(self, port: int) -> bool:
        """Tell whether the rule is about TCP connections to a port."""
        return (
            not self.other
            and self.proto in ("tcp", "any")
            and any(first <= port <= last for first, last in map(bounds, self.ports.split(",")))
        )


@dataclass
class Change:
    """What has to be done with the rules, in this order."""

    delete: list[Rule] = field(default_factory=list)
    first: dict[Rule, str] = field(default_factory=dict)
    add: dict[Rule, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.delete or self.first or self.add)


def bounds(port: str) -> tuple[int, int]:
    """Return the first and last port of ``80`` or ``8000:8010``."""
    first, dummy, last = port.partition(":")
    return (int(first), int(last or first)) if port != "any" else (1, 65535)


def parse(*files: str) -> dict[Rule, str]:
    """Return the rules of user.rules and user6.rules with their comments, in their order.

    Their lines are ``### tuple ### POLICY PROTO PORTS DESTINATION PORTS SOURCE DIRECTION [comment=HEX]``.
    """
    rules: dict[Rule, str] = {}
    for text in files:
        for line in text.splitlines():
            match = re.match(r"### tuple ### (.*?)(?: comment=([0-9a-f]*))?$", line.strip())
            if match:
                comment = bytes.fromhex(match[2] or "").decode(errors="replace")
                rules.setdefault(_rule(match[1]), comment)
    return rules


def _rule(text: str) -> Rule:
    words = text.split()
    plain = len(words) == 7 and words[6] == "in" and words[3] in ANYWHERE and words[4] == "any"
    if plain and "_" not in words[0]:
        return Rule(words[0], words[1], words[2], "any" if words[5] in ANYWHERE else words[5])
    return Rule("", "", "", other=text)


def tags(comment: str) -> list[str] | None:
    """Return the tags in a comment of ours; None for anybody else's."""
    return comment[len(MARK) :].split("; ") if comment.startswith(MARK) else None


def owner_of(tag: str) -> str:
    return tag.partition(": ")[0]


def wanted_rules(entries: Mapping[str, Mapping[str, Any]], owner: str) -> dict[Rule, list[str]]:
    """Return the rules of one owner's entries with their tags. Raises UfwError with all problems at once."""
    problems: list[str] = []
    rules: dict[Rule, list[str]] = {}
    for name, entry in entries.items():
        found = _problems(entry)
        problems += [f"ufw_rules.{name}.{problem}" for problem in found]
        if found:
            continue
        remark = f" ({entry['comment']})" if entry.get("comment") else ""
        for source in entry.get("from") or ["any"]:
            network = "any" if source in ("any", *ANYWHERE) else _network(source)
            for ports in port_groups([str(port) for port in entry["ports"]], entry.get("proto", "tcp")):
                rule = Rule(entry.get("policy", "allow"), entry.get("proto", "tcp"), ports, network)
                rules.setdefault(rule, []).append(f"{owner}: {name}{remark}")
    seen: dict[tuple[str, str, str], Rule] = {}
    for rule in rules:
        other = seen.setdefault((rule.proto, rule.ports, rule.source), rule)
        if other != rule:
            problems.append(f"ufw_rules: '{rule}' comes after '{other}' and would never be reached: keep one of them")
    if problems:
        raise UfwError("\n".join(problems))
    return rules


def _problems(entry: Mapping[str, Any]) -> list[str]:
    problems = []
    ports = [str(port) for port in entry.get("ports") or []]
    proto = entry.get("proto", "tcp")
    if not ports:
        problems.append("ports: is empty: name a port, such as [80]")
    for port in ports:
        if not re.fullmatch(r"\d{1,5}(:\d{1,5})?", port):
            problems.append(f'ports: {port!r} is no port: give a number (80) or a range in quotes ("8000:8010")')
            continue
        first, last = bounds(port)
        if not 1 <= first <= last <= 65535:
            problems.append(f"ports: {port} is out of order: ports go from 1 to 65535, the lower end of a range first")
        elif ":" in port and proto == "any":
            problems.append(f"ports: the range {port} needs proto tcp or udp")
    for source in entry.get("from") or ["any"]:
        if source != "any":
            try:
                ipaddress.ip_network(source)
            except ValueError as error:
                problems.append(f"from: {source!r} is no address or network: {error}")
    if not re.fullmatch(r"[^;'\"\n\r]*", str(entry.get("comment") or "")):
        problems.append("comment: can't hold semicolons, quotes or line breaks")
    return problems


def _network(source: str) -> str:
    """Return a network as ufw writes it: a single address without its length."""
    network = ipaddress.ip_network(source)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def port_groups(ports: Sequence[str], proto: str) -> list[str]:
    """Return the ports in as few of ufw's lists as possible; without a protocol ufw takes one port a rule."""
    ordered = sorted(set(ports), key=bounds)
    if proto == "any":
        return ordered
    groups: list[list[str]] = [[]]
    for port in ordered:
        if sum(2 if ":" in other else 1 for other in [*groups[-1], port]) > MULTIPORT:
            groups.append([])
        groups[-1].append(port)
    return [",".join(group) for group in groups]


def check_ssh(wanted: Iterable[Rule], ssh_ports: Sequence[int], peers: Iterable[str]) -> None:
    """Raise UfwError when the wanted rules would lock out those who are connected to the SSH server now."""
    rules = list(wanted)
    for port in ssh_ports:
        about = [rule for rule in rules if rule.covers(port)]
        if not about:
            continue
        for peer in sorted(peers):
            first = next((rule for rule in about if _matches(rule, peer)), None)
            if first is None or first.policy not in ("allow", "limit"):
                raise UfwError(
                    f"the rules about SSH's port {port} would lock out {peer}, which is connected now: "
                    f"{f'{first} comes first' if first else 'no rule allows it'}. Add its network to `from`."
                )


def _matches(rule: Rule, address: str) -> bool:
    if rule.source == "any":
        return True
    network, peer = ipaddress.ip_network(rule.source), ipaddress.ip_address(address)
    return peer.version == network.version and peer in network


def find_change(
    existing: Mapping[Rule, str],
    wanted: Mapping[Rule, Sequence[str]],
    ssh_ports: Sequence[int],
    owner: str,
    purge_foreign: bool = False,
) -> Change:
    """Compare the rules that are there with those wanted."""
    target: dict[Rule, list[str]] = {rule: list(names) for rule, names in wanted.items()}
    change = Change()
    for port in ssh_ports:
        if any(rule.covers(port) for rule in wanted):
            continue
        rule = Rule("allow", "tcp", str(port))
        if _lets_in(existing, port, purge_foreign, rule):
            continue
        if rule in existing:
            # Something before it shuts SSH out.
            change.delete.append(rule)
        change.first[rule] = MARK + SSH
    ssh_rules = {Rule("allow", "tcp", str(port)) for port in ssh_ports if not any(r.covers(port) for r in wanted)}
    kept: list[Rule] = []
    for rule, comment in existing.items():
        if rule in change.first:
            continue
        marks = tags(comment)
        if marks is None:
            if rule in target and not purge_foreign:
                kept.append(rule)
                del target[rule]
            elif purge_foreign and rule not in target and not rule.other:
                change.delete.append(rule)
            continue
        after = [tag for tag in marks if owner_of(tag) != owner and (tag != SSH or rule in ssh_rules)]
        after += target.get(rule, [])
        if not after:
            change.delete.append(rule)
        elif after == marks:
            kept.append(rule)
            target.pop(rule, None)
        else:
            change.add[rule] = MARK + "; ".join(after)
            kept.append(rule)
            target.pop(rule, None)
    change.add.update({rule: MARK + "; ".join(names) for rule, names in target.items()})
    mine = [rule for rule in kept if rule in wanted]
    # The first rule that matches decides; between rules of one policy the order says nothing.
    if len({rule.policy for rule in mine}) > 1 and mine != [rule for rule in wanted if rule in mine]:
        _put_in_order(change, existing, wanted, mine)
    return change


def _put_in_order(change: Change, existing: Mapping[Rule, str], wanted: Iterable[Rule], mine: Sequence[Rule]) -> None:
    """Take rules that are there in another order out and put them in again."""
    movable = [rule for rule in mine if tags(existing[rule]) is not None]
    change.delete += movable
    comments = {**{rule: existing[rule] for rule in movable}, **change.add}
    ordered = [rule for rule in wanted if rule in comments]
    change.add = {rule: comments[rule] for rule in [*ordered, *(rule for rule in change.add if rule not in ordered)]}


def _lets_in(existing: Mapping[Rule, str], port: int, purge_foreign: bool, own: Rule) -> bool:
    """Tell whether the first rule from anywhere about SSH's port lets it in, and will be there afterwards."""
    for rule, comment in existing.items():
        if rule.covers(port) and rule.source == "any":
            stays = SSH in (tags(comment) or []) if rule == own else tags(comment) is None and not purge_foreign
            return rule.policy in ("allow", "limit") and stays
    return False


def listing(rules: Mapping[Rule, str]) -> str:
    """Return the rules as lines for a diff."""
    return "".join(f"{rule}{f'  # {comment}' if comment else ''}\n" for rule, comment in rules.items())


def after(existing: Mapping[Rule, str], change: Change) -> dict[Rule, str]:
    """Return the rules as they will be."""
    rules = {rule: comment for rule, comment in existing.items() if rule not in change.delete}
    return {
        **change.first,
        **{rule: comment for rule, comment in rules.items() if rule not in change.first},
        **change.add,
    }
