"""Lines by hand are read as nginx reads them."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_extra import bare, directives


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ("", []),
        ("allow 10.0.0.0/8; deny all;", [["allow", "10.0.0.0/8"], ["deny", "all"]]),
        ("deny\n  all # but not us\n;", [["deny", "all"]]),
        ("# deny all;\nallow all;", [["allow", "all"]]),
        ("location /x { deny all; if ($a) { allow all; } }\nallow ::1;", [["allow", "::1"]]),
        ('set $a "}; deny all;"; deny 10.0.0.1;', [["deny", "10.0.0.1"]]),
        ("set $a '\\'; deny all;'; set $b ${c}d; deny 10.0.0.1;", [["deny", "10.0.0.1"]]),
        ("set $a x#y; deny 10.0.0.1;", [["deny", "10.0.0.1"]]),
        ('"deny" all;', [['"deny"', "all"]]),
        ("denied all; deny all", []),
        ('deny "', []),
    ],
)
def test_what_holds_for_the_whole_server_is_found(extra: str, found: list[list[str]]) -> None:
    assert directives(extra, "allow", "deny") == found


def test_quotes_are_no_part_of_a_word() -> None:
    assert [bare(word) for word in ('"a b"', "'a'", "a")] == ["a b", "a", "a"]
