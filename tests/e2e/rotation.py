"""Rotation under load on a test host: what became of each of many numbered requests in each log.

    found = rotate_under_load(root, "blog", 80, "blog.example.org")
    found.check()

`root` runs a shell command as root on the host and returns its output, as for visitors.Load. It is the same for every
server and process manager, because what is looked at are the files.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROTATIONS = 4
CLIENTS = 4
# So many requests at least between two rotations.
BETWEEN = 150
PROGRAM = r"""
import http.client, json, os, sys, threading
port, name, mark, stop = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
sent = []
def visit(client):
    number = 0
    while not os.path.exists(stop):
        path = f"{mark}-{client}-{number}"
        visitor = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        visitor.request("GET", "/" + path, headers={"Host": name})
        visitor.getresponse().read()
        visitor.close()
        sent.append(path)
        number += 1
threads = [threading.Thread(target=visit, args=(client,)) for client in range(int(sys.argv[5]))]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(sent))
"""
ROTATE = """
python3 -c "$PROGRAM" {port} {name} {mark} /run/{mark}.stop {clients} > /run/{mark}.sent & load=$!
for rotation in $(seq {rotations}); do
    began=$(date +%s)
    until [ "$(grep -c {mark} /var/log/nginx/{app}.access.log)" -ge {between} ]; do
        [ $(($(date +%s) - began)) -lt 60 ] || {{ touch /run/{mark}.stop; echo too few requests >&2; exit 1; }}
        sleep 0.1
    done
    logrotate --force /etc/logrotate.conf
done
touch /run/{mark}.stop; wait $load; cat /run/{mark}.sent; rm /run/{mark}.*
"""


@dataclass(frozen=True)
class Rotated:
    """What was asked for, and how often each request is in each log; `files` counts the files of each log."""

    sent: Sequence[str]
    logs: dict[str, Counter[str]]
    files: dict[str, int]

    def check(self) -> None:
        """Fails unless each log was rotated each time and has each request exactly once."""
        assert len(self.sent) > BETWEEN * ROTATIONS
        for log, found in self.logs.items():
            assert self.files[log] > ROTATIONS, f"{log}: not rotated each time"
            lost = sorted(set(self.sent) - set(found))
            assert not lost, f"{log}: lost {len(lost)} of {len(self.sent)}, such as {lost[:3]}"
            assert {path: count for path, count in found.items() if count != 1} == {}, f"{log}: more than once"


def rotate_under_load(
    root: Callable[[str], str], app: str, port: int, name: str = "localhost", logs: Sequence[str] = ()
) -> Rotated:
    """Ask for numbered pages while all logs of the host are rotated, and count the numbers in `logs`.

    `logs` are nginx's and the application's own unless given. No other log's name may begin with that of one of these.
    """
    mark = f"rotation{uuid.uuid4().hex[:12]}"
    words = {"app": app, "port": port, "name": shlex.quote(name), "mark": mark, "clients": CLIENTS}
    script = ROTATE.format(**words, rotations=ROTATIONS, between=BETWEEN)
    sent = json.loads(root(f"PROGRAM={shlex.quote(PROGRAM)}\n{script}"))
    counted, files = {}, {}
    for log in logs or (f"/var/log/nginx/{app}.access.log", f"/var/log/{app}/access.log"):
        files[log] = len(root(f"ls {log}*").split())
        counted[log] = Counter(
            re.findall(rf"{mark}-\d+-\d+", root(f"zcat -f {log}* | grep -ho '{mark}-[0-9-]*' || true"))
        )
    return Rotated(sent, counted, files)
