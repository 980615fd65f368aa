"""Policies as data become what logrotate reads, or are refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import check_entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.logrotate_files import (
    check_policies,
    policy_files,
    policy_text,
)
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points


def policies(**entries: dict[str, Any]) -> dict[str, Any]:
    checked, problems = check_entries(entry_points("logrotate_policies"), entries, "logrotate_policies")
    assert not problems
    return checked


def text(**entry: Any) -> list[str]:
    written = policy_text(policies(x={"paths": ["/var/log/x/*.log"], **entry})["x"])
    return [line.strip() for line in written.splitlines()]


def test_the_defaults_are_those_of_the_specification() -> None:
    lines = text()
    expected = ["daily", "rotate 7", "compress", "delaycompress", "missingok", "notifempty", "nodateext", "nocreate"]
    assert [line for line in lines if line in expected] == expected


def test_the_program_is_told_once_for_all_logs() -> None:
    lines = text(postrotate=["systemctl kill --signal=USR1 x"])
    assert lines[-5:] == ["sharedscripts", "postrotate", "systemctl kill --signal=USR1 x", "endscript", "}"]


def test_each_choice_is_written_out_against_the_hosts_own_defaults() -> None:
    chosen = text(compress=False, delaycompress=False, missingok=False, notifempty=False, su="blog adm")
    assert {"nocompress", "nodelaycompress", "nomissingok", "ifempty", "su blog adm"} <= set(chosen)


def test_dated_logs_can_be_rotated_twice_a_day() -> None:
    assert "dateformat -%Y%m%d-%s" in text(dateext=True)


def test_copytruncate_keeps_the_file() -> None:
    lines = text(method="copytruncate")
    assert "copytruncate" in lines
    assert not [line for line in lines if "create" in line]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"paths": []}, "is empty"),
        ({"paths": ["/x"], "su": "blog blog", "create": "0640 blog adm"}, "who can give the log to nobody else"),
        ({"paths": ["log"]}, "no absolute path"),
        ({"paths": ["/var/log/x y.log"]}, "no absolute path"),
        ({"paths": ["/a {\n}\n/b"]}, "no absolute path"),
        ({"paths": ["/var/log/nginx/*.log"]}, "by the package nginx"),
        ({"su": "blog"}, "not a user and a group"),
        ({"create": "0640"}, "not mode, user and group"),
        ({"maxsize": "10 MB"}, "no size"),
        ({"rotate": -1}, "negative"),
        ({"method": "copytruncate", "create": "0640 a b"}, "makes no sense"),
        ({"method": "copytruncate", "postrotate": ["true"]}, "makes no sense"),
        ({"postrotate": ["endscript"]}, "not one line"),
        ({"postrotate": ["true\nendscript\n}"]}, "not one line"),
    ],
)
def test_what_logrotate_would_misread_is_refused(entry: dict[str, Any], reason: str) -> None:
    found = check_policies(policies(x={"paths": ["/var/log/x/*.log"], **entry}))
    assert reason in " ".join(problem.text for problem in found)


@pytest.mark.parametrize("name", ["nginx", "rsyslog", "blog.disabled", "blog.dpkg-old"])
def test_names_that_packages_use_or_logrotate_skips_are_refused(name: str) -> None:
    assert check_policies(policies(**{name: {"paths": ["/var/log/x/*.log"]}}))


def test_two_policies_do_not_share_a_log() -> None:
    found = check_policies(policies(a={"paths": ["/x.log"]}, b={"paths": ["/x.log"]}))
    assert "rotated by 'a' already" in str(found[0])


def test_each_policy_is_a_file() -> None:
    assert list(policy_files(policies(blog={"paths": ["/x.log"]}))) == ["/etc/logrotate.d/blog"]
