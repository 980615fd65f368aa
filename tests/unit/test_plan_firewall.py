"""Which ports are opened for whom."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_firewall import check_allow_from, open_ports
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

SPEC = entry_points("flask_apps")
OFFICE = ["10.0.0.0/8", "2001:db8::/32"]


def site(name: str, *ports: int, **nginx: Any) -> dict[str, Any]:
    given = {**({"listen": list(ports)} if ports else {}), **nginx}
    return {"source": {"path": str(Path.cwd())}, "wsgi": "app:app", "domains": [f"{name}.test"], "nginx": given}


def rules(firewall: bool = True, **apps: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = make_plan(SPEC, apps, firewall=firewall)["ufw_rules"]
    return found


def problems(firewall: bool = True, **apps: dict[str, Any]) -> list[str]:
    with pytest.raises(InventoryError) as refused:
        rules(firewall, **apps)
    return [str(problem) for problem in refused.value.problems]


def test_sites_for_everybody_share_one_rule() -> None:
    found = rules(blog=site("blog"), shop=site("shop", 80, 8080))
    assert found == {
        "sites": {"ports": ["80", "8080"], "proto": "tcp", "policy": "allow", "comment": "sites"},
    }


def test_a_site_for_some_has_a_rule_of_its_own() -> None:
    found = rules(blog=site("blog"), sites=site("sites", 8080, allow_from=OFFICE))
    assert set(found) == {"sites", "site.sites"}
    assert found["sites"]["ports"] == ["80"]
    assert (found["site.sites"]["ports"], found["site.sites"]["from"]) == (["8080"], OFFICE)


def test_sites_for_the_same_networks_share_a_port() -> None:
    found = rules(a=site("a", allow_from=OFFICE), b=site("b", allow_from=OFFICE[::-1]))
    assert set(found) == {"site.a", "site.b"}


@pytest.mark.parametrize("other", [{}, {"allow_from": ["10.0.0.0/8"]}])
def test_sites_for_different_networks_do_not(other: dict[str, Any]) -> None:
    (found,) = problems(a=site("a", allow_from=OFFICE), b=site("b", 8080, 80, **other))
    assert "nginx.allow_from: port 80 is open for other networks because of" in found
    networks = other.get("allow_from", OFFICE)
    assert f"or let nginx ask: locations: {{/: {{allow: {json.dumps(networks)}}}}}" in found
    (said,) = re.findall("locations: .*", found)
    assert yaml.safe_load(f"{{{said}}}") == {"locations": {"/": {"allow": networks}}}


def test_without_the_firewall_nobody_would_keep_it() -> None:
    (found,) = problems(False, a=site("a", allow_from=OFFICE))
    assert "flask_apps_firewall is false" in found


@pytest.mark.parametrize(("mode", "ports"), [("off", [80]), ("files", [80, 443]), ("acme", [80, 443])])
def test_tls_opens_a_port_of_its_own(mode: Any, ports: list[int]) -> None:
    entry = {"nginx": {"listen": [80], "allow_from": OFFICE}, "tls": {"mode": mode}}
    assert open_ports(entry) == ports
    report = Report("flask_apps", "blog")
    check_allow_from(report, entry)
    assert ["shuts out the authority" in str(problem) for problem in report.problems] == [True] * (mode == "acme")


def test_a_bare_off_opens_no_port_for_tls() -> None:
    assert rules(blog=site("blog") | {"tls": {"mode": False}})["sites"]["ports"] == ["80"]


def test_a_mode_of_tls_that_there_is_not_is_told_alone() -> None:
    (found,) = problems(blog=site("blog", allow_from=OFFICE) | {"tls": {"mode": "acne"}})
    assert "tls.mode: 'acne' is not available" in found
