"""What holds for all articles at once: a second run, a boot, secrets, sockets, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2e.articles.articles import REFUSED, inventory_variables, site_of, variables_of
from e2e.playbooks import ROOT, Run
from e2e.support import output, play, wait_until

ENTRIES = inventory_variables()["flask_apps"]
APPS = sorted(ENTRIES)
# Does not match itself, in the list of processes and in sudo's log.
CANARY = "canary-of-[t]he"


def test_all_sites_answer_and_a_second_run_changes_nothing(host: Any) -> None:
    for app in APPS:
        assert site_of(host, app).get("/health").text == "fine"
    assert play(host, "site.yml").changed == []


def test_secrets_are_in_the_environment_of_their_site_and_nowhere_else(host: Any, said: Run) -> None:
    assert any("canary-of-the" in str(entry) for entry in ENTRIES.values())
    places = "/etc /run /var/log /var/lib /usr/local /srv /tmp"
    found = host.run(f"grep -rls %s {places}", CANARY).stdout.split()
    assert {re.sub(r"/releases/[^/]*/", "/", path) for path in found} == {
        f"/srv/{app}/env" for app, entry in ENTRIES.items() if "secrets" in entry
    }
    for path in found:
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", path.split("/")[2], 0o640)
    assert "canary-of-the" not in said.text
    assert host.run("ps axww -o args= | grep %s", CANARY).stdout == ""


def test_sockets_are_in_run_and_for_nginx_alone(host: Any) -> None:
    assert output(host, "find /tmp /var/tmp -xdev -type s -o -name '*.pid'") == ""
    for app in APPS:
        assert sockets(host, app) == [f"660 {app} www-data"], app
        assert output(host, "find %s -perm /o=w -not -type l", f"/run/{app}") == ""


def sockets(host: Any, app: str) -> list[str]:
    """Mode, user and group of the sockets of an application."""
    return output(host, "find %s -type s -printf %s", f"/run/{app}", r"%m %u %g\n").splitlines()


def test_nothing_of_flask_env_is_left(host: Any) -> None:
    for app in APPS:
        assert "FLASK_ENV" not in site_of(host, app).get("/process").json()["variables"]


def test_what_nobody_should_run_is_refused_with_what_to_do_instead(host: Any, tmp_path: Path) -> None:
    before = output(host, "find /etc /srv -printf %s | sort | sha256sum", r"%p %M %u %g %l %T@\n")
    # Variables of the command line come before those of the host.
    extra = tmp_path / "refused.json"
    extra.write_text(json.dumps({"allow_dev_server": False, **variables_of("refused")}))
    run = play(host, "site.yml", "-e", f"@{extra}", "-e", f"sites={ROOT / 'tests/apps'}", status=2)
    text = re.sub(r"\s+", " ", run.text)
    assert f"{len(REFUSED)} problems in the inventory, nothing was changed:" in text
    for key, words in REFUSED.items():
        told = re.search(rf"flask_apps\.{re.escape(key)}: (.*?)(?= flask_apps\.|\Z)", text)
        assert told, f"{key} is not named: {run.text[-4000:]}"
        assert words in told[1], told[1]
    assert output(host, "find /etc /srv -printf %s | sort | sha256sum", r"%p %M %u %g %l %T@\n") == before


def test_all_of_them_are_there_after_a_boot(host: Any, reboot: Callable[[], None]) -> None:
    reboot()
    for app in [*APPS, "bare"]:
        # cron starts its own within a minute.
        seconds = 90 if ENTRIES.get(app, {}).get("process_manager") == "cron" else 30
        wait_until(lambda: healthy(host, app), seconds, f"{app} answers")  # noqa: B023
    assert output(host, "systemctl --failed --plain --no-legend") == ""


def healthy(host: Any, app: str) -> bool:
    try:
        return site_of(host, app).get("/health").status_code == 200
    except OSError:
        return False
