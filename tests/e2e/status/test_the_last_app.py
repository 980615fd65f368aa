"""Promise: the command belongs to all who have applications on the host, and goes with the last of them."""

from __future__ import annotations

import json

from e2e.status.host import StatusHost

ACCOUNTS = ("--tags", "accounts")


def test_the_next_owner_keeps_it_and_the_last_takes_it_along(machine: StatusHost) -> None:
    second = ("-e", "flask_apps_owner=second", *ACCOUNTS)
    none = ("-e", json.dumps({"flask_apps": {}}))
    left = "ls -d /usr/local/bin/flaskworks /usr/local/lib/flaskworks 2>/dev/null | wc -l"
    for options in (second, (*none, *ACCOUNTS)):
        done = machine.deploy("two", *options)
        assert done.status == 0, done.text[-2000:]
    assert machine.flaskworks().status == 0
    done = machine.deploy("two", *none, *second)
    assert done.status == 0, done.text[-2000:]
    assert machine.root(left) == "0\n"


def test_removing_the_last_application_leaves_nothing_of_the_command(machine: StatusHost) -> None:
    assert machine.deploy("two", *ACCOUNTS).status == 0
    assert machine.flaskworks("blog").status == 0
    done = machine.deploy("two", "-e", "app=blog", "-e", "remove_data=true", playbook="playbooks/remove.yml")
    assert done.status == 0, done.text[-3000:]
    assert machine.root("find /usr/local -name '*flaskworks*'; ls /srv") == ""
    done, found = machine.status()
    assert (done.status, found["prepared"], found["apps"]) == (0, True, [])
    assert f"{machine.name}: no applications" in done.text
