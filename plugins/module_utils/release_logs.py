# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the logs of a release's server go, and which lines of the journal are which."""

from __future__ import annotations

from ansible_collections.flaskworks.deploy.plugins.module_utils import servers
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import read_json, read_text_if_any
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status_host import gunicorn_settings

# A server gives its access log to the journal as notices. What systemd itself says of a unit has the transport journal.
ACCESS = ("_TRANSPORT=stdout", "PRIORITY=5")
_OTHERS = (*(f"PRIORITY={number}" for number in (0, 1, 2, 3, 4, 6, 7)), "+", "_TRANSPORT=journal", "_TRANSPORT=syslog")
# What systemd says, before a unit's program is there too. The journal takes the user id from the kernel (journald(8)),
# and no application runs as root.
BY_SYSTEM = ("_TRANSPORT=journal", "_UID=0")


def without_access(layout: Layout, release: str) -> list[str]:
    """Return the words of journalctl that leave out the access log, in which visitors write what they like."""
    return [*_OTHERS] if log_place(layout, release, "access") == "-" else []


def log_place(layout: Layout, release: str, kind: str) -> str:
    """Return where the log ``access`` or ``error`` of a release goes: a file, - for the journal, or nowhere."""
    recorded = servers.recorded(read_json(layout.record(release)))
    if f"{kind}_log" in recorded:
        return str(recorded[f"{kind}_log"])
    settings = gunicorn_settings(read_text_if_any(f"{layout.release(release)}/gunicorn.conf.py"), 1)
    return str(settings.get(f"{kind}log") or "")
