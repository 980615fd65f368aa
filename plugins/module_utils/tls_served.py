# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx as the certificates see it: it has to take them with the configuration that it has, and is reloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_nginx import (
    DIRECTORY,
    LOGS,
    SERVICE,
    Nginx,
    check_configuration,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import Program, in_context, installed
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import Units, states

# The place of certificates, which is to be seen with the change in it too.
PLACE = "/etc/flaskworks"
TIMER = "certbot.timer"


class Served(Nginx):
    """Reloads an nginx that runs. It starts none: the certificates may be for another program.

    ``unread``: what it has not read yet although no file of the set changes, in words.
    """

    def __init__(self, units: Mapping[str, Mapping[str, Any]], unread: Sequence[str]) -> None:
        super().__init__(units)
        self.unread = list(unread)

    def drift(self) -> list[str]:
        return super().drift() + self.unread

    def validate(self, changes: Sequence[Change]) -> None:
        in_context([DIRECTORY, PLACE], changes, check_configuration, scratch=[LOGS])


def takes_certificates(renewed_by_timer: bool, unread: Sequence[str] = ()) -> Program:
    """Return what takes the certificates: nginx if it runs, and certbot's timer if that renews one of them."""
    units = {TIMER: {"enabled": True, "active": True}} if renewed_by_timer else {}
    runs = installed("nginx") and installed("systemctl") and states([SERVICE])[SERVICE].active == "active"
    return Served(units, unread) if runs else Units(units)
