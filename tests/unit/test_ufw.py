"""The firewall's rules as data: read, checked and compared."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw import (
    Rule,
    UfwError,
    after,
    check_ssh,
    find_change,
    parse,
    port_groups,
    wanted_rules,
)
from hypothesis import given
from hypothesis import strategies as st

SSH = Rule("allow", "tcp", "22")
WEB = Rule("allow", "tcp", "80,443")


def entry(ports: Any = ("80",), **more: Any) -> dict[str, Any]:
    return {"ports": list(ports), "proto": "tcp", "policy": "allow", "from": ["any"], "comment": "", **more}


def applied(existing: dict[Rule, str], entries: dict[str, Any], owner: str = "a", **more: Any) -> dict[Rule, str]:
    """The rules after one run."""
    return after(existing, find_change(existing, wanted_rules(entries, owner), [22], owner, **more))


def test_rules_are_read_as_ufw_writes_them() -> None:
    text = """*filter
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=666c61736b776f726b7320737368
### tuple ### limit any 53 0.0.0.0/0 any 10.0.0.0/8 in
### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### deny_log tcp 25 0.0.0.0/0 any 0.0.0.0/0 in_eth0
"""
    six = "### tuple ### allow tcp 22 ::/0 any ::/0 in comment=666c61736b776f726b7320737368\n"
    rules = parse(text, six)
    assert list(rules)[:3] == [SSH, Rule("limit", "any", "53", "10.0.0.0/8"), WEB]
    assert rules[SSH] == "flaskworks ssh"
    assert [rule.other for rule in rules][3] == "deny_log tcp 25 0.0.0.0/0 any 0.0.0.0/0 in_eth0"
    assert len(rules) == 4


def test_ssh_comes_first_and_a_second_run_changes_nothing() -> None:
    rules = applied({}, {"web": entry(["80", "443"])})
    assert list(rules) == [SSH, WEB]
    assert rules == {SSH: "flaskworks ssh", WEB: "flaskworks a: web"}
    assert not find_change(rules, wanted_rules({"web": entry(["80", "443"])}, "a"), [22], "a")


def test_rules_no_longer_listed_go_and_those_made_by_hand_stay() -> None:
    by_hand = {Rule("allow", "udp", "51820"): "vpn", Rule("deny", "tcp", "25"): ""}
    rules = applied({**by_hand, **applied({}, {"web": entry(), "other": entry(["81"])})}, {"web": entry()})
    assert set(rules) == {*by_hand, SSH, Rule("allow", "tcp", "80")}


def test_two_owners_share_a_rule_and_the_last_one_takes_it_away() -> None:
    both = applied(applied({}, {"web": entry()}, "a"), {"site": entry()}, "b")
    assert both[Rule("allow", "tcp", "80")] == "flaskworks a: web; b: site"
    only_b = applied(both, {}, "a")
    assert only_b[Rule("allow", "tcp", "80")] == "flaskworks b: site"
    assert set(applied(only_b, {}, "b")) == {SSH}


def test_a_rule_made_by_hand_is_not_taken_over() -> None:
    by_hand = {Rule("allow", "tcp", "80"): "mine"}
    rules = applied(by_hand, {"web": entry()})
    assert rules[Rule("allow", "tcp", "80")] == "mine"
    assert Rule("allow", "tcp", "80") in applied(rules, {})


def test_purging_takes_what_has_no_mark_and_leaves_other_owners() -> None:
    there = {Rule("allow", "tcp", "25"): "", **applied({}, {"site": entry(["81"])}, "b")}
    rules = applied(there, {"web": entry()}, purge_foreign=True)
    assert set(rules) == {SSH, Rule("allow", "tcp", "81"), Rule("allow", "tcp", "80")}


def test_ssh_that_is_limited_by_hand_is_not_opened_wide() -> None:
    """An allow before the limit would defeat it."""
    limited = {Rule("limit", "tcp", "22"): ""}
    assert set(applied(limited, {})) == set(limited)


def test_ssh_that_is_denied_by_hand_is_let_in_before() -> None:
    rules = applied({Rule("deny", "tcp", "22"): ""}, {})
    assert list(rules) == [SSH, Rule("deny", "tcp", "22")]
    blocked = {Rule("deny", "tcp", "22"): "", SSH: "flaskworks ssh"}
    assert next(iter(applied(blocked, {}))) == SSH


def test_the_rule_for_a_port_that_ssh_left_goes() -> None:
    rules = after({SSH: "flaskworks ssh"}, find_change({SSH: "flaskworks ssh"}, wanted_rules({}, "a"), [2222], "a"))
    assert list(rules) == [Rule("allow", "tcp", "2222")]


def test_a_rule_about_ssh_replaces_the_one_for_everybody() -> None:
    there = applied({}, {})
    rules = applied(there, {"office": entry(["22"], **{"from": ["10.0.0.0/8"]})})
    assert set(rules) == {Rule("allow", "tcp", "22", "10.0.0.0/8")}


def test_rules_that_lock_out_a_connected_address_are_refused() -> None:
    rules = wanted_rules({"office": entry(["22"], **{"from": ["10.0.0.0/8"]})}, "a")
    check_ssh(rules, [22], {"10.1.2.3"})
    with pytest.raises(UfwError, match=r"would lock out 192\.0\.2\.1"):
        check_ssh(rules, [22], {"10.1.2.3", "192.0.2.1"})
    with pytest.raises(UfwError, match="comes first"):
        check_ssh(wanted_rules({"all": entry(["1:65535"], policy="deny")}, "a"), [22], {"192.0.2.1"})


def test_the_order_listed_is_the_order_kept() -> None:
    first = {"a": entry(["25"], policy="deny", **{"from": ["192.0.2.0/24"]}), "b": entry(["25"])}
    rules = applied({}, first)
    turned = applied(rules, {"b": first["b"], "a": first["a"]})
    assert list(turned)[1:] == list(reversed(list(rules)[1:]))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (entry([]), "ports: is empty"),
        (entry(["http"]), "'http' is no port"),
        (entry(["0"]), "out of order"),
        (entry(["70000"]), "out of order"),
        (entry(["90:80"]), "out of order"),
        (entry(["80:90"], proto="any"), "needs proto"),
        (entry(**{"from": ["10.0.0.0/33"]}), "no address or network"),
        (entry(**{"from": ["10.0.0.1/8"]}), "no address or network"),
        (entry(comment="a; b"), "comment"),
    ],
)
def test_bad_rules_are_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(UfwError, match=f"ufw_rules.web.*{message}"):
        wanted_rules({"web": rule}, "a")


def test_all_bad_rules_are_named_at_once() -> None:
    with pytest.raises(UfwError) as caught:
        wanted_rules({"a": entry(["x"]), "b": entry(["80"], policy="limit"), "c": entry(["80"])}, "a")
    assert "ufw_rules.a.ports" in str(caught.value)
    assert "never be reached" in str(caught.value)


@given(st.lists(st.integers(1, 65535).map(str), min_size=1, max_size=40, unique=True))
def test_lists_of_ports_fit_and_lose_none(ports: list[str]) -> None:
    groups = port_groups(ports, "tcp")
    assert sorted(port for group in groups for port in group.split(",")) == sorted(ports)
    assert all(len(group.split(",")) <= 15 for group in groups)
    assert port_groups(ports, "any") == sorted(ports, key=int)


rules_of_one = st.dictionaries(
    st.sampled_from(["web", "mail", "vpn"]),
    st.builds(
        lambda port, source: entry([port], **{"from": [source]}),
        st.sampled_from(["80", "25", "8000:8010"]),
        st.sampled_from(["any", "10.0.0.0/8", "2001:db8::/32"]),
    ),
)


@given(rules_of_one, rules_of_one, rules_of_one)
def test_any_rules_of_two_owners_settle_at_once_and_leave_nothing(
    one: dict[str, Any], two: dict[str, Any], other: dict[str, Any]
) -> None:
    rules = applied(applied(applied({}, one, "a"), other, "b"), two, "a")
    assert rules == applied(rules, two, "a")
    assert set(wanted_rules(two, "a")) | set(wanted_rules(other, "b")) | {SSH} == set(rules)
    assert set(applied(applied(rules, {}, "a"), {}, "b")) == {SSH}
