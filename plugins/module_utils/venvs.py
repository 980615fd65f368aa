# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Virtual environments that are built once, completely, and never changed afterwards.

The order of calls::

    abi = interpreter_abi(spec.interpreter, run)
    uv = ensure_uv(root_run, env=spec.env) if spec.installer == "uv" else None
    inputs = inputs_digest(spec, abi)                  # no network, no process; key for "nothing to resolve"
    dest = find_sealed(venvs_dir, inputs)              # a complete environment from the same inputs
    if dest is None:
        resolved = resolve(spec, abi, run, uv, scratch=dir_that_run_may_write)
        dest = f"{venvs_dir}/{digest(abi, resolved)[:16]}"
        if sealed(dest) is None:
            discard(dest)                              # left over from a run that was killed
            ...make dest (empty, owned by the user of `run`)...
            build(spec, resolved, dest, run, uv)       # discard what a failure leaves
            unseal(dest)                               # foreign code may have written a seal
            ...chown dest to root...
        seal(dest, inputs=inputs, abi=abi, resolved=resolved)     # written last: no seal, no environment

Everything that executes foreign code (build backends of packages) goes through `run`, which the caller may point at a
sandbox and an unprivileged user; the functions themselves only read files below `spec.project_dir`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_requirements as reqs
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import (
    has_places,
    is_offline,
    known_by,
    without_places,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_seal import (
    FROZEN,
    discard,
    find_sealed,
    frozen,
    seal,
    sealed,
    unseal,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_spec import (
    VenvSpec,
    detect,
    read_file,
    read_requirements,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_tools import (
    Runner,
    VenvError,
    call,
    command_env,
    failure,
    interpreter_abi,
    plain_runner,
    write_file,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_uv import UV_REQUIREMENT, ensure_uv
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_words import drift_meaning, meaning, unhashed

__all__ = [
    "FROZEN",
    "UV_REQUIREMENT",
    "Runner",
    "VenvError",
    "VenvSpec",
    "build",
    "command_env",
    "detect",
    "digest",
    "discard",
    "ensure_uv",
    "find_sealed",
    "frozen",
    "inputs_digest",
    "interpreter_abi",
    "plain_runner",
    "resolve",
    "seal",
    "sealed",
    "unseal",
]

Explain = Callable[[str], str]
BESIDE_LOCK = "# beside uv.lock:"


def inputs_digest(spec: VenvSpec, abi: str) -> str:
    """Hex digest of all that is known without asking an index: file contents, packages, installer, ABI, index.

    Raises VenvError for a file that can't be read.
    """
    found = read_requirements(spec)
    parts: dict[str, Any] = {
        "abi": abi,
        "installer": spec.installer,
        "options": found.options,
        "lines": found.lines,
        "constraints": found.constraints,
        "hashes": found.hashes,
        "packages": list(spec.packages),
        "index": known_by(spec.env),
        "source": _source(spec, found),
        **({"hashes required": True} if spec.require_hashes else {}),
    }
    if spec.lock_project:
        parts["lock"] = [read_file(spec, name) for name in ("pyproject.toml", "uv.lock")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def resolve(spec: VenvSpec, abi: str, run: Runner, uv: str | None, scratch: str) -> str:
    """The exact set as a requirements file: sorted, one requirement a line, with hashes when some were given.

    abi: as interpreter_abi() gave it; its path is the interpreter that resolves.
    scratch: an empty directory that `run` may write; the caller removes it.
    Raises VenvError with the installer's own last lines, or when a hash can't be honoured.
    """
    found = read_requirements(spec)
    python = abi.partition(" ")[2]
    exported = _export(spec, python, run, _need(uv)) if spec.lock_project else []
    if spec.require_hashes and (faults := _unhashed(spec, found, exported)):
        raise VenvError(unhashed(faults))
    if exported and spec.compile_for:
        # For another platform the lock's own lines are resolved as well: it holds those of all platforms.
        for line in exported:
            reqs.remember_hashes(found, *reqs.split_hashes(line))
        found.lines += map(_bare, exported)
        exported = []
    wanted, constraints = [*found.lines, *map(_bare, spec.packages)], list(found.constraints)
    if spec.require_hashes and not spec.lock_project:
        # Each is among the lines of the files, with its hash; what else is said of it still holds.
        constraints += [_bare(line) for line in spec.packages]
        wanted = [_hashed(line, found) for line in [*found.lines, *wanted] if reqs.pinned_version(line)]
        wanted = list(dict.fromkeys(wanted))
    if spec.lock_project:
        constraints += [_bare(line) for line in exported if reqs.name_of(line) and "==" in line]
    elif spec.install_project:
        wanted.append(".")
    lines: list[str] = []
    if wanted:
        write_file(run, python, f"{scratch}/requirements.in", "\n".join([*found.options, *wanted, ""]))
        write_file(run, python, f"{scratch}/constraints.txt", "\n".join([*constraints, ""]))
        ask = _resolve_by_uv if spec.installer == "uv" else _resolve_by_pip
        explain = _explainer(spec, found, [*found.options, *wanted])
        given = ask(spec, python, run, uv, scratch, bool(found.hashes), explain)
        lines = [_relative(line, spec.project_dir) for line in given]
    source = _source(spec, found)
    head = [f"# installer: {spec.installer}", *([f"# source: {source}"] if source else []), *found.options, ""]
    locked = {reqs.name_of(line) for line in exported}
    beside = [line for line in _with_given_hashes(lines, found) if reqs.name_of(line) not in locked]
    if spec.require_hashes and (lacking := [_bare(line) for line in beside if reqs.name_of(line) not in found.hashes]):
        raise VenvError(unhashed(dict.fromkeys(lacking, "others need it, and it has no hash in any file")))
    if not spec.lock_project or spec.compile_for:
        return "\n".join(head) + reqs.render(beside)
    return "\n".join(head) + reqs.render(exported) + f"{BESIDE_LOCK}\n" + reqs.render(beside)


def digest(abi: str, resolved: str) -> str:
    """Hex SHA-256 that names an environment; callers take its first 16 characters."""
    return hashlib.sha256(f"{abi}\n{resolved}".encode()).hexdigest()


def build(spec: VenvSpec, resolved: str, dest: str, run: Runner, uv: str | None) -> None:
    """Make the complete environment at `dest`: absent, or an empty directory that `run` may write.

    Byte-compiled, files copied (no links into a cache), the resolved text kept in dest/flaskworks-requirements.txt.
    An environment can't be moved afterwards: its scripts name their interpreter by path. Raises VenvError.
    """
    python = f"{dest}/bin/python"
    cwd = spec.project_dir
    if spec.installer == "uv":
        make = [_need(uv), "venv", "--quiet", "--allow-existing", "--python", spec.interpreter, dest]
    else:
        make = [spec.interpreter, "-m", "venv", dest]
    call(run, make, spec.env, "/", f"Making the environment {dest}")
    write_file(run, python, f"{dest}/{FROZEN}", resolved)
    wanted, listed = resolved, f"{dest}/{FROZEN}"
    if spec.lock_project and not has_places(spec.env):
        sync = [_need(uv), "sync", "--locked", "--no-dev", "--inexact", "--compile-bytecode", "--link-mode=copy"]
        sync += ["--no-editable" if spec.install_project else "--no-install-project", "--python", python]
        # The project itself is built all the same.
        sync += _only_wheels(spec)
        environment = {**spec.env, "UV_PROJECT_ENVIRONMENT": dest}
        call(run, sync, environment, cwd, "Installing what uv.lock says", explain=drift_meaning)
        wanted = resolved.partition(BESIDE_LOCK)[2]
        listed = f"{dest}/.beside-lock.txt"
        write_file(run, python, listed, wanted)
    # The list is complete and exact: no resolver may add to it.
    if spec.installer == "uv":
        install = [_need(uv), "pip", "install", "--python", python, "--compile-bytecode", "--link-mode=copy"]
    else:
        install = [python, "-m", "pip", "install", "--quiet", "--no-warn-script-location"]
    install.append("--no-deps")
    explain = _explainer(spec, reqs.Requirements(), ())
    if any(not line.startswith("-") for line in reqs.logical_lines(wanted)):
        chosen = [*(["--require-hashes"] if _all_hashed(wanted) else []), "-r", listed]
        chosen += _only_wheels(spec)
        call(run, [*install, *chosen], spec.env, cwd, "Installing the packages", explain=explain)
    if spec.lock_project and spec.install_project and wanted == resolved:
        # `uv sync` takes files from where the lock found them; another index, or a wheelhouse, has them too.
        call(run, [*install, "."], spec.env, cwd, "Installing the project itself", explain=explain)


def _only_wheels(spec: VenvSpec) -> list[str]:
    """Options that keep an installer from building anything, as what a build needs has no hash."""
    if not spec.require_hashes:
        return []
    return ["--no-build"] if spec.installer == "uv" else ["--only-binary=:all:"]


def _resolve_by_uv(
    spec: VenvSpec, python: str, run: Runner, uv: str | None, scratch: str, hashed: bool, explain: Explain
) -> list[str]:
    argv = [
        _need(uv),
        "pip",
        "compile",
        "--quiet",
        "--python",
        python,
        "--no-header",
        "--no-annotate",
        "--no-strip-extras",
    ]
    argv += ["--constraint", f"{scratch}/constraints.txt", *spec.compile_for]
    argv += ["--generate-hashes"] if hashed and "--generate-hashes" not in spec.compile_for else []
    # Building one for its metadata would run it before its hash is known to be right.
    argv += _only_wheels(spec) if "--only-binary" not in spec.compile_for else []
    argv.append(f"{scratch}/requirements.in")
    said = call(run, argv, spec.env, spec.project_dir, "Resolving the requirements", explain=explain)
    return [line for line in reqs.logical_lines(said) if not line.startswith("--")]


def _resolve_by_pip(
    spec: VenvSpec, python: str, run: Runner, uv: str | None, scratch: str, hashed: bool, explain: Explain
) -> list[str]:
    call(run, [python, "-m", "venv", f"{scratch}/venv"], spec.env, "/", "Making an environment to resolve in")
    argv = [f"{scratch}/venv/bin/python", "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    argv += ["--constraint", f"{scratch}/constraints.txt", "--requirement", f"{scratch}/requirements.in"]
    argv += _only_wheels(spec)
    env, cwd = command_env(spec.env), spec.project_dir
    asked = run([*argv, "--quiet", "--report", "-"], env=env, cwd=cwd)
    if asked.returncode:
        # Which requirements contradict each other is among the words that --quiet leaves out.
        asked = run(argv, env=env, cwd=cwd)
        raise VenvError(failure(asked, "Resolving the requirements", explain))
    return [_from_report(item, hashed) for item in json.loads(asked.stdout)["install"]]


def _from_report(item: Mapping[str, Any], hashed: bool) -> str:
    """A requirement line from one entry of pip's installation report (PEP 610 download_info)."""
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    info = item["download_info"]
    if "vcs_info" in info:
        folder = f"#subdirectory={info['subdirectory']}" if info.get("subdirectory") else ""
        return f"{name} @ {info['vcs_info']['vcs']}+{info['url']}@{info['vcs_info']['commit_id']}{folder}"
    archive = info.get("archive_info", {})
    digests = [f"sha256:{archive['hashes']['sha256']}"] if archive.get("hashes", {}).get("sha256") else []
    if item.get("is_direct"):
        return f"{name} @ {info['url']}" + (f"#{digests[0].replace(':', '=')}" if digests else "")
    return f"{name}=={version}" + "".join(f" --hash={value}" for value in digests if hashed)


def _export(spec: VenvSpec, python: str, run: Runner, uv: str) -> list[str]:
    argv = [uv, "export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
    argv += ["--format", "requirements-txt", "--python", python]
    # Whether the lock fits its project is known without any index; another one than the lock's would count as a change.
    env = command_env({**without_places(spec.env), "UV_OFFLINE": "1"})
    asked = run(argv, env=env, cwd=spec.project_dir)
    said = asked.stdout
    if asked.returncode:
        said = call(run, argv, spec.env, spec.project_dir, "Reading uv.lock", explain=drift_meaning)
    return [line for line in reqs.logical_lines(said) if not line.startswith("--")]


def _unhashed(spec: VenvSpec, found: reqs.Requirements, exported: Sequence[str]) -> dict[str, str]:
    """What has no hash although all must have one: requirement -> why, in words."""
    faults: dict[str, str] = {}
    locked = {reqs.name_of(line) for line in exported if "--hash=" in line}
    for line in exported:
        if "--hash=" not in line:
            faults[_bare(line)] = "uv.lock has no hash of it, as of everything that is no file of an index"
    if spec.install_project and not spec.lock_project:
        faults["the project itself"] = "it is to be installed as a package: list what it needs in a requirements file"
    lines = [*found.lines, *map(_bare, spec.packages)]
    pinned = {reqs.name_of(line) for line in lines if reqs.pinned_version(line)}
    for line in lines:
        name = reqs.name_of(line)
        hashes = name in found.hashes
        if name in locked or (hashes and name in pinned):
            continue
        origin = found.origins.get(line) or _origin_of_package(spec, line)
        faults[line] = f"{origin} says it {'without an exact version' if hashes else 'without a hash'}"
    return faults


def _origin_of_package(spec: VenvSpec, line: str) -> str:
    return "the server" if line in map(_bare, spec.server_packages) else "python.packages"


def _hashed(line: str, found: reqs.Requirements) -> str:
    return " ".join([line, *(f"--hash={value}" for value in found.hashes[reqs.name_of(line)][1])])


def _explainer(spec: VenvSpec, found: reqs.Requirements, wanted: Sequence[str]) -> Explain:
    """What tells the meaning of an installer's words, given the lines of the file that it was handed."""
    asked = [(line, found.origins[line]) for line in [*found.lines, *found.constraints] if line in found.origins]
    asked += [(_bare(line), _origin_of_package(spec, _bare(line))) for line in spec.packages]

    def explain(said: str) -> str:
        # pip speaks of lines by their numbers.
        text = re.sub(
            r"-r \S+requirements\.in \(line (\d+)\)", lambda m: dict(enumerate(wanted, 1)).get(int(m[1]), m[0]), said
        )
        return meaning(text, asked, is_offline(spec.env), spec.require_hashes)

    return explain


def _with_given_hashes(lines: Sequence[str], found: reqs.Requirements) -> list[str]:
    """The hashes that the files give replace what the index says; a package that got away from its pin fails."""
    result = []
    for line in lines:
        name = reqs.name_of(line)
        given = found.hashes.get(name)
        requirement = reqs.split_hashes(line)[0]
        if given and given[0] and reqs.pinned_version(requirement) != given[0]:
            raise VenvError(f"{name}: the requirements pin {given[0]} by hash, but {requirement} was resolved")
        result.append(" ".join([requirement, *(f"--hash={item}" for item in given[1])]) if given else line)
    return result


def _all_hashed(text: str) -> bool:
    lines = [line for line in reqs.logical_lines(text) if not line.startswith("-")]
    return bool(lines) and all("--hash=" in line for line in lines)


def _relative(line: str, project_dir: str) -> str:
    """A local requirement without the place where it happened to lie while it was resolved."""
    match = re.fullmatch(
        r"(?:(?P<name>[\w.\[\],-]+)\s*@\s*)?(?P<url>file://\S+|/\S+)(?P<rest>.*)", line.removeprefix("-e ")
    )
    if not match:
        return line.removeprefix("-e ")
    path = unquote(urlsplit(match["url"]).path)
    inside = os.path.relpath(path, os.path.realpath(project_dir))
    if inside.startswith("..") or project_dir == "/":
        return line
    return f"./{inside}{match['rest']}".replace("./.", ".", 1)


def _bare(line: str) -> str:
    return reqs.split_hashes(line)[0]


def _source(spec: VenvSpec, found: reqs.Requirements) -> str:
    """The source's digest when the environment will hold some of the source's own code."""
    return spec.source_digest if spec.install_project or found.local else ""


def _need(uv: str | None) -> str:
    if uv is None:
        raise ValueError("the uv installer needs the path of uv")
    return uv
