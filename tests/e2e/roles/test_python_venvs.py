"""The role python_venvs, alone."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.mark.parametrize("path", ["/opt/first/by-uv", "/opt/first/by-pip"])
def test_the_environment_has_what_was_asked_for(host: Any, path: str) -> None:
    code = "import itsdangerous, click, importlib.metadata as m; print(m.version('itsdangerous'))"
    assert host.check_output(f'{path}/bin/python -I -c "{code}"') == "2.1.2"
    frozen = host.file(f"{path}/flaskworks-requirements.txt").content_string
    assert "itsdangerous==2.1.2\n" in frozen
    assert "click==" in frozen


@pytest.mark.parametrize("path", ["/opt/first/by-uv", "/opt/first/by-pip", "/opt/second/venv"])
def test_everything_is_compiled_and_sealed_behind_a_link(host: Any, path: str) -> None:
    assert host.file(path).is_symlink
    marker = json.loads(host.file(f"{path}/.flaskworks-venv.json").content_string)
    assert host.file(path).linked_to == f"{path}.releases/{marker['digest'][:16]}"
    compiled = host.check_output(f"find {path}/lib/ -path '*/click/__pycache__/core.*.pyc'")
    assert compiled


def test_the_script_runs_gunicorn(host: Any) -> None:
    assert host.check_output("/opt/first/by-uv/bin/gunicorn --version").startswith("gunicorn")


def test_the_owner_has_the_environment(host: Any) -> None:
    assert host.check_output("find -L /opt/second/venv/lib ! -user www-data -not -path '*/python3*/python3*'") == ""
    assert host.check_output("find /opt/first/by-uv/ ! -user root") == ""


def test_the_systems_python_is_as_debian_made_it(host: Any) -> None:
    assert host.run("find /usr/lib/python3* -name EXTERNALLY-MANAGED").stdout.strip()
    assert host.run("/usr/bin/python3 -I -c 'import itsdangerous'").rc == 1
    assert host.run("find /root/.local /opt -path '*uv/python*'").stdout == ""
