"""A site's own pins: what an old gunicorn needs, and what is said when it can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.server_pins import advice, completed, impossible
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs import VenvSpec

ASGI: dict[str, Any] = {"type": "gunicorn", "settings": {"worker_class": "asgi"}}
GEVENT: dict[str, Any] = {"type": "gunicorn", "settings": {"worker_class": "gevent"}}


def spec(folder: Path, *lines: str, **keys: Any) -> VenvSpec:
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    return VenvSpec(project_dir=str(folder), requirements=("requirements.txt",), **keys)


@pytest.mark.parametrize(
    ("line", "old"),
    [
        ("gunicorn==20.1.0", True),
        ("Gunicorn === 20.0.4 ; python_version > '3'", True),
        ("gunicorn~=20.1", True),
        ("gunicorn>=19,<21", True),
        ("gunicorn<21.0.0", True),
        ("gunicorn<=20.1.0", True),
        ("gunicorn<21.2", False),
        ("gunicorn<=21", False),
        ("gunicorn==21.2.0", False),
        ("gunicorn>=20", False),
        ("gunicorn", False),
        ("flask==2.0", False),
    ],
)
def test_a_gunicorn_before_21_gets_a_setuptools_that_it_can_use(tmp_path: Path, line: str, old: bool) -> None:
    assert list(completed(spec(tmp_path, line)).packages) == (["setuptools<82"] if old else [])


def test_a_site_that_chooses_its_setuptools_keeps_it(tmp_path: Path) -> None:
    assert completed(spec(tmp_path, "gunicorn==20.1.0", "setuptools==70.0")).packages == ()


def test_pins_of_included_files_and_of_a_lock_count(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "pins.txt").write_text("gunicorn==20.1.0\n-r ../requirements.txt\n")
    assert "gunicorn==20.1.0 in base/pins.txt" in impossible(
        ASGI, spec(tmp_path, "-r base/pins.txt"), "gunicorn==20.1.0"
    )
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "gunicorn"\nversion = "23.0.0"\n')
    locked = VenvSpec(project_dir=str(tmp_path), lock_project=True)
    assert "the site has gunicorn==23.0.0 in uv.lock: raise it" in impossible(ASGI, locked, "gunicorn==23.0.0\n")


def test_what_goes_together_is_no_problem(tmp_path: Path) -> None:
    assert impossible(ASGI, spec(tmp_path, "gunicorn==24.0.0"), "gunicorn==24.0.0\n") == ""
    assert impossible(GEVENT, spec(tmp_path, "gunicorn==20.1.0"), "gunicorn==20.1.0\nsetuptools==81.0.0\n") == ""
    assert impossible({"type": "gevent", "settings": {}}, spec(tmp_path), "gevent==26.9.0\n") == ""
    assert advice(GEVENT, spec(tmp_path, "flask==3.0"), "flask could not be found") == ""
    assert advice(GEVENT, spec(tmp_path, "gevent==26.9.0"), "flask could not be found") == ""


def test_an_old_gunicorn_beside_a_new_setuptools(tmp_path: Path) -> None:
    given = spec(tmp_path, "gunicorn==20.1.0", "setuptools==82.0.0")
    words = impossible(GEVENT, given, "gunicorn==20.1.0\nsetuptools==82.0.0\n")
    assert "setuptools==82.0.0 in requirements.txt no longer has: raise gunicorn, or take setuptools<82" in words


def test_the_advice_names_the_pins_that_the_installer_complains_of(tmp_path: Path) -> None:
    given = spec(tmp_path, "gunicorn==27.0.1", "gevent==23.9.1", "tornado==6.1")
    said = "Because gunicorn[gevent]==27.0.1 depends on gevent>=24.10.1 and you require gevent==23.9.1, unsatisfiable"
    assert advice(GEVENT, given, said) == (
        "gunicorn with worker_class gevent can't be had with gunicorn==27.0.1 in requirements.txt and gevent==23.9.1 in"
        " requirements.txt: change or remove one of these versions, or choose another server.worker_class"
    )
