# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far the sandboxes of live releases go: the preset, what was changed in it, and systemd's own score."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import preset_of, read_service

_SCORE = re.compile(r"Overall exposure level for (\S+): ([0-9]+(?:\.[0-9]+)?)")


def scores_of(units: Collection[str]) -> dict[str, float]:
    """Return unit -> exposure (0 to 10, the less the better) as they are loaded, with all that an administrator put
    over them. One call for all; units that systemd does not know are missing.
    """
    if not units:
        return {}
    return read_scores(run(["systemd-analyze", "security", "--no-pager", *sorted(units)]).stdout)


def read_scores(said: str) -> dict[str, float]:
    """Return unit -> exposure of what ``systemd-analyze security`` said of some units.

    Its JSON has the weight of each directive and not their sum (systemd 252 and 257).
    """
    return {unit: float(score) for unit, score in _SCORE.findall(said)}


def sandbox_status(layout: Layout, release_id: str, unit: str, scores: dict[str, float]) -> dict[str, Any]:
    """Return ``preset``, ``changed`` (directives that differ from it, sorted) and ``score`` of a server's unit.

    All of them are null or empty where systemd does not run the server.
    """
    text = ""
    if unit.endswith(".service"):
        try:
            with open(f"{layout.units(release_id)}/{unit}", encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        except OSError:
            text = ""
    if not text:
        return {"preset": None, "changed": [], "score": None}
    preset, changed = preset_of(read_service(text))
    return {"preset": preset, "changed": changed, "score": scores.get(unit)}
