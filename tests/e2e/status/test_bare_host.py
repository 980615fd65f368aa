"""Promise: the status of a host on which nothing was ever deployed says so, and changes nothing."""

from __future__ import annotations

from e2e.status.conftest import Machine, recap


def test_a_host_that_is_not_prepared_says_so(bare: Machine) -> None:
    before = bare.root("ls -A /srv /var/lib /run /usr/local/bin /usr/local/lib")
    done, found = bare.status()
    assert done.status == 0, done.output
    assert f"{bare.name}: not prepared yet: no application was ever deployed here" in done.output
    assert (found["prepared"], found["apps"]) == (False, [])
    assert recap(done, bare.name)["changed"] == 0
    assert bare.root("ls -A /srv /var/lib /run /usr/local/bin /usr/local/lib") == before
