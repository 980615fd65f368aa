"""The applications of the scenario: secrets in every form, and the markers by which they are found."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).with_name("programs")
FORMS = ("S_ENV", "S_PATH", "S_CRED")
MADE = {"S_MADE": "environment", "S_MADE_PATH": "file", "S_MADE_CRED": "credential"}
SITE = (PROGRAMS / "site_code.py").read_text()
VERSIONS = {
    "good": SITE,
    # It says all at import, where the deploy itself runs it; or with the first request, where its journal has it.
    "import": SITE + "\ntell()\nraise RuntimeError(repr(dict(os.environ)))\n",
    "probe": SITE
    + "\ntold = []\ndef app(environ, start_response):\n    if not told: tell(); told.append(1)\n"
    + "    raise RuntimeError('it has told all')\n",
}
TEMPLATE = "given={{ flask_app_secrets.S_ENV }}\nmade={{ flask_app_secrets.S_MADE | urlencode }}\n"


def made_markers() -> dict[str, str]:
    """For each secret a part that is nowhere else in the world."""
    return {form: f"cnry{secrets.token_hex(8)}" for form in (*FORMS, "git", "index", "visitor")}


def values_with(markers: Mapping[str, str]) -> dict[str, str]:
    """Secrets that programs find hard to carry: quotes, what shells, systemd, URLs and JSON read as theirs, lines."""
    hard = {"S_ENV": "a'{}\"\\$HOME %s%41", "S_PATH": "first {} line\r\nsecond {}&<>\n", "S_CRED": "pg://u:{}@h/ä"}
    return {form: text.replace("{}", markers[form]) for form, text in hard.items()}


def apps_with(given: Mapping[str, str], markers: Mapping[str, str], folder: Path, version: str) -> dict[str, Any]:
    """The applications: secrets in all forms under systemd, some under the others, and one that is curious."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "site_code.py").write_text(SITE)
    template = folder / "settings.ini.j2"
    template.write_text(TEMPLATE)
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
    index = f"http://ann:{markers['index']}@127.0.0.1:8441/simple"
    vault = {
        **small,
        "source": {
            "git": "https://localhost:8443/site.git",
            **{"version": version, "user": "ann", "password": markers["git"]},
        },
        "domains": ["vault.test"],
        "python": {"extra_indexes": [index], "packages": ["privatething==1.0"]},
        "secrets": {**some, **mine},
        "files": {
            "settings.ini": {"template": str(template)},
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
            "nginx": {"basic_auth": {"users": {"ann": markers["visitor"]}}},
        },
    }
