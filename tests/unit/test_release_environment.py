"""Any value survives the way through systemd's EnvironmentFile=."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import (
    environment_problems,
    environment_text,
    read_environment,
)
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NAMES = st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,8}\Z")


def parse(text: str) -> dict[str, str]:
    """Read an environment file as systemd does (parse_env_file_internal in src/basic/env-file.c), state by state."""
    found: dict[str, str] = {}
    state, key, value, whitespace = "pre_key", "", "", 0
    for c in text:
        if state == "pre_key":
            if c in "#;":
                state = "comment"
            elif c not in " \t\r\n":
                state, key = "key", c
        elif state == "key":
            if c in "\r\n":
                state = "pre_key"
            elif c == "=":
                state, value, whitespace = "pre_value", "", 0
            else:
                key += c
        elif state in ("pre_value", "value"):
            if c in "\r\n":
                found[key.strip()] = value[: len(value) - whitespace] if whitespace else value
                state = "pre_key"
            elif c == "'" and state == "pre_value":
                state = "single"
            elif c == '"' and state == "pre_value":
                state = "double"
            elif c == "\\":
                state = "value_escape"
            elif not (state == "pre_value" and c in " \t"):
                state = "value"
                whitespace = whitespace + 1 if c in " \t" else 0
                value += c
        elif state == "value_escape":
            state = "value"
            value += "" if c in "\r\n" else c
        elif state == "single":
            state, value = ("pre_value", value) if c == "'" else (state, value + c)
        elif state == "double":
            if c == '"':
                state = "pre_value"
            elif c == "\\":
                state = "double_escape"
            else:
                value += c
        elif state == "double_escape":
            state = "double"
            value += c if c in '"\\`$' else "" if c == "\n" else "\\" + c
        elif state == "comment" and c in "\r\n":
            state = "pre_key"
    if state in ("pre_value", "value"):
        found[key.strip()] = value
    return found


@given(st.dictionaries(NAMES, VALUES))
def test_every_value_is_read_back_as_it_was(variables: dict[str, str]) -> None:
    assert parse(environment_text(variables)) == variables


def test_the_reference_parser_knows_the_traps() -> None:
    assert parse("A=one two \nB=\"x\\\ny\" \nC='a\\b'\n# D=1\nE=a\\nb\n") == {
        "A": "one two",
        "B": "xy",
        "C": "a\\b",
        "E": "anb",
    }


def test_the_file_has_one_order() -> None:
    assert environment_text({"B": "2", "A": "1"}) == 'A="1"\nB="2"\n'


@pytest.mark.parametrize(
    ("name", "value"), [("A B", "x"), ("", "x"), ("1A", "x"), ("A", "x\0y"), ("A", "\ud800"), ("A=B", "x")]
)
def test_impossible_variables_are_refused_without_their_value(name: str, value: str) -> None:
    (problem,) = environment_problems({name: value})
    assert repr(value) not in problem
    with pytest.raises(ValueError, match=r"variable|holds|Unicode"):
        environment_text({name: value})


@given(st.dictionaries(NAMES, VALUES))
def test_what_was_written_can_be_read_back(variables: dict[str, str]) -> None:
    assert read_environment(environment_text(variables)) == variables
