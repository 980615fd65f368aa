# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses, names and listening programs of a host, for the doctor."""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import dns_names
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_said as said
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run

# Seconds that one question may take.
PATIENCE = 15.0


class UnknownError(Exception):
    """A fact that this host does not tell; the text says why."""


def answer(*words: str, timeout: float = PATIENCE) -> str:
    """Return what a program prints. Raises UnknownError when it fails or is not there."""
    done = run(words, timeout=timeout)
    if done.returncode != 0:
        raise UnknownError((done.stderr.strip().splitlines() or [f"{words[0]} ended with {done.returncode}"])[-1])
    return done.stdout


def addresses() -> list[str]:
    # Debian's essential package hostname; loopback and link-local addresses are left out by it.
    return [str(ipaddress.ip_address(word.partition("%")[0])) for word in answer("hostname", "-I").split()]


def listeners() -> list[dict[str, Any]]:
    return said.listeners(answer("ss", "--no-header", "--listening", "--tcp", "--numeric", "--processes"))


def looked_up(names: list[str]) -> dict[str, list[str] | None]:
    """Return name -> the addresses that DNS has for it; None where the resolver does not answer."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(names, pool.map(lambda name: dns_names.addresses(_asked(name)), names), strict=True))


def known_here(names: list[str]) -> dict[str, list[str]]:
    """Return name -> the addresses that programs on this host get for it, out of its /etc/hosts before DNS."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(names, pool.map(_here, names), strict=True))


def known_as(names: list[str]) -> list[str]:
    """Return the addresses by which others reach this host, of its names for Ansible."""
    # A host knows its own name by heart (127.0.1.1 in /etc/hosts): what do others know?
    answers = [*known_here(names).values(), *looked_up(names).values()]
    found = {address for there in answers for address in there or []}
    return sorted(address for address in found if not ipaddress.ip_address(address).is_loopback)


def _here(name: str) -> list[str]:
    return said.addresses(run(["getent", "ahosts", _asked(name)], timeout=PATIENCE).stdout)


def _asked(name: str) -> str:
    return f"www.{name[2:]}" if name.startswith("*.") else name
