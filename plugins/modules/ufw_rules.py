#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps the rules of a host's firewall, SSH first."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ufw_rules
short_description: Keep the firewall's rules, SSH first
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Finds out on which ports the SSH server of the host listens and allows them before anything else.
  - Every rule is checked, by this module and by C(ufw --dry-run), before the first one is touched.
    When ufw fails on the way, everything is put back.
  - Removes rules that this owner listed earlier and lists no longer. Rules of other owners stay,
    and so do rules made by hand unless O(purge_foreign) is set.
  - Refuses rules that would lock out an address that is connected to the SSH server now.
options:
  owner:
    description: Whose rules these are.
    type: str
    required: true
  rules:
    description:
      - The rules, keyed by name, complete as the filter P(flaskworks.deploy.entries#filter) returns them for the role
        C(ufw_rules).
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
    description: Whether to remove rules that carry no owner's mark.
    type: bool
    default: false
attributes:
  check_mode:
    description: Predicts the same changes as the run that follows, also where ufw is not installed yet.
    support: full
  diff_mode:
    description: Shows the rules before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Let visitors in, and nobody else but SSH
  flaskworks.deploy.ufw_rules:
    owner: shop
    rules:
      web: {ports: ["80", "443"], proto: tcp, policy: allow, from: [any], comment: ""}
"""

RETURN = r"""
ssh_ports:
  description: The ports on which the SSH server listens.
  returned: always
  type: list
  elements: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils import ufw, ufw_host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "rules": {"type": "dict", "required": True},
            "enabled": {"type": "bool", "default": True},
            "default_incoming": {"type": "str", "choices": list(ufw_host.POLICIES), "default": "deny"},
            "purge_foreign": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        wanted = ufw.wanted_rules(given["rules"], given["owner"])
        if not ufw_host.installed() and not module.check_mode:
            raise ufw.UfwError("ufw is not installed on this host")
        before = ufw_host.look()
        ports = ufw_host.ssh_ports()
        ufw.check_ssh(wanted, ports, ufw_host.ssh_peers(ports))
        change = ufw.find_change(before.rules, wanted, ports, given["owner"], given["purge_foreign"])
        policy = ufw_host.POLICIES[given["default_incoming"]]
        changed = bool(change) or before.active != given["enabled"] or before.incoming != policy
        if changed and not module.check_mode:
            ufw_host.carry_out(before, change, given["default_incoming"], given["enabled"])
    except ufw.UfwError as error:
        module.fail_json(msg=str(error))
    state = "active, incoming" if given["enabled"] else "inactive, incoming"
    was = "active, incoming" if before.active else "inactive, incoming"
    module.exit_json(
        changed=changed,
        ssh_ports=ports,
        diff={
            "before_header": "firewall",
            "after_header": "firewall",
            "before": f"{was} {before.incoming}\n{ufw.listing(before.rules)}",
            "after": f"{state} {policy}\n{ufw.listing(ufw.after(before.rules, change))}",
        },
    )


if __name__ == "__main__":
    main()
