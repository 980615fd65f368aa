"""Tries from inside an application what its sandbox is to prevent: as the site, as a process, as a timer's command.

The result of an attempt is ``done`` or the reason why it was refused. The victim is another application of the host,
described in data/target.json.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
HERE = os.path.dirname(os.path.abspath(__file__))
# The command lines of a unit's processes.
ASK_SYSTEMD = (
    *("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"),
    *("org.freedesktop.systemd1.Manager", "GetUnitProcesses", "s"),
)
RELEASE = os.path.dirname(HERE)
BASE = os.path.dirname(os.path.dirname(RELEASE))


def call(name, *arguments):
    """Call a function of libc."""
    if getattr(LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run(*words):
    """Run a program, which has to succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise RuntimeError(lines[-1])


def read(path):
    with open(path, "rb") as stream:
        stream.read(1)


def write(path):
    with open(path, "ab"):
        pass


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.settimeout(5)
        made.connect(address)


def bind(port):
    with socket.socket() as made:
        made.bind(("127.0.0.1", port))


def open_socket(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()


def peek(pid):
    """Read memory of a process; the address does not matter where the right is missing."""
    buffer = ctypes.create_string_buffer(8)

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    mine, theirs = Vector(ctypes.addressof(buffer), 8), Vector(0x400000, 8)
    call("process_vm_readv", pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)


def set_uid_file():
    write("data/set-uid")
    os.chmod("data/set-uid", 0o4755)


def attempts(target):
    """Return name -> what is tried; the names are those of the table in docs/sandbox.md."""
    pid, b = target["pid"], target["app"]
    proc = f"/proc/{pid}"
    return {
        "own-data": lambda: write("data/own"),
        "own-program": lambda: run("true"),
        "b-data": lambda: read(f"/srv/{b}/shared/data/secret.txt"),
        "b-code": lambda: read(f"/srv/{b}/current/src/victim.py"),
        "b-environment": lambda: read(f"/srv/{b}/current/env"),
        "b-release": lambda: read(f"/srv/{b}/releases/{target['release']}/release.json"),
        "b-directory": lambda: os.listdir(f"/srv/{b}"),
        "b-logs": lambda: read(f"/var/log/{b}/error.log"),
        "b-nginx-log": lambda: read(f"/var/log/nginx/{b}.access.log"),
        "b-socket": lambda: connect(socket.AF_UNIX, f"/srv/{b}/current/gunicorn.sock"),
        "b-socket-in-run": lambda: connect(socket.AF_UNIX, f"/run/{b}/{target['release']}.sock"),
        "b-tmp": lambda: read("/tmp/victim.txt"),
        "b-shm": lambda: read("/dev/shm/victim.txt"),
        "b-command-line": lambda: read(f"{proc}/cmdline"),
        "b-unit": lambda: run(*ASK_SYSTEMD, f"{b}@{target['release']}.service"),
        "b-proc-environ": lambda: read(f"{proc}/environ"),
        "b-proc-mem": lambda: read(f"{proc}/mem"),
        "b-proc-fd": lambda: os.listdir(f"{proc}/fd"),
        "b-proc-root": lambda: os.listdir(f"{proc}/root/srv/{b}/shared"),
        "b-signal": lambda: os.kill(pid, signal.SIGTERM),
        "b-ptrace": lambda: call("ptrace", 16, pid, 0, 0),
        "b-memory": lambda: peek(pid),
        "b-abstract-socket": lambda: connect(socket.AF_UNIX, "\0victim"),
        "b-local-port": lambda: connect(socket.AF_INET, ("127.0.0.1", 8701)),
        "b-stop": lambda: run("systemctl", "--no-ask-password", "stop", f"{b}@{target['release']}.service"),
        "code-change": lambda: write(os.path.abspath(__file__)),
        "code-add": lambda: write(f"{HERE}/planted.py"),
        "venv-add": lambda: write(f"{RELEASE}/venv/planted.pth"),
        "settings-change": lambda: write(f"{RELEASE}/env"),
        "unit-change": lambda: write(f"{RELEASE}/units/planted.service"),
        "link-change": lambda: os.symlink("/tmp", f"{BASE}/current.planted"),
        "port-81": lambda: bind(81),
        "port-8702": lambda: bind(8702),
        "raw-socket": lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "packet-socket": lambda: open_socket(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink": lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "network": lambda: connect(socket.AF_INET, ("127.0.0.1", 80)),
        "shadow": lambda: read("/etc/shadow"),
        "journal": lambda: run("journalctl", "-n", "1", "--quiet"),
        "keys-of-deploys": lambda: read("/var/lib/flaskworks/release.key"),
        "supervisor": lambda: connect(socket.AF_UNIX, "/run/supervisor.sock"),
        "home": lambda: read("/home/anybody/readable"),
        "other-place": lambda: write(f"/opt/open/planted-{os.getuid()}"),
        "system": lambda: write("/etc/planted"),
        "kernel-setting": lambda: write("/proc/sys/kernel/printk"),
        "device": lambda: os.stat("/dev/fuse"),
        "host-numbers": lambda: read("/proc/meminfo"),
        "mount": lambda: call("mount", b"x", b"/mnt", b"tmpfs", 0, None),
        "namespace": lambda: run("unshare", "--user", "true"),
        "chroot": lambda: os.chroot("/tmp"),
        "root": lambda: os.setuid(0),
        "set-uid-file": set_uid_file,
        "priority": lambda: os.nice(1),
        "write-and-execute": lambda: mmap.mmap(-1, 4096, prot=7).close(),
    }


def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def results():
    with open("data/target.json", encoding="utf-8") as stream:
        target = json.load(stream)
    return {"token": target["token"], "user": os.getuid()} | {
        name: outcome(attempt) for name, attempt in attempts(target).items()
    }


def app(environ, start_response):
    """The site."""
    body = json.dumps(results() if environ["PATH_INFO"] == "/attempts" else {}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def store(path):
    with open(f"{path}.new", "w", encoding="utf-8") as stream:
        json.dump(results(), stream)
    os.rename(f"{path}.new", path)


if __name__ == "__main__":
    done = None
    while True:
        found = os.stat("data/target.json").st_mtime_ns if os.path.exists("data/target.json") else None
        if found != done:
            store(sys.argv[2])
            done = found
        if sys.argv[1] == "once":
            break
        time.sleep(0.3)

# A release that dies of its sandbox, at its import or when it is asked.
if os.environ.get("DIES_OF"):
    import provoke

    provoke.PROGRAMS[os.environ["DIES_OF"]]()
