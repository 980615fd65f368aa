"""The host of the scenario: it serves its own repository and index, and has applications with secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from e2e.playbooks import Run, build_env
from e2e.secrets.canary import CanaryHost
from e2e.secrets.inventory import VERSIONS, apps_with


class SecretsHost(CanaryHost):
    """The host and its applications."""

    def apps(self, version: str = "good", **values: str) -> dict[str, Any]:
        """The applications; `values` take the place of some secrets."""
        return apps_with({**self.values, **values}, self.markers, self.folder, version)

    def bring(
        self, apps: Mapping[str, Any], *options: str, playbook: str = "playbooks/deploy.yml", **variables: Any
    ) -> Run:
        """Run a playbook for these applications; the controller's own processes and files are searched as well."""
        said = self.say(apps, flask_apps_build_env={"GIT_SSL_CAINFO": "/opt/ca.pem", **build_env()}, **variables)
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        own = {"TMPDIR": str(scratch), "ANSIBLE_LOCAL_TEMP": f"{scratch}/ansible", "ANSIBLE_LOG_PATH": f"{scratch}/log"}
        with self.watched():
            return self.play(playbook, *said, *options, env=own)

    def serve(self) -> None:
        """Have the host serve the site and the index, unless it does."""
        if not self.root("test -e /opt/ca.pem || echo new"):
            return
        self.root(
            "apt-get -qq update && apt-get -qq install --yes curl git openssl >/dev/null 2>&1;"
            " mkdir -p -m 0700 /opt/secrets"
        )
        self.program("servers", {"versions": VERSIONS, "git": self.markers["git"], "index": self.markers["index"]})

    def seen(self, app: str) -> dict[str, str]:
        """What an application says it has: digests."""
        found: dict[str, str] = json.loads(
            self.root(f"curl -s -m 10 --unix-socket /srv/{app}/current/gunicorn.sock http://x/")
        )
        return found
