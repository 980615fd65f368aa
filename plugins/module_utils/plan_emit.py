# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an application becomes: the data that the module of releases and the roles take."""

from __future__ import annotations

import copy
import re
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import nginx_waf
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_tls as tls
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_edge import BROTLI, KEYS
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_kinds import exact_package, is_url
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_managers import (
    PACKAGES,
    manager_of,
    manager_units,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_secrets import credentials, handed_over
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_server import needed_packages, server_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_supply import verify_packages
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_web import public_name
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import SITES_DIRECTORY, SUPERVISOR_LOGS
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import PRESETS
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import graceful_timeout, reloads, start_words
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import private_key, ssh_server
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import merge_sections

# The journal drops what a service says beyond 10,000 lines in 30 s. An interval of 0 does not lift that (systemd 252
# and 257); no service says as much as this in a second.
_NOTHING_DROPPED = {"LogRateLimitIntervalSec": "1s", "LogRateLimitBurst": 10_000_000}


def base_of(name: str) -> str:
    """Return the directory of an application."""
    return f"/srv/{name}"


def logs_of(name: str) -> str:
    """Return the directory of an application's logs."""
    return f"/var/log/{name}"


def logs_to_files(entry: Entry) -> bool:
    """Tell whether an application's logs are files; else they go to systemd's journal."""
    return bool(entry["logs"]["to"] == "file")


def own_nginx_files(name: str) -> str:
    """Return the directory whose ``*.conf`` an application's site reads, for what is the host's own state."""
    return f"{SITES_DIRECTORY}/{name}"


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
            "packages": _python_packages(name, entry),
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
    own = [*_source_package(entry["source"]), *python["packages"]]
    said = {key: python[key] for key in ("require_hashes", "index", "extra_indexes", "wheelhouse") if python[key]}
    return {**said, "server_packages": [item for item in _python_packages(name, entry) if item not in own]}


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


def _source_package(source: Entry) -> list[str]:
    """Return the requirement that is the application itself, for a source that is a package of an index."""
    if not source.get("pypi"):
        return []
    name, extras, version = exact_package(source["pypi"])
    pin = f" --hash={source['checksum'].lower()}" if source.get("checksum") else ""
    return [f"{name}{f'[{extras}]' if extras else ''}=={version}{pin}"]


def _python_packages(name: str, entry: Entry) -> list[str]:
    """Return the user's packages, and what the server needs; a server that the user names is not named again."""
    asked = [*_source_package(entry["source"]), *entry["python"]["packages"]]
    program, *extras = needed_packages(server_of(entry, logs_of(name)))
    present = {_normal_name(package) for package in [*asked, *extras]}
    return [
        *asked,
        *([] if program in present else [program]),
        *(extra for extra in extras if extra not in asked),
    ]


def _normal_name(requirement: str) -> str:
    """Return the name of a requirement as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def _probe_host(domains: list[str]) -> str:
    if not domains:
        return "localhost"
    return "www." + domains[0][2:] if domains[0].startswith("*.") else domains[0]


def units(name: str, entry: Entry) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the template units of an application. ``%i`` is the id of a release."""
    if entry["process_manager"] != "systemd":
        graceful = graceful_timeout(server_of(entry, logs_of(name)))
        made = manager_units(name, base_of(name), entry, graceful)
        return {**made, **timer_units(name, entry)}
    own = entry["systemd"]
    release_dir = f"{base_of(name)}/releases/%i"
    service: dict[str, dict[str, Any]] = {
        "Unit": {
            "Description": f"{name}, release %i",
            "Requires": f"{name}@%i.socket",
            "After": [f"{name}@%i.socket", "network.target"],
            "StartLimitIntervalSec": 60,
            "StartLimitBurst": 5,
        },
        "Service": {
            "Type": "notify",
            "Sockets": f"{name}@%i.socket",
            "ExecStart": " ".join(start_words(entry["server"]["type"], release_dir)),
            # The shell's own kill: the program of that name is missing on a minimal Debian.
            **({"ExecReload": '/bin/sh -c "kill -HUP $MAINPID"'} if reloads(entry["server"]["type"]) else {}),
            "Restart": "on-failure",
            "RestartSec": 2,
            "TimeoutStartSec": max(90, entry["health"]["timeout"] + 30),
            "TimeoutStopSec": graceful_timeout(server_of(entry, logs_of(name))) + 5,
            **service_of(name, entry),
            **({} if logs_to_files(entry) else _NOTHING_DROPPED),
        },
        "Install": {"WantedBy": "multi-user.target"},
    }
    socket: dict[str, dict[str, Any]] = {
        "Unit": {"Description": f"Socket of {name}, release %i"},
        "Socket": {
            "ListenStream": f"/run/{name}/%i.sock",
            "SocketUser": name,
            "SocketGroup": "www-data",
            "SocketMode": "0660",
            "DirectoryMode": "0755",
            # With 64 requests were lost at 200 a second while an application loaded.
            "Backlog": 2048,
            "RemoveOnStop": True,
        },
        "Install": {"WantedBy": "sockets.target"},
    }
    overrides = {section: own[section] for section in ("Unit", "Service", "Install")}
    return {
        f"{name}@.service": merge_sections(service, overrides),
        f"{name}@.socket": merge_sections(socket, {"Socket": own["Socket"]}),
        **process_units(name, entry),
        **timer_units(name, entry),
    }


def service_of(name: str, entry: Entry) -> dict[str, Any]:
    """Return what all services of a release share: user, place, environment, sandbox and limits."""
    release_dir = f"{base_of(name)}/releases/%i"
    return {
        "User": name,
        "Group": name,
        "WorkingDirectory": f"{release_dir}/src",
        "Environment": [
            f"PATH={release_dir}/venv/bin:/usr/local/bin:/usr/bin:/bin",
            f"VIRTUAL_ENV={release_dir}/venv",
            "PYTHONUNBUFFERED=1",
        ],
        "EnvironmentFile": f"{release_dir}/env",
        **credentials(entry, release_dir),
        "KillMode": "mixed",
        "ReadWritePaths": [f"{base_of(name)}/shared", *([logs_of(name)] if logs_to_files(entry) else [])],
        **copy.deepcopy(dict(PRESETS[entry["systemd"]["hardening"]])),
        "LimitCORE": 0,
        **_limits(entry["limits"]),
    }


def process_units(name: str, entry: Entry) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the template units of the processes of an application.

    The dot behind its name keeps those of ``blog`` apart from those of ``blog-api``.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    overrides = {"Service": entry["systemd"]["Service"]}
    for process, given in sorted(entry["processes"].items()):
        unit = {
            "Description": f"{name}: {process}, release %i",
            "After": "network.target",
            "StartLimitIntervalSec": 60,
            "StartLimitBurst": 5,
        }
        service = {
            "Type": "exec",
            "ExecStart": shell_line(f"exec {given['run']}"),
            "Restart": "always",
            "RestartSec": 2,
            "TimeoutStopSec": given["stop_timeout"],
            **service_of(name, entry),
        }
        sections = {"Unit": unit, "Service": service, "Install": {"WantedBy": "multi-user.target"}}
        for number in range(1, given["count"] + 1):
            found[f"{name}.{process}.{number}@.service"] = merge_sections(sections, overrides)
    return found


def timer_units(name: str, entry: Entry) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the template units of the timers of an application, which systemd runs under every process manager."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    overrides = {"Service": entry["systemd"]["Service"]}
    for timer, given in sorted(entry["timers"].items()):
        job = {
            "Type": "oneshot",
            "ExecStart": shell_line(given["run"]),
            "TimeoutStartSec": given["timeout"],
            **service_of(name, entry),
        }
        described = {"Description": f"{name}: {timer}, release %i"}
        found[f"{name}.{timer}@.service"] = merge_sections(
            {"Unit": {**described, "After": "network.target"}, "Service": job}, overrides
        )
        found[f"{name}.{timer}@.timer"] = {
            "Unit": described,
            "Timer": {"OnCalendar": given["calendar"], "Persistent": given["persistent"]},
            "Install": {"WantedBy": "timers.target"},
        }
    return found


def shell_line(command: str) -> str:
    """Return a command for a shell as systemd reads a command line (systemd.service(5), COMMAND LINES)."""
    quoted = command.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'/bin/sh -c "{quoted}"'


def _limits(limits: Entry) -> dict[str, Any]:
    named = {
        "MemoryMax": limits["memory"],
        "CPUQuota": limits["cpu"],
        "LimitNOFILE": limits.get("nofile"),
        "LimitNPROC": limits.get("nproc"),
        "TasksMax": limits.get("tasks"),
    }
    return {directive: value for directive, value in named.items() if value}


def site(name: str, entry: Entry) -> dict[str, Any]:
    """Return the site of an application, for the role nginx_sites."""
    nginx, base = entry["nginx"], base_of(name)
    return {
        "server_names": [domain.lower() for domain in entry["domains"]],
        **tls.site(name, entry),
        "default_server": not entry["domains"],
        "upstream": f"unix:{base}/current/gunicorn.sock",
        "aliases": {url: _served(base, url, target) for url, target in sorted(entry["static"].items())},
        "uploads": [url for url, target in sorted(entry["static"].items()) if target.startswith("shared:")],
        **({"waf": nginx["waf"]} if nginx_waf.used(nginx) else {}),
        "max_body": nginx["max_body"],
        "locations": {
            url: {key: value for key, value in location.items() if value is not None}
            for url, location in sorted(nginx["locations"].items())
        },
        **{key: nginx[key] for key in KEYS if nginx.get(key) is not None},
        "timeouts": nginx["timeouts"],
        "trusted_proxies": nginx["trusted_proxies"],
        "access_log": {"classic": "combined"}.get(entry["logs"]["access"], entry["logs"]["access"]),
        "includes": [f"{own_nginx_files(name)}/*.conf"],
        "extra": nginx["extra"],
    }


def _served(base: str, url: str, target: str) -> str | list[str]:
    """Return where the files of one static map are.

    A page that came from the release before goes on asking for its files. What is shared is the same for all releases.
    """
    current, previous = (f"{base}/{link}/public/{public_name(url)}/" for link in ("current", "previous"))
    return current if target.startswith("shared:") else [current, previous]


def policies(entries: dict[str, Entry]) -> dict[str, dict[str, Any]]:
    """Return the rotation of all logs, for the role logrotate_policies."""
    found = {name: policy(name, entry) for name, entry in entries.items()}
    made = {name: found[name] for name, entry in entries.items() if logs_to_files(entry)}
    for name, entry in entries.items():
        if entry["process_manager"] == "supervisor":
            # No application has a dot in its name.
            made[f"{name}.supervisor"] = {
                **{key: found[name][key] for key in ("frequency", "rotate", "compress", "maxsize", "method")},
                "paths": [f"{SUPERVISOR_LOGS}/{name}/*.log"],
                "create": "0640 root adm",
                # It opens the logs of all its programs again. A rotation without it is no error.
                "postrotate": [
                    "! systemctl --quiet is-active supervisor.service"
                    " || systemctl kill --signal=USR2 --kill-whom=main supervisor.service"
                ],
            }
    return made


def policy(name: str, entry: Entry) -> dict[str, Any]:
    """Return the rotation of an application's logs, for the role logrotate_policies."""
    logs = entry["logs"]
    return {
        "paths": [f"{logs_of(name)}/*.log"],
        "frequency": logs["frequency"],
        "rotate": logs["rotate"],
        "compress": logs["compress"],
        "maxsize": logs["maxsize"],
        # The directory is the application's, and its group adm's (setgid): root follows no link in it.
        "su": f"{name} adm",
        "create": f"0640 {name} adm",
        "method": "reopen",
        # Every instance, the one that drains too; none at all is no error.
        "postrotate": [
            f"systemctl kill --signal=USR1 --kill-whom=main '{name}@*.service'",
            # Under supervisor and cron, as the application: root signals nobody whose number an application wrote down.
            f"for launch in {base_of(name)}/releases/*/launch; do"
            f' test ! -e "$launch" || runuser -u {name} -- "$launch" reopen; done',
        ],
    }
