"""The application that others try to get at. It listens where systemd does not help, and leaves a file in /tmp."""

import os
import select
import socket
import time


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


if __name__ == "__main__":
    listening = []
    for family, address in ((socket.AF_UNIX, "\0victim"), (socket.AF_INET, ("127.0.0.1", 8701))):
        made = socket.socket(family)
        if family == socket.AF_INET:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while made.fileno() > 0:
            try:
                made.bind(address)
                break
            except OSError:
                # The release before has it still.
                time.sleep(0.2)
        made.listen()
        listening.append(made)
    for path in ("/tmp/victim.txt", "/dev/shm/victim.txt", "data/secret.txt"):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("secret")
    os.chmod("/tmp/victim.txt", 0o644)
    while True:
        for made in select.select(listening, [], [])[0]:
            made.accept()[0].close()
