"""A host with secrets in every form, and searches for what must not be found on it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from e2e.status.conftest import ROOT, Done, Machine

FORMS = ("S_ENV", "S_PATH", "S_CRED")
MADE = {"S_MADE": "environment", "S_MADE_PATH": "file", "S_MADE_CRED": "credential"}
# What it has, as digests: no answer, and no log of an answer, tells a secret.
SITE = """
import hashlib, json, os, sys
def seen():
    found, folder = {}, os.environ.get("CREDENTIALS_DIRECTORY", "")
    texts = {name: value for name, value in os.environ.items() if name.startswith("S_")}
    for name, value in list(texts.items()):
        if name.endswith("_FILE"):
            with open(value, newline="") as stream:
                texts[name.removesuffix("_FILE")] = stream.read()
            del texts[name]
    paths = [os.path.join(folder, name) for name in (os.listdir(folder) if folder else [])]
    for path in [*paths, "settings.ini", "settings.txt"]:
        if os.path.exists(path):
            with open(path, newline="") as stream:
                texts[os.path.basename(path)] = stream.read()
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
def app(environ, start_response):
    %(body)s
    sick = os.path.exists("data/sick")
    start_response("500 Sick" if sick else "200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen()).encode()]
if __name__ == "__main__":
    print(json.dumps(seen()))
"""
# Everything that it knows, in every way that programs write it.
TELL = (
    "import base64, html, shlex, urllib.parse, glob; everything = dict(os.environ);"
    " everything.update((path, open(path, newline='').read()) for path in ['settings.ini', 'settings.txt']"
    " + glob.glob(os.environ.get('CREDENTIALS_DIRECTORY', '/nowhere') + '/*')"
    " + [value for name, value in os.environ.items() if name.endswith('_FILE')] if os.path.exists(path));"
    " shown = [form for value in everything.values() for form in (value, repr(value), json.dumps(value), ascii(value),"
    " html.escape(value), shlex.quote(value), urllib.parse.quote(value), urllib.parse.quote_plus(value),"
    " base64.b64encode(value.encode()).decode(), value[3:-3])];"
    " print(everything, *shown, sep='\\n', file=sys.stderr, flush=True)"
)
VERSIONS = {
    "good": SITE % {"body": "pass"},
    # It says all at import, where the deploy itself runs it; or with the first request, where its journal has it.
    "import": SITE % {"body": "pass"} + f"\n{TELL}\nraise RuntimeError(repr(dict(os.environ)))\n",
    "probe": SITE % {"body": f"if not told: {TELL}; told.append(1)\n    raise RuntimeError('it has told all')"}
    + "told = []\n",
}
# A repository, and an index of one package, each for those who know its password.
SERVERS = """
import base64, http.server, json, os, pathlib, ssl, subprocess, sys, threading, zipfile
given = json.load(sys.stdin)
os.umask(0o077)
def handler(folder, word):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.headers.get("Authorization", "") != "Basic " + base64.b64encode(f"ann:{word}".encode()).decode():
                self.send_response(401); self.send_header("WWW-Authenticate", "Basic realm=x"); self.end_headers()
            else:
                super().do_GET()
        def log_message(self, *words):
            pass
        def __init__(self, *words):
            super().__init__(*words, directory=folder)
    return Handler
work = pathlib.Path("/opt/secrets/work")
work.mkdir(parents=True)
git = ["git", "-C", str(work), "-c", "user.name=t", "-c", "user.email=t@example.org"]
subprocess.run(["git", "init", "-q", "-b", "none", str(work)], check=True)
for name, text in given["versions"].items():
    (work / "site_code.py").write_text(text)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", name], check=True)
    subprocess.run([*git, "tag", name], check=True)
subprocess.run(["git", "clone", "-q", "--mirror", str(work), "/opt/secrets/git/site.git"], check=True)
subprocess.run(["git", "-C", "/opt/secrets/git/site.git", "update-server-info"], check=True)
made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
made = [*made.split(), "-keyout", "/opt/secrets/key.pem", "-out", "/opt/ca.pem"]
subprocess.run(made, check=True, capture_output=True)
os.chmod("/opt/ca.pem", 0o644)
folder = pathlib.Path("/opt/secrets/index/simple/privatething")
folder.mkdir(parents=True)
with zipfile.ZipFile(folder / "privatething-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("privatething.py", "")
    info = "privatething-1.0.dist-info"
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: privatething\\nVersion: 1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
if os.fork():
    os._exit(0)
os.setsid()
for descriptor in (0, 1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
for port, root, word in ((8443, "git", given["git"]), (8441, "index", given["index"])):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler(f"/opt/secrets/{root}", word))
    if port == 8443:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("/opt/ca.pem", "/opt/secrets/key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
"""
# Reads all that a user can read, and says where the markers are. It is never a file there, nor are the markers.
SEARCH = """
import json, os, pwd, stat, sys
given = json.loads(%(given)r)
markers = [marker.encode() for marker in given["markers"]]
# All names, those in directories that the user can't list too: he may guess them.
names = list(given["paths"])
for top in given["tops"]:
    for folder, folders, files in os.walk(top):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
        names += [f"{folder}/{name}" for name in files]
if given["user"]:
    account = pwd.getpwnam(given["user"])
    os.initgroups(account.pw_name, account.pw_gid); os.setgid(account.pw_gid); os.setuid(account.pw_uid)
own = {str(os.getpid()), "self", "thread-self", str(os.getppid())}
found, read = [], 0
def look(path):
    global read
    try:
        if any(marker in os.fsencode(path) for marker in markers) and os.path.lexists(path):
            found.append("name " + path)
        if not path.startswith("/proc/") and not stat.S_ISREG(os.lstat(path).st_mode):
            return
        with open(path, "rb") as stream:
            read += 1
            while block := stream.read(1 << 20):
                if any(marker in block for marker in markers):
                    found.append(path)
                    return
                if len(block) == 1 << 20:
                    stream.seek(-200, 1)
    except (OSError, ValueError):
        pass
for name in names:
    look(name)
for pid in os.listdir("/proc"):
    if pid.isdigit() and pid not in own and given["processes"]:
        for name in ("environ", "cmdline", "status", "comm", "maps"):
            look(f"/proc/{pid}/{name}")
for folder in ("/dev/shm", "/dev/mqueue"):
    for name in os.listdir(folder) if os.access(folder, os.R_OK) else []:
        look(f"{folder}/{name}")
print(json.dumps({"found": found, "read": read}))
"""
# Looks at all processes again and again, as somebody who is nobody, until it is told to stop.
SAMPLE = """
import json, os, pwd, sys, time
given = json.load(sys.stdin)
if os.fork():
    os._exit(0)
os.setsid()
out = open("/run/sampled.json", "w", opener=lambda path, flags: os.open(path, flags, 0o600))
for descriptor in (0, 1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
account = pwd.getpwnam("nobody")
os.setgroups([]); os.setgid(account.pw_gid); os.setuid(account.pw_uid)
markers, hits, seen, rounds = [marker.encode() for marker in given["markers"]], set(), set(), 0
until = time.monotonic() + 400
while time.monotonic() < until and not os.path.exists("/run/enough"):
    rounds += 1
    for pid in os.listdir("/proc"):
        for name in ("cmdline", "environ") if pid.isdigit() else ():
            try:
                with open(f"/proc/{pid}/{name}", "rb") as stream:
                    text = stream.read()
            except OSError:
                continue
            seen.add(text.split(b"\\0")[0].decode(errors="replace").rpartition("/")[2])
            for marker in markers:
                if marker in text:
                    hits.add(text.decode(errors="replace").replace(marker.decode(), "<SECRET>"))
    time.sleep(0.05)
out.write(json.dumps({"hits": sorted(hits), "seen": sorted(seen), "rounds": rounds})); out.close()
"""


class Place(Machine):
    """The host, its applications, and the markers of their secrets."""

    def __init__(self, name: str, inventory: Path, folder: Path) -> None:
        super().__init__(name, inventory, folder)
        known = folder / "markers.json"
        if not known.exists():
            made = {form: f"cnry{secrets.token_hex(8)}" for form in (*FORMS, "git", "index", "visitor")}
            known.write_text(json.dumps(made))
        self.markers: dict[str, str] = json.loads(known.read_text())
        # What programs find hard to carry: quotes, what shells, systemd, URLs and JSON read as theirs, lines.
        hard = {"S_ENV": "a'{}\"\\$HOME %s%41", "S_PATH": "first {} line\r\nsecond {}&<>\n", "S_CRED": "pg://u:{}@h/ä"}
        self.values = {form: text.replace("{}", self.markers[form]) for form, text in hard.items()}
        template = folder / "settings.ini.j2"
        template.write_text("given={{ flask_app_secrets.S_ENV }}\nmade={{ flask_app_secrets.S_MADE | urlencode }}\n")
        self.template = str(template)

    def apps(self, version: str = "good", **values: str) -> dict[str, Any]:
        """The applications: secrets in all forms under systemd, some under the others, and one that is curious."""
        given = {**self.values, **values}
        source = self.folder / "source"
        source.mkdir(exist_ok=True)
        (source / "site_code.py").write_text(VERSIONS["good"])
        small = {"wsgi": "site_code:app", "server": {"worker_class": "sync", "workers": 1}, "shared": ["data"]}
        local = {**small, "source": {"path": str(source)}}
        some = {
            "S_ENV": given["S_ENV"],
            "S_PATH": {"value": given["S_PATH"], "as": "file"},
            "S_MADE": {"generate": 50},
            "S_MADE_PATH": {"generate": 50, "as": "file"},
        }
        mine = {
            "S_CRED": {"value": given["S_CRED"], "as": "credential"},
            "S_MADE_CRED": {"generate": 64, "as": "credential"},
        }
        index = f"http://ann:{self.markers['index']}@127.0.0.1:8441/simple"
        vault = {
            **small,
            "source": {
                "git": "https://localhost:8443/site.git",
                **{"version": version, "user": "ann", "password": self.markers["git"]},
            },
            "domains": ["vault.test"],
            "python": {"extra_indexes": [index], "packages": ["privatething==1.0"]},
            "secrets": {**some, **mine},
            "files": {
                "settings.ini": {"template": self.template},
                "settings.txt": {"content": "made=__secret_S_MADE__ given=__secret_S_ENV__"},
            },
            "commands": {"before_switch": ["python site_code.py >data/command.json"]},
            "processes": {"worker": {"run": "sh -c 'python site_code.py >data/worker.json; exec sleep 10000'"}},
            "timers": {"tick": {"run": "python site_code.py >data/tick.json", "calendar": "2099-01-01"}},
            "health": {"timeout": 8},
        }
        return {
            "vault": vault,
            "warden": {**local, "domains": ["warden.test"], "process_manager": "supervisor", "secrets": some},
            "clock": {**local, "domains": ["clock.test"], "process_manager": "cron", "secrets": some},
            "spy": {
                **local,
                "domains": ["spy.test"],
                "nginx": {"basic_auth": {"users": {"ann": self.markers["visitor"]}}},
            },
        }

    def bring(self, apps: dict[str, Any], *options: str, playbook: str = "playbooks/deploy.yml") -> Done:
        """Run a playbook for these applications; the controller's own processes and files are searched as well."""
        index = {
            name: value for name, value in os.environ.items() if re.match(r"^(PIP|UV)_(INDEX_URL|DEFAULT_INDEX)$", name)
        }
        variables = self.folder / "given.json"
        variables.write_text(
            json.dumps({"flask_apps": apps, "flask_apps_build_env": {"GIT_SSL_CAINFO": "/opt/ca.pem", **index}})
        )
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = {
            "TMPDIR": str(scratch),
            "ANSIBLE_LOCAL_TEMP": f"{scratch}/ansible",
            "ANSIBLE_LOG_PATH": f"{scratch}/log",
        }
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            with self.watched():
                return self.play(playbook, "-e", f"@{variables}", *options)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the arguments of all processes of the controller meanwhile."""
        stop = threading.Event()
        hits: set[str] = set()

        def watch() -> None:
            while not stop.wait(0.3):
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        text = path.read_bytes().decode(errors="replace")
                    except OSError:
                        continue
                    hits.update(name for name, marker in self.markers.items() if marker in text)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not hits, f"processes of the controller show {hits}"

    def left_behind(self) -> list[str]:
        """The files of the controller that hold a secret: all that Ansible wrote, its log among them."""
        folders = [self.folder / "scratch", ROOT / ".ansible", Path.home() / ".ansible"]
        found = []
        for path in (path for folder in folders for path in folder.rglob("*")):
            # Those of other runs come and go.
            with suppress(OSError):
                if path.is_file() and self.told(path.read_bytes().decode(errors="replace")):
                    found.append(str(path))
        return found

    def told(self, text: str) -> list[str]:
        """The names of the secrets of which a text tells the telling part."""
        # Lines may be broken, for a box.
        flat = re.sub(r"[\s│]+", "", text)
        encoded = {name: base64.b64encode(value.encode()).decode()[:24] for name, value in self.values.items()}
        forms = [*self.markers.items(), *encoded.items()]
        return sorted({name for name, form in forms if form in text or form in flat})

    def searched(self, user: str, tops: list[str] | None = None, sandbox: str = "") -> list[str]:
        """The files, names and processes in which a user finds a secret; root's are those of the user ''."""
        given = {
            "markers": list(self.markers.values()),
            "user": user,
            "tops": tops or ["/"],
            # From within a sandbox only its own user can look: he is told where they are.
            "paths": self.searched("", ["/etc", "/srv", "/var", "/run"]) if sandbox else [],
            "processes": bool(user or sandbox),
        }
        script = SEARCH % {"given": json.dumps(given)}
        words = f"sudo flaskworks {sandbox} run python3 -" if sandbox else "sudo python3 -"
        done = subprocess.run([*self.ssh(), words], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["read"] > 1000 or tops, result
        return list(result["found"])

    def root_with(self, command: str, text: str) -> str:
        """Run a command as root with this input."""
        done = subprocess.run([*self.ssh(), f"sudo {command}"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serve(self) -> None:
        """Have the host serve the site and the index."""
        given = {"versions": VERSIONS, "git": self.markers["git"], "index": self.markers["index"]}
        self.root(
            "apt-get -qq update && apt-get -qq install --yes curl git openssl >/dev/null 2>&1;"
            " mkdir -p -m 0700 /opt/secrets"
        )
        self.program("servers", SERVERS, given)

    def program(self, name: str, text: str, given: dict[str, Any]) -> None:
        """Start a program that goes on, with what it may know on its standard input only."""
        self.root_with(f"sh -c 'cat >/root/{name}.py'", text)
        self.root_with(f"python3 /root/{name}.py", json.dumps(given))

    def sampling(self) -> None:
        self.root("rm -f /run/enough /run/sampled.json")
        self.program("sample", SAMPLE, {"markers": list(self.markers.values())})

    def sampled(self) -> dict[str, Any]:
        """End the sampling and return what it saw."""
        self.root("touch /run/enough")
        self.wait("test -s /run/sampled.json")
        found: dict[str, Any] = json.loads(self.root("cat /run/sampled.json"))
        return found

    def journal(self, but: str = "/") -> str:
        """All fields of all lines of the journal, but for what one application says itself."""
        shown = self.root("journalctl --sync; journalctl --no-pager --all --output=json")
        lines = [line for line in shown.splitlines() if f'"_SYSTEMD_UNIT":"{but}@' not in line]
        return "\n".join(lines)

    def seen(self, app: str) -> dict[str, str]:
        """What an application says it has: digests."""
        found: dict[str, str] = json.loads(
            self.root(f"curl -s -m 10 --unix-socket /srv/{app}/current/gunicorn.sock http://x/")
        )
        return found

    def live_of(self, app: str) -> str:
        return self.root(f"readlink /srv/{app}/current").strip().rpartition("/")[2]


def changed(done: Done) -> int:
    """How many tasks changed something."""
    found = re.search(r"^\S+ +: ok=\d+ +changed=(\d+)", done.output, re.MULTILINE)
    return int(found[1]) if found else -1
