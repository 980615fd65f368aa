# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be known of the certificates of a host, for status and doctor. Everything is read."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import tls_store as store
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_certificate import (
    CertificateError,
    fingerprint,
    first_to_end,
    pair_faults,
    read_chain,
)

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def certificate_facts(name: str, now: datetime.datetime) -> dict[str, Any] | None:
    """Return what a site is served with, or None when it has no certificate of this collection.

    mode          files, self-signed or acme, as the inventory wanted it when it was last applied
    placeholder   whether it is what stands in until the first certificate of an authority
    staging       whether it is of an authority that no browser trusts on purpose
    names, issuer, self_signed
    until         when it ends, or one in its chain does so before it (ISO 8601, UTC); days_left from now to then
    fingerprint   SHA-256 of the certificate, in hexadecimal digits
    late          whether it should have been renewed some time ago
    wanted        the names that it is to hold
    problems      check -> words: key, chain, not-yet-valid or unreadable
    """
    folder = store.leads_to(name)
    if not folder:
        return None
    wanted = store.wanted_of(name)
    facts: dict[str, Any] = {
        "mode": wanted.get("mode"),
        "placeholder": folder.startswith(f"{store.STORE}/{name}/placeholder-"),
        "staging": folder == store.lineage_folder(name) and store.lineage_server(name) == store.STAGING,
        "wanted": wanted.get("names") or [],
        "names": [],
        "issuer": None,
        "until": None,
        "days_left": None,
        "self_signed": None,
        "fingerprint": None,
        "late": None,
        "problems": {},
    }
    paths = f"{folder}/{store.CHAIN}", f"{folder}/{store.KEY}"
    try:
        with open(paths[0], encoding="utf-8", errors="replace") as stream:
            chain = read_chain(stream.read())
    except (OSError, CertificateError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        return {**facts, "problems": {"unreadable": f"{paths[0]}: {words}"}}
    leaf, end = chain[0], first_to_end(chain, now)
    facts.update(
        names=list(leaf.names),
        issuer=leaf.issuer_name,
        until=end.not_after.strftime(_FORMAT),
        days_left=end.days_left(now),
        self_signed=leaf.self_issued,
        fingerprint=fingerprint(leaf.der),
        late=store.is_late(end, now),
    )
    try:
        store.check_key(*paths)
    except store.PairError as error:
        facts["problems"]["key"] = str(error)
    # Whether it has the right names, and has expired, is told by names, wanted and until.
    for check, text in pair_faults(chain, (), now):
        if check in ("not-yet-valid", "chain"):
            said = facts["problems"].get(check)
            facts["problems"][check] = f"{said}; {text}" if said else f"{paths[0]}: {text}"
    return facts


def in_words(name: str, now: datetime.datetime) -> str:
    """Return what a site is served with at the moment, for a message."""
    facts = certificate_facts(name, now)
    if not facts or not facts["until"]:
        return "no certificate"
    if facts["placeholder"]:
        return "a placeholder, which no browser trusts"
    return f"the certificate of '{facts['issuer']}' for {', '.join(facts['names'])}, valid until {facts['until'][:10]}"
