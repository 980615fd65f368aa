# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All that one release is made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import servers, venvs_index
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import source_secrets
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import hidden_parts
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import account_of

# Variables of the build that nobody is to read in an error message.
_SECRET_NAME = re.compile(r"TOKEN|PASS|SECRET|KEY|AUTH|CREDENTIAL", re.IGNORECASE)


@dataclass
class Order:
    """All that one release is made from.

    ``app`` is the entry of the plan, secrets and rendered files (name -> text) included; ``version`` the commit or
    the source's digest.
    """

    app: Mapping[str, Any]
    layout: Layout
    version: str
    parts: Mapping[str, str]
    digest: str
    secrets_digest: str
    server_text: str
    units: Mapping[str, str]
    build_env: Mapping[str, str]
    archive: str = ""
    wheels: str = ""
    by: str = ""
    # Whether the commands before_switch run on this host: they do so on one host only.
    release_commands: bool = True
    known_group: int | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def group(self) -> int:
        return account_of(self.app["user"]).pw_gid if self.known_group is None else self.known_group

    @property
    def asked(self) -> str:
        """The version as the inventory names it."""
        return str(self.app.get("source", {}).get("version", ""))

    @property
    def keep(self) -> int:
        return int(self.app.get("keep", 5))

    @property
    def error_log(self) -> str:
        """Where the server writes errors: a failed start is explained there when it isn't in the journal."""
        return servers.log_file(self.app["server"], "error") or "-"

    def secret_values(self) -> list[str]:
        files = map(str, self.app.get("files", {}).values())
        tokens = (value for name, value in self.build_env.items() if _SECRET_NAME.search(name))
        return [
            *tokens,
            *venvs_index.index_secrets(venvs_index.index_addresses(self.app.get("python", {}))),
            *map(str, self.app.get("secrets", {}).values()),
            *source_secrets(self.app.get("source", {})),
            *(part for text in files for part in hidden_parts(text)),
        ]
