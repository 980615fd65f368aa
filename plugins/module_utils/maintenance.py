# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Closing a site to its visitors: what was asked for, checked, and the words that nginx says instead.

Whether an application is in maintenance is the host's own state, no part of the inventory. It is on exactly as long as
``/etc/nginx/flaskworks/<app>/maintenance.conf`` exists, which everybody on the host may read. The operators' token is
in another file, root's alone.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Collection
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import SITES_DIRECTORY
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import closest

MESSAGE = "This site is being worked on. Please come back in a few minutes."
RETRY_AFTER = 600
# nginx reads no word of over 4096 bytes (NGX_CONF_BUFFER), and a character may become six.
MESSAGE_LENGTH = 500
_RETRY_MAX = 30 * 86400
_APP = re.compile(r"[a-z][a-z0-9-]*")
# What nginx, HTML or JSON read as more than a character: nginx has no way to write a '$' in a text.
_SPECIAL = "\"'$&<>\\"


def page_file(app: str) -> str:
    """Return the path that exists as long as the maintenance of an application is on. A site reads it (plan_paths)."""
    return f"{SITES_DIRECTORY}/{app}/maintenance.conf"


def token_file(app: str) -> str:
    """Return the file that tells operators from visitors. It holds the token."""
    return f"/etc/nginx/conf.d/flaskworks-maintenance-{app}.conf"


def site_file(app: str) -> str:
    return f"/etc/nginx/sites-enabled/{app}.conf"


def identifier(app: str) -> str:
    """Return the name of an application for nginx's variables and a cookie. A name has no '_' of its own."""
    return app.replace("-", "_")


def html_text(text: str) -> str:
    """Return a text for HTML inside a quoted word of nginx's configuration."""
    return "".join(f"&#{ord(letter)};" if letter in _SPECIAL else letter for letter in text)


def json_text(text: str) -> str:
    """Return a text for a JSON string inside a quoted word of nginx's configuration."""
    return "".join(f"\\u{ord(letter):04x}" if letter in _SPECIAL else letter for letter in text)


def is_on(state: Any) -> bool | None:
    """Return what a value of ``state`` means, or None. YAML reads an unquoted on as true."""
    if isinstance(state, bool):
        return state
    return {"on": True, "off": False}.get(state) if isinstance(state, str) else None


def app_faults(app: Any, listed: Collection[str], found: Collection[str], on: bool) -> list[str]:
    """Return why there is nothing to close or open.

    listed   the names of the inventory
    found    paths on the host: of each application's ``current``, the sites and the files of a maintenance
    """
    if not isinstance(app, str) or not _APP.fullmatch(app):
        return [f"app: {app!r} can't be an application; say which one: -e app=blog"]
    if not on and token_file(app) in found:
        return []
    live = {path.split("/")[2] for path in found if path.startswith("/srv/") and path.endswith("/current")}
    if app not in live | set(listed):
        near = closest(app, live | set(listed))
        hint = f"; did you mean '{near}'?" if near else ""
        return [f"app: there is no application '{app}', neither in flask_apps nor on this host{hint}"]
    if app not in live or site_file(app) not in found:
        return [f"app: '{app}' is not live on this host: run site.yml first, or leave the host out with --limit"]
    return []


def message_faults(message: Any) -> list[str]:
    if not isinstance(message, str) or not message.strip():
        return ["message: is empty or no text: say in a sentence what visitors are to know, or leave it out"]
    faults = []
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in message):
        faults.append("message: has control characters, such as a line break: write one line of text")
    if len(message) > MESSAGE_LENGTH:
        faults.append(f"message: has {len(message)} characters, and {MESSAGE_LENGTH} is the most")
    return faults


def retry_faults(seconds: Any) -> list[str]:
    number = int(seconds) if isinstance(seconds, str) and re.fullmatch(r"[0-9]{1,9}", seconds) else seconds
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _RETRY_MAX:
        return [f"retry_after: {seconds!r} is no number of seconds from 1 to {_RETRY_MAX}"]
    return []


def networks(allow: Any) -> tuple[list[str], list[str]]:
    """Return addresses and networks as nginx takes them, and what is wrong. ``allow``: a list, or joined by commas."""
    words = allow.split(",") if isinstance(allow, str) else allow
    if not isinstance(words, list):
        return [], [f"allow: {allow!r} is no list of addresses: write allow=203.0.113.7,2001:db8::/32"]
    found, faults = set(), []
    for word in (word.strip() if isinstance(word, str) else word for word in words):
        if word == "":
            continue
        try:
            network = ipaddress.ip_network(word if isinstance(word, str) and "%" not in word else "")
        except ValueError:
            faults.append(f"allow: {word!r} is no address or network; write 203.0.113.7, 2001:db8::1 or 203.0.113.0/24")
            continue
        if network.prefixlen == 0:
            faults.append(f"allow: {word!r} is everybody: the site would be closed to nobody; name the operators")
        found.add(str(network))
    return sorted(found), faults


def site_address(app: str, site: str, host: str) -> str:
    """Return where a browser reaches a site, from its configuration; ``host`` is the name when it has none of its own.

    Raises ValueError when the site does not read what the host decides.
    """
    if f"include {SITES_DIRECTORY}/{app}/*.conf;" not in site:
        raise ValueError(
            f"app: the site of '{app}' was written by an older version: run site.yml once, then this again"
        )
    # The first server is the site itself; others lead to it.
    ports, secure = (re.findall(rf"^\s*listen (\d+){kind}", site, re.MULTILINE) for kind in ("(?! ssl)\\b", r" ssl\b"))
    scheme, own, common = ("https", secure, "443") if secure else ("http", ports, "80")
    port = common if common in own or not own else own[0]
    names = re.findall(r"^\s*server_name (.*);", site, re.MULTILINE)
    plain = [name for name in (names[0].split() if names else []) if re.fullmatch(r"[a-z0-9_.-]+", name)]
    name = plain[0] if plain else f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" + ("" if port == common else f":{port}")
