# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a virtual environment is made from, and what the project itself says of that."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_requirements as reqs
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import is_offline, names_place
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_tools import VenvError


@dataclass(frozen=True)
class VenvSpec:
    """What an environment is made from.

    interpreter    name or path of the Python, e.g. python3, python3.12, /opt/py/bin/python3
    installer      "uv" or "pip"
    project_dir    absolute directory that relative names are looked up in; files outside of it are refused
    requirements   requirements files, relative to project_dir (or absolute, below it)
    constraints    constraints files, likewise
    packages       further requirement strings, e.g. ["gunicorn==27.0.1", "redis"]; hashes may follow
    env            variables for the installer: index (PIP_* and UV_*; one set is translated for the other), proxies, CA
    lock_project   install what uv.lock in project_dir says (`uv` only)
    install_project  install the project itself too (not editable): its code becomes part of the environment
    source_digest  digest of the project's source; enters the environment's key only when its code is installed into it
    require_hashes  refuse whatever the project, or `packages`, gives no hash for
    compile_for    options of `uv pip compile`, to resolve for another Python and platform than these
    server_packages  those of `packages` that the server needs, as they stand there: for the words of a failure
    """

    interpreter: str = "python3"
    installer: str = "uv"
    project_dir: str = "/"
    requirements: Sequence[str] = ()
    constraints: Sequence[str] = ()
    packages: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    lock_project: bool = False
    install_project: bool = False
    source_digest: str = ""
    require_hashes: bool = False
    compile_for: Sequence[str] = ()
    server_packages: Sequence[str] = ()


def detect(spec: VenvSpec) -> VenvSpec:
    """Fill in what the project offers when no requirements are named.

    In this order: uv.lock (installer uv); requirements.txt; pyproject.toml; nothing but `packages`. A project whose
    pyproject.toml has a [build-system] is installed itself, unless requirements.txt lists what it needs.
    Returns the spec unchanged when it names requirements. Raises VenvError for a file that can't be read.
    """
    if spec.requirements or spec.lock_project or spec.install_project:
        return spec
    project = _pyproject(spec)
    packaged = "build-system" in project
    if spec.installer == "uv" and project and _exists(spec, "uv.lock"):
        return replace(spec, lock_project=True, install_project=packaged)
    if _exists(spec, "requirements.txt"):
        return replace(spec, requirements=["requirements.txt"])
    if packaged:
        return replace(spec, install_project=True)
    return replace(spec, packages=[*project.get("project", {}).get("dependencies", []), *spec.packages])


def read_requirements(spec: VenvSpec) -> reqs.Requirements:
    """What the files say, and the hashes of packages that are named beside them."""
    try:
        found = reqs.read(spec.project_dir, spec.requirements, spec.constraints)
    except reqs.RequirementsError as error:
        raise VenvError(str(error)) from error
    for requirement, hashes in map(reqs.split_hashes, spec.packages):
        reqs.remember_hashes(found, requirement, hashes)
    if is_offline(spec.env):
        found.options = [option for option in found.options if not names_place(option)]
    return found


def _exists(spec: VenvSpec, name: str) -> bool:
    return os.path.isfile(os.path.join(spec.project_dir, name))


def read_file(spec: VenvSpec, name: str) -> str:
    try:
        return reqs.text_of(spec.project_dir, os.path.join(spec.project_dir, name))
    except reqs.RequirementsError as error:
        raise VenvError(str(error)) from error


def _pyproject(spec: VenvSpec) -> dict[str, Any]:
    if not _exists(spec, "pyproject.toml"):
        return {}
    try:
        return tomllib.loads(read_file(spec, "pyproject.toml"))
    except tomllib.TOMLDecodeError as error:
        raise VenvError(f"pyproject.toml is no TOML: {error}") from error
