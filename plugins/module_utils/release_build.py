# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Building one release: source, environment, commands, seal, checks. Nothing here touches what is live."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping

from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    server_pins,
    servers,
    venvs,
    venvs_frozen,
    venvs_index,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import (
    owned_directory,
    replace_file,
    sync_filesystem,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_application import (
    ensure_base,
    ensure_shared,
    graceful_timeout,
    link_shared,
    run_commands,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_archive import fetched, place_archive
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cache import build_cache, ensure_cache
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_digest import tree_seal
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_git import place_commit
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import timestamp
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    BUILD_USER,
    relative_path,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_order import Order
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_parts import (
    link_public,
    make_directory,
    seal_source,
    write_parts,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import Run
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import (
    BuildSandbox,
    account_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_seal import seal_tree
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_shared import drop, keep_tracked
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_source import unpack_source, unpacked_digest
from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_seal import MARKER
from ansible_collections.flaskworks.deploy.plugins.module_utils.wheelhouse import placed_wheelhouse


def build_release(order: Order, release_id: str, run: Run) -> None:
    """Build, seal and check a release.

    Its record is written last: a release without one is unfinished. Raises ReleaseError.
    """
    layout, app = order.layout, order.app
    account, builder = account_of(app["user"]), account_of(BUILD_USER)
    ensure_base(layout, app, account)
    ensure_cache(layout.app, builder.pw_uid, builder.pw_gid)
    release, source = layout.release(release_id), layout.source(release_id)
    make_directory(release, 0o711)
    make_directory(source, 0o755)
    os.chown(source, builder.pw_uid, builder.pw_gid)
    with run.step("source"):
        _place_source(order, source)
    sandbox = BuildSandbox(layout.app, app["user"], order.build_env)
    with run.step("python"):
        # Variables come with each command: those that were taken out for a wheelhouse must not come back.
        venv, resolved, packages = _environment(order, BuildSandbox(layout.app, app["user"], {}), source)
        os.symlink(os.path.relpath(venv, release), f"{release}/venv")
    with run.step("build"):
        seeds = keep_tracked(source, f"{release}/seed", app.get("shared", []))
        _build_commands(order, sandbox, source, venv)
    with run.step("seal"):
        seal_source(order, release_id, seeds)
        write_parts(order, release_id, resolved)
        link_public(order, release_id, venv)
        ensure_shared(layout, app, account)
        link_shared(layout, app, release_id)
        seal = tree_seal(release, frozenset({"release.json"}))
    with run.step("check"):
        run_commands(layout, app, release_id, order.release_commands)
    with run.step("record"):
        _write_record(order, release_id, venv, seal, packages)


def _write_record(order: Order, release_id: str, venv: str, seal: str, packages: Mapping[str, str]) -> None:
    """Write the record, when all that it vouches for is on the disk."""
    app = order.app
    sync_filesystem(order.layout.release(release_id))
    record = {
        "id": release_id,
        "created": timestamp(),
        "by": order.by,
        "user": app["user"],
        "manager": app.get("manager", "systemd"),
        "source": {"type": app["source"]["type"], "version": order.asked, "resolved": order.version},
        "digest": order.digest,
        "secrets_digest": order.secrets_digest,
        "parts": dict(order.parts),
        "secrets": sorted(app.get("secrets", {})),
        "handed": dict(app.get("handed", {})),
        "generated": sorted(app.get("generated", {})),
        "files": sorted(app.get("files", {})),
        "error_log": order.error_log,
        "server": servers.to_record(app["server"]),
        "health": dict(app.get("health", {})),
        "graceful_timeout": graceful_timeout(app),
        "venv": os.path.basename(venv),
        "python": (venvs.sealed(venv) or {}).get("abi", ""),
        "packages": dict(packages),
        "seal": seal,
        "venv_seal": environment_seal(venv),
    }
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    replace_file(order.layout.record(release_id), text.encode(), 0o600, 0, 0)


def environment_seal(venv: str) -> str:
    """Return the seal of a virtual environment.

    Later releases may write its marker again and let nginx read files of it: neither counts.
    """
    return tree_seal(venv, frozenset({MARKER}), modes=False)


def _place_source(order: Order, source: str) -> None:
    given, layout = order.app["source"], order.layout
    subdirectory = relative_path(given["subdir"], "source.subdir") if given.get("subdir") else ""
    if given["type"] == "git":
        pointers = place_commit(layout.mirror, given, order.version, subdirectory, source, order.build_env)
        if pointers:
            order.warnings.append(_about_pointers(pointers))
    elif given["type"] == "archive":
        if not order.archive and not given.get("url"):
            raise ReleaseError("source", "the controller sent no archive")
        archive = order.archive or fetched(given["url"], order.version, layout.archives, order.build_env)
        place_archive(archive, order.version, source, given.get("strip", True), subdirectory)
    elif given["type"] == "pypi":
        # The code is a package of the environment; what is shared, and the rendered files, still come here.
        return
    elif given["type"] == "path":
        if not order.archive:
            raise ReleaseError("source", "the controller sent no archive of the source directory")
        unpack_source(order.archive, source)
        if unpacked_digest(source) != order.version:
            raise ReleaseError("source", "the source directory changed while it was being sent: run again")
        builder = account_of(BUILD_USER)
        for folder, directories, files in os.walk(source):
            for name in directories + files:
                os.chown(os.path.join(folder, name), builder.pw_uid, builder.pw_gid, follow_symlinks=False)
    else:
        raise ReleaseError("definition", f"a source is git, path, archive or pypi, not {given['type']!r}")


def _about_pointers(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"{shown}: only pointers of Git LFS, without the content, which git does not carry. Visitors would get the"
        " pointers: commit the files themselves, or fetch them by a build command"
    )


def _environment(order: Order, sandbox: BuildSandbox, source: str) -> tuple[str, str, dict[str, str]]:
    """Return the path of a sealed virtual environment for this source, its exact requirements, and what is installed
    by its name; builds it when needed.
    """
    python, layout = order.app["python"], order.layout
    variables = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", **order.build_env}
    variables = venvs_index.with_indexes(variables, python.get("index", ""), python.get("extra_indexes", ()))
    wheels = []
    if python.get("wheelhouse"):
        group = account_of(BUILD_USER).pw_gid
        wheels.append(placed_wheelhouse(order.wheels, python["wheelhouse"], layout.wheels, group))
        variables = venvs_index.with_wheelhouse(variables, wheels[0])
    cache = build_cache(layout.app)
    scratch = f"{cache}/scratch"
    _owned_by_builder(scratch)
    # Earlier builds could have put anything into the cache, and what is in one is not compared with a hash again.
    kept = scratch if python.get("require_hashes") else cache
    spec = venvs.VenvSpec()
    try:
        spec = venvs.detect(
            venvs.VenvSpec(
                interpreter=python.get("interpreter", "python3"),
                installer=python.get("installer", "uv"),
                project_dir=source,
                requirements=tuple(python.get("requirements", ())),
                constraints=tuple(python.get("constraints", ())),
                packages=tuple(python.get("packages", ())),
                env={
                    **variables,
                    "HOME": scratch,
                    "UV_CACHE_DIR": f"{kept}/uv",
                    "PIP_CACHE_DIR": f"{kept}/pip",
                },
                source_digest=order.version,
                require_hashes=python.get("require_hashes", False),
                server_packages=tuple(python.get("server_packages", ())),
            )
        )
        spec = server_pins.completed(spec)
        abi = venvs.interpreter_abi(spec.interpreter, venvs.plain_runner())
        uv = venvs.ensure_uv(venvs.plain_runner(), env=variables) if spec.installer == "uv" else None
        inputs = venvs.inputs_digest(spec, abi)
        found = venvs.find_sealed(layout.venvs, inputs)
        if found is None:
            resolved = venvs.resolve(spec, abi, sandbox.runner([source], wheels), uv, scratch)
            found = f"{layout.venvs}/{venvs.digest(abi, resolved)[:16]}"
            if venvs.sealed(found) is None:
                runner = sandbox.runner([source, found], wheels)
                _build_environment(found, order.group, lambda: venvs.build(spec, resolved, found, runner, uv))
            venvs.seal(found, inputs=inputs, abi=abi, resolved=resolved)
    except venvs.VenvError as error:
        why = server_pins.advice(order.app["server"], spec, str(error))
        problem = f"the Python environment can't be made{f': {why}' if why else ''}"
        raise ReleaseError("python", problem, str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    resolved = venvs.frozen(found)
    if why := server_pins.impossible(order.app["server"], spec, resolved):
        raise ReleaseError("python", why)
    packages = venvs_frozen.installed(found, resolved)
    return found, venvs_frozen.exact_text(resolved, packages), packages


def _build_environment(found: str, group: int, build: Callable[[], None]) -> None:
    """Make an environment as the build user, then root's. Nothing stays of one that fails: foreign code wrote it."""
    venvs.discard(found)
    _owned_by_builder(found)
    try:
        build()
        venvs.unseal(found)  # before it is root's: foreign code may have written a seal
        seal_tree(found, group, allowed_link=_is_interpreter)
    except Exception:
        with contextlib.suppress(OSError):
            venvs.discard(found)
        raise


def _owned_by_builder(path: str) -> None:
    drop(*os.path.split(path))  # also what is no directory: an earlier build may have left a link there
    os.mkdir(path, 0o755)
    builder = account_of(BUILD_USER)
    owned_directory(path, builder.pw_uid, builder.pw_gid, 0o755)


def _is_interpreter(name: str, target: str) -> bool:
    """Links of a virtual environment to the Python it was made with."""
    return (
        os.path.dirname(name) == "bin"
        and os.path.basename(target).startswith(("python", "pypy"))
        and os.path.isabs(target)
    )


def _build_commands(order: Order, sandbox: BuildSandbox, source: str, venv: str) -> None:
    variables = {"PATH": f"{venv}/bin:{SYSTEM_PATH}", "VIRTUAL_ENV": venv, **order.app.get("env", {})}
    for command in order.app.get("commands", {}).get("build", []):
        result = sandbox.run(["/bin/sh", "-c", command], variables, source, [source], [venv])
        if result.returncode != 0:
            raise ReleaseError(
                "build", f"the build command '{command}' failed ({result.returncode})", result.stdout + result.stderr
            )
    # The application can never write bytecode into its own code. A file that does not compile is no fault: templates
    # of code exist.
    sandbox.run([f"{venv}/bin/python", "-m", "compileall", "-q", "."], variables, source, [source], [venv])
