# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Static maps that would show visitors the application's own code."""

from __future__ import annotations

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report


def holds_code(target: str, wsgi: str) -> bool:
    """Tell whether a directory, like ``src:blog/``, is one that the callable's module lies in."""
    kind, dummy, path = target.partition(":")
    module = wsgi.partition(":")[0].split(".")
    parts = path.strip("/").split("/")
    # A project may keep its packages in a directory src.
    places = [parts, *([parts[1:]] if kind == "src" and parts[0] == "src" else [])]
    return kind in ("src", "package") and any(place == module[: len(place)] for place in places)


def check_served_code(report: Report, entry: Entry) -> None:
    """No static directory is the package that is run, or one around it."""
    for url, target in entry["static"].items():
        if isinstance(target, str) and holds_code(target, entry["wsgi"]):
            text = (
                f"'{target}' holds the code that {entry['wsgi']} names, for everybody to read: name a directory in it"
                f" with nothing but static files, like '{target.rstrip('/')}/static/'"
            )
            report.add("static-code", f"static.{url}", text)
