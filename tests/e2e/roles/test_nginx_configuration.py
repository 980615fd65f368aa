"""The role nginx_sites, alone: its configuration as a whole, and what becomes of sites that come and go."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from e2e.playbooks import Run
from e2e.roles.wire import exchange
from e2e.support import Site, output, play, published_site

VISITOR = str(Path(__file__).with_name("visitor.yml"))
SITE = {"server_names": ["visitor.test"], "upstream": "127.0.0.1:8601"}


def bring(host: Any, sites: dict[str, Any], status: int = 0) -> Run:
    """Bring the sites of another project on the same host to what is listed."""
    return play(host, VISITOR, "-e", json.dumps({"sites": sites}), status=status)


@pytest.fixture
def visitor(host: Any) -> Generator[Site]:
    """Another project's site; nothing of it stays."""
    bring(host, {"visitor": SITE})
    yield published_site(host, "visitor.test")
    bring(host, {})


def files(host: Any) -> set[str]:
    return set(output(host, "find /etc/nginx -type f -o -type l").splitlines())


def test_nginx_has_nothing_to_say(host: Any) -> None:
    said = host.run("nginx -t -q")
    assert (said.rc, said.stdout, said.stderr) == (0, "", "")


def test_gixy_finds_nothing(host: Any, tmp_path: Path) -> None:
    dump = tmp_path / "nginx.conf"
    dump.write_text(output(host, "nginx -T 2>/dev/null") + "\n")
    gixy = str(Path(sys.executable).parent / "gixy")
    # nginx_cves compares version numbers, and Debian's nginx has its faults mended under old ones.
    done = subprocess.run([gixy, "--skips", "nginx_cves", "-f", "json", str(dump)], check=False, capture_output=True)
    assert json.loads(done.stdout) == [], done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()


def test_a_site_that_is_no_longer_listed_goes(host: Any) -> None:
    before = files(host)
    assert bring(host, {"visitor": SITE, "second": {**SITE, "server_names": ["second.test"]}}).changed
    assert published_site(host, "visitor.test").get("/").status_code == 200
    assert published_site(host, "second.test").get("/").status_code == 200

    assert bring(host, {"second": {**SITE, "server_names": ["second.test"]}}).changed
    assert not [name for name in files(host) if "visitor.conf" in Path(name).name and "sites" in name]
    request = b"GET / HTTP/1.1\r\nHost: visitor.test\r\n\r\n"
    assert exchange(published_site(host, "visitor.test"), request) == (b"", [])
    assert published_site(host, "second.test").get("/").status_code == 200

    bring(host, {})
    assert files(host) == before
    assert published_site(host, "tcp.test").get("/").status_code == 200, "another owner's site went with it"


def test_a_fault_is_red_twice_and_changes_nothing(host: Any, visitor: Site) -> None:
    before = output(host, "nginx -T 2>/dev/null | sha256sum")
    broken = {"visitor": {**SITE, "extra": "no_such_directive on;"}, "more": {**SITE, "server_names": ["more.test"]}}
    for dummy in range(2):
        run = bring(host, broken, status=2)
        assert 'unknown directive "no_such_directive"' in " ".join(run.text.split())
        assert output(host, "nginx -T 2>/dev/null | sha256sum") == before
        assert host.run("nginx -t -q").rc == 0
        assert visitor.get("/").status_code == 200


def test_two_owners_can_not_take_the_same_name(host: Any, visitor: Site) -> None:
    run = bring(host, {"visitor": {**SITE, "server_names": ["visitor.test", "tcp.test"]}}, status=2)
    assert 'conflicting server name "tcp.test"' in " ".join(run.text.split())
    assert visitor.get("/").status_code == 200
