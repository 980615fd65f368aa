# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps from the firewall's rules to those that are wanted, such that nobody is locked out on the way."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import SSH_OWNER, Rule, rank, ssh_rules
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import UfwError


@dataclass(frozen=True)
class Plan:
    """What has to be done, in this order: ``first`` before all other rules, ``add`` behind them, then the removals.

    ``add`` also holds rules that are there with other marks. ``again`` are there, and have to go before they are added.
    ``after`` is how the rules look in the end.
    """

    first: list[Rule]
    again: list[Rule]
    add: list[Rule]
    remove: list[Rule]
    purge: list[Rule]
    after: list[Rule]

    @property
    def empty(self) -> bool:
        return not (self.touched or self.purge)

    @property
    def touched(self) -> list[Rule]:
        """All rules that are added, moved, marked anew or removed, but for those that are purged."""
        return [*self.first, *self.again, *self.add, *self.remove]


def make_plan(
    present: Sequence[Rule],
    wanted: Sequence[Rule],
    owner: str,
    *,
    ssh_ports: Collection[int],
    peers: Collection[str] = (),
    purge_foreign: bool = False,
) -> Plan:
    """Return the steps. ``peers`` are the addresses that are connected to the SSH server now.

    A rule of an owner for the port of SSH that lets all of them in is respected. Otherwise everybody is let in there.
    Raises UfwError when the wanted rules would shut them out, or contradict what others want.
    """
    if problems := [*_contradictions(present, wanted, owner, purge_foreign), *_shut_out(wanted, ssh_ports)]:
        raise UfwError("\n".join(problems))
    plan = _steps(present, wanted, [], [], owner, purge_foreign)
    needed = [port for port in ssh_ports if not _cared_for(plan.after, port, peers)]
    if lost := [port for port in needed if _named(wanted, port)]:
        who = ", ".join(sorted(peers)) or "everybody"
        raise UfwError(
            f"the rules for port {lost[0]}, where SSH listens, would shut out {who}: add a rule that lets them in"
        )
    if needed:
        always = ssh_rules(needed)
        plan = _steps(present, wanted, always, [], owner, purge_foreign)
        behind = [rule for rule in always if not _lets_in(plan.after, int(rule.port), peers)]
        if behind:
            plan = _steps(present, wanted, always, behind, owner, purge_foreign)
    return plan


def ssh_limits(ports: Collection[int], unlimited: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the rules that slow down who tries SSH again and again, but for these networks, which are asked first."""
    entry = {"ports": [str(port) for port in sorted(ports)], "proto": "tcp", "comment": ""}
    found = {"ssh@limit": {**entry, "policy": "limit", "from": ["any"]}}
    if unlimited:
        found["ssh@unlimited"] = {**entry, "policy": "allow", "from": list(unlimited)}
    return found if ports else {}


def shut_out_by_limit(peers: Collection[str], unlimited: Sequence[str]) -> list[str]:
    """Return the addresses that are connected to SSH now and are not exempt from a limit."""
    networks = [ipaddress.ip_network(network) for network in unlimited]
    return [peer for peer in sorted(peers) if not any(ipaddress.ip_address(peer) in network for network in networks)]


def checked_limit(
    ports: Collection[int], peers: Collection[str], unlimited: Sequence[str], *, wanted: bool, multiplexed: bool
) -> dict[str, dict[str, Any]]:
    """Return the rules for a limit of SSH, none unless it is ``wanted``. Raises UfwError where this very run would meet
    it. ``multiplexed``: whether the run's tasks share one connection.
    """
    _check_networks(unlimited)
    if not wanted:
        return {}
    if not multiplexed and (slowed := shut_out_by_limit(peers, unlimited)):
        raise UfwError(
            f"ssh_limit would stop this run: it opens a connection for each task, and six within 30 s are too many."
            f" Share one (ControlMaster=auto and ControlPersist=60s in ssh_args), or list {', '.join(slowed)} under"
            " ssh_unlimited"
        )
    return ssh_limits(ports, unlimited)


def _check_networks(given: Sequence[str]) -> None:
    """Raises UfwError for what is no network."""
    for network in given:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise UfwError(f"ssh_unlimited: {network!r} is no address or network: {error}") from error


def _contradictions(present: Sequence[Rule], wanted: Sequence[Rule], owner: str, purge_foreign: bool) -> list[str]:
    """Return what others' rules say against a wanted rule; ufw would silently replace theirs by ours."""
    by_key = {rule.key: rule for rule in present}
    found = []
    for rule in wanted:
        other = by_key.get(rule.key)
        if other is None or other.policy == rule.policy or not (_others(other, owner) or not other.marks):
            continue
        if other.marks or not purge_foreign:
            whose = f"'{other.comment}'" if other.comment else "a rule made by others"
            found.append(f"{rule.text()}: {whose} says {other.policy} for the same, remove one of them")
    return found


def _shut_out(wanted: Sequence[Rule], ssh_ports: Collection[int]) -> list[str]:
    return [
        f"{rule.text()}: SSH listens on port {port}, the host could not be reached any more"
        for port in ssh_ports
        for rule in wanted
        if rule.policy in ("deny", "reject") and rule.source == "any" and rule.about(port) and not _named(wanted, port)
    ]


def _named(rules: Iterable[Rule], port: int) -> bool:
    """Tell whether somebody decided about the port of SSH."""
    return any(
        rule.about(port) and rule.policy in ("allow", "limit") and _others(rule, SSH_OWNER)
        for rule in rules
        if rule.marks
    )


def _cared_for(rules: Sequence[Rule], port: int, peers: Collection[str]) -> bool:
    if _named(rules, port) and peers:
        return all(_answer(rules, port, peer) for peer in peers)
    return _lets_in(rules, port, peers)


def _lets_in(rules: Sequence[Rule], port: int, peers: Iterable[str]) -> bool:
    """Tell whether the world in general and these peers are let in. A rule against a single network may shut it out."""
    return all(_answer(rules, port, who) for who in ("0.0.0.0", "::", *peers))


def _answer(rules: Sequence[Rule], port: int, who: str) -> bool:
    address = ipaddress.ip_address(who)
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    for rule in rules:
        if rule.family != address.version or not rule.about(port):
            continue
        if rule.source == "any" or address in ipaddress.ip_network(rule.source):
            opens = rule.policy in ("allow", "limit")
            if rule.reach == "some" and opens:
                continue
            return opens
    return False


def _steps(
    present: Sequence[Rule],
    wanted: Sequence[Rule],
    always: Sequence[Rule],
    behind: Sequence[Rule],
    owner: str,
    purge_foreign: bool,
) -> Plan:
    targets = {rule.key: rule for rule in (*always, *wanted)}
    early = {rule.key for rule in always}
    kept: list[Rule] = []
    changed: list[Rule] = []
    remove: list[Rule] = []
    purge: list[Rule] = []
    for rule in present:
        target = targets.get(rule.key)
        if target is not None and rule.policy != target.policy and rule.key in early:
            remove.append(rule)
            continue
        if target is not None and target in behind:
            continue
        targets.pop(rule.key, None)
        if target is None and rule.marks and not _others(rule, owner):
            remove.append(rule)
        elif target is None and not rule.marks and purge_foreign:
            purge.append(rule)
        else:
            kept.append(_merged(rule, target, owner, purge_foreign))
            if kept[-1] != rule:
                changed.append(kept[-1])
    first = [rule for rule in targets.values() if rule.key in early]
    new = [rule for rule in targets.values() if rule.key not in early]
    again = _out_of_order(kept, new)
    kept = [rule for rule in kept if rule not in again]
    added = sorted([*new, *again], key=rank)
    return Plan(
        first=first,
        again=again,
        add=[*(rule for rule in changed if rule not in again), *added],
        remove=remove,
        purge=purge,
        after=[*first, *kept, *added],
    )


def _others(rule: Rule, owner: str) -> list[str]:
    """Return the marks of other owners. That of SSH is everybody's."""
    return [mark for mark in rule.marks if not mark.startswith((f"{owner}: ", f"{SSH_OWNER}: "))]


def _merged(rule: Rule, target: Rule | None, owner: str, purge_foreign: bool) -> Rule:
    """Return a present rule with the marks that it shall have."""
    if not rule.marks and not (target and purge_foreign):
        return rule
    marks = [*_others(rule, owner), *(target.marks if target else [])]
    # In one order for all owners, so that none has to write the others' marks anew.
    return replace(rule, policy=target.policy if target else rule.policy, comment=" | ".join(sorted(marks)))


def _out_of_order(kept: Sequence[Rule], new: Sequence[Rule]) -> list[Rule]:
    """Return the present rules that have to be asked after one that comes behind them.

    Those of other owners too: their allow would defeat the owner's refusal until the next run of theirs.
    """
    again: list[Rule] = []
    while True:
        stays = [rule for rule in kept if rule not in again]
        late = [
            rule
            for index, rule in enumerate(stays)
            if rule.marks
            and any(
                rule.clashes(other) and rank(other) < rank(rule)
                for other in (*(rule for rule in stays[index + 1 :] if rule.marks), *new, *again)
            )
        ]
        if not late:
            return again
        again += late
