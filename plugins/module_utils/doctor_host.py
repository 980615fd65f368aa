# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a host itself. Pure functions of the facts that doctor_facts gathers; a fact that is not known is
judged by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import size

Facts = Mapping[str, Any]

SUPPORTED = ("12", "13")
# Bytes and shares that are left: a release with its packages takes 50 to 500 MiB.
LITTLE_SPACE, NO_SPACE = 2**30, 256 * 2**20
LITTLE_SHARE, NO_SHARE = 0.10, 0.02
LITTLE_MEMORY, NO_MEMORY = 0.10, 0.04
SWAP_FULL = 0.90
# Seconds. Signatures and one-time passwords fail beyond half a minute. The way from the controller to the host takes
# its time, which looks like a clock that is ahead.
CLOCK_BEHIND, CLOCK_AHEAD = 30.0, 60.0

# Package -> how its state is asked.
TIME_SERVICES = {
    "systemd-timesyncd": "timedatectl timesync-status",
    "chrony": "chronyc tracking",
    "ntpsec": "ntpq -p",
    "openntpd": "ntpctl -s all",
}
UPGRADE = "apt-daily-upgrade.timer"


def system(facts: Facts) -> list[Finding]:
    said = facts["system"]
    if said["id"] != "debian":
        evidence = f"this is {said['name']}"
        return [Finding("error", "", "debian-version", evidence, "use a host with Debian 12 or 13")]
    if said["version"] in SUPPORTED:
        return []
    release = said["version"].partition(".")[0]
    old = release.isdigit() and int(release) < int(SUPPORTED[0])
    fix = "upgrade it to Debian 13" if old else "expect what was never tested, or use Debian 12 or 13"
    return [Finding("error" if old else "warning", "", "debian-version", f"this is {said['name']}", fix)]


def space(facts: Facts) -> list[Finding]:
    found = []
    for system_ in facts["file_systems"]:
        paths = ", ".join(system_["paths"])
        free, share = system_["free"], system_["free"] / max(system_["size"], 1)
        # A large disk with a small share left, or a small one with plenty of it, is no trouble.
        for level, least, part in (("error", NO_SPACE, NO_SHARE), ("warning", LITTLE_SPACE, LITTLE_SHARE)):
            if free < least and (share < part or free < NO_SPACE):
                evidence = f"{size(free)} of {size(system_['size'])} are free for {paths}"
                fix = f"make room: du -xh --max-depth=2 {system_['paths'][0]} | sort -h | tail; or enlarge the disk"
                found.append(Finding(level, "", "disk-space", evidence, fix))
                break
        # Some file systems have no table of inodes and say 0.
        inodes = system_["inodes_free"] / system_["inodes"] if system_["inodes"] else 1.0
        if inodes < LITTLE_SHARE / 2:
            level = "error" if inodes < NO_SHARE / 2 else "warning"
            evidence = f"{inodes:.1%} of the inodes are free for {paths}: no new file in spite of {size(free)}"
            fix = f"remove small files: du -x --inodes --max-depth=2 {system_['paths'][0]} | sort -n | tail"
            found.append(Finding(level, "", "disk-inodes", evidence, fix))
    return found


def memory(facts: Facts) -> list[Finding]:
    said, found = facts["memory"], []
    left = said["available"] / said["total"]
    if left < LITTLE_MEMORY:
        level = "error" if left < NO_MEMORY else "warning"
        evidence = f"{size(said['available'])} of {size(said['total'])} memory are available"
        found.append(Finding(level, "", "memory-low", evidence, "fewer workers (server.workers), or more memory"))
    used = 1 - said["swap_free"] / said["swap_total"] if said["swap_total"] else 0.0
    if used > SWAP_FULL:
        evidence = f"{used:.0%} of {size(said['swap_total'])} swap are in use"
        found.append(Finding("warning", "", "memory-low", evidence, "fewer workers (server.workers), or more memory"))
    return found


def kills(facts: Facts) -> list[Finding]:
    """The kernel, or systemd in its name, killed processes for want of memory."""
    if not (killed := facts["kills"]):
        return []
    names = ", ".join(sorted({item["what"] for item in killed}))
    count, last = len(killed), killed[-1]["time"]
    evidence = f"{count} kill{'s'[: count != 1]} for want of memory in the last 7 days, the last at {last}: {names}"
    fix = "fewer workers, or more memory; limits.memory of each application says who is killed first"
    return [Finding("warning", "", "memory-kills", evidence, fix)]


def clock(facts: Facts) -> list[Finding]:
    found, said = [], facts["clock"]
    asked = TIME_SERVICES.get(said["service"], f"systemctl status {said['service'] or 'systemd-timesyncd'}")
    if said["synchronised"] is False:
        evidence = "the kernel's clock is not synchronised with a time server"
        fix = "apt install systemd-timesyncd && timedatectl set-ntp true"
        # Another one would take its place.
        if service := said["service"]:
            fix = f"systemctl enable --now {service}; {asked} says what it waits for"
        found.append(Finding("warning", "", "clock", evidence, fix))
    if said["offset"] is not None and not -CLOCK_BEHIND <= said["offset"] <= CLOCK_AHEAD:
        ahead = "ahead of" if said["offset"] > 0 else "behind"
        evidence = f"the clock is {abs(said['offset']):.0f} s {ahead} that of the machine which runs Ansible"
        fix = f"compare both with a time server (here: {asked}), and synchronise the one that is wrong"
        found.append(Finding("error", "", "clock", evidence, fix))
    return found


def upgrades(facts: Facts) -> list[Finding]:
    said = facts["upgrades"]
    if not said["installed"]:
        evidence, fix = "the package unattended-upgrades is not installed", "apt install unattended-upgrades"
    elif said["off"]:
        evidence = f"apt's setting {' and '.join(said['off'])} is 0 or missing"
        fix = "dpkg-reconfigure --frontend=noninteractive unattended-upgrades; what is 0 still: grep -r APT::Periodic"
        fix += " /etc/apt/apt.conf.d"
    elif idle := {name: state for name, state in said["timers"].items() if not state.startswith("enabled")}:
        evidence = " and ".join(f"{name} is {state or 'not there'}" for name, state in idle.items())
        evidence += ", so nothing starts the upgrades" if UPGRADE in idle else ", so nothing fetches what there is"
        fix = "systemctl unmask apt-daily.timer apt-daily-upgrade.timer && systemctl enable --now apt-daily.timer"
        fix += " apt-daily-upgrade.timer"
    else:
        return []
    return [Finding("warning", "", "unattended-upgrades", f"{evidence}: security updates wait for a person", fix)]


def journal(facts: Facts) -> list[Finding]:
    if facts["journal"]["persistent"]:
        return []
    evidence = f"the journal is only in memory ({facts['journal']['why']}): a reboot takes all it says of a crash"
    fix = "mkdir -p /var/log/journal && systemctl restart systemd-journald (Storage=auto in journald.conf)"
    return [Finding("warning", "", "journal-volatile", evidence, fix)]


def reboot(facts: Facts) -> list[Finding]:
    said = facts["reboot"]
    if not said["required"]:
        return []
    names = f" ({', '.join(said['packages'][:5])})" if said["packages"] else ""
    evidence = f"{said['why']}{names}: until then the old code runs"
    return [Finding("warning", "", "reboot-pending", evidence, "reboot in a quiet hour: systemctl reboot")]


def failed_units(facts: Facts) -> list[Finding]:
    """Units of the system that failed; those of applications are told with them."""
    return [
        Finding("warning", "", "unit-failed", f"{unit} has failed", f"systemctl status {unit}; journalctl -u {unit}")
        for unit in facts["failed_units"]
    ]
