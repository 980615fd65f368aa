"""Promise: `remove` takes an app away completely, keeps its data unless told otherwise, and touches no other app."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from e2e.support import PIXEL, Site, current_release, output, pids, play, published_site

REMOVE = "playbooks/remove.yml"


@pytest.fixture
def guestbook(host: Any) -> Site:
    return published_site(host, "guestbook.test")


@pytest.fixture
def hello(host: Any) -> Site:
    return published_site(host, "hello.test")


def traces(host: Any) -> list[str]:
    """Everything on the host that still names the guest book, its data and backups of the accounts aside."""
    named = output(
        host,
        r"find / -xdev \( -path /proc -o -path /sys -o -path /srv/guestbook \) -prune -o -name '*guestbook*' -print",
    )
    told = output(host, "grep -rlsF guestbook /etc /run/systemd /var/lib/flaskworks /var/spool || true")
    backups = re.compile(r"/etc/(passwd|group|shadow|gshadow)-$")
    units = output(host, "systemctl list-units --all --plain --no-legend 'guestbook*'")
    users = output(host, "getent passwd guestbook; getent group guestbook; true")
    rules = output(host, "ufw status | grep 8081 || true")
    found = [*named.splitlines(), *told.splitlines(), *units.splitlines(), *users.splitlines(), *rules.splitlines()]
    return [line for line in found if line and not backups.search(line)]


def healthy(host: Any) -> None:
    """Nothing that is left on the host complains."""
    assert "successful" in host.run("nginx -t").stderr
    assert output(host, "systemctl --failed --plain --no-legend") == ""
    assert output(host, "systemctl is-active nginx.service") == "active"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-e", "app=guestbok"], "did you mean 'guestbook'"),
        (["-e", "app=mail"], "is a user of this system"),
        (["-e", "app=../guestbook"], "can't be an application"),
        ([], "can't be an application"),
    ],
    ids=["misspelt", "a user of the system", "a path", "none"],
)
def test_a_wrong_name_is_refused(host: Any, guestbook: Site, options: list[str], reason: str) -> None:
    run = play(host, REMOVE, *options, status=2)
    assert reason in " ".join(run.text.split())
    assert run.changed == []
    assert guestbook.get("/health").status_code == 200


def test_an_app_goes_and_its_data_stays(host: Any, guestbook: Site, hello: Site) -> None:
    page = guestbook.sign("Alan", "Please keep this", PIXEL)
    picture = re.search(r'src="(/media/[0-9a-f]+\.png)"', page.text)
    assert picture
    others = (pids(hello), current_release(host, "hello"))
    # An application goes in the middle of its maintenance, too.
    play(host, "playbooks/maintenance.yml", "-e", "app=guestbook", "-e", "state=on")
    assert (guestbook.get("/").status_code, hello.get("/").status_code) == (503, 200)
    assert traces(host), "or the search for traces finds nothing at all"

    predicted = play(host, REMOVE, "-e", "app=guestbook", "--check", "--diff")
    assert guestbook.get("/health").status_code == 503
    run = play(host, REMOVE, "-e", "app=guestbook")
    assert predicted.changed == run.changed

    assert traces(host) == []
    assert output(host, "ls -A /srv/guestbook") == "shared"
    assert host.file("/srv/guestbook/shared/instance/guestbook.db").exists
    assert (pids(hello), current_release(host, "hello")) == others
    with pytest.raises(requests.ConnectionError):
        guestbook.get("/")
    healthy(host)
    assert play(host, REMOVE, "-e", "app=guestbook").changed == []

    number = output(host, "stat --format=%%u %s", "/srv/guestbook/shared").strip()
    output(host, "useradd --system --uid %s stranger", number)
    try:
        # The number of the old user is somebody else's now: neither today nor later may that open the data.
        assert host.run("cd / && runuser -u stranger -- cat /srv/guestbook/shared/instance/guestbook.db").rc != 0
        play(host, "site.yml")
        assert host.run("cd / && runuser -u stranger -- cat /srv/guestbook/shared/instance/guestbook.db").rc != 0
        assert output(host, "find /srv/guestbook/shared -user stranger") == ""
    finally:
        output(host, "userdel stranger")
    assert "Please keep this" in guestbook.get("/").text
    assert guestbook.get(picture[1]).content == PIXEL
    assert "And this" in guestbook.sign("Alan", "And this", PIXEL).text


def test_an_app_goes_with_its_data_when_the_inventory_forgot_it(host: Any, hello: Site) -> None:
    others = (pids(hello), current_release(host, "hello"))
    options = ["-e", "app=guestbook", "-e", "remove_data=true", "-e", "guestbook_listed=false"]
    play(host, REMOVE, *options)
    assert traces(host) == []
    assert not host.file("/srv/guestbook").exists
    assert (pids(hello), current_release(host, "hello")) == others
    healthy(host)
    assert play(host, REMOVE, *options).changed == []


def test_the_last_app_goes_and_the_host_is_well(host: Any) -> None:
    play(host, REMOVE, "-e", "app=hello", "-e", "remove_data=true", "-e", "guestbook_listed=false")
    assert not host.file("/srv/hello").exists
    assert host.run("getent passwd hello").rc == 2
    healthy(host)
