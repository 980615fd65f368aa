# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor wants to know of a host. Everything is read; nothing on the host is changed."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_facts_net as net
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_said as said
from ansible_collections.flaskworks.deploy.plugins.module_utils import ufw_host
from ansible_collections.flaskworks.deploy.plugins.module_utils.docker_ports import docker_facts
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_app import app_facts
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_files import file_facts
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_net import PATIENCE, UnknownError, answer
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status import host_status
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_units import read_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import workers_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import UfwError
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import this_machine

PLACES = ("/srv", "/var/log", "/tmp")
# systemd's own words for a unit of which the kernel killed a process (sd-messages.h, SD_MESSAGE_UNIT_OUT_OF_MEMORY).
OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"
# What apt's own script looks at before it upgrades, and what holds without it (/usr/lib/apt/apt.systemd.daily).
PERIODIC = {
    "APT::Periodic::Enable": True,
    "APT::Periodic::Update-Package-Lists": False,
    "APT::Periodic::Unattended-Upgrade": False,
}
# The first one fetches what there is, the second one installs it.
UPGRADE_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")


def gather(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return all facts. ``order``: ``plan`` (application -> what the inventory wants of it), ``names`` (of this host,
    as Ansible knows it), ``controller_time`` (seconds since 1970, or None), ``load`` (whether applications are loaded).
    """
    plan: dict[str, Any] = dict(order["plan"])
    facts: dict[str, Any] = {"time": time.time(), "plan": plan, "missing": {}}
    domains = [domain for wanted in plan.values() for domain in wanted["domains"]]
    collectors: dict[str, Callable[[], Any]] = {
        "system": _system,
        "file_systems": _file_systems,
        "memory": lambda: said.memory(read_text("/proc/meminfo")),
        "clock": lambda: _clock(order.get("controller_time"), facts["time"]),
        "upgrades": _upgrades,
        "journal": _journal,
        "reboot": _reboot,
        "failed_units": _failed_units,
        "kills": _kills,
        "docker": docker_facts,
        "firewall": _firewall,
        "addresses": net.addresses,
        "listeners": net.listeners,
        "names": lambda: net.looked_up(domains),
        "names_here": lambda: net.known_here(domains),
        "known_as": lambda: net.known_as(list(order["names"])),
    }
    with ThreadPoolExecutor(8) as pool:
        running = {key: pool.submit(collect) for key, collect in collectors.items()}
        for key, future in running.items():
            try:
                facts[key] = future.result()
            except (UnknownError, UfwError, OSError, ValueError, KeyError) as error:
                facts["missing"][key] = str(error) or type(error).__name__
    recorded = {app["app"]: app for app in host_status(names=order.get("only"))["apps"]}
    facts["apps"] = app_facts(recorded, plan, load=bool(order.get("load", True)))
    facts["workers"] = {
        name: found[0]
        for name, wanted in plan.items()
        if (found := workers_of({"server": wanted["server"]}, this_machine())) is not None
    }
    facts["files"] = file_facts(recorded)
    return facts


def _system() -> dict[str, Any]:
    release = platform.freedesktop_os_release()
    return {
        "id": release["ID"],
        "version": release.get("VERSION_ID", ""),
        "name": release.get("PRETTY_NAME", release["ID"]),
        "container": os.path.exists("/run/systemd/container"),
    }


def _file_systems() -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for path in PLACES:
        there = path if os.path.isdir(path) else "/"
        device = os.stat(there).st_dev
        if device in found:
            found[device]["paths"].append(path)
            continue
        facts = os.statvfs(there)
        found[device] = {
            "paths": [path],
            "size": facts.f_blocks * facts.f_frsize,
            "free": facts.f_bavail * facts.f_frsize,
            "inodes": facts.f_files,
            "inodes_free": facts.f_favail,
        }
    return list(found.values())


def _clock(controller: float | None, now: float) -> dict[str, Any]:
    synchronised = None
    # The clock of a container is that of the machine which runs it.
    if not os.path.exists("/run/systemd/container"):
        done = run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], timeout=PATIENCE)
        synchronised = {"yes": True, "no": False}.get(done.stdout.strip())
    packages = run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Package}\t${Provides}\n"]).stdout
    offset = None if controller is None else now - controller
    return {"synchronised": synchronised, "offset": offset, "service": said.time_service(packages)}


def _upgrades() -> dict[str, Any]:
    status = run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", "unattended-upgrades"]).stdout
    settings = {
        name: said.periodic(answer("apt-config", "shell", "value", name), missing) for name, missing in PERIODIC.items()
    }
    return {
        "installed": status.startswith("ii"),
        "off": [name for name, on in settings.items() if not on],
        "timers": {name: run(["systemctl", "is-enabled", name]).stdout.strip() for name in UPGRADE_TIMERS},
    }


def _firewall() -> dict[str, Any]:
    state = ufw_host.look()
    return {"active": state.active, "rules": state.rules}


def _journal() -> dict[str, Any]:
    config = run(["systemd-analyze", "cat-config", "systemd/journald.conf"], timeout=PATIENCE).stdout
    storage = said.journal_storage(config)
    there = os.path.isdir("/var/log/journal")
    if storage == "auto":
        return {"persistent": there, "why": "/var/log/journal does not exist"}
    return {"persistent": storage == "persistent", "why": f"Storage={storage}"}


def _reboot() -> dict[str, Any]:
    if os.path.exists("/run/reboot-required"):
        names: list[str] = []
        if os.path.exists("/run/reboot-required.pkgs"):
            names = sorted(set(read_text("/run/reboot-required.pkgs").split()))
        return {"required": True, "why": "installed packages ask for a reboot", "packages": names}
    # A container runs the kernel of its machine.
    kernels = [] if os.path.exists("/run/systemd/container") else os.listdir("/boot")
    newest = said.newest_kernel(kernels)
    running = platform.release()
    if newest and running != newest and said.same_flavour(newest, running):
        return {"required": True, "why": f"the kernel {newest} is installed and {running} runs", "packages": []}
    return {"required": False, "why": "", "packages": []}


def _failed_units() -> list[str]:
    listing = answer("systemctl", "list-units", "--state=failed", "--no-legend", "--plain", "--all")
    units = [line.split()[0] for line in listing.splitlines() if line.split()]
    # Those of applications have an id of a release, and are told with it.
    return [unit for unit in units if not re.search(r"@\d{8}-\d{6}-[0-9a-f]{8}\.", unit)]


def _kills() -> list[dict[str, str]]:
    # Only what the kernel, or a unit of systemd as root, has said: everybody may write to the journal.
    fields = ["--since=-7d", "--quiet", "--no-pager", "--output=json", "--lines=200"]
    matches = ["_TRANSPORT=kernel", "+", f"MESSAGE_ID={OUT_OF_MEMORY}", "_UID=0"]
    return said.kills(answer("journalctl", *fields, *matches))
