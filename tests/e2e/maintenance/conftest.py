"""A host of its own with a site, brought up by site.yml as its users do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.machine import Machine, booted, debians, folder_of
from e2e.maintenance.closing import APP, EXTRA, LOCATIONS, Closing
from e2e.playbooks import ROOT
from e2e.support import published_site


def site(source: Path, name: str, **keys: Any) -> dict[str, Any]:
    return {
        "source": {"path": str(source)},
        "wsgi": "hello:app",
        "domains": [f"{name}.test"],
        "server": {"worker_class": "sync", "workers": 1},
        "health": {"path": "/health"},
        "static": {"/static/": "src:static/"},
        **keys,
    }


@pytest.fixture(scope="session", params=debians())
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """testinfra's view of the host, as root."""
    name = f"maintenance{request.param}"
    folder = folder_of(name, tmp_path_factory)
    source = folder / "hello"
    shutil.copytree(ROOT / "tests/apps/hello", source, dirs_exist_ok=True)
    (source / "static").mkdir(exist_ok=True)
    (source / "static" / "site-1.css").write_text("body {}\n")
    apps = {
        # The test is the proxy in front of it when it asks from the host itself.
        APP: site(source, "blog", nginx={"trusted_proxies": ["127.0.0.1"], "extra": EXTRA, "locations": LOCATIONS}),
        # Known, but not live on any host.
        "wiki": site(source, "wiki"),
    }
    (folder / "group_vars").mkdir(exist_ok=True)
    chosen = "{{ apps | dict2items | rejectattr('key', 'in', left_out | default([])) | items2dict }}"
    variables = {"flask_apps_firewall": False, "apps": apps, "flask_apps": chosen}
    (folder / "group_vars" / "flask_hosts.yml").write_text(yaml.safe_dump(variables))
    with booted(Machine, name, request.param, folder, publish=[80]) as machine:
        yield machine.testinfra()


@pytest.fixture(scope="session")
def closing(host: Any) -> Closing:
    source = Path(host.backend.ansible_inventory).parent / "hello"
    closing = Closing(host, source, published_site(host, "blog.test"))
    closing.deploy("site")
    return closing


@pytest.fixture
def opened(closing: Closing) -> Iterator[Closing]:
    """The blog is open, and is open again after the test."""
    if closing.files():
        closing.run("off")
    yield closing
    if closing.files():
        closing.run("off")
