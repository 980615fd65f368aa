"""The firewall's rules as data: read, checked, and brought to what is wanted without locking anybody out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_host import State, could_cut_off
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import (
    Rule,
    check_rules,
    command,
    complete_rules,
    parse_rules,
    wanted_rules,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_overlaps import defeated, left_open
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_plan import (
    Plan,
    checked_limit,
    make_plan,
    shut_out_by_limit,
    ssh_limits,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import UfwError
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_ssh import parse_sockets
from hypothesis import given
from hypothesis import strategies as st

PEER = "192.0.2.1"


def entry(*ports: str, **more: Any) -> dict[str, Any]:
    return {"ports": list(ports), "proto": "tcp", "policy": "allow", "from": ["any"], "comment": "", **more}


def plan(present: Sequence[Rule], rules: dict[str, Any], owner: str = "a", **more: Any) -> Plan:
    options = {"ssh_ports": {22}, "peers": {PEER}, **more}
    return make_plan(present, wanted_rules(owner, rules), owner, **options)


def shown(present: Sequence[Rule], rules: dict[str, Any], owner: str = "a", **more: Any) -> list[str]:
    """The rules for IPv4 after one run; a second one has to change nothing."""
    after = plan(present, rules, owner, **more).after
    assert plan(after, rules, owner, **more).empty
    return [rule.text().removeprefix("IPv4 ") for rule in after if rule.family == 4]


def applied(present: Sequence[Rule], rules: dict[str, Any], owner: str = "a", **more: Any) -> list[Rule]:
    return plan(present, rules, owner, **more).after


def by_hand(*lines: str) -> list[Rule]:
    return parse_rules("\n".join(f"### tuple ### {line}" for line in lines), 4)


ANY = "0.0.0.0/0"
SSH = "allow 22/tcp from any  # ssh-server: ssh"


def test_rules_are_read_as_ufw_writes_them() -> None:
    text = """*filter
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=7373682d7365727665723a20737368
-A ufw-user-input -p tcp --dport 22 -j ACCEPT
### tuple ### limit any 53 0.0.0.0/0 any 10.0.0.0/8 in
### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### deny any any 0.0.0.0/0 any 203.0.113.0/24 in
### tuple ### allow_log tcp 25 0.0.0.0/0 any 0.0.0.0/0 in_eth0
### tuple ### route:allow any any 10.2.0.0/16 any 10.1.0.0/16 in
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in
"""
    rules = parse_rules(text, 4)
    assert [rule.about(22) for rule in rules] == [True, False, False, True, False, False, True]
    assert [rule.about(443) for rule in rules] == [False, False, True, True, False, False, False]
    assert rules[0] == Rule(4, "allow", "tcp", "22", "any", "ssh-server: ssh")
    assert rules[1] == Rule(4, "limit", "any", "53", "10.0.0.0/8")
    assert rules[4].reach == "some"
    assert rules[5].reach == "none"


def test_commands_are_held_to_one_family() -> None:
    rules = wanted_rules("a", {"web": entry("80"), "dns": entry("53", proto="any", **{"from": ["10.0.0.0/8"]})})
    assert [" ".join(command(rule)) for rule in rules] == [
        "allow from 10.0.0.0/8 to any port 53",
        "allow proto tcp from 0.0.0.0/0 to any port 80",
        "allow proto tcp from ::/0 to any port 80",
    ]


def test_ssh_comes_first_and_for_both_families() -> None:
    made = plan([], {"web": entry("80")}, ssh_ports={22, 2222})
    assert {(rule.family, rule.port) for rule in made.first} == {(4, "22"), (6, "22"), (4, "2222"), (6, "2222")}
    assert [rule.port for rule in made.after if rule.family == 4] == ["22", "2222", "80"]


def test_the_rule_for_a_port_that_ssh_left_goes() -> None:
    assert shown(applied([], {}), {}, ssh_ports={2222}) == ["allow 2222/tcp from any  # ssh-server: ssh"]


def test_rules_no_longer_listed_go_and_those_made_by_hand_stay() -> None:
    hand = by_hand(f"allow udp 51820 {ANY} any {ANY} in comment=76706e", f"deny tcp 25 {ANY} any {ANY} in")
    before = [*hand, *applied([], {"web": entry("80"), "other": entry("81")})]
    assert shown(before, {"web": entry("80")}) == [
        "allow 51820/udp from any  # vpn", "deny 25/tcp from any", SSH, "allow 80/tcp from any  # a: web",
    ]  # fmt: skip


def test_two_owners_share_a_rule_and_the_last_one_takes_it_away() -> None:
    both = applied(applied([], {"web": entry("80")}, "a"), {"site": entry("80")}, "b")
    assert shown(both, {"site": entry("80")}, "b") == [SSH, "allow 80/tcp from any  # a: web | b: site"]
    only_b = applied(both, {}, "a")
    assert shown(only_b, {}, "a") == [SSH, "allow 80/tcp from any  # b: site"]
    assert shown(only_b, {}, "b") == [SSH]


def test_a_rule_made_by_hand_is_not_taken_over() -> None:
    hand = by_hand(f"allow tcp 80 {ANY} any {ANY} in comment=6d696e65")
    with_ours = applied(hand, {"web": entry("80")})
    assert "allow 80/tcp from any  # mine" in shown(with_ours, {"web": entry("80")})
    assert "allow 80/tcp from any  # mine" in shown(with_ours, {})


def test_purging_takes_what_has_no_mark_and_leaves_other_owners() -> None:
    hand = by_hand(f"allow tcp 25 {ANY} any {ANY} in", f"allow tcp 80 {ANY} any {ANY} in")
    before = [*hand, *applied([], {"site": entry("81")}, "b")]
    assert set(shown(before, {"web": entry("80")}, purge_foreign=True)) == {
        SSH, "allow 80/tcp from any  # a: web", "allow 81/tcp from any  # b: site",
    }  # fmt: skip


def test_ssh_that_is_limited_is_not_opened_wide() -> None:
    """An allow before the limit would defeat it."""
    limited = [Rule(family, "limit", "tcp", "22", "any") for family in (4, 6)]
    assert shown(limited, {}) == ["limit 22/tcp from any"]
    assert shown(applied([], {}), {"ssh": entry("22", policy="limit")}) == ["limit 22/tcp from any  # a: ssh"]
    others = applied([], {"ssh": entry("22", policy="limit")}, "b")
    assert shown(others, {}) == ["limit 22/tcp from any  # b: ssh"]


@pytest.mark.parametrize(
    "line",
    [
        f"deny tcp 22 {ANY} any {ANY} in",
        f"deny any any {ANY} any {ANY} in",
        f"reject tcp 20:30 {ANY} any {ANY} in",
        f"deny tcp 22,80 {ANY} any {ANY} in",
        f"deny any any {ANY} any 192.0.2.0/24 in",
        f"deny_log tcp 22 {ANY} any {ANY} in_eth0",
    ],
)
def test_ssh_that_is_denied_by_hand_is_let_in_before(line: str) -> None:
    assert shown(by_hand(line), {})[0] == SSH
    behind = [*by_hand(line), *applied([], {})]
    assert shown(behind, {})[0] == SSH


def test_a_ban_of_somebody_else_stays_before_the_rule_for_ssh() -> None:
    before = [*by_hand(f"deny any any {ANY} any 203.0.113.0/24 in"), *applied([], {})]
    assert plan(before, {}).empty


def test_a_rule_about_ssh_replaces_the_one_for_everybody() -> None:
    office = {"office": entry("22", **{"from": ["192.0.2.0/24"]})}
    assert shown(applied([], {}), office) == ["allow 22/tcp from 192.0.2.0/24  # a: office"]
    assert shown(applied([], office), {}, "b") == ["allow 22/tcp from 192.0.2.0/24  # a: office"]
    assert shown(applied([], office), {}, "a") == [SSH]


@pytest.mark.parametrize(
    "rules",
    [
        {"office": entry("22", **{"from": ["10.0.0.0/8"]})},
        {"all": entry("22", policy="deny")},
        {"all": entry("1:65535", policy="reject")},
        {"me": entry("22", policy="deny", **{"from": ["192.0.2.0/24"]}), "all": entry("22")},
    ],
)
def test_rules_that_lock_out_who_is_connected_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(UfwError, match=r"shut out 192\.0\.2\.1|could not be reached"):
        plan([], rules)


def test_the_narrower_source_and_the_refusal_are_asked_first() -> None:
    rules = {
        "web": entry("80"),
        "ban": entry("80", policy="deny", **{"from": ["198.51.100.0/24"]}),
        "range": entry("70:90", policy="limit"),
    }
    wanted = [SSH, "deny 80/tcp from 198.51.100.0/24  # a: ban", "limit 70:90/tcp from any  # a: range"]
    wanted.append("allow 80/tcp from any  # a: web")
    assert shown([], rules) == wanted
    # Added to what is there already, they have to come before it as well.
    assert shown(applied([], {"web": rules["web"]}), rules) == wanted


def test_order_changes_only_where_it_matters() -> None:
    before = applied([], {"web": entry("90")})
    assert not plan(before, {"web": entry("90"), "more": entry("80")}).again


def test_what_others_want_is_not_turned_into_its_opposite() -> None:
    theirs = applied([], {"web": entry("80")}, "b")
    with pytest.raises(UfwError, match="'b: web' says allow"):
        plan(theirs, {"x": entry("80", policy="deny")})
    hand = by_hand(f"allow tcp 80 {ANY} any {ANY} in")
    with pytest.raises(UfwError, match="made by others says allow"):
        plan(hand, {"x": entry("80", policy="deny")})
    assert "deny 80/tcp from any  # a: x" in shown(hand, {"x": entry("80", policy="deny")}, purge_foreign=True)
    own = applied([], {"x": entry("80")})
    assert "deny 80/tcp from any  # a: x" in shown(own, {"x": entry("80", policy="deny")})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (entry(), "is empty"),
        (entry("http"), "no port"),
        (entry("0"), "no port"),
        (entry("70000"), "no port"),
        (entry("90:80"), "no port"),
        (entry("80,443"), "no port"),
        (entry("80 comment x"), "no port"),
        (entry("80:90", proto="any"), "needs tcp or udp"),
        (entry("80", proto="sctp"), "none of"),
        (entry("80", policy="permit"), "none of"),
        (entry("80", **{"from": []}), "is empty"),
        (entry("80", **{"from": ["10.0.0.0/33"]}), "neither 'any'"),
        (entry("80", **{"from": ["10.0.0.1/8"]}), "neither 'any'"),
        (entry("80", comment="it's"), "no quotes"),
        (entry("80", comment="a | b"), "no quotes"),
    ],
)
def test_bad_rules_are_refused(rule: dict[str, Any], message: str) -> None:
    assert message in check_rules({"web": rule})[0][1]


def test_all_bad_rules_are_named_at_once() -> None:
    found = check_rules({"a": entry("x"), "b": entry("80", policy="permit")})
    assert [place for place, _fault in found] == ["a.ports", "b.policy"]
    found = check_rules({"b": entry("80", policy="limit"), "c": entry("80")})
    assert found == [("c.policy", "'b' says limit for 80 from any: keep one of them")]


def test_sockets_are_read_as_the_kernel_shows_them() -> None:
    text = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000 100
   1: 0A00000A:0016 0100580A:D431 01 00000000:00000000 02:000A 00000000     0        0 12346 2 0000
"""
    listening, connected = parse_sockets(text)
    assert (listening.port, listening.state, listening.inode) == (22, "0A", "12345")
    assert (connected.port, connected.state, connected.peer, connected.local) == (22, "01", "10.88.0.1", "10.0.0.10")
    six = "head\n 0: 0000000000000000FFFF00000100007F:0016 0000000000000000FFFF00000100580A:D431 01 0 0 0 0 0 9 1\n"
    assert parse_sockets(six)[0].peer == "10.88.0.1"


rules_of_one = st.dictionaries(
    st.sampled_from(["web", "mail", "vpn"]),
    st.builds(
        lambda port, source: entry(port, **{"from": [source]}),
        st.sampled_from(["80", "25", "8000:8010"]),
        st.sampled_from(["any", "10.0.0.0/8", "2001:db8::/32"]),
    ),
)


@given(rules_of_one, rules_of_one, rules_of_one)
def test_any_rules_of_two_owners_settle_at_once_and_leave_nothing(
    one: dict[str, Any], two: dict[str, Any], other: dict[str, Any]
) -> None:
    rules = applied(applied(applied([], one, "a"), other, "b"), two, "a")
    assert plan(rules, two, "a").empty
    assert plan(rules, other, "b").empty
    wanted = {rule.key for rule in (*wanted_rules("a", two), *wanted_rules("b", other))}
    assert {rule.key for rule in rules if rule.port != "22"} == wanted
    assert {rule.port for rule in applied(applied(rules, {}, "a"), {}, "b")} == {"22"}


def test_ssh_is_limited_where_it_listens_and_some_are_exempt() -> None:
    rules = ssh_limits({22, 2222}, ["192.0.2.0/24"])
    found = shown(applied([], {}, ssh_ports={22, 2222}), rules, ssh_ports={22, 2222})
    assert set(found) == {
        *(f"limit {port}/tcp from any  # a: ssh@limit" for port in (22, 2222)),
        *(f"allow {port}/tcp from 192.0.2.0/24  # a: ssh@unlimited" for port in (22, 2222)),
    }
    order = [line.split()[0] for line in found if " 22/tcp" in line]
    assert order == ["allow", "limit"], "who is exempt is asked for first"
    assert ssh_limits(set(), []) == {}
    assert shut_out_by_limit({PEER, "198.51.100.1"}, ["192.0.2.0/24"]) == ["198.51.100.1"]


def told(present: Sequence[Rule], rules: dict[str, Any]) -> str:
    return "\n".join(defeated(applied(present, rules), wanted_rules("a", rules)))


def warned(present: Sequence[Rule], rules: dict[str, Any]) -> list[tuple[str, str]]:
    found = left_open(applied(present, rules), wanted_rules("a", rules))
    return [(finding.evidence, finding.fix) for finding in found]


def test_a_limit_behind_an_allow_is_told() -> None:
    for line in (f"allow any 22 {ANY} any {ANY} in", f"allow tcp 22,80 {ANY} any {ANY} in"):
        assert "is asked before and lets everybody in, so nothing is limited" in told(
            by_hand(line), ssh_limits({22}, [])
        )
    for line in (f"allow any 22 {ANY} any 192.0.2.0/24 in", f"allow udp 22 {ANY} any {ANY} in"):
        assert told(by_hand(line), ssh_limits({22}, [])) == ""


@pytest.mark.parametrize(
    ("line", "removal"),
    [
        (f"allow tcp 8080 {ANY} any {ANY} in", "ufw delete allow 8080/tcp"),
        (f"limit any 8080 {ANY} any {ANY} in", "ufw delete limit 8080"),
        (f"allow any any {ANY} any 10.0.0.0/8 in", "ufw delete allow from 10.0.0.0/8 to any"),
        (
            f"allow tcp 8000:8100 {ANY} any 10.1.0.0/16 in",
            "ufw delete allow proto tcp from 10.1.0.0/16 to any port 8000:8100",
        ),
        (f"allow tcp 80,8080 {ANY} any {ANY} Two%20Ports - in", "ufw delete allow 'Two Ports'"),
        (f"allow_log tcp 8080 {ANY} any {ANY} in", "ufw status numbered"),
    ],
)
def test_a_refusal_behind_a_rule_made_by_hand_is_told_with_the_command_against_that(line: str, removal: str) -> None:
    for policy in ("deny", "reject"):
        said = told(by_hand(line), {"ban": entry("8080", policy=policy, **{"from": ["10.1.2.0/24"]})})
        assert "so nothing is refused" in said
        assert said.endswith(removal)


@pytest.mark.parametrize(
    "line",
    [
        f"allow tcp 8081 {ANY} any {ANY} in",
        f"allow udp 8080 {ANY} any {ANY} in",
        f"allow tcp 8080 {ANY} any 10.1.2.3 in",
        f"allow tcp 8080 {ANY} any {ANY} in_eth0",
        f"deny tcp 8080 {ANY} any {ANY} in",
    ],
)
def test_a_refusal_stands_beside_what_is_about_others(line: str) -> None:
    rules = {"ban": entry("8080", policy="reject", **{"from": ["10.1.2.0/24"]})}
    assert told(by_hand(line), rules) == ""
    assert warned(by_hand(line), {"office": entry("8079", **{"from": ["10.1.2.0/24"]})}) == []


def test_a_refusal_comes_before_what_another_owner_allows() -> None:
    ban = {"ban": entry("80", policy="deny", **{"from": ["198.51.100.0/24"]})}
    theirs = applied([], {"web": entry("80")}, "b")
    assert shown(theirs, ban)[-2:] == ["deny 80/tcp from 198.51.100.0/24  # a: ban", "allow 80/tcp from any  # b: web"]
    assert told(theirs, ban) == ""
    assert plan(applied(theirs, ban), {"web": entry("80")}, "b").empty


@pytest.mark.parametrize(
    ("line", "removal"),
    [
        (f"allow tcp 8080 {ANY} any {ANY} in", "ufw delete allow 8080/tcp"),
        (f"limit any 8080 {ANY} any {ANY} in", "ufw delete limit 8080"),
        (f"allow any any {ANY} any {ANY} in", "ufw delete allow from any to any"),
        (f"allow tcp 80,443,8080 {ANY} any {ANY} Nginx%20Full - in", "ufw delete allow 'Nginx Full'"),
    ],
)
def test_a_port_for_networks_that_a_rule_made_by_hand_opens_to_all_is_warned_of(line: str, removal: str) -> None:
    office = {"office": entry("8080", **{"from": ["10.0.0.0/8"]})}
    six = parse_rules(f"### tuple ### {line.replace(ANY, '::/0')}", 6)
    for present in (by_hand(line), six, [*by_hand(line), *six], [*applied([], office), *by_hand(line)]):
        ((evidence, fix),) = warned(present, office)
        assert "although 'allow 8080/tcp from 10.0.0.0/8  # a: office' is for some networks" in evidence
        assert fix == f"remove that rule: {removal}"
    assert warned(by_hand(line), {"office": entry("8080", **{"from": ["10.0.0.0/8", "any"]})}) == []


def test_another_owner_may_open_a_port_to_all_and_that_is_told() -> None:
    office = {"office": entry("8080", **{"from": ["10.0.0.0/8"]})}
    ((evidence, fix),) = warned(applied([], {"web": entry("8080")}, "b"), office)
    assert evidence.startswith("'allow 8080/tcp from any  # b: web' lets everybody in")
    assert fix == "take it off the list of 'b: web', or give one of the two another port"
    assert warned(applied([], {"web": entry("8080")}, "a"), office) == []
    assert warned(applied([], {"web": entry("8080", **{"from": ["10.0.0.0/7"]})}, "b"), office) == []


@pytest.mark.parametrize(
    ("before", "rules", "after", "risky"),
    [
        ({"active": False}, {}, {}, True),
        ({"active": False}, {}, {"active": False}, False),
        ({}, {"web": entry("80")}, {}, False),
        ({}, {"ssh": entry("22", policy="limit")}, {}, True),
        ({}, {"range": entry("20:30", policy="limit")}, {}, True),
        ({"incoming": "allow"}, {}, {}, True),
        ({"incoming": "deny"}, {}, {"incoming": "allow"}, False),
        ({"ipv6": False}, {}, {}, True),
        ({}, {}, {"active": False}, False),
    ],
)
def test_a_change_that_might_cut_ssh_off_is_known(
    before: dict[str, Any], rules: dict[str, Any], after: dict[str, Any], risky: bool
) -> None:
    now = State(True, applied([], {}), **{"active": True, "boot": True, "ipv6": True, "incoming": "deny", **before})
    made = plan(now.rules, rules)
    then = State(True, made.after, **{"active": True, "boot": True, "ipv6": True, "incoming": "deny", **after})
    assert could_cut_off(now, made, then, {22}) is risky


def test_an_entry_gets_what_it_leaves_out() -> None:
    assert complete_rules({"web": {"ports": [80]}}) == {"web": entry(80)}  # type: ignore[arg-type]
    with pytest.raises(UfwError) as raised:
        complete_rules({"a": 80, "b": {"port": 80}, "c": {"ports": 80, "from": "any"}})
    said = str(raised.value).splitlines()
    assert [line.partition(":")[0] for line in said] == ["a", "b", "c.ports", "c.from"]
    assert "unknown key port" in said[1]


def test_a_limit_that_this_run_would_meet_is_none() -> None:
    assert checked_limit({22}, {PEER}, [], wanted=False, multiplexed=False) == {}
    assert checked_limit({22}, {PEER}, [], wanted=True, multiplexed=True) == ssh_limits({22}, [])
    assert checked_limit({22}, {PEER}, [PEER], wanted=True, multiplexed=False) == ssh_limits({22}, [PEER])
    with pytest.raises(UfwError, match=f"list {PEER} under ssh_unlimited"):
        checked_limit({22}, {PEER}, [], wanted=True, multiplexed=False)
    with pytest.raises(UfwError, match="'home' is no address or network"):
        checked_limit({22}, {PEER}, ["home"], wanted=False, multiplexed=True)
