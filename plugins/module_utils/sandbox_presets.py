# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The presets of a sandbox: which directives of systemd.exec(5) a service begins with, and which one a unit has.

docs/sandbox.md has them as a table, which a unit test compares with this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

# No set-uid program helps, and nobody else reads what is written. The user and the modes of files do the rest.
OFF: Mapping[str, Any] = MappingProxyType({"NoNewPrivileges": True, "UMask": "0027"})

# What most sites run with unchanged: user namespaces and chroot (of which Chromium makes a sandbox of its own), all of
# /proc but foreign processes, the list of network interfaces, writing where the user may but below /usr, /boot, /etc.
STANDARD: Mapping[str, Any] = MappingProxyType(
    {
        **OFF,
        "ProtectSystem": "full",
        "ProtectHome": True,
        "PrivateTmp": True,
        "PrivateDevices": True,
        "ProtectKernelTunables": True,
        "ProtectKernelModules": True,
        "ProtectKernelLogs": True,
        "ProtectControlGroups": True,
        "ProtectClock": True,
        "ProtectProc": "invisible",
        "RestrictRealtime": True,
        "RestrictSUIDSGID": True,
        "CapabilityBoundingSet": "",
        "AmbientCapabilities": "",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": ["@system-service", "chroot"],
        "SystemCallErrorNumber": "EPERM",
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "KeyringMode": "private",
    }
)

# Everything that a web application can do without. `systemd-analyze security` (systemd 252 and 257) rates a unit with
# a User= and this list 1.2 or better. MemoryDenyWriteExecute is left out: cffi callbacks need a page that is both.
STRICT: Mapping[str, Any] = MappingProxyType(
    {
        "NoNewPrivileges": True,
        "ProtectSystem": "strict",
        # In a container systemd (257) leaves it writable, with /run/lock for everybody, beside ProtectControlGroups.
        "ReadOnlyPaths": "/run",
        # systemd tells everybody on the bus what runs in a unit, with all words of its commands, and its Environment=
        # (org.freedesktop.systemd1(5)): ProtectProc hides the same in /proc. Its own socket is for root alone.
        "InaccessiblePaths": "-/run/dbus",
        "ProtectHome": True,
        "PrivateTmp": True,
        "PrivateMounts": True,
        "PrivateDevices": True,
        "PrivateUsers": True,
        "DevicePolicy": "closed",
        "ProtectKernelTunables": True,
        "ProtectKernelModules": True,
        "ProtectKernelLogs": True,
        "ProtectControlGroups": True,
        "ProtectClock": True,
        "ProtectHostname": True,
        "ProtectProc": "invisible",
        "ProcSubset": "pid",
        "RestrictNamespaces": True,
        "RestrictRealtime": True,
        "RestrictSUIDSGID": True,
        "LockPersonality": True,
        "RemoveIPC": True,
        "CapabilityBoundingSet": "",
        "AmbientCapabilities": "",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": ["@system-service", "~@privileged @resources"],
        "SystemCallErrorNumber": "EPERM",
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
        "UMask": "0027",
        "KeyringMode": "private",
    }
)

# For a service whose sockets systemd opens and which calls nobody over the network: rated 0.5 or better.
ISOLATED: Mapping[str, Any] = MappingProxyType(
    {
        **STRICT,
        "MemoryDenyWriteExecute": True,
        "PrivateNetwork": True,
        "RestrictAddressFamilies": "AF_UNIX",
        "IPAddressDeny": "any",
    }
)

# From the loosest to the tightest.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"off": OFF, "standard": STANDARD, "strict": STRICT, "isolated": ISOLATED}
)
# The highest exposure (0 to 10, the less the better) that `systemd-analyze security` gives a service with a User=.
SCORES: Mapping[str, float] = MappingProxyType({"off": 9.2, "standard": 3.0, "strict": 1.2, "isolated": 0.5})
# Every directive that a preset has.
DIRECTIVES = frozenset(name for preset in PRESETS.values() for name in preset)


def words_of(value: Any) -> list[str]:
    """Return a directive's value as systemd reads it: one text for each line of it."""
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [("yes" if item else "no") if isinstance(item, bool) else str(item).strip() for item in items]


def preset_of(service: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the preset that a [Service] section is nearest to, and the directives in which it differs, sorted.

    Read from the unit itself, so that it is true of a release of any age. Of two that are as near it is the looser one.
    """
    found = {name: _differences(service, preset) for name, preset in PRESETS.items()}
    name = min(found, key=lambda preset: len(found[preset]))
    return name, found[name]


def _differences(service: Mapping[str, Any], preset: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in DIRECTIVES if words_of(service.get(name, [])) != words_of(preset.get(name, [])))


def read_service(text: str) -> dict[str, list[str]]:
    """Return directive -> values of the [Service] section in the text of a unit, in the order of its lines."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == "Service" and "=" in line and not line.startswith(("#", ";")):
            name, dummy, value = line.partition("=")
            found.setdefault(name.strip(), []).append(value.strip())
    return found
