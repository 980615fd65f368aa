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

from ansible_collections.flaskworks.deploy.plugins.module_utils.bounded_socket import connected

CHALLENGES = ".well-known/acme-challenge"
# Seconds for a connection and its answer.
PATIENCE = 5.0
HTTP = 80
_BYTES = 4096

Lookup = Callable[[str], list[str]]
Ask = Callable[[str, str, str], tuple[int, str]]


def addresses(name: str) -> list[str]:
    """Return the addresses of a name, IPv4 and IPv6. Raises OSError when it has none."""
    try:
        found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    except UnicodeError:
        # A part of it is empty or longer than 63 characters.
        raise OSError("it is no host name") from None
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def ask(address: str, name: str, path: str) -> tuple[int, str]:
    """Return status and text of an answer of that host at that address, port 80. Raises OSError when there is none."""
    connection = http.client.HTTPConnection(name, HTTP)
    try:
        connection.sock = connected(address, HTTP, PATIENCE)
        connection.request("GET", path, headers={"Host": name, "User-Agent": "flaskworks.deploy"})
        answer = connection.getresponse()
        return answer.status, answer.read(_BYTES).decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"no answer in HTTP ({type(error).__name__})") from error
    finally:
        connection.close()


def unreachable(names: Sequence[str], webroot: str, lookup: Lookup = addresses, question: Ask = ask) -> list[str]:
    """Return in words what would make challenges fail: names without an address, addresses that lead elsewhere.

    A file below ``webroot`` is asked for by every name at each of its addresses, as an authority does.
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
    try:
        found = lookup(name)
    except OSError as error:
        return [
            f"{name} has no address ({error.strerror or error}): add an A or AAAA record for it, or wait until DNS has"
            " it"
        ]
    faults = []
    for address in found:
        try:
            status, text = question(address, name, f"/{CHALLENGES}/{token}")
        except OSError as error:
            reason = "no answer within 5 s" if isinstance(error, TimeoutError) else error.strerror or str(error)
            faults.append(
                f"{name} leads to {address}, where port 80 can't be reached ({reason}): open it in every firewall and"
                " router on the way, or correct the record if that is another host"
            )
            continue
        # An authority follows redirects.
        if not 300 <= status < 400 and (status, text.strip()) != (200, token):
            faults.append(
                f"{name} leads to {address}, where something else answers (status {status}): correct the"
                f" {'AAAA' if ':' in address else 'A'} record, or see which site there has the name"
            )
    return faults
