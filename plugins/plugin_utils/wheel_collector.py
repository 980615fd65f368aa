# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collecting the wheels that an application needs on a host of another Python or platform than the controller's.

uv resolves for the host, since pip would follow the controller's own Python in conditions such as
python_version < "3.12". pip then fetches exactly these files, each known by its hash.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import server_pins, venvs, venvs_index
from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_requirements as reqs
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import password_variables, without_password
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_tools import call
from ansible_collections.flaskworks.deploy.plugins.module_utils.wheelhouse import WHEEL

MANIFEST = "wheelhouse.json"
# The newest glibc that uv 0.13 knows by name; the oldest that pip's tags begin with (PEP 600).
NEWEST_UV, OLDEST = 40, 17
INHERITED = re.compile(
    r"(PIP|UV)_\w+|\w*_proxy|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|PATH|HOME", re.IGNORECASE
)
DEFAULT_BACKEND = ["setuptools>=40.8.0"]


class WheelError(Exception):
    """The wheels of an application can't be had; the message says why."""


def platform_tags(python: Mapping[str, Any]) -> list[str]:
    """Return the platforms of wheels that a host can use, the best first. Raises WheelError for what is not known."""
    family, version = python["libc"]
    if python["implementation"] != "cpython":
        raise WheelError(
            f"wheels can be collected for CPython, not for {python['implementation']}: run `pip download` or"
            " `pip wheel` with it on such a host, and copy the files into the wheelhouse"
        )
    if family != "glibc" or python["machine"] not in ("x86_64", "aarch64"):
        raise WheelError(f"wheels can't be collected for {python['machine']} with {family or 'an unknown C library'}")
    newest, machine = int(version.split(".")[1]), python["machine"]
    old = ["manylinux2014", *(["manylinux2010", "manylinux1"] if machine == "x86_64" else [])]
    names = [*(f"manylinux_2_{minor}" for minor in range(newest, OLDEST - 1, -1)), *old, "linux"]
    return [f"{name}_{machine}" for name in names]


def target_name(python: Mapping[str, Any]) -> str:
    """Return what the wheels are for, for people and for the manifest."""
    return f"Python {python['version']} on {python['machine']} with {' '.join(python['libc'])}"


def collect(
    name: str,
    entry: Mapping[str, Any],
    python: Mapping[str, Any],
    project: str,
    place: str,
    variables: Mapping[str, str],
) -> tuple[list[str], list[str], list[str]]:
    """Bring all wheels of an application for one Python into the directory `place`.

    entry      what the plan says of the application
    project    its source on the controller
    variables  the controller's own environment: index, proxy, certificates
    Returns the names of all its wheels, of those that are new, and of those that were removed because nothing needs
    them any more; files that were put there by hand stay. Raises WheelError.
    """
    tags, said = platform_tags(python), entry["python"]
    env = {key: value for key, value in variables.items() if INHERITED.fullmatch(key)}
    env = venvs_index.with_indexes(env, said.get("index", ""), said.get("extra_indexes", ()))
    os.makedirs(place, exist_ok=True)
    run = venvs.plain_runner()
    try:
        uv = venvs.ensure_uv(run, env=env, root=os.path.expanduser("~/.cache/flaskworks"))
        tools = f"{os.path.dirname(uv)}/python"
        glibc = min(int(python["libc"][1].split(".")[1]), NEWEST_UV)
        spec = server_pins.completed(venvs.detect(_spec(said, project, env)))
        chosen: tuple[str, ...] = (
            "--python-version",
            python["version"],
            "--python-platform",
            f"{python['machine']}-manylinux_2_{glibc}",
        )
        own = [item for item in os.listdir(place) if WHEEL.fullmatch(item) and item not in _listed(place)]
        # What was put there by hand takes part.
        chosen += ("--only-binary", ":all:", "--generate-hashes", *(("--find-links", place) if own else ()))
        lines = _resolved(replace(spec, installer="uv", compile_for=chosen), tools, run, uv)
        builds = _build_requirements(spec)
        if builds:
            backend = replace(spec, requirements=(), constraints=(), packages=builds, lock_project=False)
            backend = replace(backend, install_project=False, require_hashes=False, installer="uv", compile_for=chosen)
            lines += _resolved(backend, tools, run, uv)
        if said.get("installer", "uv") == "uv":
            lines.append(venvs.UV_REQUIREMENT)
        with tempfile.TemporaryDirectory(dir=place, prefix=".new-") as folder:
            version = ["--implementation", "cp", "--python-version", python["version"]]
            version += [word for tag in tags for word in ("--platform", tag)]
            for number, part in enumerate(_apart(lines)):
                listed = f"{folder}/wheels{number}.txt"
                with open(listed, "w", encoding="utf-8") as stream:
                    stream.write("".join(f"{line}\n" for line in part))
                argv = [tools, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
                argv += ["--find-links", place, *version, "--requirement", listed]
                call(run, argv, env, "/", f"Fetching the wheels of {name}")
            files = sorted(item for item in os.listdir(folder) if WHEEL.fullmatch(item))
            new = [item for item in files if not os.path.exists(f"{place}/{item}")]
            for item in new:
                shutil.move(f"{folder}/{item}", f"{place}/{item}")
    except venvs.VenvError as error:
        raise WheelError(f"{name}, {target_name(python)}: {error}{_advice(str(error), place)}") from error
    return files, new, _note(place, f"{name}: {target_name(python)}", files)


def _spec(said: Mapping[str, Any], project: str, env: Mapping[str, str]) -> venvs.VenvSpec:
    return venvs.VenvSpec(
        installer=said.get("installer", "uv"),
        project_dir=project,
        requirements=tuple(said.get("requirements", ())),
        constraints=tuple(said.get("constraints", ())),
        packages=tuple(said.get("packages", ())),
        env=env,
        require_hashes=said.get("require_hashes", False),
        server_packages=tuple(said.get("server_packages", ())),
    )


def _resolved(spec: venvs.VenvSpec, tools: str, run: venvs.Runner, uv: str) -> list[str]:
    """Return the exact lines for a spec, each with its hashes. Raises VenvError for what can't be a wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        text = venvs.resolve(spec, f"controller {tools}", run, uv, scratch)
    lines = []
    for line in reqs.logical_lines(text):
        requirement = reqs.split_hashes(line)[0]
        if line.startswith("-") or (reqs.is_local(requirement) and "://" not in requirement):
            continue
        if "://" in requirement:
            raise venvs.VenvError(
                f"{requirement} is no package of an index, and has no wheel for this Python and platform"
            )
        lines.append(line)
    return lines


def _build_requirements(spec: venvs.VenvSpec) -> tuple[str, ...]:
    """Return what building the project itself needs on the host."""
    if not spec.install_project:
        return ()
    with open(os.path.join(spec.project_dir, "pyproject.toml"), "rb") as stream:
        return tuple(tomllib.load(stream).get("build-system", {}).get("requires", DEFAULT_BACKEND))


def _apart(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines in groups in which no package comes twice, and those without hashes by themselves."""
    left = list(dict.fromkeys(lines))
    while left:
        group: dict[str, str] = {}
        hashed = "--hash=" in left[0]
        for line in left:
            if ("--hash=" in line) == hashed:
                group.setdefault(reqs.name_of(line), line)
        yield list(group.values())
        left = [line for line in left if line not in group.values()]


def _advice(said: str, place: str) -> str:
    if "no wheel" not in said:
        return ""
    return (
        "\nA wheelhouse holds wheels alone, since the host can't be expected to compile. Build it with `pip wheel"
        f" --no-deps` on a machine like the host, put the file into {place} and run this again; or take another version"
    )


def _listed(place: str) -> set[str]:
    """Return the wheels that were brought here by collecting, for whichever application."""
    try:
        with open(f"{place}/{MANIFEST}", encoding="utf-8") as stream:
            return {str(item) for files in json.load(stream).values() for item in files}
    except (OSError, ValueError, AttributeError):
        return set()


def _note(place: str, target: str, files: Sequence[str]) -> list[str]:
    """Write down which wheels a target needs, and remove those that no target needs any more; return these."""
    before = _listed(place)
    try:
        with open(f"{place}/{MANIFEST}", encoding="utf-8") as stream:
            known = dict(json.load(stream))
    except (OSError, ValueError):
        known = {}
    known[target] = sorted(files)
    needed = {item for listed in known.values() for item in listed}
    with open(f"{place}/.{MANIFEST}", "w", encoding="utf-8") as stream:
        json.dump(known, stream, indent=1, sort_keys=True)
        stream.write("\n")
    os.rename(f"{place}/.{MANIFEST}", f"{place}/{MANIFEST}")
    gone = sorted(item for item in before - needed if os.path.exists(f"{place}/{item}"))
    for item in gone:
        os.unlink(f"{place}/{item}")
    return gone


@contextmanager
def checked_out(source: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[str]:
    """Yield a directory with the commit of a git source, fetched with this user's own access or the source's password.

    Raises WheelError.
    """
    url, access = without_password(source["url"])
    if source.get("password"):
        access = password_variables(url, source.get("user") or "git", source["password"], {})
    env = {**os.environ, **variables, **access, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        for words in (
            ["init", "--quiet"],
            ["fetch", "--quiet", "--depth=1", "--", url, source["version"]],
            ["checkout", "--quiet", "--detach", "FETCH_HEAD"],
        ):
            done = subprocess.run(["git", "-C", folder, *words], env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise WheelError(
                    f"git can't read {url} from the controller, with this user's own access: {done.stderr.strip()}"
                )
        yield folder
