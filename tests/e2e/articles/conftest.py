"""One host for all articles: the inventories of tests/articles side by side, and the playbook of roles alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from e2e.articles.articles import inventory_variables
from e2e.machine import debians, keep
from e2e.support import ROOT, Run, play

PORTS = ("80", "81", "82")
HOSTS = [sys.executable, str(ROOT / "tests/hosts/hosts.py")]


@pytest.fixture(scope="session", params=debians())
def first_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Run]]:
    """testinfra's view of the host, as root, and what site.yml said when it brought it up."""
    folder = tmp_path_factory.mktemp("articles")
    name, inventory = f"articles{request.param}", folder / "hosts.yml"
    names = r"^(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$"
    index = {key: value for key, value in os.environ.items() if re.match(names, key)}
    (folder / "group_vars").mkdir()
    variables = {**inventory_variables(), "sites": str(ROOT / "tests/apps"), "flask_apps_build_env": index}
    (folder / "group_vars" / "flask_hosts.yml").write_text(yaml.safe_dump(variables))
    if not keep():
        subprocess.run([*HOSTS, "down", "--name", name], check=False, capture_output=True)
    published = [word for port in PORTS for word in ("--publish", port)]
    up = ["up", "--name", name, "--debian", request.param, *published, "--inventory", str(inventory)]
    subprocess.run([*HOSTS, *up], check=True, stdin=subprocess.DEVNULL)
    os.environ["ANSIBLE_BECOME"] = "true"
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    host = testinfra.get_host(f"ansible://{name}", ansible_inventory=str(inventory))
    run = play(host, "site.yml")
    play(host, "tests/articles/by_roles.yml", "-e", json.dumps({"python_venvs_env": index}))
    yield host, run
    if not keep():
        subprocess.run([*HOSTS, "down", "--name", name], check=True)


@pytest.fixture(scope="session")
def host(first_run: tuple[Any, Run]) -> Any:
    return first_run[0]


@pytest.fixture(scope="session")
def said(first_run: tuple[Any, Run]) -> Run:
    """What the first run of site.yml said."""
    return first_run[1]


@pytest.fixture(scope="session")
def slow_clients(host: Any) -> str:
    """The program slow_clients.py, on the host."""
    path = "/root/slow_clients.py"
    host.check_output("printf %s %s > %s", "%s", Path(__file__).with_name("slow_clients.py").read_text(), path)
    return path
