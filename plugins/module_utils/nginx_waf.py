# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The firewall for requests in front of a site: ModSecurity with the core rule set, as Debian packages them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Entry = Mapping[str, Any]

PACKAGES = ("libnginx-mod-http-modsecurity", "modsecurity-crs")
# Not beside Debian's own modsecurity.conf: nobody takes this directory for its place.
DIRECTORY = "/etc/nginx/waf"
# libmodsecurity's own limit for SecRequestBodyLimit, in bytes.
_LARGEST = 1024**3
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
# The template has these in other words, since theirs write down what they matched.
_REWORDED = {930110: 1110, 942100: 1111}
# The rules that set the core rule set up (901), and those that decide (949): without one of them nothing is refused.
_DECIDING = (901, 949)
_PATH = re.compile(r"/[A-Za-z0-9._~%/-]*")
_ARGUMENT = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


def used(entry: Entry) -> bool:
    """Tell whether a site, or the nginx part of an application, has it."""
    return bool(entry.get("waf")) and entry["waf"]["mode"] != "off"


def waf_faults(waf: Entry) -> Iterator[tuple[str, str]]:
    """Yield the key, relative to the site, and what is wrong with it."""
    if not 1 <= waf["paranoia"] <= 4:
        yield "waf.paranoia", f"{waf['paranoia']} is no level of the core rule set: they go from 1 to 4"
    if not 1 <= waf["threshold"] <= 10000:
        yield "waf.threshold", f"{waf['threshold']} is no score: 5 is that of one critical rule, the default"
    for number, exclusion in enumerate(waf["exclusions"]):
        yield from ((f"waf.exclusions[{number}]{key}", text) for key, text in _exclusion_faults(exclusion))


def _exclusion_faults(exclusion: Entry) -> Iterator[tuple[str, str]]:
    rule = exclusion["rule"]
    if not 900000 <= rule <= 999999:
        yield ".rule", f"{rule} is no rule of the core rule set: their numbers go from 900000 to 999999"
    elif rule // 1000 in _DECIDING:
        text = f"{rule} sets the others up or decides: without it nothing is refused; switch the mode off instead"
        yield ".rule", text
    path, argument = exclusion.get("path") or "", exclusion.get("argument") or ""
    if path and not _PATH.fullmatch(path):
        yield ".path", f"{path!r} is no path: it begins with '/' and has letters, digits and . _ ~ % - between slashes"
    if argument and not _ARGUMENT.fullmatch(argument):
        yield ".argument", f"{argument!r} is no name of a field: use letters, digits and _ . - [ ]"


def waf_files(name: str, site: Entry) -> dict[str, dict[str, Any]]:
    """Return the rules of one site as file_set takes them; none for a site without."""
    if not used(site):
        return {}
    return {f"{DIRECTORY}/{name}.conf": {"template": "waf.conf.j2", "vars": {"waf": waf_view(site)}}}


def waf_view(site: Entry) -> dict[str, Any]:
    """Return what the template reads."""
    waf = site["waf"]
    sizes = [site["max_body"], *(location.get("max_body") for location in site["locations"].values())]
    return {
        "engine": {"detect": "DetectionOnly", "block": "On"}[waf["mode"]],
        "paranoia": waf["paranoia"],
        "threshold": waf["threshold"],
        "details": waf["details"],
        "body_limit": max(in_bytes(size) for size in sizes if size),
        # Those of a whole rule are taken back when all rules are known, the others before the first is tried.
        "removed": sorted({_number(each, waf) for each in waf["exclusions"] if not _narrow(each)}),
        "narrowed": [
            {"rule": _number(each, waf), "path": each.get("path") or "/", "argument": each.get("argument") or ""}
            for each in waf["exclusions"]
            if _narrow(each)
        ],
    }


def _number(exclusion: Entry, waf: Entry) -> int:
    rule: int = exclusion["rule"]
    return rule if waf["details"] else _REWORDED.get(rule, rule)


def _narrow(exclusion: Entry) -> bool:
    return bool(exclusion.get("path") or exclusion.get("argument"))


def in_bytes(size: str) -> int:
    """Return nginx's size in bytes, as far as ModSecurity goes; 0, no limit, is the most."""
    number, unit = re.fullmatch(r"([0-9]+)([kKmMgG]?)", size).groups()  # type: ignore[union-attr]
    return min(int(number) * _UNITS[unit.lower()] or _LARGEST, _LARGEST)
