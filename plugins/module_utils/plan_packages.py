# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The packages that a host and an application's environment need."""

from __future__ import annotations

import re

from ansible_collections.flaskworks.deploy.plugins.module_utils import nginx_waf
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_tls as tls
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_edge import BROTLI
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_kinds import exact_package
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_managers import PACKAGES
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import logs_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_server import needed_packages, server_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_supply import verify_packages
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import ssh_server


def apt_packages(entries: dict[str, Entry], *, firewall: bool) -> list[str]:
    """Return the Debian packages that the host needs for all applications."""
    wanted = {"ca-certificates", "logrotate", "nginx", "python3-venv", *tls.packages(entries)}
    if firewall:
        wanted.add("ufw")
    for entry in entries.values():
        wanted.update(nginx_waf.PACKAGES if nginx_waf.used(entry["nginx"]) else ())
        wanted.update(entry["python"]["apt"])
        wanted.update({PACKAGES[entry["process_manager"]]} if entry["process_manager"] in PACKAGES else ())
        wanted.update({BROTLI} if "brotli" in entry["nginx"]["static_compressed"] else ())
        wanted.update(interpreter_packages(entry["python"]["interpreter"]))
        url = entry["source"].get("git")
        if url:
            wanted.add("git")
        if url and ssh_server(url):
            wanted.add("openssh-client")
        wanted |= verify_packages(entry["source"])
    return sorted(wanted)


def interpreter_packages(interpreter: str) -> list[str]:
    """Return the Debian packages of an interpreter that is named as Debian names it; none of one with a path."""
    if interpreter == "python3" or "/" in interpreter:
        return []
    return [interpreter, f"{interpreter}-venv"]


def python_packages(name: str, entry: Entry) -> list[str]:
    """Return the user's packages, and what the server needs; a server that the user names is not named again."""
    asked = [*source_package(entry["source"]), *entry["python"]["packages"]]
    program, *extras = needed_packages(server_of(entry, logs_of(name)))
    present = {_normal_name(package) for package in [*asked, *extras]}
    return [
        *asked,
        *([] if program in present else [program]),
        *(extra for extra in extras if extra not in asked),
    ]


def source_package(source: Entry) -> list[str]:
    """Return the requirement that is the application itself, for a source that is a package of an index."""
    if not source.get("pypi"):
        return []
    name, extras, version = exact_package(source["pypi"])
    pin = f" --hash={source['checksum'].lower()}" if source.get("checksum") else ""
    return [f"{name}{f'[{extras}]' if extras else ''}=={version}{pin}"]


def _normal_name(requirement: str) -> str:
    """Return the name of a requirement as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()
