# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From sites to the files of nginx's configuration."""

from __future__ import annotations

DOCUMENTATION = """
name: nginx_files
short_description: Turns sites into the files of nginx's configuration
version_added: 0.1.0
author: The flaskworks maintainers
description:
  - Returns nginx's main configuration and one file with its link per site, as M(flaskworks.deploy.file_set) takes them.
  - Fails with all problems at once, those between two sites included.
options:
  _input:
    description: The sites, complete as P(flaskworks.deploy.entries#filter) returns them.
    type: dict
    required: true
  worker_connections:
    description: Connections that one worker process may hold.
    type: int
    required: true
  client_header_timeout:
    description: Seconds in which a client has to send the headers of a request.
    type: int
    required: true
  remove_default:
    description: Whether to switch off the welcome site that Debian enables.
    type: bool
    required: true
  catch_all:
    description: Whether requests for unknown hosts are dropped.
    type: bool
    required: true
  ipv6:
    description: Whether to listen on IPv6 as well.
    type: bool
    required: true
"""

EXAMPLES = """
- name: Show where the sites would be written
  ansible.builtin.debug:
    msg: >-
      {{ nginx_sites | flaskworks.deploy.entries('nginx_sites')
         | flaskworks.deploy.nginx_files(worker_connections=4096, client_header_timeout=15, remove_default=true,
                                         catch_all=true, ipv6=true) }}
"""

RETURN = """
_value:
  description: Path of each file, with its template and variables.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_check import check_sites
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_files import site_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError


def nginx_files(sites: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Return what DOCUMENTATION says. Raises AnsibleFilterError with all problems."""
    plain = to_plain(sites)
    problems = check_sites(plain)
    if problems:
        raise AnsibleFilterError(str(InventoryError(problems)))
    return site_files(plain, **to_plain(options))


class FilterModule:
    """The filter of the role nginx_sites."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"nginx_files": nginx_files}
