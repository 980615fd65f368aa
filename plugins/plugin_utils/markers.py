# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Ansible hands to a filter in the place of a value that it can't have.

Since ansible-core 2.19 such a value is a marker: for an undefined variable, for a lookup that failed, for a vault
without its password. It raises Ansible's error when it is touched: a person sees one error, mends it, sees the next.
A filter that is decorated with ``accept_args_markers`` and ``accept_lazy_markers`` is given the markers themselves.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.undefined import Undefined
from jinja2 import Undefined as Marker


def told(value: Any) -> Any:
    """Return a value as it is, and for a marker an ``Undefined`` with Ansible's words."""
    if not isinstance(value, Marker):
        return value
    try:
        str(value)
    except Exception as error:  # pylint: disable=broad-except
        # A failed lookup and a locked vault are the cause of it.
        return Undefined(str(error.__cause__ or error))
    return Undefined("it is undefined")
