# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lies in a release beside its packages, and the sealing of its code."""

from __future__ import annotations

import json
import os
import stat

from ansible_collections.flaskworks.deploy.plugins.module_utils import servers
from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_application import application_command
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import environment_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_launcher import launcher_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import public_target, relative_path
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_order import Order
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_seal import open_to_web, seal_tree
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import environment_of, write_handed
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_shared import drop
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import instance_texts


def seal_source(order: Order, release_id: str, seeds: list[str]) -> None:
    """Make the source root's; then drop its shared directories and write the rendered files, which no build may see."""
    source = order.layout.source(release_id)
    public = [path for kind, path in map(public_target, order.app.get("public", {}).values()) if kind == "src"]
    for name in order.app.get("shared", []):
        drop(source, relative_path(name, "a shared directory"))
    seal_tree(source, order.group, public)
    if seeds:
        seal_tree(f"{order.layout.release(release_id)}/seed", order.group)
    for name, text in order.app.get("files", {}).items():
        inner = relative_path(name, "a file")
        path = f"{source}/{inner}"
        _make_parents(source, os.path.dirname(path), order.group)
        drop(source, inner)
        replace_file(path, text.encode(), 0o640, 0, order.group)


def _make_parents(root: str, folder: str, group: int) -> None:
    missing = []
    while folder != root and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    if os.path.realpath(folder) != folder:
        raise ReleaseError("files", f"{folder} is a link: a file of the release can't lie below it")
    for path in reversed(missing):
        os.mkdir(path)
        os.chown(path, 0, group)
        os.chmod(path, 0o751)


def write_parts(order: Order, release_id: str, resolved: str) -> None:
    """Write the configuration, the environment, the exact requirements and the units of the release."""
    layout, app = order.layout, order.app
    release = layout.release(release_id)
    try:
        text = environment_text({**app.get("env", {}), **environment_of(app, release)})
    except ValueError as error:
        raise ReleaseError("environment", str(error)) from error
    replace_file(layout.environment(release_id), text.encode(), 0o640, 0, order.group)
    write_handed(app, release, order.group)
    own_file = servers.file_name(app["server"]["type"])
    replace_file(f"{release}/{own_file}", order.server_text.encode(), 0o640, 0, order.group)
    replace_file(f"{release}/requirements.lock", resolved.encode(), 0o640, 0, order.group)
    make_directory(layout.units(release_id), 0o755)
    for name, unit in instance_texts(order.units, release_id).items():
        replace_file(f"{layout.units(release_id)}/{name}", unit.encode(), 0o644, 0, 0)
    for name, program in launcher_files(layout.app, app, release_id).items():
        replace_file(f"{release}/{name}", program.encode(), 0o750, 0, order.group)
    command = json.dumps(application_command(layout, app, release_id), indent=1, sort_keys=True) + "\n"
    replace_file(layout.command(release_id), command.encode(), 0o600, 0, 0)
    os.symlink(layout.socket_path(release_id), f"{release}/gunicorn.sock")


def link_public(order: Order, release_id: str, venv: str) -> None:
    """Give every static map its place below public/, the only directory of a release that nginx is told about."""
    layout = order.layout
    release = layout.release(release_id)
    make_directory(f"{release}/public", 0o755)
    for name, value in order.app.get("public", {}).items():
        kind, path = public_target(value)
        if kind == "src":
            target, shown = f"{layout.source(release_id)}/{path}", f"../src/{path}"
        elif kind == "shared":
            target, shown = "", f"{layout.shared}/{path}"
        else:
            inside = _inside_packages(venv, path)
            open_to_web(venv, [inside])
            target, shown = f"{venv}/{inside}", f"../venv/{inside}"
        if target and not os.path.exists(target):
            raise ReleaseError("static", f"the static map {name} names {value}, which the release does not have")
        if target and not os.stat(target).st_mode & stat.S_IROTH:
            raise ReleaseError("static", f"the static map {name} names {value}, which leads out of what nginx may read")
        link = f"{release}/public/{relative_path(name, 'the name of a static map')}"
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(shown, link)


def _inside_packages(venv: str, path: str) -> str:
    """Return where a path below site-packages lies in the environment, whatever its Python version."""
    libraries = f"{venv}/lib"
    for version in sorted(os.listdir(libraries)):
        inside = f"lib/{version}/site-packages/{path}"
        if os.path.exists(f"{venv}/{inside}"):
            return inside
    raise ReleaseError("static", f"no installed package has {path}")


def make_directory(path: str, mode: int) -> None:
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
