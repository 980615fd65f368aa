# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules that print a report on the controller have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """The documentation of doctor_report and status_report."""

    DOCUMENTATION = r"""
description:
  - Runs nothing on a host and changes nothing there. The file on the controller is written anew each time and is
    not reported as a change.
options:
  file:
    description: Where the JSON goes, on the controller; relative to where ansible-playbook runs.
    type: path
attributes:
  check_mode:
    description: Only reads hosts.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing on hosts.
    support: full
notes:
  - Runs on the controller as an action plugin.
"""
