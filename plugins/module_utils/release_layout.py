# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the parts of an application's releases lie on the host, and which paths may be named in its definition."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError

BUILD_USER = "flaskworks-build"
STATE_DIRECTORY = "/var/lib/flaskworks"
OWNERS_DIRECTORY = "/var/lib/flaskworks/release"
KEY_FILE = "/var/lib/flaskworks/release.key"
CACHE_DIRECTORY = "/var/cache/flaskworks"
# The home of programs that the build user runs outside of the sandbox: any build could leave files in a real one.
NO_HOME = "/nonexistent"
RUN_DIRECTORY = "/run/flaskworks"
# Deploy keys while git uses them: beside RUN_DIRECTORY, which nobody but root passes.
KEYS_DIRECTORY = "/run/flaskworks-keys"
UNIT_DIRECTORY = "/etc/systemd/system"
SUPERVISOR_LOGS = "/var/log/supervisor"
# Below it, for each application, what its site reads of the host's own state.
SITES_DIRECTORY = "/etc/nginx/flaskworks"
WEB_GROUP = "www-data"

# Time first, so that names sort by age; then the first characters of the digest of the inputs.
RELEASE_ID = re.compile(r"^\d{8}-\d{6}-[0-9a-f]{8}$")
APP_NAME = re.compile(r"^[a-z][a-z0-9-]*$")
PUBLIC_KINDS = ("src", "shared", "package")


@dataclass(frozen=True)
class Layout:
    """The paths of one application; nothing here touches the host."""

    app: str
    base: str

    @property
    def mirror(self) -> str:
        return f"{self.base}/repo.git"

    @property
    def archives(self) -> str:
        return f"{self.base}/archives"

    @property
    def wheels(self) -> str:
        """The wheelhouses that the controller sent, each named by its digest."""
        return f"{self.base}/wheels"

    @property
    def venvs(self) -> str:
        return f"{self.base}/venvs"

    @property
    def releases(self) -> str:
        return f"{self.base}/releases"

    @property
    def shared(self) -> str:
        return f"{self.base}/shared"

    @property
    def secrets(self) -> str:
        """The secrets that the host has made, root's alone; they outlive releases."""
        return f"{self.base}/secrets"

    @property
    def current(self) -> str:
        return f"{self.base}/current"

    @property
    def previous(self) -> str:
        """The link to the release that was live before: nginx finds its hashed static files there."""
        return f"{self.base}/previous"

    @property
    def history(self) -> str:
        return f"{self.base}/releases.jsonl"

    @property
    def journal(self) -> str:
        """Exists only while a release is being changed, or after that was cut short."""
        return f"{self.base}/journal.json"

    @property
    def marks(self) -> str:
        """The releases that were rolled back from."""
        return f"{self.base}/rolled_back.json"

    def release(self, release_id: str) -> str:
        return f"{self.releases}/{release_id}"

    def source(self, release_id: str) -> str:
        return f"{self.releases}/{release_id}/src"

    def record(self, release_id: str) -> str:
        return f"{self.releases}/{release_id}/release.json"

    def environment(self, release_id: str) -> str:
        return f"{self.releases}/{release_id}/env"

    def command(self, release_id: str) -> str:
        """How to run one command as the application: its user, directory and sandbox."""
        return f"{self.releases}/{release_id}/command.json"

    def units(self, release_id: str) -> str:
        return f"{self.releases}/{release_id}/units"

    def service(self, release_id: str) -> str:
        return f"{self.app}@{release_id}.service"

    def socket(self, release_id: str) -> str:
        return f"{self.app}@{release_id}.socket"

    def socket_path(self, release_id: str) -> str:
        return f"/run/{self.app}/{release_id}.sock"

    def live(self) -> str | None:
        """Return the id that ``current`` points to, or None. Reads the host."""
        try:
            name = os.path.basename(os.readlink(self.current))
        except OSError:
            return None
        return name if RELEASE_ID.match(name) else None

    def before(self) -> str | None:
        """Return the id that ``previous`` points to, or None. Reads the host."""
        try:
            name = os.path.basename(os.readlink(self.previous))
        except OSError:
            return None
        return name if RELEASE_ID.match(name) else None

    def ids(self) -> list[str]:
        """Return all release ids on the host, oldest first, finished or not. Reads the host."""
        try:
            return sorted(name for name in os.listdir(self.releases) if RELEASE_ID.match(name))
        except OSError:
            return []


def new_release_id(digest: str, taken: list[str], now: float | None = None) -> str:
    """Return an id for a release made now; a second later when two would share a name."""
    moment = time.time() if now is None else now
    while (name := f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(moment))}-{digest[:8]}") in taken:
        moment += 1
    return name


def instance_name(template: str, release_id: str) -> str:
    """Return the unit of one release for a template's name: ``blog@.service`` gives ``blog@<id>.service``."""
    return template.replace("@.", f"@{release_id}.", 1)


def relative_path(path: str, what: str) -> str:
    """Return ``path`` in its normal form. Raises ReleaseError when it is absolute, empty or leaves its root."""
    normal = os.path.normpath(path)
    if not path or "\0" in path or os.path.isabs(path) or normal == ".." or normal.startswith("../"):
        raise ReleaseError("definition", f"{what} must be a relative path that stays inside: {path!r}")
    return normal


def public_target(value: str) -> tuple[str, str]:
    """Split a static map's target (``src:blog/static/``) in its kind and normal relative path."""
    kind, colon, path = value.partition(":")
    if not colon or kind not in PUBLIC_KINDS:
        raise ReleaseError("definition", f"a static map names src:, shared: or package: and a path, not {value!r}")
    return kind, relative_path(path, "the path of a static map")


def shared_served(app: Mapping[str, Any]) -> set[str]:
    """Return the shared directories from which nginx serves files."""
    served: set[str] = set()
    for value in app.get("public", {}).values():
        kind, path = public_target(value)
        if kind == "shared":
            served.update(
                name for name in app.get("shared", []) if path == name or path.startswith(name.rstrip("/") + "/")
            )
    return served
