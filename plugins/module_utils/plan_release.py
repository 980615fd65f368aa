# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an application becomes for the module of releases."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_tls as tls
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_kinds import exact_package, is_url
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_managers import manager_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_packages import python_packages, source_package
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import base_of, logs_of, logs_to_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_secrets import handed_over
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_server import server_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_units import service_of, units
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_web import public_name
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import graceful_timeout
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import private_key


def release(name: str, entry: Entry) -> dict[str, Any]:
    """Return what the module of releases takes for one application."""
    python, commands = entry["python"], entry["commands"]
    return {
        "user": name,
        "base": base_of(name),
        "log_dir": logs_of(name) if logs_to_files(entry) else "",
        "keep": entry["keep"],
        "source": code(entry["source"]),
        "python": {
            "interpreter": python["interpreter"],
            "installer": python["installer"],
            "requirements": python["requirements"],
            "constraints": python["constraints"],
            "packages": python_packages(name, entry),
            **_places(name, entry),
        },
        "server": server_of(entry, logs_of(name)),
        **manager_of(entry, service_of(name, entry), graceful_timeout(server_of(entry, logs_of(name)))),
        "units": units(name, entry),
        "public": {public_name(url): target for url, target in sorted(entry["static"].items())},
        "shared": sorted(entry["shared"]),
        "env": dict(sorted(entry["env"].items())),
        **handed_over(entry),
        "files": {
            path: {kind: text for kind, text in file.items() if text is not None}
            for path, file in sorted(entry["files"].items())
        },
        "commands": {key: commands[key] for key in ("build", "before_switch", "once")},
        "before_switch_on": commands["before_switch_on"],
        "health": {
            **entry["health"],
            "host": entry["health"]["host"] or _probe_host(entry["domains"]),
            "scheme": tls.scheme(entry),
        },
    }


def _places(name: str, entry: Entry) -> dict[str, Any]:
    """Return where packages come from, how far they are believed, and which of them the server needs."""
    python = entry["python"]
    own = [*source_package(entry["source"]), *python["packages"]]
    said = {key: python[key] for key in ("require_hashes", "index", "extra_indexes", "wheelhouse") if python[key]}
    return {**said, "server_packages": [item for item in python_packages(name, entry) if item not in own]}


def code(source: Entry) -> dict[str, Any]:
    """Return where the code comes from, as the module of releases takes it; keys that were not said are left out."""
    if source.get("git"):
        made = {"type": "git", "url": source["git"], "version": source["version"], "subdir": source["subdir"]}
        access = {key: source[key] for key in ("host_key", "user", "password", "verify") if source.get(key)}
        if source.get("deploy_key"):
            access["deploy_key"] = private_key(source["deploy_key"])
        return {**made, **access}
    if source.get("pypi"):
        name, dummy, version = exact_package(source["pypi"])
        return {"type": "pypi", "version": f"{name}=={version}", "subdir": ""}
    if source.get("archive"):
        place = "url" if is_url(source["archive"]) else "path"
        strip = True if source.get("strip") is None else source["strip"]
        checksum = {"checksum": source["checksum"].lower()} if source.get("checksum") else {}
        made = {"type": "archive", place: source["archive"], "strip": strip, "subdir": source["subdir"]}
        return {**made, **checksum}
    return {"type": "path", "path": source["path"], "subdir": source["subdir"]}


def _probe_host(domains: list[str]) -> str:
    if not domains:
        return "localhost"
    return "www." + domains[0][2:] if domains[0].startswith("*.") else domains[0]
