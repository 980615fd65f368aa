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
  - A change after which new SSH connections might fail, such as switching the firewall on, is taken back by a timer on
    the host unless it is confirmed. The controller does that over a new SSH connection, which shares nothing with the
    one that is open. Nothing of it needs the module or the controller to be alive.
  - A V(deny), V(reject) or V(limit) that is asked after a rule made by hand which lets the same clients in is an error.
  - Warns of rules of others that open a port to everybody which O(rules) opens for networks only, and of ports that
    containers publish past the firewall.
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
  ssh_limit:
    description: Whether an address that tried SSH six times within 30 seconds has to wait.
    type: bool
    default: false
  ssh_unlimited:
    description: Networks that O(ssh_limit) is not for.
    type: list
    elements: str
    default: []
  revert_after:
    description:
      - Seconds until a change that might cut SSH off is taken back, unless it was confirmed. V(0) means that it stays.
      - Connections that do not lead over the network, such as P(ansible.builtin.local#connection), mean V(0) as well.
    type: int
    default: 60
  multiplexed:
    description: Whether all tasks share one SSH connection. Set by the action plugin.
    type: bool
    default: true
  confirm:
    description: The token of a change that is kept. Set by the action plugin, over a new connection.
    type: str
  revert:
    description: The token of a change that is taken back now. Set by the action plugin.
    type: str
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
findings:
  description:
    - What was found of ports that are open to others than those listed, by rules of others or past the firewall, with
      C(level), C(check), C(evidence) and C(fix).
  returned: success
  type: list
  elements: dict
unconfirmed:
  description: The token of a change that is taken back unless it is confirmed. The action plugin has confirmed it.
  returned: when such a change was made
  type: str
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils import ufw_guard
from ansible_collections.flaskworks.deploy.plugins.module_utils.docker_ports import docker_facts, docker_findings
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_host import change, could_cut_off, look
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_model import (
    OWNER,
    check_rules,
    complete_rules,
    wanted_rules,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_overlaps import defeated, left_open
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_plan import checked_limit, make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import UfwError
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_ssh import ssh_peers, ssh_ports


def _apply(given: dict[str, Any], check: bool) -> dict[str, Any]:
    owner = given["owner"]
    if not OWNER.fullmatch(owner):
        raise UfwError(f"owner {owner!r} is not a name of letters, digits, '_', '.' and '-'")
    ports = ssh_ports()
    peers = ssh_peers(ports)
    entries = complete_rules(given["rules"])
    limited, multiplexed = given["ssh_limit"], given["multiplexed"]
    limit = checked_limit(ports, peers, given["ssh_unlimited"], wanted=limited, multiplexed=multiplexed)
    rules = {**entries, **limit}
    if faults := check_rules(rules):
        raise UfwError("\n".join(f"{place}: {fault}" for place, fault in faults))
    before = look()
    wanted = wanted_rules(owner, rules)
    plan = make_plan(
        before.rules,
        wanted,
        owner,
        ssh_ports=ports,
        peers=peers,
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
    if problems := defeated(after.rules, wanted):
        raise UfwError("\n".join(problems))
    found = left_open(after.rules, wanted) if after.active else []
    changed = before.text() != after.text()
    token = ""
    if changed and not check:
        token = change(before, plan, after, given["revert_after"] if could_cut_off(before, plan, after, ports) else 0)
    return {
        "changed": changed,
        **({"unconfirmed": token} if token else {}),
        "ssh_ports": sorted(ports),
        "rules": [rule.text() for rule in after.rules],
        "findings": [one.data() for one in (*found, *docker_findings(docker_facts(), after.active, after.rules))],
        "diff": {"before": before.text(), "after": after.text()},
    }


def _settled(given: dict[str, Any]) -> dict[str, Any]:
    """Keep a change, or take it back."""
    if given["confirm"]:
        ufw_guard.keep(given["confirm"])
        return {"changed": True}
    with ufw_guard.locked():
        if ufw_guard.holds(given["revert"]):
            ufw_guard.take_back()
    return {"changed": False}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "rules": {"type": "dict", "required": True},
            "enabled": {"type": "bool", "default": True},
            "default_incoming": {"type": "str", "choices": ["deny", "reject", "allow"], "default": "deny"},
            "purge_foreign": {"type": "bool", "default": False},
            "ssh_limit": {"type": "bool", "default": False},
            "ssh_unlimited": {"type": "list", "elements": "str", "default": []},
            "revert_after": {"type": "int", "default": 60},
            "multiplexed": {"type": "bool", "default": True},
            "confirm": {"type": "str", "no_log": False},
            "revert": {"type": "str", "no_log": False},
        },
        supports_check_mode=True,
    )
    try:
        if module.params["confirm"] or module.params["revert"]:
            module.exit_json(**_settled(module.params))
        with ufw_guard.settled(act=not module.check_mode):
            result = _apply(module.params, module.check_mode)
        for finding in result["findings"]:
            module.warn(f"{finding['evidence']}: {finding['fix']}")
        module.exit_json(**result)
    except UfwError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
