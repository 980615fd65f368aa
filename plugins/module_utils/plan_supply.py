# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far an application's code and packages are known to be what their authors made, and what an inventory demands."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.signing_keys import signing_keys
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import SshKeyError, ssh_server
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint

DEMANDS = ("signatures", "checksums", "host_keys", "hashes")
_VARIABLE = "flask_apps_require"


def read_demands(given: Any) -> tuple[list[str], list[Problem]]:
    """Return what is demanded of all applications, and what is wrong with how it was said."""
    words = given.split(",") if isinstance(given, str) else given or []
    if not isinstance(words, Sequence):
        return [], [Problem(_VARIABLE, f"is no list: write some of {', '.join(DEMANDS)}", "wrong-type")]
    found = [str(word).strip() for word in words if str(word).strip()]
    problems = [
        Problem(f"{_VARIABLE}[{index}]", f"'{word}' is not available; {hint(word, DEMANDS)}", "wrong-choice")
        for index, word in enumerate(found)
        if word not in DEMANDS
    ]
    return [word for word in found if word in DEMANDS], problems


def check_verify(report: Report, entry: Entry) -> None:
    """The keys of those who may sign."""
    source = entry.get("source") or {}
    if source.get("verify") is None or source.get("git") is None:
        return
    try:
        signing_keys(source["verify"])
    except SshKeyError as error:
        report.add("verify", "source.verify", str(error))


def verify_packages(source: Entry) -> set[str]:
    """Return the Debian packages that check signatures by these keys."""
    if not source.get("verify"):
        return set()
    signers, packets = signing_keys(source["verify"])
    return {*(["openssh-client"] if signers else []), *(["gpg"] if packets else [])}


def check_demands(report: Report, entry: Entry, demands: Sequence[str]) -> None:
    """What the inventory demands of every application. A demand is about the sources that can meet it."""
    source = entry.get("source") or {}
    if "signatures" in demands and source.get("git") is not None and not source.get("verify"):
        text = f"is missing, and {_VARIABLE} demands signatures: list the public keys of those who sign tags or commits"
        report.add("supply", "source.verify", text)
    named = source.get("archive") is not None or source.get("pypi") is not None
    if "checksums" in demands and named and not source.get("checksum"):
        report.add(
            "supply",
            "source.checksum",
            f"is missing, and {_VARIABLE} demands checksums: write 'sha256:' and what sha256sum prints",
        )
    if "host_keys" in demands and source.get("git") is not None:
        _check_server(report, source)
    if "hashes" in demands and not entry["python"]["require_hashes"]:
        text = f"is false, and {_VARIABLE} demands hashes: set it here, or for all under flask_app_defaults"
        report.add("supply", "python.require_hashes", text)


def _check_server(report: Report, source: Entry) -> None:
    url = source["git"]
    try:
        server, scheme = ssh_server(url), urllib.parse.urlsplit(url).scheme if "://" in url else ""
    except ValueError:
        return
    if server is not None and not source.get("host_key"):
        text = (
            f"is missing, and {_VARIABLE} demands host keys: write the line that 'ssh-keyscan {server[0]}' prints,"
            " after comparing it with what its operator publishes"
        )
        report.add("supply", "source.host_key", text)
    elif scheme in ("git", "http"):
        text = f"is reached by {scheme}://, where nobody can tell who answers, and {_VARIABLE} demands host keys"
        report.add("supply", "source.git", f"{text}: take https or ssh")
