"""Files that nobody may fetch: beside an alias, hidden ones, source code, what links lead to."""

from __future__ import annotations

from attacks.table import Field, Seen, Try, add, attack
from attacks.wire import Answer, Site

# Parts of files that no visitor may see; the conftest of the scenario puts them there.
SECRETS = (b"MARK-OF-THE-SOURCE", b"MARK-OF-THE-DATABASE", b"MARK-OF-A-HIDDEN-FILE", b"root:x:0:")
NOTHING = "no file; 400, 403, 404, no answer, or the application's own answer"

# Each leads from a static path to what lies beside its directory, for one reading of the path or another.
TARGETS = (
    "/static../mirror.py",
    "/static./mirror.py",
    "/static%2e%2e/mirror.py",
    "/static..%2fmirror.py",
    "/static/../mirror.py",
    "/static/%2e%2e/mirror.py",
    "/static/%2e%2e%2fmirror.py",
    "/static/..%2fmirror.py",
    "/static/..%252fmirror.py",
    "/static/%252e%252e/mirror.py",
    "/static/%25%32%65%25%32%65/mirror.py",
    "/static/..%5cmirror.py",
    "/static/..\\mirror.py",
    "/static\\..\\mirror.py",
    "/static/%c0%ae%c0%ae/mirror.py",
    "/static/%u002e%u002e/mirror.py",
    "/static/..;/mirror.py",
    "/static/.%00./mirror.py",
    "/static/style.css%00../../mirror.py",
    "/static/style.css/../../mirror.py",
    "/static//../mirror.py",
    "//static/../mirror.py",
    "/static/./../mirror.py",
    "/static/x/../../mirror.py",
    "/%2fstatic/..%2f..%2fmirror.py",
    "/static%2f..%2fmirror.py",
    "/static%2f%2e%2e%2fmirror.py",
    "/static/..?/../mirror.py",
    "/static/../mirror.py#/static/style.css",
    "/static../static../mirror.py",
    "/media../instance/data.db",
    "/media/../instance/data.db",
    "/media/%2e%2e/instance/data.db",
    "/media/..%2finstance%2fdata.db",
    "/media%2f..%2finstance%2fdata.db",
    "/media-private/../instance/data.db",
    "/media/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/static/" + "../" * 12 + "etc/passwd",
    "/static/" + "..%2f" * 12 + "etc/passwd",
    "/..%2f..%2f..%2f..%2fetc/passwd",
    "/.%2e/.%2e/.%2e/.%2e/etc/passwd",
    "//next/static/../mirror.py",
    "//next/media/../instance/data.db",
    "/next/static/mirror.py",
    "/%2fnext/static/style.css/../../mirror.py",
    "http://{host}/static/../mirror.py",
    "http://{host}/static/..%2fmirror.py",
    "http://{host}//static../mirror.py",
)


def told(answer: Answer) -> str:
    """An answer in words."""
    if answer.json():
        return f"{answer.status} from the application"
    return f"{answer.status} from nginx" if answer.status else "no answer"


def fetched(site: Site, target: str) -> Seen:
    """Ask for a target exactly as it is written."""
    line = target.format(host=site.host).encode("latin-1")
    answer = site.one(b"GET " + line + b" HTTP/1.1\r\nHost: " + site.host.encode() + b"\r\nConnection: close\r\n\r\n")
    found = [secret.decode() for secret in SECRETS if secret in answer.raw]
    return Seen(f"{told(answer)}{', with ' + ', '.join(found) if found else ''}", not found)


def _fetch(target: str) -> Try:
    return lambda field: fetched(field["mirror"], target)


for _target in TARGETS:
    add("path traversal", _target if len(_target) < 60 else f"{_target[:40]}…{_target[-12:]}", NOTHING, _fetch(_target))

for _target in (
    "/static/.env",
    "/static/%2eenv",
    "/static/.git/config",
    "/static/.htpasswd",
    "/static/deep/.hidden/file.txt",
    "/media/.hidden",
    "/static/.env/",
    "/.env",
    "/.git/config",
    "/mirror.py",
    "/static/mirror.py",
    "/requirements.txt",
    "/release.json",
    "/env",
    "/static/__pycache__/mirror.cpython-313.pyc",
):
    add("hidden files", _target, NOTHING, _fetch(_target))

for _target in (
    "/media/passwd",
    "/media/database",
    "/media/out/instance/data.db",
    "/media/out/media/out/instance/data.db",
    "/media/host/etc/passwd",
    "/media/release/mirror.py",
    "/media/deep/passwd",
    # Here the directory itself is one.
    "/drop/etc/passwd",
    "/drop/srv/mirror/shared/instance/data.db",
):
    add("links in uploads", _target, "the link is not followed: 403 or 404", _fetch(_target))


@attack(
    "path traversal", "what is served: /static/style.css and /media/picture.txt", "both 200: the rows above mean it"
)
def served(field: Field) -> Seen:
    got = [field["mirror"].get(path) for path in ("/static/style.css", "/media/picture.txt")]
    good = [answer.status for answer in got] == [200, 200] and all(not answer.json() for answer in got)
    return Seen(", ".join(told(answer) for answer in got), good)


@attack("path traversal", "/static/ and /media/, as lists of what is there", "403 or 404")
def listed(field: Field) -> Seen:
    got = [field["mirror"].get(path) for path in ("/static/", "/media/", "/static/deep/", "/media/deep/")]
    return Seen(", ".join(map(told, got)), all(answer.status in (403, 404) for answer in got))
