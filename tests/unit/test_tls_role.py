"""What the role tls_certificates accepts, when it asks an authority, and where it leaves answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_tls import WEBROOT
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_entries import entry_faults, name_faults
from ansible_collections.flaskworks.deploy.plugins.modules import tls_certificates
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from jinja2 import Environment

ROLES = Path(__file__).resolve().parents[2] / "roles"
TASKS = ROLES / "tls_certificates/tasks/issue.yml"
NOTHING: dict[str, Any] = {"owner": "a", "pending": {}, "stale": []}


@pytest.mark.parametrize(
    ("prepared", "asked"),
    [
        (None, True),
        (NOTHING, False),
        ({**NOTHING, "pending": {"blog": "new"}}, True),
        ({**NOTHING, "stale": ["blog"]}, True),
        ({**NOTHING, "owner": "b"}, True),
        ({"failed": True}, True),
    ],
)
def test_an_authority_is_asked_when_something_is_left_for_this_owner(
    prepared: dict[str, Any] | None, asked: bool
) -> None:
    (task,) = yaml.safe_load(TASKS.read_text())
    known = {} if prepared is None else {"__tls_certificates_prepared": prepared}
    condition = Environment(autoescape=False).compile_expression(task["when"])
    assert condition(tls_certificates_owner="a", **known) is asked


def test_the_role_and_the_module_leave_answers_where_the_sites_of_a_plan_look() -> None:
    role = ROLES / "tls_certificates"
    specification = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    documented = yaml.safe_load(tls_certificates.DOCUMENTATION)["options"]["webroot"]["default"]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())["tls_certificates_webroot"]
    assert {specification["tls_certificates_webroot"]["default"], documented, defaults} == {WEBROOT}


@pytest.mark.parametrize("part", ["main", "remove_parts"])
def test_for_applications_answers_lie_where_nginx_looks_whatever_the_inventory_says(part: str) -> None:
    tasks = yaml.safe_load((ROLES / f"flask_apps/tasks/{part}.yml").read_text())
    called = [
        task for task in tasks
        if task.get("ansible.builtin.include_role", {}).get("name") == "flaskworks.deploy.tls_certificates"
    ]  # fmt: skip
    assert len(called) == 2
    for task in called:
        assert task["vars"]["tls_certificates_webroot"] == "{{ __flask_apps_plan.acme_webroot }}"
    app = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["x.test"], "tls": {"mode": "acme"}}
    plan = make_plan(entry_points("flask_apps"), {"x": app})
    assert plan["nginx_sites"]["x"]["acme_webroot"] == plan["acme_webroot"]


@pytest.mark.parametrize(
    ("mode", "name", "words"),
    [
        ("acme", "a.example.org.", "ends in a dot: write 'a.example.org'"),
        ("acme", "faß.de", "is not ASCII"),
        ("acme", "A.Example.org", ""),
        ("acme", "192.0.2.1", "is an address, for which certbot gets no certificate"),
        ("acme", "*.example.org", "can't be had over HTTP"),
        ("files", "https://a.example.org", "is a URL"),
        ("files", "*.example.org", ""),
        ("self-signed", "a b", "is no host name"),
        ("self-signed", "localhost", ""),
        ("self-signed", "2001:DB8:0::1", ""),
        ("self-signed", "[2001:db8::1]", ""),
    ],
)
def test_names_that_no_certificate_could_bear_are_refused(mode: str, name: str, words: str) -> None:
    """An authority would be asked in every run for what is missing in each of its certificates."""
    entry = {"mode": mode, "names": [name], "certificate": "x" * (mode == "files"), "key": "x" * (mode == "files")}
    found = [text for key, text in [*entry_faults(entry), *name_faults(entry)] if key == "names"]
    assert len(found) == bool(words)
    assert all(words in text for text in found)
