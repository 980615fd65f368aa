# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How often programs of an application were started again of late: systemd counts them without a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_app import RESTARTS
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_net import PATIENCE
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_heard import last_words

# systemd's own words when it starts a unit again (sd-messages.h, SD_MESSAGE_UNIT_RESTART_SCHEDULED).
RESTARTED = "5eb03494b6584870a536b337290809b3"


def restarts_of_day(status: Mapping[str, Any]) -> dict[str, int]:
    """Return unit -> restarts within 24 hours, of those that systemd started again often; ``status``: of host_status().

    A unit is missing when the journal has nothing of it any more.
    """
    units = [unit["unit"] for unit in _services(status) if (unit.get("restarts") or 0) >= RESTARTS]
    if not units:
        return {}
    fields = ["--since=-24h", "--quiet", "--no-pager", "--output=json", "--output-fields=UNIT"]
    # Everybody may write to the journal, and say that he is a unit.
    matches = [f"MESSAGE_ID={RESTARTED}", "_UID=0", *(f"UNIT={unit}" for unit in units)]
    return counted(last_words(["journalctl", *fields, *matches], PATIENCE))


def counted(journal: str) -> dict[str, int]:
    """Return unit -> the number of its entries, of ``journalctl --output=json``. Pure."""
    found: Counter[str] = Counter()
    for line in journal.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # the first one may be cut
            continue
        if isinstance(entry, dict) and entry.get("UNIT"):
            found[str(entry["UNIT"])] += 1
    return dict(found)


def _services(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for unit in (status.get("web"), *(status.get("processes") or [])):
        if unit and str(unit["unit"]).endswith(".service"):
            yield unit
