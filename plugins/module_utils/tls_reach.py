# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether an authority that asks over HTTP would get its answer: seen from here, before it is asked."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from ansible_collections.flaskworks.deploy.plugins.module_utils.bounded_socket import connected
from ansible_collections.flaskworks.deploy.plugins.module_utils.dns_names import addresses, is_loopback

CHALLENGES = ".well-known/acme-challenge"
# Seconds for a connection and its answer.
PATIENCE = 5.0
HTTP, HTTPS = 80, 443
_BYTES = 4096
# As many as Let's Encrypt follows.
_REDIRECTS = 10
_OF_A_REDIRECT = "have that host hand the challenge on as it is, or correct the {record} record if it is another host"

# None: nobody answers the question.
Lookup = Callable[[str], "list[str] | None"]


@dataclass(frozen=True)
class Answer:
    """What came back for one request; ``location`` is where a redirect leads to."""

    status: int
    text: str = ""
    location: str = ""


# An address, and the whole URL that is asked there.
Ask = Callable[[str, str], Answer]


def known_here(name: str) -> list[str] | None:
    """Return the addresses that /etc/hosts has for a name, or else DNS: for an authority of one's own.

    Loopback addresses count as none: a host often has its own name at one (127.0.1.1), whatever others know.
    """
    try:
        found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        found = []
    own = [str(item[4][0]) for item in found if not is_loopback(str(item[4][0]))]
    return list(dict.fromkeys(own)) or addresses(name)


def ask(address: str, url: str) -> Answer:
    """Return what a host says at an address, whoever's certificate it shows. Raises OSError when there is no answer."""
    try:
        asked = urlsplit(url)
        secure, name = asked.scheme == "https", asked.hostname or ""
        port = asked.port or (HTTPS if secure else HTTP)
        connection = http.client.HTTPConnection(name, port)
    except (ValueError, http.client.InvalidURL):
        raise OSError("it is no address of the web") from None
    try:
        connection.sock = connected(address, port, PATIENCE, name if secure else None)
        path = asked.path + (f"?{asked.query}" if asked.query else "")
        connection.request(
            "GET", path or "/", headers={"Host": asked.netloc.rpartition("@")[2], "User-Agent": "flaskworks.deploy"}
        )
        answer = connection.getresponse()
        text = answer.read(_BYTES).decode(errors="replace")
        return Answer(answer.status, text, answer.headers.get("Location", "") if 300 <= answer.status < 400 else "")
    except (ValueError, http.client.HTTPException) as error:
        raise OSError(f"no answer in HTTP ({type(error).__name__})") from error
    finally:
        connection.close()


def unreachable(names: Sequence[str], webroot: str, lookup: Lookup = addresses, question: Ask = ask) -> list[str]:
    """Return in words what would make challenges fail: names without an address, addresses that lead elsewhere.

    A file below ``webroot`` is asked for by every name at each of its addresses, as an authority does. ``lookup`` has
    to know what that authority knows.
    """
    token = f"flaskworks-{secrets.token_hex(8)}"
    folder = f"{webroot}/{CHALLENGES}"
    os.makedirs(webroot, exist_ok=True)
    for place in (os.path.dirname(folder), folder):
        with contextlib.suppress(FileExistsError):
            os.mkdir(place)
            # nginx has to get through it, whatever umask root has on this host.
            os.chmod(place, 0o755)
    path = f"{folder}/{token}"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(token)
    os.chmod(path, 0o644)
    try:
        return [text for name in names for text in _faults(name, token, lookup, question)]
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
            # certbot makes them again, and so does the next run.
            os.rmdir(folder)
            os.rmdir(os.path.dirname(folder))


def _faults(name: str, token: str, lookup: Lookup, question: Ask) -> list[str]:
    found = lookup(name)
    if found is None:
        return [
            f"{name} has no address that could be found, as the name server of this host does not answer: see its"
            " /etc/resolv.conf and its way out to port 53, or set check: false"
        ]
    others = [address for address in found if not is_loopback(address)]
    if not others:
        but = f" but {', '.join(found)}, at which every host finds itself" if found else ""
        return [f"{name} has no address in DNS{but}: add an A or AAAA record for it, or wait until DNS has it"]
    path = f"/{CHALLENGES}/{token}"
    return [text for address in others if (text := _fault(name, address, path, token, lookup, question))]


def _fault(name: str, address: str, path: str, token: str, lookup: Lookup, question: Ask) -> str:
    """Return in words what is wrong with one address of a name, or an empty text."""
    leads, record = f"{name} leads to {address}", "AAAA" if ":" in address else "A"
    url = f"http://{name}{path}"
    try:
        answer = question(address, url)
    except OSError as error:
        return (
            f"{leads}, where port 80 can't be reached ({_reason(error)}): open it in every firewall and router on the"
            " way, or correct the record if that is another host"
        )
    via, hops = "", 0
    try:
        # An authority follows redirects.
        while answer.location and hops < _REDIRECTS:
            hops += 1
            url = urljoin(url, answer.location)
            via = f", which redirects to {url!r}"
            answer = _followed(url, lookup, question)
    except (OSError, ValueError) as error:
        return f"{leads}{via}, and there is no answer ({_reason(error)}): {_OF_A_REDIRECT.format(record=record)}"
    if (answer.status, answer.text.strip()) == (200, token):
        return ""
    advice = f"correct the {record} record, or see which site there has the name"
    return (
        f"{leads}{via}, where something else answers (status {answer.status}):"
        f" {_OF_A_REDIRECT.format(record=record) if via else advice}"
    )


def _followed(url: str, lookup: Lookup, question: Ask) -> Answer:
    """Return what there is where a redirect leads to. Raises OSError, ValueError."""
    asked = urlsplit(url)
    # What an authority accepts: letsencrypt.org/docs/challenge-types.
    if asked.scheme not in ("http", "https") or asked.port not in (None, HTTP, HTTPS):
        raise OSError("authorities follow to the ports 80 and 443 alone")
    last = OSError("it has no address")
    for address in lookup(asked.hostname or "") or ():
        try:
            return question(address, url)
        except OSError as error:
            last = error
    raise last


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:.0f} s"
    return getattr(error, "strerror", None) or str(error)
