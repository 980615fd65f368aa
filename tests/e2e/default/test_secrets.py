"""Promise: a secret is readable by root and the app only; it is in no other file, log, process list or output."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.support import Site, current_release, output, play


@pytest.fixture(scope="module")
def canary(host: Any) -> str:
    """The secret that the scenario gave to the guest book."""
    return str(host.ansible.get_variables()["canary_secret"])


@pytest.fixture(scope="module")
def pattern(canary: str) -> str:
    """Finds the secret, but not itself: sudo writes each command of a test into the journal."""
    return f"{canary[:-1]}[{canary[-1]}]"


def test_the_app_has_the_secret(host: Any, canary: str) -> None:
    """Without this the other tests would pass for a secret that is nowhere."""
    env = host.file(f"/srv/guestbook/releases/{current_release(host, 'guestbook')}/env").content_string
    assert canary in env


def test_no_file_that_others_can_read_holds_it(host: Any, pattern: str) -> None:
    found = host.run(
        "runuser -u nobody -- grep -rls --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev -- %s /", pattern
    )
    assert found.stdout == ""


def test_root_finds_it_in_the_environment_of_releases_only(host: Any, pattern: str) -> None:
    found = output(
        host,
        "grep -rls -- %s /etc /srv /var /run /tmp /home /root /opt || true",
        pattern,
    )
    elsewhere = [path for path in found.splitlines() if not path.startswith("/srv/guestbook/releases/")]
    assert elsewhere == []
    assert {path.rpartition("/")[2] for path in found.splitlines()} == {"env"}


def test_no_log_holds_it(host: Any, guestbook: Site, canary: str) -> None:
    guestbook.get("/")
    assert canary not in output(host, "journalctl --no-pager --output=cat --all")


def test_no_process_shows_it_to_others(host: Any, canary: str) -> None:
    assert canary not in output(host, "ps -eww -o args")
    seen = host.run("runuser -u nobody -- sh -c %s", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null")
    assert canary not in seen.stdout


def test_a_deploy_that_shows_everything_does_not_show_it(host: Any) -> None:
    """With another secret, so that the release is due and its files would be in the diff."""
    other = "canary-that-only-a-very-talkative-run-could-tell"
    run = play(host, "site.yml", "--check", "--diff", "-vvv", "-e", f"canary_secret={other}")
    assert any("Build what changed" in name for name in run.changed), (
        "the release must be due, or this test proves nothing"
    )
    assert other not in run.text
