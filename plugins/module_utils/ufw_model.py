# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of a firewall as ufw keeps them.

ufw holds no two rules that differ in their remark or their policy only. So a rule that two owners want is one rule with
two marks, and a rule that somebody made by hand already is left alone and counts as ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import UfwError

POLICIES = ("allow", "deny", "reject", "limit")
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# Whose mark the rules for SSH carry. It is nobody's in particular: no owner removes them.
SSH_OWNER = "ssh-server"
_MARK = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*): ([a-z][a-z0-9_.@-]*)( \(.*\))?")
_ENTRY: dict[str, Any] = {"ports": [], "proto": "tcp", "policy": "allow", "from": ["any"], "comment": ""}
_PORT = re.compile(r"([0-9]{1,5})(:([0-9]{1,5}))?")
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class Rule:
    """One rule of one family (4 or 6).

    ``raw`` has the words of a rule that only others make, as with interfaces or profiles. ``reach`` tells whom of the
    clients of source and port it is about: all of them, some (those of one interface, say) or none (an outgoing rule).
    """

    family: int
    policy: str
    proto: str
    port: str
    source: str
    comment: str = ""
    raw: str = ""
    reach: str = "all"

    @property
    def key(self) -> tuple[Any, ...]:
        """What ufw takes for the same rule."""
        return (self.family, self.proto, self.port, self.source, self.raw)

    @property
    def marks(self) -> list[str]:
        parts = self.comment.split(" | ")
        return parts if all(_MARK.fullmatch(part) for part in parts) else []

    def about(self, port: int) -> bool:
        """Tell whether the rule is about a TCP port."""
        return self.reach != "none" and self.proto != "udp" and any(low <= port <= high for low, high in self.spans)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The ports as ranges: ``any``, ``80``, ``80:90`` and ``80,443`` are what ufw knows."""
        if self.port == "any":
            return [(1, 65535)]
        parts = [part.partition(":") for part in self.port.split(",")]
        return [(int(first), int(last or first)) for first, _colon, last in parts]

    def shares_ports(self, other: Rule) -> bool:
        """Tell whether two rules have a port of one protocol in common."""
        if "any" not in (self.proto, other.proto) and self.proto != other.proto:
            return False
        return any(low <= end and start <= high for low, high in self.spans for start, end in other.spans)

    def clashes(self, other: Rule) -> bool:
        """Tell whether it matters which of two rules is asked first."""
        if self.raw or other.raw or self.family != other.family or self.policy == other.policy:
            return False
        if not self.shares_ports(other):
            return False
        if "any" in (self.source, other.source):
            return True
        return ipaddress.ip_network(self.source).overlaps(ipaddress.ip_network(other.source))

    def words(self) -> str:
        """The rule as people read it, without its family."""
        what = (
            self.raw or f"{self.policy} {self.port}{'' if self.proto == 'any' else '/' + self.proto} from {self.source}"
        )
        return f"{what}{'  # ' + self.comment if self.comment else ''}"

    def text(self) -> str:
        return f"IPv{self.family} {self.words()}"


def complete_rules(rules: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rules with every key. Raises UfwError for what is no entry at all."""
    problems = []
    for name, rule in rules.items():
        if not isinstance(rule, dict):
            problems.append(f"{name}: is not a dictionary")
            continue
        if unknown := sorted(set(rule) - set(_ENTRY)):
            problems.append(f"{name}: unknown key {', '.join(unknown)}; there are {', '.join(_ENTRY)}")
        problems += [
            f"{name}.{key}: is not a list" for key in ("ports", "from") if not isinstance(rule.get(key, []), list)
        ]
    if problems:
        raise UfwError("\n".join(problems))
    return {name: {**_ENTRY, **rule} for name, rule in rules.items()}


def check_rules(rules: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (place, fault) for all that is wrong with the rules, also side by side."""
    problems = [(f"{name}.{key}", text) for name, rule in rules.items() for key, text in _faults(name, rule)]
    if problems:
        return problems
    taken: dict[tuple[Any, ...], tuple[str, str]] = {}
    for name, rule in rules.items():
        for found in _expand("", name, rule):
            other, policy = taken.setdefault(found.key, (name, found.policy))
            if policy != found.policy:
                text = f"'{other}' says {policy} for {found.port} from {found.source}: keep one of them"
                problems.append((f"{name}.policy", text))
    return list(dict.fromkeys(problems))


def _faults(name: str, rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not _MARK.fullmatch(f"x: {name}"):
        yield "name", "a name begins with a letter and has lower-case letters, digits and _ . @ - only"
    if rule["policy"] not in POLICIES:
        yield "policy", f"{rule['policy']!r} is none of {', '.join(POLICIES)}"
    if rule["proto"] not in ("tcp", "udp", "any"):
        yield "proto", f"{rule['proto']!r} is none of tcp, udp, any"
    if not rule["ports"]:
        yield "ports", "is empty: name the ports"
    for port in rule["ports"]:
        found = _PORT.fullmatch(str(port))
        first, last = (int(found[1]), int(found[3] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= 65535 or (found and found[3] and first == last):
            yield "ports", f"{str(port)!r} is no port from 1 to 65535 and no range like '8000:8010'"
        elif first != last and rule["proto"] == "any":
            yield "proto", f"the range {port} needs tcp or udp"
    if not rule["from"]:
        yield "from", "is empty: name addresses, or any"
    for source in rule["from"]:
        if source != "any":
            try:
                ipaddress.ip_network(source)
            except ValueError as error:
                yield "from", f"{source!r} is neither 'any' nor an address or network: {error}"
    if re.search(r"[^ -~]|['\"|()]", rule["comment"]):
        yield "comment", "may have plain letters, digits and signs, but no quotes, no ( ) and no |"


def wanted_rules(owner: str, rules: Mapping[str, Mapping[str, Any]]) -> list[Rule]:
    """Return the rules in the order in which they have to be asked: the narrower source first, an allow last."""
    merged: dict[tuple[Any, ...], Rule] = {}
    for name in sorted(rules):
        for rule in _expand(owner, name, rules[name]):
            known = merged.get(rule.key)
            marks = sorted({*(known.marks if known else []), rule.comment})
            merged[rule.key] = replace(rule, comment=" | ".join(marks))
    return sorted(merged.values(), key=rank)


def ssh_rules(ports: Iterable[int]) -> list[Rule]:
    return [
        Rule(family, "allow", "tcp", str(port), "any", f"{SSH_OWNER}: ssh")
        for port in sorted(ports)
        for family in (4, 6)
    ]


def _expand(owner: str, name: str, rule: Mapping[str, Any]) -> Iterator[Rule]:
    comment = f"{owner}: {name}" + (f" ({rule['comment']})" if rule["comment"] else "")
    for port in dict.fromkeys(str(port) for port in rule["ports"]):
        for given in rule["from"]:
            network = None if given == "any" else ipaddress.ip_network(given)
            if network is None or network.prefixlen == 0:
                source, families = "any", (4, 6) if network is None else (network.version,)
            else:
                # ufw keeps a single address without its prefix.
                single = network.prefixlen == network.max_prefixlen
                source, families = str(network.network_address if single else network), (network.version,)
            yield from (Rule(family, rule["policy"], rule["proto"], port, source, comment) for family in families)


def rank(rule: Rule) -> tuple[Any, ...]:
    width = -1 if rule.source == "any" else ipaddress.ip_network(rule.source).prefixlen
    return (-width, rule.policy == "allow", rule.policy, int(rule.port.split(":")[0]), rule.port, rule.proto, rule.key)


def parse_rules(text: str, family: int) -> list[Rule]:
    """Return the rules in one of ufw's files (``user.rules``, ``user6.rules``), in their order.

    ufw writes each with a line ``### tuple ### policy proto port to port from direction [comment=hex]``, and reads it
    back from there (ufw's backend_iptables.py).
    """
    rules = []
    for line in text.splitlines():
        if not line.startswith("### tuple ###"):
            continue
        words = line[len("### tuple ###") :].split()
        comment = ""
        if words and words[-1].startswith("comment="):
            comment = bytes.fromhex(words.pop()[len("comment=") :]).decode(errors="replace")
        plain = len(words) == 7 and words[3] == ANYWHERE[family] and words[4] == "any" and words[6] == "in"
        if plain and words[0] in POLICIES and words[2] != "any":
            source = "any" if words[5] == ANYWHERE[family] else words[5]
            rules.append(Rule(family, words[0], words[1], words[2], source, comment))
        else:
            rules.append(_foreign(family, words, comment))
    return rules


def _foreign(family: int, words: list[str], comment: str) -> Rule:
    """Return a rule that only others make; what can't be read is about nobody."""
    raw = " ".join(words)
    if len(words) not in (7, 9) or not words[-1].startswith("in") or ":" in words[0]:
        return Rule(family, "", "any", "any", "any", comment, raw, "none")
    policy, proto, port, target, source_port, source = words[:6]
    everybody = target == ANYWHERE[family] and source_port == "any" and words[-1] == "in"
    return Rule(
        family,
        policy.partition("_")[0],
        proto,
        port,
        "any" if source == ANYWHERE[family] else source,
        comment,
        raw,
        "all" if everybody else "some",
    )


def command(rule: Rule) -> list[str]:
    """Return the words that ufw takes for a rule, without its remark. The addresses hold it to its family."""
    proto = [] if rule.proto == "any" else ["proto", rule.proto]
    source = ANYWHERE[rule.family] if rule.source == "any" else rule.source
    return [rule.policy, *proto, "from", source, "to", "any", "port", rule.port]
