"""The exact set of a release is what its environment holds, not what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_frozen as frozen


def distribution(site: Path, name: str, version: str, origin: object = None) -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))


@pytest.mark.parametrize("library", ["python3.13", "pypy3.11"])
def test_what_is_installed_is_read_from_files(tmp_path: Path, library: str) -> None:
    site = tmp_path / "lib" / library / "site-packages"
    distribution(site, "Flask", "3.1.0")
    distribution(site, "zope.interface", "7.0")
    distribution(site, "pip", "25.0")
    distribution(site, "setuptools", "66.1")
    commit = {"url": "https://u:pw@x/y.git", "vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef"}}
    distribution(site, "mine", "1.0", commit)
    distribution(site, "other", "1.0", {"url": "file:///x", "archive_info": {"hashes": {"sha256": "f" * 64}}})
    distribution(site, "project", "0.1", {"url": "file:///srv/x", "dir_info": {}})
    assert frozen.installed(str(tmp_path), "flask==3.1.0\nsetuptools==66.1\n") == {
        "flask": "3.1.0",
        "mine": "1.0 (git https://x/y.git at 0123456789ab)",
        "other": "1.0 (archive ffffffffffff)",
        "project": "0.1",
        "setuptools": "66.1",
        "zope-interface": "7.0",
    }


def test_lines_for_others_are_left_out_and_the_project_is_named() -> None:
    resolved = (
        "# installer: uv\n--extra-index-url https://x\n\n"
        "colorama==0.4 ; sys_platform == 'win32' --hash=sha256:1\nflask==3.1 --hash=sha256:2\n"
        "numpy==1.0 ; python_version < '3.12'\nnumpy==2.0 ; python_version >= '3.12'\n"
        "# beside uv.lock:\ngunicorn==27\n"
    )
    packages = {"flask": "3.1", "gunicorn": "27", "numpy": "2.0", "site": "0.1"}
    assert frozen.exact_text(resolved, packages).splitlines() == [
        "# installer: uv",
        "--extra-index-url https://x",
        "# from the source itself: site 0.1",
        "flask==3.1 --hash=sha256:2",
        "gunicorn==27",
        "numpy==2.0 ; python_version >= '3.12'",
    ]
