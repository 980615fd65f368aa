"""Entries are compared with their specification: each fault is named with its place, and nothing is bent silently."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import pytest
from ansible._internal._datatag._tags import Origin, TrustedAsTemplate
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.filter.entries import entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import check_entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

POINTS: dict[str, Any] = {
    "entry": {
        "text": {"type": "str", "required": True, "description": "Some text."},
        "count": {"type": "int", "default": 3},
        "share": {"type": "float"},
        "on": {"type": "bool", "default": False},
        "kind": {"type": "str", "choices": ["red", "green"], "default": "red"},
        "mode": {"type": "str", "choices": ["off", "half", "on"]},
        "either": {"type": "str", "choices": ["no", "off", "all"]},
        "names": {"type": "list", "elements": "str", "default": []},
        "free": {"type": "dict", "default": {}},
        "places": {"type": "dict", "default": {}},
        "hidden": {"type": "str", "no_log": True},
        "inner": {
            "type": "dict",
            "default": {},
            "options": {
                "depth": {"type": "int", "default": 1},
                "deeper": {"type": "dict", "options": {"x": {"type": "int"}}},
            },
        },
        "steps": {"type": "list", "elements": "dict", "options": {"run": {"type": "str", "required": True}}},
    },
    "entry_places": {"big": {"type": "bool", "default": False}},
}


def faults(**keys: Any) -> list[tuple[str, str]]:
    """What is wrong with an entry that has some text."""
    _checked, problems = check_entries(POINTS, {"one": {"text": "x", **keys}}, "things")
    return [(problem.path.removeprefix("things.one."), problem.rule) for problem in problems]


def entry(**keys: Any) -> dict[str, Any]:
    """A right entry, complete."""
    checked, problems = check_entries(POINTS, {"one": {"text": "x", **keys}}, "things")
    assert problems == []
    found: dict[str, Any] = checked["one"]
    return found


def test_a_choice_that_yaml_reads_as_a_boolean_needs_no_quotes() -> None:
    assert entry(mode=False)["mode"] == entry(mode="off")["mode"] == "off"
    assert entry(mode=True)["mode"] == "on"


def test_a_boolean_that_could_be_two_choices_or_none_is_refused() -> None:
    assert faults(either=False) == [("either", "wrong-type")]
    assert faults(mode=False) == []
    assert faults(kind=False) == [("kind", "wrong-type")]
    assert faults(text=False) == [("text", "wrong-type")]


def test_defaults_are_filled_in_at_every_depth() -> None:
    made = entry(places={"a": {}, "b": None})
    assert (made["count"], made["on"], made["kind"], made["names"]) == (3, False, "red", [])
    assert made["inner"]["depth"] == 1
    assert made["places"] == {"a": {"big": False}, "b": {"big": False}}


def test_the_specification_is_never_changed() -> None:
    before = copy.deepcopy(POINTS)
    entry()["names"].append("x")
    entry()["inner"]["depth"] = 9
    assert before == POINTS
    assert entry()["names"] == []


@pytest.mark.parametrize(
    "value", [1, 1.10, True, 0o644, datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4), [], {}, ["x"]]
)
def test_text_is_text(value: Any) -> None:
    assert faults(text=value) == [("text", "wrong-type")]
    assert faults(names=[value]) == [("names[0]", "wrong-type")]


@pytest.mark.parametrize("value", [True, 1.0, "x", "1.5", "", "1 ", [], {}, "٣"])
def test_a_whole_number_is_one(value: Any) -> None:
    assert faults(count=value) == [("count", "wrong-type")]


@pytest.mark.parametrize(("value", "expected"), [(5, 5), (-5, -5), ("5", 5), ("007", 7)])
def test_a_number_may_come_from_a_template(value: Any, expected: int) -> None:
    assert entry(count=value)["count"] == expected


@pytest.mark.parametrize("value", [0, 1, 2, "maybe", "", [], 1.0])
def test_a_truth_value_is_one(value: Any) -> None:
    assert faults(on=value) == [("on", "wrong-type")]


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("yes", True), ("False", False), ("off", False)])
def test_a_truth_value_may_come_from_a_template(value: Any, expected: bool) -> None:
    assert entry(on=value)["on"] is expected


@pytest.mark.parametrize("value", ["a,b", "", 1, {"a": 1}])
def test_a_list_is_a_list(value: Any) -> None:
    assert faults(names=value) == [("names", "wrong-type")]


@pytest.mark.parametrize("value", ["a=b", [], 1, ["x"]])
def test_a_dictionary_is_a_dictionary(value: Any) -> None:
    assert faults(free=value) == [("free", "wrong-type")]
    assert faults(inner=value) == [("inner", "wrong-type")]
    assert faults(places={"a": value}) == [("places.a", "wrong-type")]


def test_keys_are_known_at_every_depth() -> None:
    found = faults(
        txt=1,
        inner={"depht": 1, "deeper": {"y": 1}},
        steps=[{"run": "x", "rnu": 1}],
        places={"/a": {"bgi": True}},
    )
    assert sorted(found) == [
        ("inner.deeper.y", "unknown-key"),
        ("inner.depht", "unknown-key"),
        ("places./a.bgi", "unknown-key"),
        ("steps[0].rnu", "unknown-key"),
        ("txt", "unknown-key"),
    ]


def test_required_keys_at_every_depth() -> None:
    _checked, problems = check_entries(POINTS, {"one": {"steps": [{}]}, "two": {"text": ""}, "three": None}, "things")
    assert sorted(problem.path for problem in problems) == [
        *("things.one.steps[0].run", "things.one.text", "things.three.text", "things.two.text")
    ]
    assert all(problem.rule == "missing-key" for problem in problems)


def test_choices_are_case_sensitive_and_near_misses_are_named() -> None:
    _checked, problems = check_entries(POINTS, {"one": {"text": "x", "kind": "Green"}}, "things")
    assert str(problems[0]) == "things.one.kind: 'Green' is not available; did you mean 'green'?"


@pytest.mark.parametrize("name", ["", "One", "1", "a b", "a/b", "../a", "a\n", 5, None, True])
def test_names_of_entries(name: Any) -> None:
    _checked, problems = check_entries(POINTS, {name: {"text": "x"}}, "things")
    assert [problem.rule for problem in problems] == ["entry-name"]


def test_keys_of_free_dictionaries_are_text() -> None:
    assert faults(free={1: "x"}) == [("free.1", "wrong-type")]


def test_a_value_that_must_not_be_logged_is_not_in_the_message() -> None:
    _checked, problems = check_entries(POINTS, {"one": {"text": "x", "hidden": 918273645}}, "things")
    assert [problem.rule for problem in problems] == ["wrong-type"]
    assert "918273645" not in str(problems[0])


def test_a_secret_in_the_place_of_the_dictionary_around_it_is_not_in_the_message() -> None:
    below = {"type": "dict", "options": {"user": {"type": "str"}, "word": {"type": "str", "no_log": True}}}
    words = {"type": "list", "elements": "str", "no_log": True}
    points: dict[str, Any] = {
        "entry": {"login": below, "deeper": {"type": "dict", "options": {"login": below}}, "words": words}
    }
    for said in ({"login": "anna:918273645"}, {"deeper": "anna:918273645"}, {"words": [918273645]}):
        _checked, problems = check_entries(points, {"one": said}, "things")
        assert [problem.rule for problem in problems] == ["wrong-type"]
        assert "918273645" not in str(problems[0])


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_entries_are_a_dictionary(value: Any) -> None:
    _checked, problems = check_entries(POINTS, value, "things")
    assert [(problem.path, problem.rule) for problem in problems] == [("things", "wrong-type")]


def test_the_filter_tells_everything_at_once() -> None:
    wrong = {"blog": {"upstrem": "unix:/x", "listen": ["http"]}, "Shop": {}}
    with pytest.raises(AnsibleFilterError) as caught:
        entries(wrong, "nginx_sites")
    text = str(caught.value)
    assert text.startswith("4 problems in the inventory, nothing was changed:\n- nginx_sites.Shop: ")
    assert "\n- nginx_sites.blog.listen[0]: is the text 'http'" in text
    assert "\n- nginx_sites.blog.upstream: is missing" in text
    assert "\n- nginx_sites.blog.upstrem: is no key that is known here; did you mean 'upstream'?" in text


def test_the_filter_knows_its_roles() -> None:
    with pytest.raises(AnsibleFilterError, match="no role 'nginx_site'"):
        entries({}, "nginx_site")


def test_plain_values_have_no_tags() -> None:
    tag = Origin(path="/inventory.yml", line_num=1)
    trust = TrustedAsTemplate()
    value = {
        trust.tag(tag.tag("key")): [
            tag.tag(1),
            tag.tag(1.5),
            tag.tag(datetime.date(2026, 1, 2)),
            trust.tag("{{ x }}"),
            True,
            None,
        ]
    }
    plain = to_plain(tag.tag(value))
    assert plain == {"key": [1, 1.5, datetime.date(2026, 1, 2), "{{ x }}", True, None]}
    assert plain.__class__ is dict
    (key,) = plain
    assert key.__class__ is str
    assert [type(item) for item in plain["key"]] == [int, float, datetime.date, str, bool, type(None)]
    assert not trust.is_tagged_on(plain["key"][3])


def test_hints() -> None:
    assert hint("wrkers", ["workers", "threads"]) == "did you mean 'workers'?"
    assert hint("WORKERS", ["workers", "threads"]) == "did you mean 'workers'?"
    assert hint("zzz", ["workers", "threads"]) == "possible: threads, workers"


def test_every_role_has_entries_that_can_be_checked() -> None:
    for role in ("nginx_sites", "logrotate_policies", "ufw_rules", "systemd_units", "flask_apps"):
        assert entry_points(role)["entry"]
