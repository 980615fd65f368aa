# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible's values as plain Python ones."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any


def to_plain(value: Any, substitute: Callable[[Any], Any] | None = None) -> Any:
    """Return a deep copy made of dict, list, str, int, float, bool and None only; other leaves stay as they are.

    Since ansible-core 2.19 a filter is given subclasses of these types that carry tags (origin, trust, vault), in
    containers that render a value when it is read. Reading it here decrypts vault text, and raises ansible's own error,
    with the place in the inventory, for an undefined variable. Without its tags a text is never taken for a template
    again.

    ``substitute`` is asked for each leaf, and returns what stands for it: the leaf itself, or something else for one
    that can't be had. A filter has to accept markers for that.
    """
    if substitute is not None and (stands := substitute(value)) is not value:
        return stands
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(item, substitute) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item, substitute) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, datetime.datetime):
        return datetime.datetime.fromisoformat(value.isoformat())
    if isinstance(value, datetime.date):
        return datetime.date.fromisoformat(value.isoformat())
    return value
