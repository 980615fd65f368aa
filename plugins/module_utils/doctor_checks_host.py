# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of a host itself, in the order of the guide."""

from __future__ import annotations

from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_app as app
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_host as host
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_others as others
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_check import Check
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_files import files

HOST_CHECKS: tuple[Check, ...] = (
    Check(
        "debian-version",
        "`/etc/os-release`",
        "everything here is tested on Debian 12 and 13",
        ("system",),
        host.system,
    ),
    Check(
        "disk-space",
        "free space for `/srv`, `/var/log` and `/tmp`",
        "a full disk stops deploys, logs and databases",
        ("file_systems",),
        host.space,
    ),
    Check(
        "disk-inodes",
        "free inodes of the same file systems",
        "without one there is no new file, whatever space is free",
        ("file_systems",),
        host.space,
    ),
    Check(
        "memory-low",
        "available memory, swap in use",
        "the next busy hour ends with killed processes",
        ("memory",),
        host.memory,
    ),
    Check(
        "memory-workers",
        "workers of all applications (measured, or 128 MiB each before a deploy) against memory and `limits.memory`",
        "more workers than memory are slower than fewer",
        ("memory", "workers", "apps"),
        app.memory,
    ),
    Check(
        "memory-kills",
        "kills for want of memory in the journal of 7 days",
        "a killed worker loses its requests, and nobody tells you",
        ("kills",),
        host.kills,
    ),
    Check(
        "clock",
        "synchronisation, and the difference to the machine that runs Ansible",
        "sessions, certificates and one-time passwords need the time",
        ("clock",),
        host.clock,
    ),
    Check(
        "unattended-upgrades",
        "the package, apt's settings and its timers",
        "holes in nginx, OpenSSL and Python are closed while you sleep",
        ("upgrades",),
        host.upgrades,
    ),
    Check(
        "reboot-pending",
        "`/run/reboot-required`, the newest kernel against the running one",
        "an installed fix protects after the reboot",
        ("reboot",),
        host.reboot,
    ),
    Check(
        "journal-volatile",
        "`/var/log/journal`, `Storage=` of journald",
        "after a crash its reasons are gone",
        ("journal",),
        host.journal,
    ),
    Check(
        "docker-port",
        "ports that containers publish, against the rules of ufw",
        "Docker forwards them before the firewall is asked",
        ("docker", "firewall"),
        others.docker,
    ),
    Check(
        "unit-failed",
        "failed units of the system",
        "something that was meant to run does not",
        ("failed_units",),
        host.failed_units,
    ),
    Check(
        "files",
        "files below `/srv` that everybody may write, or the site its code, or that belong to others than root (below"
        " `shared`: the site)",
        "code that somebody else can change is somebody else's code",
        ("files",),
        files,
    ),
)
