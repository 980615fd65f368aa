# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the certificates that an inventory wants to the files of a host, and to what an authority is to be asked for."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import tls_store as store
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import Seen, Wanted, look
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_store import CHAIN, DIRECTORY, KEY, STORE, WANTED

# certbot runs what lies here after each renewal, with the certificate's directory in RENEWED_LINEAGE.
HOOK = f"{store.LETSENCRYPT}/renewal-hooks/deploy/flaskworks-nginx"
HOOK_TEXT = """#!/bin/sh
# Written by flaskworks.deploy: certbot runs this after each renewal. What nginx does not accept stays out.
case "${RENEWED_LINEAGE:-}" in
    */flaskworks-*) ;;
    *) exit 0 ;;
esac
systemctl is-active --quiet nginx.service || exit 0
nginx -t -q && systemctl reload nginx.service
"""
# A self-signed one is made anew in the run that finds less than this.
_RENEW = datetime.timedelta(days=30)
_PLACEHOLDER = "placeholder"

Make = Callable[[str, Sequence[str]], tuple[bytes, bytes]]
Entry = Mapping[str, Any]


@dataclass
class Desired:
    """What a run works with.

    wanted     the paths of all certificates
    pending    name -> why an authority has to be asked for it
    stale      names that are no longer listed; their files are among the wanted ones as long as a site may need them
    lineages   names whose certificate certbot would go on to renew for nobody
    """

    wanted: list[Wanted] = field(default_factory=list)
    pending: dict[str, str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    lineages: list[str] = field(default_factory=list)


def server_of(entry: Entry) -> str:
    """Return the address of an authority's directory."""
    return str(entry.get("directory") or (store.STAGING if entry.get("staging") else store.PRODUCTION))


def desire(
    entries: Mapping[str, Entry],
    owned: Collection[str],
    foreign: Collection[str],
    webroot: str,
    now: datetime.datetime,
    make: Make,
    keep_stale: bool,
) -> Desired:
    """Compare what is wanted with the host. ``owned``: the names that this owner has, ``foreign``: those of
    others; ``make`` makes a certificate.

    Raises what ``make`` raises.
    """
    found = Desired(stale=sorted(set(owned) - set(entries)))
    for name, entry in sorted(entries.items()):
        folder, files = _served(name, entry, webroot, now, make, found)
        found.wanted += [Wanted(store.link_of(name), "link", target=os.path.relpath(folder, DIRECTORY)), *files]
        found.wanted.append(Wanted(f"{STORE}/{name}/{WANTED}", "file", _note(entry)))
    for name in found.stale:
        if keep_stale:
            found.wanted += _as_they_are(name)
    renewed = {name for name, entry in entries.items() if entry["mode"] == "acme"}
    found.lineages = sorted(set(store.lineages()) - renewed - set(foreign))
    if renewed:
        found.wanted.append(Wanted(webroot, "directory", mode=0o755, shared=True))
        found.wanted.append(Wanted(HOOK, "file", HOOK_TEXT.encode(), mode=0o755, shared=True))
    return found


def _served(
    name: str, entry: Entry, webroot: str, now: datetime.datetime, make: Make, found: Desired
) -> tuple[str, list[Wanted]]:
    """Return the directory that a certificate is served from, and the files of it that are not certbot's."""
    if entry["mode"] == "files":
        text, key = str(entry["certificate"]).encode(), str(entry["key"]).encode()
        return _files(name, f"files-{_short(text)}", text, key)
    names = sorted(entry["names"])
    own = _short(json.dumps(names).encode())
    if entry["mode"] == "self-signed":
        folder = f"self-signed-{own}"
        pair = store.usable(f"{STORE}/{name}/{folder}")
        if pair and not pair.leaf.lacks(names) and pair.leaf.not_after - now > _RENEW:
            return _files(name, folder, pair.text, pair.key)
        title = entry["names"][0] if names else name
        return _files(name, folder, *make(title, names or [name]))
    pair = store.usable(store.lineage_folder(name))
    if pair:
        if reason := _again(name, entry, webroot, pair, now):
            found.pending[name] = reason
        return store.lineage_folder(name), []
    found.pending[name] = "there is no certificate yet"
    # What visitors have now is better than a placeholder, whoever signed it.
    now_served = store.leads_to(name)
    kept = store.usable(now_served) if now_served.startswith(f"{STORE}/{name}/") else None
    if kept and not kept.leaf.lacks(names) and kept.leaf.not_after > now:
        return _files(name, os.path.basename(now_served), kept.text, kept.key)
    return _files(name, f"{_PLACEHOLDER}-{own}", *make("placeholder until the first certificate", names))


def _again(name: str, entry: Entry, webroot: str, pair: store.Pair, now: datetime.datetime) -> str:
    """Return why a certificate that is there has to be asked for again, or an empty text."""
    # Certificates have names in lower case, whatever the case in which they were asked for.
    wanted, held = {name.lower() for name in entry["names"]}, set(pair.leaf.names)
    if added := sorted(wanted - held):
        return f"{', '.join(added)} {'is' if len(added) == 1 else 'are'} new"
    # A name that leads elsewhere by now would make every renewal fail.
    if dropped := sorted(held - wanted):
        return f"{', '.join(dropped)} {'is' if len(dropped) == 1 else 'are'} no longer wanted"
    if store.lineage_server(name) != server_of(entry):
        return f"it comes from another authority than {server_of(entry)}"
    # Renewals would leave their challenges where nginx shows them no more.
    if (left_in := store.lineage_webroot(name)) and left_in != os.path.abspath(webroot):
        return f"its renewals would leave their challenges in {left_in}, not in {webroot}"
    if store.is_late(pair.leaf, now):
        left = pair.leaf.days_left(now)
        return f"it ends in {left} days and was not renewed" if left >= 0 else "it has expired and was not renewed"
    return ""


def _files(name: str, folder: str, text: bytes, key: bytes) -> tuple[str, list[Wanted]]:
    place = f"{STORE}/{name}/{folder}"
    return place, [
        Wanted(f"{place}/{CHAIN}", "file", text),
        Wanted(f"{place}/{KEY}", "file", key, mode=0o600, sensitive=True),
    ]


def _as_they_are(name: str) -> list[Wanted]:
    """Return the paths of a certificate just as they are now."""
    paths = [store.link_of(name), f"{STORE}/{name}/{WANTED}"]
    folder = store.leads_to(name)
    if folder.startswith(f"{STORE}/{name}/"):
        paths += [f"{folder}/{CHAIN}", f"{folder}/{KEY}"]
    return [_as_it_is(path, look(path)) for path in paths if look(path).kind in ("file", "link")]


def _as_it_is(path: str, seen: Seen) -> Wanted:
    if seen.kind == "link":
        return Wanted(path, "link", target=seen.target)
    owner, group = str(seen.uid), str(seen.gid)
    return Wanted(path, "file", seen.content, "", owner, group, seen.mode, sensitive=path.endswith(KEY))


def _note(entry: Entry) -> bytes:
    """Return what is written down for status and doctor."""
    facts = {"mode": entry["mode"], "names": sorted(entry["names"])}
    if entry["mode"] == "acme":
        facts["server"] = server_of(entry)
    return (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode()


def _short(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:12]
