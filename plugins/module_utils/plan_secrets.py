# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of secrets: that each is there once, and can be handed over as it is asked; and what the module is told."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import LONGEST, unknown_names
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint

PLACEHOLDERS = """
    changeme change-me change_me changethis change-this dev example fixme hunter2 insecure none null password
    placeholder replaceme replace-me replace_me secret secret-key secret_key secretkey supersecret test todo undefined
    unset your-secret-key your_secret_key
"""
# Characters; fewer could be guessed.
SHORTEST = 16
FILE_SUFFIX = "_FILE"


def check_secrets(report: Report, entry: Entry) -> None:
    """Each secret is there, once, and can be handed over."""
    for name, secret in entry["secrets"].items():
        key = f"secrets.{name}"
        value, length = secret.get("value"), secret.get("generate")
        if value is not None and length is not None:
            report.add("secret", key, "has both value and generate: keep one")
        elif length is not None:
            if not SHORTEST <= length <= LONGEST:
                text = (
                    f"{length} is no number of characters for a secret: write {SHORTEST} to {LONGEST}, 50 for instance"
                )
                report.add("secret-generate", f"{key}.generate", text)
        elif value is None or not value.strip():
            text = "is empty: fill it in, best from a vault, or have it made on the host with {generate: 50}"
            report.add("secret", key, text)
        elif _is_placeholder(value):
            report.add("secret", key, "is a placeholder, not a secret: fill it in, best from a vault")
        _check_hand_over(report, entry, name, secret["as"])
    for path, file in entry["files"].items():
        _check_markers(report, entry, path, file.get("content") or "")


def _is_placeholder(value: str) -> bool:
    said = value.strip().lower()
    return said in PLACEHOLDERS.split() or "{{" in value or bool(re.fullmatch(r"<[^<>]*>|x+|\*+", said))


def _check_hand_over(report: Report, entry: Entry, name: str, kind: str) -> None:
    manager = entry["process_manager"]
    if kind == "credential" and manager != "systemd":
        text = f"{manager} has no credentials: write as: file, or use process_manager systemd"
        report.add("secret-as", f"secrets.{name}.as", text)
    elif kind == "credential" and "LoadCredential" in entry["systemd"]["Service"]:
        text = "systemd.Service.LoadCredential would take its place: remove one of them"
        report.add("secret-as", f"secrets.{name}.as", text)
    elif kind == "file":
        variable = name + FILE_SUFFIX
        where = next((key for key in ("env", "secrets") if variable in entry[key]), "")
        if where:
            text = f"'{variable}' would hold the path of its file, but is in {where} already: rename one"
            report.add("env-twice", f"secrets.{name}.as", text)


def _check_markers(report: Report, entry: Entry, path: str, text: str) -> None:
    for name in unknown_names(text, entry["secrets"]):
        meant = f"; {hint(name, entry['secrets'])}" if entry["secrets"] else ""
        said = f"names the secret '{name}', which this application does not have{meant}"
        report.add("file-secret", f"files.{path}", said)


def handed_over(entry: Entry) -> dict[str, Any]:
    """Return what the module of releases takes of an application's secrets; what is not used is left out."""
    secrets = sorted(entry["secrets"].items())
    made = {name: secret["generate"] for name, secret in secrets if secret.get("generate") is not None}
    handed = {name: secret["as"] for name, secret in secrets if secret["as"] != "environment"}
    return {
        "secrets": {name: secret["value"] for name, secret in secrets if name not in made},
        **({"generated": made} if made else {}),
        **({"handed": handed} if handed else {}),
    }


def credentials(entry: Entry, release_dir: str) -> dict[str, list[str]]:
    """Return the directive by which systemd hands credentials to each service of a release."""
    names = sorted(name for name, secret in entry["secrets"].items() if secret["as"] == "credential")
    return {"LoadCredential": [f"{name}:{release_dir}/credentials/{name}" for name in names]} if names else {}
