"""Promise: the status of a host on which nothing was ever deployed says so, and changes nothing."""

from __future__ import annotations

from e2e.status.host import StatusHost


def test_a_host_that_is_not_prepared_says_so(bare: StatusHost) -> None:
    before = bare.root("ls -A /srv /var/lib /run /usr/local/bin /usr/local/lib")
    done, found = bare.status()
    assert done.status == 0, done.text
    assert f"{bare.name}: not prepared yet: no application was ever deployed here" in done.text
    assert (found["prepared"], found["apps"]) == (False, [])
    assert done.recap(bare.name)["changed"] == 0
    assert bare.root("ls -A /srv /var/lib /run /usr/local/bin /usr/local/lib") == before
