"""What the tests of the articles share: their inventories, and questions to the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from e2e.support import Site, current_release, output, play, published_site, unit_properties

FOLDER = Path(__file__).resolve().parents[2] / "articles"
# Not an inventory, and one that no host takes.
APART = ("by_roles", "refused")
PORTS = {"front": 81, "bare": 82}
# Key below flask_apps in refused.yml -> what is said of it.
REFUSED = {
    "background.server.settings.daemon": "is not set here",
    "on-a-port.server.settings.bind": "ports are under nginx.listen",
    "on-a-port.server.settings.pidfile": "systemd knows the process",
    "with-eventlet.server.worker_class": "eventlet",
    "with-gaiohttp.server.worker_class": "gaiohttp",
    "as-written.server.type": "allow_dev_server",
    "with-flask-env.env.FLASK_ENV": "does nothing since Flask 2.3: remove it",
    "with-comments.systemd.Service.RestartSec": "systemd knows no comments after a value",
    "with-a-lost-limit.systemd.Service.StartLimitIntervalSec": "belongs in [Unit]; systemd ignores it here",
    "with-a-leaking-alias.static./static": "/static/",
    "killed-too-early.systemd.Service.TimeoutStopSec": "systemd would kill requests in progress",
}


def inventories() -> dict[str, dict[str, Any]]:
    """Name -> variables of each article."""
    return {path.stem: variables_of(path.stem) for path in sorted(FOLDER.glob("*.yml")) if path.stem not in APART}


def variables_of(article: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / f"{article}.yml").read_text())["flask_hosts"]["vars"]
    return read


def inventory_variables() -> dict[str, Any]:
    """The variables of all articles side by side. No two have an application of the same name."""
    merged: dict[str, Any] = {"flask_apps": {}}
    for variables in inventories().values():
        apps = variables["flask_apps"]
        assert not set(apps) & set(merged["flask_apps"])
        merged = {**merged, **variables, "flask_apps": {**merged["flask_apps"], **apps}}
    return merged


def site_of(host: Any, app: str) -> Site:
    return published_site(host, f"{app}.test", PORTS.get(app, 80))


def unit_of(host: Any, app: str, suffix: str = "service") -> str:
    """The unit of the live release."""
    return f"{app}@{current_release(host, app)}.{suffix}"


def state_of(host: Any, unit: str) -> tuple[str, str, str]:
    """How a unit is; ("activating", "auto-restart", ...) when systemd will start it again."""
    shown = unit_properties(host, unit, "ActiveState", "SubState", "Result")
    return shown["ActiveState"], shown["SubState"], shown["Result"]


def master(site: Site) -> int:
    """The process above the one that answers."""
    return int(site.get("/process").json()["parent"])


def processes(host: Any, user: str) -> set[int]:
    """The numbers of all processes of a user."""
    return set(map(int, host.run("ps --user %s -o pid=", user).stdout.split()))


def in_progress(host: Any, app: str) -> int:
    """How many connections the site has accepted and not closed yet."""
    # proc(5), net/unix: 03 is connected, and the accepted end bears the name of the listening socket.
    lines = [line.split() for line in output(host, "cat /proc/net/unix").splitlines()[1:]]
    return sum(words[5] == "03" and words[-1].startswith(f"/run/{app}/") for words in lines)


def deploy(host: Any, app: str) -> list[str]:
    """Deploy what the inventory says; return what changed."""
    return play(host, "playbooks/deploy.yml", "-e", f"app={app}").changed


def try_to_write(site: Site) -> dict[str, str]:
    """Place -> what became of it when the site itself tried to write there."""
    with site.session() as session:
        found: dict[str, str] = session.post(f"{site.base}/write", data={"app": site.name[:-5]}, timeout=15).json()
    return found


# Asks as it is told: others would tidy the path up.
ASK = """
import http.client, socket, sys
client = http.client.HTTPConnection("localhost", timeout=10)
client.sock = socket.socket(socket.AF_UNIX if "/" in sys.argv[1] else socket.AF_INET)
client.sock.connect(sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", int(sys.argv[1])))
client.request("GET", sys.argv[3], headers={"Host": sys.argv[2]})
answer = client.getresponse()
print(answer.status, answer.getheader("X-Served-By", "nginx"), answer.read().decode(errors="replace"))
"""


def ask(host: Any, address: str, name: str, path: str) -> tuple[int, str, str]:
    """Status, who answered, and the text of what a port or a socket of the host says."""
    status, server, text = output(host, "python3 -c %s %s %s %s", ASK, address, name, path).split(" ", 2)
    return int(status), server, text


def read(host: Any, path: str) -> str:
    return output(host, "cat %s", path)
