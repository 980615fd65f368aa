"""Test hosts: `hosts.py up|down|restart|list|clean|exec|ssh`. See docs/testing.md.

A host is a container with systemd as PID 1 that Ansible reaches over SSH as the sudo user `deploy`, as in production.
FLASKWORKS_ENGINE chooses podman (default) or docker, FLASKWORKS_IMAGE names a ready image.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hosts.engine import Engine, HostError, find_engine
from hosts.image import SUITES, ensure_image, remove_images
from hosts.trust import SYSTEM_BUNDLE, controller_bundle, missing_certificates, trust_script

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "hosts"
KEY = CACHE / "id_ed25519"
# Containers of other checkouts on the machine are none of ours.
CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
BOOT_SECONDS = 90


@dataclass(frozen=True)
class Host:
    """A test host as its labels describe it.

    `ports` maps the host's own ports to those on 127.0.0.1, `addresses` its networks to its addresses there.
    """

    name: str
    debian: str
    ports: dict[str, int]
    running: bool
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def container(self) -> str:
        return container_name(self.name)

    @property
    def state_dir(self) -> Path:
        return CACHE / self.name


def container_name(name: str) -> str:
    return f"flaskworks-{CHECKOUT}-{name}"


def find_hosts(engine: Engine) -> list[Host]:
    """The hosts of this checkout, running or not, in order of their names."""
    listed = engine.run("ps", "--all", "--quiet", f"--filter=label=flaskworks.checkout={CHECKOUT}").stdout.split()
    if not listed:
        return []
    found: list[Host] = []
    # One that another test removes at this moment fails the command, which tells of the others all the same.
    for item in json.loads(engine.run("inspect", *listed, check=False).stdout):
        labels: dict[str, str] = item["Config"]["Labels"]
        ports = json.loads(labels["flaskworks.ports"])
        running = bool(item["State"]["Running"])
        prefix = container_name("")
        networks: dict[str, dict[str, str]] = item["NetworkSettings"]["Networks"]
        addresses = {key.removeprefix(prefix): each["IPAddress"] for key, each in networks.items() if prefix in key}
        found.append(Host(labels["flaskworks.host"], labels["flaskworks.debian"], ports, running, addresses))
    return sorted(found, key=lambda host: host.name)


def get_host(engine: Engine, name: str) -> Host:
    """The named host. Raises HostError when there is none."""
    for host in find_hosts(engine):
        if host.name == name:
            return host
    raise HostError(f"there is no host {name!r}")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on.

    Chosen here and not by the engine: Docker gives a restarted container other random ports.
    """
    sockets = [socket.socket() for dummy in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def ensure_key() -> str:
    """The public key of this checkout's SSH key, which is made on first use."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "key.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not KEY.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "flaskworks test hosts", "-f", str(KEY)],
                check=True,
            )
    return KEY.with_suffix(".pub").read_text().strip()


def ensure_network(engine: Engine, name: str) -> str:
    """The engine's name of a network of this checkout, which is made unless it is there."""
    full = container_name(name)
    if engine.run("network", "inspect", full, check=False).returncode:
        engine.run("network", "create", f"--label=flaskworks.checkout={CHECKOUT}", full)
    return full


def remove_networks(engine: Engine, prefix: str) -> None:
    """Remove this checkout's networks whose names begin so; one that a host still has stays."""
    listed = engine.run("network", "ls", "--format={{.Name}}", f"--filter=label=flaskworks.checkout={CHECKOUT}").stdout
    for full in listed.split():
        if full.startswith(container_name(prefix)):
            engine.run("network", "rm", full, check=False)


def create(engine: Engine, name: str, debian: str, publish: list[str], networks: list[str], hostname: str) -> Host:
    """Start a new container. Raises HostError when the engine refuses."""
    image = ensure_image(engine, debian, CACHE)
    names = [ensure_network(engine, network) for network in networks]
    for attempt in range(3):
        inside = ["22", *publish]
        ports = dict(zip(inside, free_ports(len(inside)), strict=True))
        labels = {"checkout": CHECKOUT, "host": name, "debian": debian, "ports": json.dumps(ports)}
        try:
            engine.run(
                *("run", "--detach", "--privileged", "--stop-signal=SIGRTMIN+3"),
                *engine.run_flags,
                *(f"--name={container_name(name)}", f"--hostname={hostname}"),
                *(f"--label=flaskworks.{key}={value}" for key, value in labels.items()),
                *(f"--publish=127.0.0.1:{outside}:{port}" for port, outside in ports.items()),
                *(f"--network={first}" for first in names[:1]),
                *(image, "/sbin/init"),
            )
        except HostError as error:
            engine.run("rm", "--force", "--volumes", container_name(name), check=False)
            # Somebody else may have taken a port between the choice and its use.
            if attempt == 2 or "address already in use" not in str(error):
                raise
        else:
            break
    # Not every Docker takes two networks at once.
    for network in names[1:]:
        engine.run("network", "connect", network, container_name(name))
    return get_host(engine, name)


def wait_booted(engine: Engine, host: Host) -> None:
    """Return when systemd has started everything. Raises HostError with the units that failed."""
    deadline = time.monotonic() + BOOT_SECONDS
    state = ""
    while time.monotonic() < deadline:
        done = engine.run("exec", host.container, "systemctl", "is-system-running", "--wait", check=False)
        state = done.stdout.strip()
        if state == "running":
            return
        if state in ("degraded", "maintenance"):
            failed = engine.run("exec", host.container, "systemctl", "--failed", "--plain", check=False).stdout
            raise HostError(f"{host.name} booted {state}:\n{failed}")
        time.sleep(0.1)
    raise HostError(f"{host.name} did not boot within {BOOT_SECONDS} s (systemd says {state or 'nothing'!r})")


def provision(engine: Engine, host: Host) -> None:
    """Let the checkout's key in, trust what the controller trusts, and note the host's own key."""
    script = (
        "set -eu\n"
        "install -d -m 0700 -o deploy -g deploy /home/deploy/.ssh\n"
        f"echo '{ensure_key()}' > /home/deploy/.ssh/authorized_keys\n"
        "chown deploy:deploy /home/deploy/.ssh/authorized_keys\n"
        "chmod 0600 /home/deploy/.ssh/authorized_keys\n"
        "cat /etc/ssh/ssh_host_ed25519_key.pub\n"
    )
    public = engine.run("exec", "--interactive", host.container, "sh", "-s", stdin=script).stdout.strip()
    host.state_dir.mkdir(parents=True, exist_ok=True)
    known = host.state_dir / "known_hosts"
    known.write_text(f"[127.0.0.1]:{host.ports['22']} {' '.join(public.split()[:2])}\n")
    bundle = controller_bundle(dict(os.environ))
    if bundle:
        have = engine.run("exec", host.container, "cat", SYSTEM_BUNDLE).stdout
        extra = missing_certificates(bundle, have)
        if extra:
            engine.run("exec", "--interactive", host.container, "sh", "-s", stdin=trust_script(extra))


def ssh_options(host: Host) -> list[str]:
    """Options of ssh for this host: its key is checked, as in production, against the one read through the engine."""
    return [
        *("-o", "StrictHostKeyChecking=yes", "-o", f'UserKnownHostsFile="{host.state_dir / "known_hosts"}"'),
        *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"),
        *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6"),
    ]


def ssh_argv(host: Host, *words: str) -> list[str]:
    target = ["-i", str(KEY), "-p", str(host.ports["22"]), "deploy@127.0.0.1"]
    return ["ssh", "-F", "/dev/null", *ssh_options(host), "-o", "BatchMode=yes", *target, *words]


def wait_ssh(host: Host) -> None:
    """Return when a login with sudo works. Raises HostError with ssh's own words otherwise."""
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        done = subprocess.run(
            ssh_argv(host, "sudo", "-n", "true"), check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise HostError(f"no login on {host.name}: {done.stderr.strip()}")
        time.sleep(0.2)


def inventory(host: Host, inventory_name: str) -> str:
    """The Ansible inventory of one host, in the group that the playbooks serve."""
    published = {port: outside for port, outside in host.ports.items() if port != "22"}
    options = " ".join(f"'{word}'" if '"' in word else word for word in ssh_options(host))
    values: dict[str, object] = {
        "ansible_host": "127.0.0.1",
        "ansible_port": host.ports["22"],
        "ansible_user": "deploy",
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_common_args": options,
        "published_ports": published,
        **({"network_addresses": host.addresses} if host.addresses else {}),
        "test_host_name": host.name,
        "debian_release": host.debian,
    }
    lines = ["---", "flask_hosts:", "  hosts:", f"    {inventory_name}:"]
    return "\n".join([*lines, *(f"      {key}: {json.dumps(value)}" for key, value in values.items())]) + "\n"


def up(engine: Engine, args: argparse.Namespace) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", args.name):
        raise HostError(f"{args.name!r}: a host's name is made of lower-case letters, digits and '-'")
    started = time.monotonic()
    publish: list[str] = list(dict.fromkeys(args.publish))
    host = next((host for host in find_hosts(engine) if host.name == args.name), None)
    alias = args.inventory_name or args.name
    if host and (host.debian != args.debian or set(publish) - set(host.ports)):
        raise HostError(
            f"{args.name} exists with Debian {host.debian} and ports {list(host.ports)}: take it down first"
        )
    if host and set(args.network) - set(host.addresses):
        raise HostError(f"{args.name} exists with the networks {list(host.addresses)}: take it down first")
    if host is None:
        host = create(engine, args.name, args.debian, publish, args.network, alias)
    elif not host.running:
        engine.run("start", host.container)
    wait_booted(engine, host)
    provision(engine, host)
    wait_ssh(host)
    if args.inventory:
        args.inventory.parent.mkdir(parents=True, exist_ok=True)
        args.inventory.write_text(inventory(host, alias))
    print(f"{host.name}: Debian {host.debian} is up after {time.monotonic() - started:.1f} s")


def restart(engine: Engine, args: argparse.Namespace) -> None:
    host = get_host(engine, args.name)
    started = time.monotonic()
    if args.hard:
        engine.run("kill", host.container)
        engine.run("start", host.container)
    else:
        engine.run("restart", "--time=60", host.container)
    wait_booted(engine, host)
    wait_ssh(host)
    print(f"{host.name}: back after {time.monotonic() - started:.1f} s")


def down(engine: Engine, args: argparse.Namespace) -> None:
    for host in find_hosts(engine):
        if host.name == args.name:
            remove(engine, host)
            for network in host.addresses:
                remove_networks(engine, network)
    if args.inventory:
        args.inventory.unlink(missing_ok=True)


def remove(engine: Engine, host: Host) -> None:
    engine.run("rm", "--force", "--volumes", "--time=0" if engine.name == "podman" else "--link=false", host.container)
    shutil.rmtree(host.state_dir, ignore_errors=True)
    print(f"{host.name}: removed")


def list_hosts(engine: Engine, _args: argparse.Namespace) -> None:
    for host in find_hosts(engine):
        ports = " ".join(f"{port}->{outside}" for port, outside in host.ports.items())
        print(f"{host.name}  debian{host.debian}  {'running' if host.running else 'stopped'}  {ports}")


def clean(engine: Engine, args: argparse.Namespace) -> None:
    for host in find_hosts(engine):
        if host.name.startswith(args.prefix):
            remove(engine, host)
    remove_networks(engine, args.prefix)
    if args.images:
        remove_images(engine)


def execute(engine: Engine, args: argparse.Namespace) -> None:
    host = get_host(engine, args.name)
    os.execvp(engine.argv[0], [*engine.argv, "exec", host.container, *args.command])


def ssh(engine: Engine, args: argparse.Namespace) -> None:
    os.execvp("ssh", ssh_argv(get_host(engine, args.name), *args.command))


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, function: object, text: str, *, named: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        if named:
            sub.add_argument("--name", required=True, help="the host's name, unique in this checkout")
        return sub

    sub = command("up", up, "boot a host, or use the one that is there, and write its inventory")
    sub.add_argument("--debian", required=True, choices=sorted(SUITES))
    sub.add_argument("--publish", action="append", default=[], metavar="PORT", help="a port to reach through 127.0.0.1")
    sub.add_argument(
        "--network", action="append", default=[], metavar="NAME", help="a network of its own, which is made if need be"
    )
    sub.add_argument("--inventory", type=Path, metavar="FILE")
    sub.add_argument("--inventory-name", metavar="NAME", help="its name in the inventory (default: its own)")
    sub = command("down", down, "remove a host")
    sub.add_argument("--inventory", type=Path, metavar="FILE", help="remove this file too")
    sub = command("restart", restart, "reboot a host; its ports stay the same")
    sub.add_argument("--hard", action="store_true", help="as when the power fails")
    command("list", list_hosts, "this checkout's hosts", named=False)
    sub = command("clean", clean, "remove this checkout's hosts", named=False)
    sub.add_argument("--prefix", default="", help="only those whose names begin so")
    sub.add_argument("--images", action="store_true", help="and the images, unless another checkout's hosts use them")
    for name, function, text in (
        ("exec", execute, "run a command as root, through the engine"),
        ("ssh", ssh, "log in"),
    ):
        command(name, function, text).add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(argv)


def main() -> int:
    args = parse(sys.argv[1:])
    try:
        args.function(find_engine(dict(os.environ)), args)
    except HostError as error:
        print(f"hosts.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
