#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings the rules of a firewall to what is listed, as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ufw_rules
short_description: Keep the firewall's rules, SSH first
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Finds out on which ports the host's SSH server listens and lets everybody in there, unless rules for these ports
    let in all who are connected now.
  - Checks every rule before the first one is touched. When a step fails, the firewall is put back to what it was.
  - A rule carries the names of its owner and of its entry as a remark. What an owner listed earlier and lists no longer
    is removed. A rule that two owners want stays until neither lists it. Rules made by others stay unless
    O(purge_foreign) is set.
  - Rules with a narrower source are asked first, and of those with the same one an V(allow) is asked last.
options:
  owner:
    description: Whose rules these are.
    type: str
    required: true
  rules:
    description:
      - All rules of this owner, keyed by name. Keys of an entry are C(ports) (a list, ranges as C(8000:8010)),
        C(proto) (C(tcp), C(udp) or C(any)), C(policy) (C(allow), C(deny), C(reject) or C(limit)), C(from) (a list of
        addresses and networks, or C(any)) and C(comment).
    type: dict
    required: true
  enabled:
    description: Whether the firewall runs, now and after a boot.
    type: bool
    default: true
  default_incoming:
    description: What happens to incoming connections that no rule names.
    type: str
    choices: [deny, reject, allow]
    default: deny
  purge_foreign:
    description: Whether to remove all rules that carry no owner's mark.
    type: bool
    default: false
attributes:
  check_mode:
    description: Predicts the same changes as the run that follows, also where ufw is not installed yet.
    support: full
  diff_mode:
    description: Shows the firewall before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Let the web in, and the database's own network to the database
  flaskworks.deploy.ufw_rules:
    owner: my_site
    rules:
      web: {ports: [80, 443]}
      database: {ports: [5432], from: [10.0.0.0/8]}
"""

RETURN = r"""
ssh_ports:
  description: The ports on which the host's SSH server listens.
  returned: success
  type: list
  elements: int
rules:
  description: All rules of the firewall as they are now, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_host import change, look
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import OWNER, check_rules, wanted_rules
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_plan import UfwError, make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_ssh import ssh_peers, ssh_ports

_ENTRY: dict[str, Any] = {"ports": [], "proto": "tcp", "policy": "allow", "from": ["any"], "comment": ""}


def _complete(rules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rules with every key. Raises UfwError for what is no entry at all."""
    problems = []
    for name, rule in rules.items():
        if not isinstance(rule, dict):
            problems.append(f"{name}: is not a dictionary")
            continue
        if unknown := sorted(set(rule) - set(_ENTRY)):
            problems.append(f"{name}: unknown key {', '.join(unknown)}; there are {', '.join(_ENTRY)}")
        problems += [
            f"{name}.{key}: is not a list" for key in ("ports", "from") if not isinstance(rule.get(key, []), list)
        ]
    if problems:
        raise UfwError("\n".join(problems))
    return {name: {**_ENTRY, **rule} for name, rule in rules.items()}


def _apply(given: dict[str, Any], check: bool) -> dict[str, Any]:
    owner = given["owner"]
    if not OWNER.fullmatch(owner):
        raise UfwError(f"owner {owner!r} is not a name of letters, digits, '_', '.' and '-'")
    rules = _complete(given["rules"])
    if problems := check_rules(rules):
        raise UfwError("\n".join(f"{place}: {fault}" for place, fault in problems))
    ports = ssh_ports()
    before = look()
    plan = make_plan(
        before.rules,
        wanted_rules(owner, rules),
        owner,
        ssh_ports=ports,
        peers=ssh_peers(ports),
        purge_foreign=given["purge_foreign"],
    )
    after = replace(
        before,
        rules=sorted(plan.after, key=lambda rule: rule.family),
        active=given["enabled"],
        boot=given["enabled"],
        ipv6=True,
        incoming=given["default_incoming"],
    )
    changed = before.text() != after.text()
    if changed and not check:
        change(before, plan, after)
    return {
        "changed": changed,
        "ssh_ports": sorted(ports),
        "rules": [rule.text() for rule in after.rules],
        "diff": {"before": before.text(), "after": after.text()},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "rules": {"type": "dict", "required": True},
            "enabled": {"type": "bool", "default": True},
            "default_incoming": {"type": "str", "choices": ["deny", "reject", "allow"], "default": "deny"},
            "purge_foreign": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**_apply(module.params, module.check_mode))
    except UfwError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
