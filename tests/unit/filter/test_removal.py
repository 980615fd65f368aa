"""Which applications may be removed, and what is left of the inventory."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.filter.removal import FilterModule, removal


def user(home: str) -> list[str]:
    """A user as getent shows it."""
    return ["x", "990", "990", "a user", home, "/usr/sbin/nologin"]


APPS = {"blog": {"wsgi": "blog:app"}, "shop": {"wsgi": "shop:app"}, "new": {"wsgi": "new:app"}}
FOUND = ["/srv/blog/current", "/srv/blog/releases", "/srv/blog/shared", "/srv/shop/current", "/srv/old/current"]


def test_a_listed_application_leaves_the_others_that_are_live() -> None:
    assert removal(APPS, "blog", FOUND, user("/srv/blog")) == {
        "present": True,
        "base": "/srv/blog",
        "listed": True,
        "rest": {"shop": APPS["shop"]},
    }


def test_an_application_that_the_inventory_forgot_is_removed_all_the_same() -> None:
    decided = removal(APPS, "old", FOUND, user("/srv/old"))
    assert (decided["present"], decided["listed"]) == (True, False)
    assert set(decided["rest"]) == {"blog", "shop"}


@pytest.mark.parametrize(
    ("found", "home"),
    [(["/srv/old/shared"], ""), ([], "/srv/old")],
    ids=["only its data is left", "only its user is left"],
)
def test_the_rest_of_a_half_removed_application_counts(found: list[str], home: str) -> None:
    assert removal(APPS, "old", found, user(home) if home else None)["present"]


@pytest.mark.parametrize("app", [None, "", "Blog", "../etc", "-rf", "blog/../shop", "a b", "blog\n", 7, ["blog"]])
def test_a_name_that_no_application_can_have_is_refused(app: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="can't be an application"):
        removal(APPS, app, FOUND)


def test_a_user_of_the_system_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="user of this system with the home /var/mail"):
        removal(APPS, "mail", FOUND, user("/var/mail"))


@pytest.mark.parametrize(("app", "meant"), [("blgo", "blog"), ("olde", "old"), ("shopp", "shop")])
def test_a_misspelt_name_is_refused_with_the_right_one(app: str, meant: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"did you mean '{meant}'"):
        removal(APPS, app, FOUND)


def test_an_application_that_is_gone_needs_nothing() -> None:
    assert not removal(APPS, "wiki", FOUND)["present"]


def test_a_listed_application_that_was_never_deployed_needs_nothing() -> None:
    assert not removal(APPS, "new", FOUND)["present"]


def test_ansible_finds_the_filter() -> None:
    assert FilterModule().filters()["removal"] is removal
