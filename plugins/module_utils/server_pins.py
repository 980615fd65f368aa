# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a site's own versions mean for its server: what an old gunicorn needs, and what can't go together."""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_requirements as reqs
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs import VenvSpec

# Packages on which a server depends.
_PACKAGES = (
    "gevent",
    "greenlet",
    "gunicorn",
    "gunicorn-h1c",
    "h2",
    "setproctitle",
    "setuptools",
    "tornado",
    "werkzeug",
)
# Worker class -> the first gunicorn that has it; the others are older than any that runs here.
_SINCE = {"asgi": (24, 0)}
# gunicorn imports pkg_resources before 21; setuptools has none from 82 on.
_IMPORTS_PKG_RESOURCES, _WITHOUT_PKG_RESOURCES = (21,), (82,)


@dataclass(frozen=True)
class Pin:
    """A requirement of the site and the file in which it stands."""

    name: str
    requirement: str
    place: str

    def __str__(self) -> str:
        return f"{self.requirement} in {self.place}"


def pins_of(spec: VenvSpec) -> list[Pin]:
    """Return what the site itself says of the packages on which a server depends; files that can't be read say
    nothing.
    """
    found: list[Pin] = []
    for name in (*spec.requirements, *spec.constraints):
        with contextlib.suppress(reqs.RequirementsError):
            found += _file_pins(spec.project_dir, name, ())
    found += (Pin(reqs.name_of(line), reqs.split_hashes(line)[0], "python.packages") for line in spec.packages)
    if spec.lock_project:
        found += _lock_pins(spec.project_dir)
    versions = (pin for pin in found if re.search(r"[=<>~!]=?\s*\d", pin.requirement))
    return [pin for pin in versions if pin.name in _PACKAGES]


def completed(spec: VenvSpec) -> VenvSpec:
    """Add what an old gunicorn needs and does not say, unless the site chooses its setuptools."""
    pins = pins_of(spec)
    old = any(pin.name == "gunicorn" and _below(pin.requirement, _IMPORTS_PKG_RESOURCES) for pin in pins)
    if old and not any(pin.name == "setuptools" for pin in pins):
        needed = f"setuptools<{_WITHOUT_PKG_RESOURCES[0]}"
        return replace(spec, packages=(*spec.packages, needed), server_packages=(*spec.server_packages, needed))
    return spec


def advice(server: Mapping[str, Any], spec: VenvSpec, error: str) -> str:
    """Return what to change when packages of the server don't go together; empty when the error is about others."""
    names = _needed(server)
    guilty = [pin for pin in pins_of(spec) if pin.name in names]
    if not guilty or not re.search(rf"(?<![a-z0-9])({'|'.join(map(re.escape, names))})(?![a-z0-9])", error.lower()):
        return ""
    return (
        f"{_called(server)} can't be had with {' and '.join(map(str, guilty))}: change or remove"
        f" {'one of these versions' if len(guilty) > 1 else 'this version'}, or choose another {_choice(server)}"
    )


def impossible(server: Mapping[str, Any], spec: VenvSpec, resolved: str) -> str:
    """Return why the exact set of packages can't run the server; empty when nothing is known against it."""
    if server["type"] != "gunicorn":
        return ""
    versions = {reqs.name_of(line): reqs.pinned_version(line) for line in reqs.logical_lines(resolved)}
    gunicorn, setuptools = versions.get("gunicorn", ""), versions.get("setuptools", "")
    since = _SINCE.get(str(server["settings"].get("worker_class")))
    if gunicorn and since and _numbers(gunicorn) < since:
        return (
            f"{_called(server)} came with gunicorn {'.'.join(map(str, since))}, and the site has"
            f" {_source(spec, 'gunicorn', gunicorn)}: raise it, or choose another {_choice(server)}"
        )
    old = gunicorn and _numbers(gunicorn) < _IMPORTS_PKG_RESOURCES
    if old and setuptools and _numbers(setuptools) >= _WITHOUT_PKG_RESOURCES:
        return (
            f"{_source(spec, 'gunicorn', gunicorn)} needs pkg_resources, which"
            f" {_source(spec, 'setuptools', setuptools)} no longer has: raise gunicorn, or take setuptools<82"
        )
    return ""


def _needed(server: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the packages that have to go together for a server."""
    if server["type"] != "gunicorn":
        return {"gevent": ("gevent", "greenlet"), "flask": ("werkzeug",)}.get(str(server["type"]), ())
    worker_class = str(server["settings"].get("worker_class"))
    own = ("gevent", "greenlet") if worker_class.startswith("gevent") else (worker_class,)
    return ("gunicorn", "gunicorn-h1c", "h2", "setproctitle", "setuptools", *own)


def _called(server: Mapping[str, Any]) -> str:
    if server["type"] == "gunicorn":
        return f"gunicorn with worker_class {server['settings'].get('worker_class', 'sync')}"
    return f"the server {server['type']}"


def _choice(server: Mapping[str, Any]) -> str:
    return "server.worker_class" if server["type"] == "gunicorn" else "server.type"


def _source(spec: VenvSpec, name: str, version: str) -> str:
    pin = next((pin for pin in pins_of(spec) if pin.name == name), None)
    return str(pin) if pin else f"{name}=={version}"


def _file_pins(root: str, name: str, above: tuple[str, ...]) -> Iterator[Pin]:
    path = os.path.normpath(os.path.join(root, name))
    if path in above:
        return
    for line in reqs.logical_lines(reqs.text_of(root, path)):
        if include := reqs.INCLUDE.fullmatch(line):
            inner = os.path.join(os.path.dirname(name), include[2].strip("'\""))
            yield from _file_pins(root, inner, (*above, path))
        elif not line.startswith("-"):
            yield Pin(reqs.name_of(line), reqs.split_hashes(line)[0], os.path.normpath(name))


def _lock_pins(root: str) -> Iterator[Pin]:
    try:
        locked = tomllib.loads(reqs.text_of(root, os.path.join(root, "uv.lock"))).get("package", [])
    except (reqs.RequirementsError, tomllib.TOMLDecodeError):
        return
    for package in locked:
        if package.get("version"):
            yield Pin(package["name"], f"{package['name']}=={package['version']}", "uv.lock")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _below(requirement: str, version: tuple[int, ...]) -> bool:
    """Tell whether a requirement allows nothing from a version on."""
    for operator, given in re.findall(r"(===?|~=|<=?)\s*([\d.]+)", requirement.partition(";")[0]):
        numbers = _numbers(given)
        if numbers < version or (operator == "<" and numbers[: len(version)] == version and not any(numbers[1:])):
            return True
    return False
