"""All that is wrong with a maintenance is told at once; what is right becomes data for the templates."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.filter.maintenance import FilterModule, maintenance

FOUND = ["/srv/blog/current", "/etc/nginx/sites-enabled/blog.conf"]
SITE = "    server_name blog.test;\n    include /etc/nginx/flaskworks/blog/*.conf;\n"


def test_a_site_is_closed_with_its_defaults() -> None:
    decided = maintenance({"blog": {}}, "blog", "on", FOUND)
    assert (decided["on"], decided["address"]) == (True, "")
    assert decided["view"]["retry_after"] == 600
    assert decided["view"]["networks"] == []
    assert maintenance({}, "blog", True, FOUND, site=SITE)["address"] == "http://blog.test"


def test_opening_needs_nothing_else() -> None:
    decided = maintenance({"blog": {}}, "blog", "off", FOUND, message="\n", retry_after="x", allow="x")
    assert (decided["on"], decided["view"]) == (False, {})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        maintenance({}, "blgo", "maybe", FOUND, message="a\nb", retry_after="soon", allow="1.2.3.4,everybody,::/0")
    text = str(caught.value)
    assert text.startswith("Nothing was changed:\n")
    assert [line.partition(":")[0] for line in text.splitlines()[1:]] == [
        "- app", "- state", "- message", "- retry_after", "- allow", "- allow",
    ]  # fmt: skip


def test_a_site_of_an_older_version_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match=r"run site\.yml once"):
        maintenance({}, "blog", "on", FOUND, site="server_name x;")


def test_ansible_finds_the_filter() -> None:
    assert FilterModule().filters()["maintenance"] is maintenance
