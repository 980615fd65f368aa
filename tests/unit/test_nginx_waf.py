"""The firewall for requests: in step with the sizes of the site, silent about requests, nowhere unless asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_waf import in_bytes, waf_faults, waf_view
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from unit.nginx_rendered import files, rendered, site, sites

GOOD = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["blog.example.org"]}
SITE = {"server_names": ["x.test"], "upstream": "127.0.0.1:1"}


def rules(waf: dict[str, Any], **keys: Any) -> str:
    return rendered({"x": {**SITE, "waf": waf, **keys}}, "/etc/nginx/waf/x.conf")


def test_a_site_without_it_has_nothing_of_it() -> None:
    for waf in ({}, {"mode": "off"}, {"mode": False}):
        entry: dict[str, Any] = {"waf": waf}
        assert "modsecurity" not in site(entry)
        assert not [path for path in files({"x": {**SITE, **entry}}) if "waf" in path]
        plan = make_plan(entry_points("flask_apps"), {"blog": {**GOOD, "nginx": entry}})
        assert not [name for name in plan["packages"] if "modsec" in name]
        assert "waf" not in plan["nginx_sites"]["blog"]


def test_an_application_with_it_brings_its_packages() -> None:
    plan = make_plan(entry_points("flask_apps"), {"blog": {**GOOD, "nginx": {"waf": {"mode": "detect"}}}})
    assert {"libnginx-mod-http-modsecurity", "modsecurity-crs"} <= set(plan["packages"])
    assert plan["nginx_sites"]["blog"]["waf"]["mode"] == "detect"


def test_files_that_nginx_serves_are_not_its_concern() -> None:
    text = site({"aliases": {"/static/": "/srv/x/"}, "waf": {"mode": "block"}})
    assert text.count("modsecurity on;") == text.count("modsecurity off;") == 1


@pytest.mark.parametrize(
    ("size", "limit"), [("1m", 1 << 20), ("10", 10), ("2K", 2048), ("0", 1 << 30), ("4g", 1 << 30)]
)
def test_bodies_are_looked_at_as_far_as_nginx_takes_them(size: str, limit: int) -> None:
    assert in_bytes(size) == limit
    assert f"SecRequestBodyLimit {limit}\n" in rules({"mode": "block"}, max_body=size)


def test_a_location_with_larger_bodies_counts() -> None:
    assert "SecRequestBodyLimit 9437184\n" in rules({"mode": "block"}, locations={"/up": {"max_body": "9m"}})


def test_a_body_without_a_type_is_refused_once_it_is_there() -> None:
    """HTTP/2 and chunks say no length in the head, so the body's own counts; no rule of Debian's has the number."""
    (rule, chained) = rules({"mode": "block"}).partition("id:1007,")[2].splitlines()[:2]
    assert rule.startswith("phase:2,t:none,chain,log,deny,status:400,")
    assert chained.strip() == 'SecRule REQUEST_BODY_LENGTH "@gt 0" "t:none"'


def test_what_the_parser_doubts_is_refused_and_what_browsers_send_is_not() -> None:
    text = rules({"mode": "block"})
    (flags,) = re.findall(r'^SecRule (\S+) "!@eq 0" "id:1008,phase:2,t:none,log,deny,status:400,', text, re.MULTILINE)
    assert {"MULTIPART_DATA_BEFORE", "MULTIPART_LF_LINE", "MULTIPART_INVALID_PART"} < set(flags.split("|"))
    # A quoted boundary (.NET), and a name with an apostrophe, are ordinary; the sum of all flags has both.
    for ordinary in ("MULTIPART_BOUNDARY_QUOTED", "MULTIPART_INVALID_QUOTING", "MULTIPART_STRICT_ERROR"):
        assert ordinary not in re.sub("(?m)^#.*", "", text)
    # libmodsecurity 3 says 2 of a body that is whole.
    assert 'SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" "id:1009,phase:2,t:none,log,deny,status:400,' in text
    core, internal = (
        text.index("\nInclude "),
        text.index('SecRule TX:/^MSC_/ "!@streq 0" "id:1010,phase:2,t:none,pass,log,'),
    )
    assert core < internal
    assert len(set(numbers := re.findall(r"\bid:([0-9]+)", text))) == len(numbers)


def test_nothing_of_a_request_is_logged_unless_details_are_wanted() -> None:
    silent, told = rules({"mode": "detect"}), rules({"mode": "detect", "details": True})
    assert 'SecDefaultAction "phase:2,nolog,' in silent
    assert "SecRuleRemoveById 930110 934100 942100 942130" in silent
    assert 'SecDefaultAction "phase:2,log,' in told
    assert "942100" not in told
    assert "logdata" not in silent + told


def test_exclusions_are_as_wide_as_they_say() -> None:
    exclusions = [{"rule": 941100}, {"rule": 920420, "path": "/api"}, {"rule": 942100, "path": "/s", "argument": "q"}]
    text = rules({"mode": "block", "exclusions": exclusions})
    assert "SecRuleRemoveById 941100\n" in text
    assert '"@beginsWith /api" "id:1201,phase:1,t:none,pass,nolog,ctl:ruleRemoveById=920420"' in text
    assert '"@beginsWith /s" "id:1202,phase:1,t:none,pass,nolog,ctl:ruleRemoveTargetById=1111;ARGS:q"' in text


@pytest.mark.parametrize(
    ("waf", "key"),
    [
        ({"paranoia": 0}, "paranoia"),
        ({"threshold": 0}, "threshold"),
        ({"exclusions": [{"rule": 5}]}, "exclusions[0].rule"),
        ({"exclusions": [{"rule": 901100}]}, "exclusions[0].rule"),
        ({"exclusions": [{"rule": 942100, "path": 'x"'}]}, "exclusions[0].path"),
        ({"exclusions": [{"rule": 942100, "argument": "a b"}]}, "exclusions[0].argument"),
    ],
)
def test_what_it_does_not_know_is_refused(waf: dict[str, Any], key: str) -> None:
    (checked,) = sites({"x": {**SITE, "waf": {"mode": "block", **waf}}}).values()
    assert [fault for fault, dummy in waf_faults(checked["waf"])] == [f"waf.{key}"]


def test_modes_are_those_of_the_engine() -> None:
    (checked,) = sites({"x": {**SITE, "waf": {"mode": "block"}}}).values()
    assert waf_view(checked)["engine"] == "On"
    assert "SecRuleEngine DetectionOnly\n" in rules({"mode": "detect"})
