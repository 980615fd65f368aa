# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On which ports the host's own SSH server listens, and who is connected to it."""

from __future__ import annotations

import contextlib
import glob
import ipaddress
import os
import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import PATH, UfwError, output

_LISTEN = "0A"
_ESTABLISHED = "01"


@dataclass(frozen=True)
class Socket:
    """One line of /proc/net/tcp: ports as numbers, addresses as text."""

    port: int
    peer: str
    state: str
    inode: str
    local: str


def ssh_ports() -> set[int]:
    """Return every port on which SSH listens, or will after its next start. Raises UfwError when that can't be told.

    The port that the controller dials may be another one, of a forwarding in between.
    """
    configured = _configured()
    ports = configured | _listening(_sockets()) | _socket_activated()
    if not ports and shutil.which("sshd", path=PATH):
        raise UfwError("the port of the SSH server can't be found out: is it running, and does 'sshd -T' say its port?")
    return ports


def ssh_peers(ports: Iterable[int]) -> set[str]:
    """Return the addresses that are connected to these ports now, those of this host itself left out."""
    return connected(_sockets(), set(ports))


def connected(sockets: Collection[Socket], ports: Collection[int]) -> set[str]:
    """Return the addresses of other hosts that are connected to these ports."""
    found = {sock.peer for sock in sockets if sock.state == _ESTABLISHED and sock.port in ports}
    # ufw lets everything in through the loopback device, and that is the way to any address of the host itself.
    found -= {sock.local for sock in sockets}
    return {peer for peer in found if not ipaddress.ip_address(peer).is_loopback}


def _configured() -> set[int]:
    return {int(port) for port in re.findall(r"^port ([0-9]+)$", output(["sshd", "-T"]), re.MULTILINE)}


def _socket_activated() -> set[int]:
    shown = output(["systemctl", "show", "ssh.socket", "--property=ActiveState,Listen"])
    if "ActiveState=active" not in shown:
        return set()
    return {int(port) for port in re.findall(r"^Listen=.*?([0-9]+) \(Stream\)$", shown, re.MULTILINE)}


def _listening(sockets: Iterable[Socket]) -> set[int]:
    owned = set()
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        process = link.split("/")[2]
        with contextlib.suppress(OSError):
            target = os.readlink(link)
            if target.startswith("socket:[") and _is_server(process):
                owned.add(target[len("socket:[") : -1])
    return {sock.port for sock in sockets if sock.state == _LISTEN and sock.inode in owned}


def _is_server(process: str) -> bool:
    """Tell the SSH server from its children: those listen on the ports that users forward.

    Any program can call itself sshd; no rule is made for one that is not root's.
    """
    name, parent = _name_and_parent(process)
    return name == "sshd" and _is_roots(process) and not _name_and_parent(parent)[0].startswith("sshd")


def _is_roots(process: str) -> bool:
    # The owner of the directory is root's, too, for a process that forbids to be dumped: proc(5).
    try:
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as stream:
            found = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s", stream.read(), re.MULTILINE)
    except OSError:
        return False
    return found is not None and found.groups() == ("0", "0")


def _name_and_parent(process: str) -> tuple[str, str]:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return "", ""
    # The name stands in brackets and may hold blanks and brackets itself: proc(5).
    return text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()[1]


def _sockets() -> list[Socket]:
    found = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as stream:
            found += parse_sockets(stream.read())
    return found


def parse_sockets(text: str) -> list[Socket]:
    """Return the sockets in the text of /proc/net/tcp or tcp6 (the kernel's networking/proc_net_tcp.rst)."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        local, dummy, port = fields[1].partition(":")
        peer = fields[2].partition(":")[0]
        found.append(Socket(int(port, 16), _address(peer), fields[3], fields[9], _address(local)))
    return found


def _address(text: str) -> str:
    """Return an address from the kernel's notation: words of four bytes, each in the machine's order (little
    endian)."""
    raw = b"".join(bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
