# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A set of virtual environments, each behind a link that is moved when its replacement is complete.

An environment can't be moved once it is built, because its scripts name their interpreter by path. So that of the link
`/opt/tools/venv` is built at `/opt/tools/venv.releases/<digest>`, beside the one in use, and one rename takes it over.
All environments of the set are built before any link moves: what fails leaves all of them as they were.
"""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import owned_directory, sync_directory

STATE = "/var/lib/flaskworks/python_venvs"
# Root's alone: what builds of releases write lies elsewhere.
CACHE = "/var/cache/flaskworks-venvs"
TOOLS = "/opt/flaskworks"


class SetError(Exception):
    """The set can't be applied; `problems` has one line or more for each environment, keyed by its name."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{name}: {problem}" for name, problem in problems.items()))


@dataclass
class Venv:
    """One environment of the set: what is wanted, and what was found out about it.

    path      the link that users of the environment name
    user, group  ids of those who own it; the installers run as this user
    current   the environment behind the link, sealed or not; "" when there is none
    target    the one that will be behind it; "" when it is not built yet
    """

    name: str
    path: str
    spec: venvs.VenvSpec
    user: int = 0
    group: int = 0
    abi: str = ""
    inputs: str = ""
    current: str = ""
    target: str = ""
    resolved: str = ""

    @property
    def releases(self) -> str:
        """The directory of the environments that are or were behind the link."""
        return f"{self.path}.releases"

    @property
    def changes(self) -> bool:
        """Whether the link has to move."""
        return not self.target or self.target != self.current


@dataclass
class Report:
    """What was done, or in check mode would be."""

    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    venvs: dict[str, dict[str, str]] = field(default_factory=dict)
    diff: list[dict[str, str]] = field(default_factory=list)


def apply_set(
    owner: str,
    entries: Mapping[str, Mapping[str, Any]],
    env: Mapping[str, str],
    *,
    check: bool = False,
    state: str = STATE,
) -> Report:
    """Bring all environments to what the entries say, and remove those that the owner listed before.

    entries   name -> {path, python, installer, requirements, constraints, packages, project, owner, group}
    Raises SetError with all problems; no link has been moved then.
    """
    with _record(owner, state, check) as record:
        wanted, problems = _inspect(entries, env, check)
        if problems:
            raise SetError(problems)
        listed = {venv.path for venv in wanted}
        gone = [path for path in record.paths if path not in listed]
        report = Report(changed=[venv.name for venv in wanted if venv.changes], removed=gone)
        report.diff = [_diff(venv) for venv in wanted if venv.changes] if check else []
        if not check:
            record.write([*record.paths, *sorted(listed - set(record.paths))])
            _build_all(wanted)
            report.diff = [_diff(venv) for venv in wanted if venv.changes]
            for venv in wanted:
                _switch(venv)
            for path in gone:
                _remove(path)
            record.write(sorted(listed))
        report.diff += [{"before_header": path, "before": "present\n", "after": ""} for path in gone]
        report.venvs = {venv.name: {"path": venv.path, "release": venv.target} for venv in wanted}
        return report


def _inspect(
    entries: Mapping[str, Mapping[str, Any]], env: Mapping[str, str], check: bool
) -> tuple[list[Venv], dict[str, str]]:
    found: list[Venv] = []
    problems: dict[str, str] = {}
    for name, entry in entries.items():
        try:
            found.append(_inspected(name, entry, env, check))
        except (venvs.VenvError, ValueError) as error:
            problems[name] = str(error)
    paths = [venv.path for venv in found]
    for venv in found:
        if paths.count(venv.path) > 1:
            problems[venv.name] = f"{venv.path} is the path of another environment too"
    return found, problems


def _inspected(name: str, entry: Mapping[str, Any], env: Mapping[str, str], check: bool) -> Venv:
    path = os.path.normpath(entry["path"])
    if not os.path.isabs(path) or path.count("/") < 2:
        raise ValueError(f"path: {entry['path']!r} must be absolute, and not directly below the root directory")
    if os.path.lexists(path) and not _behind(path):
        raise ValueError(f"path: {path} is there, but was not made here; move it away first")
    spec = venvs.VenvSpec(
        interpreter=entry["python"],
        installer=entry["installer"],
        project_dir=entry["project"] or "/",
        requirements=entry["requirements"],
        constraints=entry["constraints"],
        packages=entry["packages"],
        env=env,
    )
    venv = Venv(name=name, path=path, spec=spec)
    venv.current = _behind(path)
    try:
        venv.user, venv.group, home = _account(entry["owner"], entry["group"])
        spec = replace(spec, env={"HOME": home, **env})
        venv.spec = venvs.detect(spec) if entry["project"] else spec
        venv.abi = _abi(entry["python"])
        venv.inputs = venvs.inputs_digest(venv.spec, f"{venv.abi} {venv.user}:{venv.group}")
    except (venvs.VenvError, ValueError):
        if not check:
            raise
        return venv  # a task before this one may be about to bring what is missing
    marker = venvs.sealed(venv.current, venv.user) if venv.current else None
    if marker and venv.inputs in marker["inputs"]:
        venv.target = venv.current
    else:
        venv.target = venvs.find_sealed(venv.releases, venv.inputs, venv.user) or ""
    return venv


def _behind(path: str) -> str:
    """The environment that a link of ours names, "" when there is none."""
    if not os.path.islink(path):
        return ""
    target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return target if os.path.dirname(target) == f"{path}.releases" else ""


@cache
def _abi(interpreter: str) -> str:
    return venvs.interpreter_abi(interpreter, venvs.plain_runner())


def _account(owner: str, group: str) -> tuple[int, int, str]:
    """Ids of the user and the group, and the user's home."""
    try:
        account = pwd.getpwnam(owner)
        return account.pw_uid, grp.getgrnam(group).gr_gid, account.pw_dir
    except KeyError as error:
        raise ValueError(f"owner, group: {error.args[0]}") from error


def _build_all(wanted: list[Venv]) -> None:
    """Build what is missing, each beside the one in use. Raises SetError after trying all."""
    problems: dict[str, str] = {}
    for venv in wanted:
        if not venv.target:
            try:
                _build(venv)
            except venvs.VenvError as error:
                problems[venv.name] = str(error)
    if problems:
        raise SetError(problems)


def _build(venv: Venv) -> None:
    run = venvs.plain_runner(venv.user, venv.group) if venv.user else venvs.plain_runner()
    spec = venv.spec
    if venv.user == 0:  # another user may not write root's cache, and need not trust anybody's
        spec = replace(spec, env={"UV_CACHE_DIR": f"{CACHE}/uv", "PIP_CACHE_DIR": f"{CACHE}/pip", **spec.env})
    uv = venvs.ensure_uv(venvs.plain_runner(), env=spec.env, root=TOOLS) if spec.installer == "uv" else None
    scratch = tempfile.mkdtemp(prefix="flaskworks-venv-")
    try:
        os.chown(scratch, venv.user, venv.group)
        venv.resolved = venvs.resolve(spec, venv.abi, run, uv, scratch)
        key = f"{venv.abi} {venv.user}:{venv.group}"
        dest = os.path.join(venv.releases, venvs.digest(key, venv.resolved)[:16])
        if venvs.sealed(dest, venv.user) is None:
            venvs.discard(dest)
            os.makedirs(dest)
            owned_directory(dest, venv.user, venv.group, 0o755)
            venvs.build(spec, venv.resolved, dest, run, uv)
        venvs.seal(dest, inputs=venv.inputs, abi=key, resolved=venv.resolved, owner=venv.user)
        venv.target = dest
    finally:
        shutil.rmtree(scratch)


def _switch(venv: Venv) -> None:
    """Move the link, and forget all environments but the one now behind it and the one before (still running code)."""
    if venv.changes:
        temporary = f"{venv.path}.new"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(os.path.relpath(venv.target, os.path.dirname(venv.path)), temporary)
        os.rename(temporary, venv.path)
        sync_directory(os.path.dirname(venv.path))
    keep = {os.path.basename(venv.target), os.path.basename(venv.current)}
    if venv.changes:
        for name in set(os.listdir(venv.releases)) - keep:
            venvs.discard(os.path.join(venv.releases, name))


def _remove(path: str) -> None:
    releases = f"{path}.releases"
    if _behind(path):
        os.unlink(path)
    if os.path.isdir(releases) and not os.path.islink(releases):
        shutil.rmtree(releases)


def _diff(venv: Venv) -> dict[str, str]:
    after = venv.resolved or venvs.frozen(venv.target, venv.user) or "an exact set, resolved when it is built\n"
    headers = {"before_header": venv.current or venv.path, "after_header": venv.target or venv.path}
    return {**headers, "before": venvs.frozen(venv.current, venv.user), "after": after}


@dataclass
class _Record:
    """The paths that an owner has, kept on the host."""

    file: str
    paths: list[str]

    def write(self, paths: list[str]) -> None:
        """Remember the paths, durably, when they are not those remembered."""
        if paths == self.paths and os.path.exists(self.file):
            return
        with open(f"{self.file}.new", "w", encoding="utf-8") as stream:
            json.dump(paths, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(f"{self.file}.new", self.file)
        sync_directory(os.path.dirname(self.file))
        self.paths = paths


@contextmanager
def _record(owner: str, state: str, check: bool) -> Iterator[_Record]:
    file = os.path.join(state, f"{owner}.json")
    if check:
        yield _Record(file, _listed(file))
        return
    os.makedirs(state, exist_ok=True)
    with open(os.path.join(state, ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _Record(file, _listed(file))


def _listed(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8") as stream:
            return [str(path) for path in json.load(stream)]
    except FileNotFoundError:
        return []
