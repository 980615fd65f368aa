"""Units as data become units that systemd reads as they were meant, or are refused with the reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import (
    UnitError,
    check_unit,
    check_unit_name,
    merge_sections,
    render_unit,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_sets import check_units, unit_set
from hypothesis import given
from hypothesis import strategies as st


def unit(**more: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "sections": {},
        "hardening": "none",
        "enabled": None,
        "active": None,
        "on_change": "restart",
    }
    return {**defaults, **more}


def test_values_are_written_in_systemds_words_and_sections_in_its_order() -> None:
    text = render_unit(
        {
            "Install": {"WantedBy": "multi-user.target"},
            "Service": {"ExecStart": ["", "/bin/x"], "PrivateTmp": True, "RestartSec": 5, "RemainAfterExit": False},
            "Unit": {"Description": "Blog #1"},
        }
    )
    assert text == (
        "[Unit]\nDescription=Blog #1\n\n"
        "[Service]\nExecStart=\nExecStart=/bin/x\nPrivateTmp=yes\nRestartSec=5\nRemainAfterExit=no\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


@pytest.mark.parametrize(
    ("section", "directive", "value", "reason"),
    [
        ("Service", "StartLimitIntervalSec", 60, r"belongs in \[Unit\]"),
        ("Service", "StartLimitBurst", 5, r"belongs in \[Unit\]"),
        ("Service", "WantedBy", "multi-user.target", r"belongs in \[Install\]"),
        ("Unit", "Restart", "always", r"belongs in \[Service\]"),
        ("Service", "Restart", "always # keep it up", "no comments after a value"),
        ("Service", "ExecStart", "/bin/x\nUser=root", "no line breaks"),
        ("Service", "ExecStart", "/bin/x\\", "swallow the next line"),
        ("Service", "Execstart", "/bin/x", "did you mean ExecStart"),
        ("Service", "Exec Start", "/bin/x", "only letters and digits"),
        ("Service", "Environment", {"A": "b"}, "must be text"),
        ("Servce", "User", "x", r"did you mean Service"),
    ],
)
def test_what_systemd_would_ignore_or_misread_is_refused(section: str, directive: str, value: Any, reason: str) -> None:
    with pytest.raises(UnitError, match=reason):
        render_unit({section: {directive: value}})


def test_a_hash_in_quotes_is_no_comment() -> None:
    assert "echo '# x'" in render_unit({"Service": {"ExecStart": "/bin/sh -c \"echo '# x'\""}})


def test_all_faults_are_told_at_once() -> None:
    faults = check_unit({"Servce": {}, "Service": {"WantedBy": "x", "Restart": "no #"}})
    assert len(faults) == 3


def test_a_section_belongs_to_the_suffix() -> None:
    assert check_unit({"Service": {"ExecStart": "/bin/x"}}, "a.socket") == ["[Service] means nothing in a.socket"]
    assert check_unit({"X-Notes": {"Any": "thing"}}, "a.service") == []


@pytest.mark.parametrize("name", ["blog", "blog.conf", "../blog.service", "a/b.service", "blog.services"])
def test_names_that_are_no_units_are_refused(name: str) -> None:
    assert check_unit_name(name)


def test_an_override_replaces_whole_directives_and_null_removes_them() -> None:
    base = {"Service": {"A": ["1", "2"], "B": "b"}}
    assert merge_sections(base, {"Service": {"A": "3", "B": None}, "Unit": {"C": None}}) == {"Service": {"A": "3"}}
    assert base == {"Service": {"A": ["1", "2"], "B": "b"}}


@given(
    st.dictionaries(
        st.from_regex(r"X-[A-Za-z]{1,9}", fullmatch=True), st.text(st.characters(codec="utf-8")), max_size=5
    )
)
def test_no_value_can_add_a_line(directives: dict[str, str]) -> None:
    try:
        text = render_unit({"Service": directives})
    except UnitError:
        return
    assert len(re.split(r"[\n\r\0]", text)) == len(directives) + 2


def test_what_is_enabled_and_runs_follows_from_the_install_section() -> None:
    install = {"Install": {"WantedBy": "multi-user.target"}}
    made = unit_set(
        {
            "a.service": unit(sections=install),
            "b.service": unit(sections={"Service": {"ExecStart": "/bin/x"}}),
            "c.service": unit(sections=install, enabled=False),
            "d.service": unit(sections={"Service": {"ExecStart": "/bin/x"}}, active=True, on_change="none"),
            "e@.service": unit(sections=install),
        }
    )
    assert made["units"] == {
        "a.service": {"enabled": True, "active": True, "on_change": "restart"},
        "b.service": {"on_change": "restart"},
        "c.service": {"enabled": False, "active": False, "on_change": "restart"},
        "d.service": {"active": True, "on_change": "none"},
    }
    assert "/etc/systemd/system/e@.service" in made["files"]


def test_a_service_may_loosen_its_preset() -> None:
    sections = {"Service": {"ExecStart": "/bin/x", "ProtectHome": None, "UMask": "0077"}}
    made = unit_set({"a.service": unit(sections=sections, hardening="strict")})
    text = made["files"]["/etc/systemd/system/a.service"]["content"]
    assert "ProtectHome" not in text
    assert "UMask=0077\n" in text
    assert "NoNewPrivileges=yes\n" in text


@pytest.mark.parametrize(
    ("name", "entry", "reason"),
    [
        ("a.service", unit(sections={"Service": {}}, enabled=True), "without an .Install. section"),
        ("a@.service", unit(sections={"Service": {}}, active=True), "is a template"),
        ("a.socket", unit(sections={"Socket": {}}, hardening="strict"), "hardening is for services"),
        ("a.service", unit(sections={"Service": "x"}), "must be a dictionary"),
    ],
)
def test_units_that_can_not_be_are_refused(name: str, entry: dict[str, Any], reason: str) -> None:
    assert re.search(reason, " ".join(problem.text for problem in check_units({name: entry})))
