# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The addresses of names as the world sees them: what DNS says, whatever a host has in its /etc/hosts."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run

# Seconds that one question may take; a resolver with three servers asks each of them twice.
PATIENCE = 15.0
# How the program below ends when DNS says that there is no such name.
_NO_SUCH_NAME = 2

# As `getent -s hosts:dns ahosts` asks. It can't be asked itself: it ends with 2 as well when no server answers, and
# leaves out AAAA records on a host without IPv6 (AI_ADDRCONFIG). The choice of the service is one for a whole process
# (__nss_configure_lookup, <nss.h>), and only with its process can a question be given up.
PROGRAM = f"""
import ctypes, socket, sys
ctypes.CDLL(None).__nss_configure_lookup(b"hosts", b"dns")
try:
    for item in socket.getaddrinfo(sys.argv[1], None, type=socket.SOCK_STREAM):
        print(item[4][0])
except UnicodeError:
    sys.exit({_NO_SUCH_NAME})
except socket.gaierror as error:
    sys.exit({_NO_SUCH_NAME} if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY) else 1)
"""


def addresses(name: str) -> list[str] | None:
    """Return the addresses that DNS has for a name, IPv4 and IPv6, each once; [] when it says that there are none, and
    None when the resolver of this host does not answer. A name that is an address is its own.
    """
    if _is_address(name):
        return _each([name])
    # With a dot at its end, or the domains of search in /etc/resolv.conf would be tried behind it.
    done = run([sys.executable, "-I", "-c", PROGRAM, f"{name.rstrip('.')}."], timeout=PATIENCE)
    if done.returncode == 0:
        return _not_from_hosts(name, _each(done.stdout.split()))
    return [] if done.returncode == _NO_SUCH_NAME else None


def is_loopback(address: str) -> bool:
    """Tell whether everybody who asks that address finds himself there."""
    return ipaddress.ip_address(address).is_loopback


def _not_from_hosts(name: str, found: list[str]) -> list[str]:
    """Return the addresses without what systemd-resolved mixes into its answers from /etc/hosts (ReadEtcHosts=).

    That is 127.0.1.1 for a host's own name.
    """
    if not all(map(is_loopback, found)):
        return found
    done = run(["resolvectl", "--synthesize=no", "--legend=no", "query", name], timeout=PATIENCE)
    if done.returncode == 0:
        return _each(word for word in done.stdout.split() if _is_address(word))
    # In its words of 252 and 257. When it isn't there, the answer was that of DNS.
    return [] if re.search(r"not found|any RR of the requested type", done.stderr) else found


def _each(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(str(ipaddress.ip_address(word.partition("%")[0])) for word in words))


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
