"""tests/articles/logrotate_file.yml: what the policy promises happens, nothing is lost, and what copytruncate costs."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from e2e.articles.articles import read, site_of
from e2e.support import Site, output, wait_until

POLICY = "/etc/logrotate.d/rotated"
FOLDER = "/var/log/rotated"
CLIENTS, ROTATIONS = 2, 3
MOST_TRUNCATIONS = 30


@pytest.fixture
def site(host: Any) -> Site:
    return site_of(host, "rotated")


def rotate(host: Any, policy: str = POLICY) -> None:
    said = host.run("logrotate --force %s", policy)
    assert (said.rc, said.stdout, said.stderr) == (0, "", "")


def visit(host: Any, site: Site, path: str) -> None:
    """Ask until the newest log has the line: just after a rotation the server may write into the one before."""

    def logged() -> bool:
        site.get(path)
        return path in read(host, f"{FOLDER}/access.log")

    wait_until(logged, 5, f"access.log has the line of {path}")


def names(host: Any) -> set[str]:
    return set(output(host, "ls %s", FOLDER).split())


def test_the_policy_has_the_words_of_the_article(host: Any) -> None:
    words = {" ".join(line.split()) for line in read(host, POLICY).splitlines()}
    assert words >= {"daily", "rotate 7", "compress", "delaycompress", "missingok", "notifempty", "nocopytruncate"}


def test_once_a_day(host: Any, site: Site) -> None:
    state = "/root/logrotate.state"
    log = f"{FOLDER}/access.log"

    def run() -> bool:
        """Whether a run that is not forced rotates the log."""
        before = output(host, "stat --format %s %s", "%i", log)
        output(host, "logrotate --state %s %s", state, POLICY)
        return output(host, "stat --format %s %s", "%i", log) != before

    for days, rotates in ((2, True), (0, False)):
        visit(host, site, f"/day-{days}")
        date = output(host, "date --date %s +%s", f"{days} days ago", "%Y-%-m-%-d-%-H:%-M:%-S")
        text = "".join([f'"{FOLDER}/{kind}.log" {date}\n' for kind in ("access", "error")])
        output(host, "printf %s %s > %s", "%s", f"logrotate state -- version 2\n{text}", state)
        assert run() is rotates, f"last rotated {days} days ago"


def test_seven_are_kept_and_all_but_the_newest_compressed(host: Any, site: Site) -> None:
    for number in range(9):
        visit(host, site, f"/rotation-{number}")
        rotate(host)
    visit(host, site, "/rotation-9")
    found = {name for name in names(host) if name.startswith("access.log")}
    assert found == {"access.log", "access.log.1", *(f"access.log.{number}.gz" for number in range(2, 8))}
    assert "/rotation-8" in read(host, f"{FOLDER}/access.log.1")
    assert "/rotation-2" in output(host, "zcat %s", f"{FOLDER}/access.log.7.gz")


def test_an_empty_log_and_a_missing_one_are_no_matter(host: Any, site: Site) -> None:
    rotate(host)
    before = output(host, "stat --format %s %s/access.log.1", "%i", FOLDER)
    rotate(host)
    assert output(host, "stat --format %s %s/access.log.1", "%i", FOLDER) == before
    output(host, "rm %s/access.log", FOLDER)
    rotate(host)
    # gunicorn still writes to what was removed, until it is told.
    output(host, "systemctl kill --signal=USR1 --kill-whom=main 'rotated@*.service'")
    site.get("/after-it-was-missing")
    wait_until(lambda: "/after-it-was-missing" in read(host, f"{FOLDER}/access.log"), 5, "there is a new one")


def test_no_line_is_lost_while_the_site_is_used(host: Any, site: Site) -> None:
    mark = uuid.uuid4().hex[:12]
    done = False

    def visit(client: int) -> list[str]:
        sent: list[str] = []
        with site.session() as session:
            while not done:
                name = f"{mark}-{client}-{len(sent)}"
                assert session.get(f"{site.base}/{name}", timeout=15).status_code == 404
                sent.append(name)
        return sent

    with ThreadPoolExecutor(CLIENTS) as pool:
        visits = [pool.submit(visit, client) for client in range(CLIENTS)]
        try:
            for dummy in range(ROTATIONS):
                output(host, "sleep 0.5")
                rotate(host)
            output(host, "sleep 0.5")
        finally:
            done = True
        sent = [name for each in visits for name in each.result()]
    logged = output(host, "find %s -name 'access.log*' -exec zcat -f {} +", FOLDER)
    assert len(sent) > 50 * ROTATIONS, "too few requests to prove anything"
    assert [name for name in sent if f'{name}"' not in logged and f"{name} " not in logged] == []


def test_copytruncate_is_there_and_loses_lines(host: Any) -> None:
    """What the article recommends works, and costs what is written between the copy and the truncation."""
    log = "/var/log/bare/writer.log"
    assert "copytruncate" in read(host, "/etc/logrotate.d/writer").split()
    output(host, "systemd-run --quiet --collect --unit=writer --uid=bare python3 /opt/bare/writer.py %s", log)
    try:
        inode = output(host, "stat --format %s %s", "%i", log)
        for dummy in range(MOST_TRUNCATIONS):
            rotate(host, "/etc/logrotate.d/writer")
            if lost(host, log):
                break
        assert lost(host, log) > 0
        assert output(host, "stat --format %s %s", "%i", log) == inode
    finally:
        output(host, "systemctl stop writer")


def lost(host: Any, log: str) -> int:
    """How many of the lines between the newest copy and the log are in neither."""
    last = int(output(host, "tail -n 1 %s.1", log).split()[-1])
    first = int(output(host, "head -n 1 %s", log).split()[-1])
    return first - last - 1
