#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings certificates to a host as one transaction, and asks an authority for those that are missing."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: tls_certificates
short_description: Bring certificates and keys to a host, and have an authority issue them
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Applies the whole set of an owner in one call. Each certificate lies behind a link C(/etc/flaskworks/tls/NAME),
    which leads to a directory with C(fullchain.pem) and C(privkey.pem), so that certificate and key change together,
    by one rename.
  - A running nginx has to accept its own configuration with the new files in it, and is reloaded; else everything is
    put back.
  - Certificates and keys are checked on the controller first - dates, names, chain, and that they belong together.
  - Needs root and C(openssl); certbot for certificates of the mode V(acme).
options:
  certificates:
    description:
      - The whole set, by name. Each has C(mode) (V(files), V(self-signed) or V(acme)) and C(names).
      - V(files) has C(certificate) and C(key), a path on the controller or the text itself.
      - V(acme) may have C(email), C(staging), C(directory) and C(check).
    type: dict
    required: true
  owner:
    description: Who manages this set. What he had earlier and no longer lists is removed by O(state=issued).
    type: str
    default: default
  webroot:
    description: The directory below which a web server shows C(/.well-known/acme-challenge/) on port 80.
    type: path
    default: /var/lib/flaskworks-acme
  state:
    description:
      - V(checked) looks at the files of the controller and does not reach the host at all.
      - V(prepared) puts a certificate into every place. Where an authority has not issued one yet it is what is there,
        or a placeholder.
      - V(issued) then asks the authorities for what is pending, and removes what is no longer listed.
    type: str
    choices: [checked, prepared, issued]
    default: prepared
  called:
    description: How messages call an entry; C({name}) stands for its name.
    type: str
    default: tls_certificates.{name}
  contents:
    description: Set by the action plugin, which moves certificates and keys here, out of what is logged.
    type: str
attributes:
  check_mode:
    description: Predicts changes; no authority is asked.
    support: full
  diff_mode:
    description: Shows certificates by what they say, and of keys only that they change.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Give every site a certificate with which nginx can start
  become: true
  flaskworks.deploy.tls_certificates:
    certificates: &certificates
      wiki: {mode: acme, names: [wiki.example.org], email: ops@example.org}
      intern: {mode: files, names: [intern.example.org], certificate: intern.pem, key: "{{ vault_intern_key }}"}

- name: Have the authority issue what is missing, now that nginx answers it
  become: true
  flaskworks.deploy.tls_certificates:
    certificates: *certificates
    state: issued
"""

RETURN = r"""
owner:
  description: Whose set it is.
  returned: always
  type: str
changed_paths:
  description: The paths that changed and those that went, or in check mode would.
  returned: always
  type: list
  elements: str
pending:
  description: Certificates for which an authority has to be asked, and why.
  returned: always
  type: dict
  sample: {wiki: there is no certificate yet}
stale:
  description: Names that are no longer listed, and those that certbot would go on to renew for nobody.
  returned: always
  type: list
  elements: str
issued:
  description: Names for which an authority has issued a certificate in this run.
  returned: always
  type: list
  elements: str
certificates:
  description: What each name is served with now; keys as in C(tls) of M(flaskworks.deploy.release_info).
  returned: always
  type: dict
"""

import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils import tls_issue
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_engine import Outcome, apply_set
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import OWNER_NAME, FileSetError
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import Store
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_facts import certificate_facts, in_words, utc_now
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_make import make_pair
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_served import not_loaded, takes_certificates
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_set import Desired, desire
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_store import CHAIN, names_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_text import asked_diff, shown_diff


class Run:
    """One call of the module."""

    def __init__(self, entries: Mapping[str, Any], owner: str, webroot: str, check: bool) -> None:
        self.entries = entries
        self.webroot = webroot
        self.check = check
        self.store = Store(f"tls_certificates.{owner}")
        self.issued: list[str] = []
        self.failures: list[str] = []

    def desired(self, keep_stale: bool) -> Desired:
        return desire(
            self.entries,
            names_of(self.store.record()["paths"]),
            names_of(self.store.claimed_by_others()),
            self.webroot,
            utc_now(),
            # A prediction writes nothing, not even something to look at.
            (lambda title, names: (b"", b"")) if self.check else make_pair,
            keep_stale,
        )

    def apply(self, desired: Desired, unread: Sequence[str] = ()) -> Outcome:
        renewed = any(entry["mode"] == "acme" for entry in self.entries.values())
        return apply_set(self.store, desired.wanted, [takes_certificates(renewed, unread)], check=self.check)

    def issue(self, pending: Mapping[str, str]) -> None:
        """Ask for one after the other; one that fails does not keep the others from theirs."""
        for name, reason in pending.items():
            try:
                tls_issue.issue(name, self.entries[name], self.webroot)
                self.issued.append(name)
            except FileSetError as error:
                self.failures.append(
                    f"{name}: no certificate was issued ({reason}).\n{error}\n"
                    f"The site is served with {in_words(name, utc_now())}."
                )

    def forget(self, lineages: Sequence[str]) -> None:
        for name in lineages:
            try:
                tls_issue.delete(name)
            except FileSetError as error:
                self.failures.append(f"{name}: {error}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "dict", "required": True},
            "owner": {"type": "str", "default": "default"},
            "webroot": {"type": "path", "default": "/var/lib/flaskworks-acme"},
            "state": {"type": "str", "choices": ["checked", "prepared", "issued"], "default": "prepared"},
            "called": {"type": "str", "default": "tls_certificates.{name}"},
            "contents": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    if not OWNER_NAME.fullmatch(given["owner"]):
        module.fail_json(msg=f"owner {given['owner']!r} is not a name of letters, digits, '_', '.' and '-'")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    sealed = json.loads(given["contents"] or "{}")
    entries = {name: {**entry, **sealed.get(name, {})} for name, entry in given["certificates"].items()}
    run = Run(entries, given["owner"], given["webroot"], module.check_mode)
    try:
        desired = run.desired(keep_stale=given["state"] == "prepared")
        if given["state"] == "issued" and not module.check_mode:
            run.issue(desired.pending)
            # What was issued is another directory to lead to.
            desired = run.desired(keep_stale=False)
        if given["state"] == "issued" and module.check_mode:
            # What is not there yet was predicted with state prepared.
            outcome = Outcome(diff=[asked_diff(name, reason) for name, reason in desired.pending.items()])
        else:
            unread = {*run.issued, *not_loaded(entries)}
            outcome = run.apply(
                desired, [f"nginx has not read the new certificate of {name}" for name in sorted(unread)]
            )
        if given["state"] == "issued" and not module.check_mode:
            run.forget(desired.lineages)
    except FileSetError as error:
        module.fail_json(msg="\n\n".join([*run.failures, str(error)]))
    except KeyboardInterrupt:
        module.fail_json(msg="The run was interrupted; the next one goes on where it was.")
    except OSError as error:
        module.fail_json(msg=f"{error.strerror}: {error.filename}")
    left = sorted({*desired.stale, *desired.lineages})
    result: dict[str, Any] = {
        "owner": given["owner"],
        "changed": outcome.changed or bool(given["state"] == "issued" and (left or run.issued or desired.pending)),
        "changed_paths": outcome.changed_paths,
        "pending": desired.pending,
        "stale": left,
        "issued": run.issued,
        "certificates": {name: certificate_facts(name, utc_now()) for name in entries},
    }
    if module._diff:
        result["diff"] = [shown_diff(entry, CHAIN) for entry in outcome.diff]
    if run.failures:
        module.fail_json(msg="\n\n".join(run.failures), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
