"""One host for all articles: the inventories of tests/articles side by side, and the playbook of roles alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.articles.articles import inventory_variables
from e2e.machine import Machine, booted, debians, folder_of
from e2e.playbooks import ROOT, Run, build_env
from e2e.support import play


@pytest.fixture(scope="session", params=debians())
def first_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Run]]:
    """testinfra's view of the host, as root, and what site.yml said when it brought it up."""
    name, index = f"articles{request.param}", build_env()
    folder = folder_of(name, tmp_path_factory)
    (folder / "group_vars").mkdir(exist_ok=True)
    variables = {**inventory_variables(), "sites": str(ROOT / "tests/apps"), "flask_apps_build_env": index}
    (folder / "group_vars" / "flask_hosts.yml").write_text(yaml.safe_dump(variables))
    with booted(Machine, name, request.param, folder, publish=[80, 81, 82]) as machine:
        host = machine.testinfra()
        run = play(host, "site.yml")
        play(host, "tests/articles/by_roles.yml", "-e", json.dumps({"python_venvs_env": index}))
        yield host, run


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
