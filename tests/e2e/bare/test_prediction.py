"""Promise: `--check --diff` on an empty host works, changes nothing, and predicts the run that follows."""

from __future__ import annotations

import re
from typing import Any

from e2e.playbooks import Run
from e2e.support import output, play, published_site

# A release's id holds the time at which it was made.
RELEASE_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
# In check mode packages are told by a task of its own: on an empty host apt itself can't.
STANDS_FOR = {"Predict which packages a run would install": "Install the packages"}
# What a package brings is not known before it is there: folders that then exist, and Debian's site, which then goes.
BROUGHT_BY_NGINX = {
    "/etc/nginx",
    "/etc/nginx/conf.d",
    "/etc/nginx/sites-available",
    "/etc/nginx/sites-enabled",
    "/etc/nginx/sites-enabled/default",
}


def changes(run: Run) -> list[str]:
    """The tasks that changed something, by the outcome that they stand for."""
    names = [name.rpartition(" : ")[2] for name in run.changed]
    return [STANDS_FOR.get(name, name) for name in names]


def paths(run: Run) -> set[str]:
    """The paths whose differences were shown. The id of a release holds the time of its run, which is left out."""
    return {RELEASE_ID.sub("ID", path) for path in run.diffs} - BROUGHT_BY_NGINX


def state(host: Any) -> str:
    """A hash over all that a run could leave behind, and the packages."""
    folders = "/etc /srv /opt /usr/local /var/lib/flaskworks /var/log/nginx /var/log/guestbook /var/log/hello"
    files = output(host, f"find {folders} -type f -exec sha256sum {{}} + 2>/dev/null | sort | sha256sum")
    names = output(host, f"find {folders} -printf '%p %M %u %g %l\\n' 2>/dev/null | sort | sha256sum")
    return files + names + output(host, "dpkg-query --show | sha256sum")


def test_check_mode_predicts_the_run(host: Any) -> None:
    before = state(host)
    predicted = play(host, "site.yml", "--check", "--diff")
    assert state(host) == before, "check mode changed the host"
    assert len(changes(predicted)) >= 5, predicted.text

    done = play(host, "site.yml", "--diff")
    assert changes(predicted) == changes(done)
    assert paths(predicted) == paths(done)
    assert any(path.startswith("/etc/nginx/") for path in done.diffs)

    again = play(host, "site.yml", "--check", "--diff")
    assert (again.changed, again.diffs) == ([], set())


def test_the_run_made_the_sites(host: Any) -> None:
    assert published_site(host, "guestbook.test").get("/health").status_code == 200
    assert published_site(host, "hello.test", 8081).get("/health").status_code == 200
