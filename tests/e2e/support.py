"""What the tests of live hosts share: requests through the published ports, and questions to the host."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from e2e import playbooks
from e2e.playbooks import Run

# A picture of one pixel, small enough to read.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c63606060f80f0001050101cfe4b3e50000000049454e44ae426082"
)


@dataclass(frozen=True)
class Site:
    """A site as a visitor reaches it: `base` leads to one port of its host, `name` is its domain."""

    base: str
    name: str

    def session(self) -> requests.Session:
        """A visitor. It ignores the environment's proxies: the hosts are on this machine."""
        session = requests.Session()
        session.trust_env = False
        session.headers["Host"] = self.name
        return session

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        with self.session() as session:
            return session.get(self.base + path, timeout=options.pop("timeout", 15), **options)

    def sign(self, name: str, message: str, picture: bytes | None = None) -> requests.Response:
        """Writes into the guest book as a browser would; returns the page that follows."""
        with self.session() as session:
            page = session.get(self.base + "/", timeout=15)
            token = re.search(r'name="token" value="([^"]+)"', page.text)
            assert token, f"no form on {self.base}/: {page.status_code} {page.text[:300]}"
            fields = {"token": token[1], "name": name, "message": message}
            files = {"picture": ("picture.png", picture, "image/png")} if picture else None
            return session.post(self.base + "/sign", data=fields, files=files, timeout=15)


def published_site(host: Any, name: str, port: int = 80) -> Site:
    """The site of that name behind one of the host's own ports."""
    ports = host.ansible.get_variables()["published_ports"]
    return Site(f"http://127.0.0.1:{ports[str(port)]}", name)


def output(host: Any, command: str, *words: str) -> str:
    """What a command says on the host, run as root. It must succeed."""
    return str(host.check_output(command, *words))


def current_release(host: Any, app: str) -> str:
    """The id of the release that is live."""
    return output(host, "readlink %s", f"/srv/{app}/current").rpartition("/")[2]


def unit_properties(host: Any, unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit as systemd knows them."""
    shown = output(host, f"systemctl show --property={','.join(names)} %s", unit)
    return dict(line.split("=", 1) for line in shown.splitlines())


def wait_until(check: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns when the check holds; fails with `what` when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def pids(site: Site) -> dict[str, int]:
    """The process ids of worker and master behind the site `hello`."""
    found: dict[str, int] = json.loads(site.get("/pid").text)
    return found


def play(host: Any, playbook: str, *options: str, status: int | None = 0) -> Run:
    """Runs a playbook for the test's host, as a user would: without the become that the tests have.

    `status` is the exit status to insist on; None takes any.
    """
    inventory, name = Path(host.backend.ansible_inventory), host.backend.host
    run = playbooks.play(inventory, playbook, "--limit", name, *options, env={"COLUMNS": "100"})
    assert status is None or run.status == status, run.text[-5000:]
    return run
