# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What flaskworks.deploy.release says of what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.utils.display import Display
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import visible
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.jobs import box

display = Display()
WORDS = {
    "deploy": "a new release",
    "reactivate": "a kept release again",
    "start": "the live release is started",
    "rollback": "an earlier release again",
}


def summary_of(finding: dict[str, Any], action: str | Mapping[str, str]) -> dict[str, Any]:
    done = action if isinstance(action, str) else action[finding["action"]]
    return {"app": finding["app"], "action": done, "release": finding["release"], "reason": finding["reason"]}


def difference(finding: dict[str, Any]) -> dict[str, str]:
    """Return the parts of the live and the wanted release as lines; only digests of them, and the version of the
    code.
    """
    name = finding["app"]
    texts = [
        "".join(f"{part}: {value}\n" for part, value in sorted(facts.items()))
        for facts in (finding["before"], finding["after"])
    ]
    texts[1] += "".join(f"reason: {reason}\n" for reason in finding["reason"])
    return {
        "before_header": f"{name}: release {finding['live'] or 'none'}",
        "after_header": f"{name}: release {finding['release'] or 'new'}",
        "before": texts[0],
        "after": texts[1],
    }


def with_failures(result: dict[str, Any], failures: list[dict[str, Any]]) -> dict[str, Any]:
    if not failures:
        return result
    # The last lines of a log are among the words, and the application wrote them.
    texts = [visible(str(failure.get("msg", ""))) for failure in failures]
    for text in texts:
        display.display(box(text), color="red")
    return {**result, "failed": True, "msg": "\n\n".join(texts), "step": failures[0].get("step", "")}
