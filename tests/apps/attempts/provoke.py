"""Programs that a sandbox or a limit stops, each in its own way."""

import mmap
import os
import socket
import subprocess
import sys
import threading
import time


def open_many():
    kept = []
    while len(kept) < 200:
        kept.append(os.open("/dev/null", os.O_RDONLY))


def start_threads():
    for dummy in range(40):
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()


def give_to_group():
    open("data/given", "w").close()
    os.chown("data/given", -1, os.getgid())


def write_and_read(path):
    with open(path, "w") as stream:
        stream.write("x")


def cffi_callback():
    import cffi

    cffi.FFI().callback("int(int)", lambda number: number)


def ask_bus():
    # A program of systemd's tells the journal itself rather than standard error: once it has ended, nobody knows whose
    # line that was.
    words = ["env", "SYSTEMD_LOG_TARGET=console", "busctl", "status"]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)


PROGRAMS = {
    "mmap": lambda: mmap.mmap(-1, 4096, prot=7),
    "cffi": cffi_callback,
    "source-file": lambda: write_and_read("uploads/a.png"),
    "other-place": lambda: write_and_read("/opt/mine/file"),
    "shell": lambda: subprocess.run("echo x > /opt/mine/other", shell=True, check=True),
    "cache": lambda: os.makedirs(os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "x")),
    "home": lambda: open("/home/anybody/readable").close(),
    "device": lambda: open("/dev/fuse", "rb").close(),
    "bus": ask_bus,
    "meminfo": lambda: open("/proc/meminfo").close(),
    "interfaces": socket.if_nameindex,
    "network": lambda: socket.create_connection(("127.0.0.1", 22), 5).close(),
    "resolver": lambda: socket.getaddrinfo("localhost.example", 80),
    "chown": give_to_group,
    "nice": lambda: os.nice(1),
    "port": lambda: socket.socket().bind(("127.0.0.1", 81)),
    "namespace": lambda: subprocess.run(["unshare", "--user", "true"], check=True),
    "sudo": lambda: subprocess.run(["sudo", "-n", "true"], check=True),
    "files": open_many,
    "threads": start_threads,
    "nothing": lambda: None,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]]()
