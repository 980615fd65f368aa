"""Promise: a secret reaches its application in the form that was asked for, and nobody and nothing else.

A canary: each secret has a part that is nowhere else in the world, and all that Ansible says, all that the host keeps
and shows, is searched for it, with the rights of others. The tests tell one story, in their order.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from typing import Any

import pytest
from e2e.playbooks import Run
from e2e.secrets.host import SecretsHost
from e2e.secrets.inventory import FORMS, MADE

TALKATIVE = ("-vvv", "--diff")


def changed(run: Run) -> int:
    """How many tasks changed something."""
    return run.recap()["changed"]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def kept(place: SecretsHost, app: str, name: str) -> str:
    """A secret that the host has made, from the place where root keeps it."""
    return place.root(f"cat /srv/{app}/secrets/{name}")


def expected(place: SecretsHost, app: str, **changes: str) -> dict[str, str]:
    """The digests of all that an application is to have."""
    mine = {**place.values, **changes}
    names = [name for name in MADE if app == "vault" or name != "S_MADE_CRED"]
    texts = {**{name: mine[name] for name in FORMS if app == "vault" or name != "S_CRED"}}
    texts |= {name: kept(place, app, name) for name in names}
    if app == "vault":
        texts["settings.ini"] = f"given={mine['S_ENV']}\nmade={texts['S_MADE']}\n"
        texts["settings.txt"] = f"made={texts['S_MADE']} given={mine['S_ENV']}"
    return {name: digest(text) for name, text in texts.items()}


def test_a_run_is_predicted_on_an_empty_host_and_tells_nothing(place: SecretsHost) -> None:
    place.sampling()
    done = place.bring(place.apps(), *TALKATIVE, "--check", playbook="site.yml")
    assert done.status == 0, done.text[-3000:]
    assert changed(done) > 3
    assert place.told(done.text) == []
    assert place.root("ls -A /srv") == ""


def test_a_deploy_that_says_all_it_does_tells_nothing(place: SecretsHost) -> None:
    done = place.bring(place.apps(), *TALKATIVE, playbook="site.yml")
    assert done.status == 0, done.text[-3000:]
    place.markers |= {
        f"{app}.{name}": kept(place, app, name)
        for app in ("vault", "warden", "clock")
        for name in MADE
        if app == "vault" or name != "S_MADE_CRED"
    }
    assert {len(value) for name, value in place.markers.items() if "S_MADE" in name} == {50, 64}
    assert place.told(done.text) == []
    seen = place.sampled()
    assert seen["hits"] == []
    # It saw the programs of the deploy, or it would prove nothing.
    assert {"uv", "systemd-run", "gunicorn"} & set(seen["seen"]), seen["seen"]
    assert seen["rounds"] > 50
    again = place.bring(place.apps(), *TALKATIVE, playbook="site.yml")
    assert changed(again) == 0, again.text[-3000:]
    assert place.told(again.text) == []


@pytest.mark.parametrize("app", ["vault", "warden", "clock"])
def test_an_application_has_its_secrets_in_their_forms(place: SecretsHost, app: str) -> None:
    assert place.seen(app) == expected(place, app)


def test_commands_processes_and_timers_have_the_same(place: SecretsHost) -> None:
    live, wanted = place.live("vault"), expected(place, "vault")
    place.root(f"systemctl start vault.tick@{live}.service")
    for name in ("command", "worker", "tick"):
        assert json.loads(place.root(f"cat /srv/vault/shared/data/{name}.json")) == wanted, name
    for app in ("vault", "warden", "clock"):
        said = place.flaskworks(app, "run", "python", "site_code.py")
        assert json.loads(said.text) == expected(place, app), said
    said = place.run("echo 'python site_code.py' | sudo flaskworks vault shell")
    assert json.loads(re.search(r"{.*}", said.text)[0]) == wanted  # type: ignore[index]


def test_nobody_else_can_read_them(place: SecretsHost) -> None:
    assert place.searched("nobody") == []
    assert place.searched("spy") == []
    assert place.searched("deploy", ["/tmp", "/var", "/run", "/home", "/srv", "/etc"]) == []
    assert place.searched("www-data", ["/tmp", "/var", "/run", "/srv", "/etc"]) == []
    assert place.searched("flaskworks-build", ["/tmp", "/var", "/run", "/srv", "/etc"]) == []
    assert place.searched("", sandbox="spy") == []


def test_root_finds_them_where_they_belong_and_nowhere_else(place: SecretsHost) -> None:
    found = place.searched("", ["/etc", "/srv", "/var", "/run", "/tmp", "/home", "/root", "/usr", "/opt/venv"])
    allowed = re.compile(
        r"/srv/(vault|warden|clock)/(releases/[0-9a-f-]+/(env|secrets/\w+|credentials/\w+|src/settings\.\w+)|secrets/\w+)"
        r"|/run/credentials/vault[\w.@-]*\.service/\w+"
    )
    assert [path for path in found if not allowed.fullmatch(path)] == []
    kinds = {match[1] for path in found if (match := re.search(r"/(env|secrets|credentials|src)(?:/|$)", path))}
    assert kinds == {"env", "secrets", "credentials", "src"}
    modes = place.root(
        "find /srv/*/secrets /srv/*/releases/*/secrets /srv/*/releases/*/credentials -printf '%m %u %g %P\\n'"
    )
    assert {line.rsplit(" ", 1)[0] for line in modes.splitlines()} == {
        *("700 root root", "600 root root"),
        *(f"{mode} root {app}" for mode in ("750", "640") for app in ("vault", "warden", "clock")),
    }


def test_no_journal_and_no_record_tells_them(place: SecretsHost) -> None:
    assert place.told(place.journal()) == []
    records = (
        "cat /srv/*/releases.jsonl /srv/*/releases/*/*.json /srv/*/releases/*/units/* /var/log/nginx/* /var/log/*/*"
    )
    # Some are no text.
    assert place.told(place.root(f"{{ {records} 2>/dev/null; }} | LC_ALL=C tr -cd '[:print:]\\n'")) == []
    assert place.told(place.root("systemctl show '*@*' 'flaskworks*'; find / -xdev -newer /etc/hostname")) == []
    assert place.left_behind() == []
    for words in (
        ["vault"],
        ["vault", "diff", "live", "live"],
        ["vault", "releases"],
        ["vault", "--json"],
        ["vault", "logs"],
    ):
        assert place.told(place.flaskworks(*words).text) == [], words


@pytest.mark.parametrize(("version", "step"), [("import", "check"), ("probe", "probe")])
def test_a_release_that_tells_all_it_knows_is_not_repeated(place: SecretsHost, version: str, step: str) -> None:
    live = place.live("vault")
    done = place.bring(place.apps(version), *TALKATIVE, "-e", "app=vault")
    assert done.status != 0
    assert f"failed at the step '{step}'" in done.text
    assert "RuntimeError" in done.text, "its words are not shown, so this proves nothing"
    assert place.told(done.text) == []
    assert place.live("vault") == live
    assert place.told(place.root("cat /srv/vault/releases.jsonl")) == []
    # What it wrote to its own log is its own doing; no other unit says it.
    assert place.told(place.journal(but="vault")) == []
    assert place.searched("nobody", ["/tmp", "/var", "/run", "/srv"]) == []


def test_a_changed_secret_is_a_release_and_going_back_brings_the_old_one(place: SecretsHost) -> None:
    before, old = place.live("vault"), expected(place, "vault")
    place.markers["new"] = "cnry0123456789new"
    new = {"S_ENV": "another-cnry0123456789new"}
    predicted = place.bring(place.apps(**new), "--check", "--diff", "-e", "app=vault")
    assert changed(predicted) == 1
    assert "secrets or files changed" in predicted.text
    done = place.bring(place.apps(**new), *TALKATIVE, "-e", "app=vault")
    assert done.status == 0, done.text[-3000:]
    assert place.told(done.text) == []
    assert place.seen("vault") == expected(place, "vault", **new)
    told = place.flaskworks("vault", "diff").text
    assert "secrets: changed S_ENV" in told
    assert "S_PATH" not in told
    assert place.told(told) == []
    back = place.bring(place.apps(**new), *TALKATIVE, "-e", "app=vault", playbook="playbooks/rollback.yml")
    assert back.status == 0, back.text[-3000:]
    assert place.told(back.text) == []
    assert (place.live("vault"), place.seen("vault")) == (before, old)


def test_a_generated_secret_is_rotated_by_a_release(place: SecretsHost) -> None:
    first, old = kept(place, "vault", "S_MADE"), expected(place, "vault")
    rotate = ("-e", "app=vault", "-e", "rotate=S_MADE,S_MADE_CRED")
    predicted = place.bring(place.apps(), "--check", "--diff", *rotate)
    assert changed(predicted) == 1
    assert "secret S_MADE is rotated" in predicted.text
    assert kept(place, "vault", "S_MADE") == first

    # It does not pass the gate: the old one stays, and nothing is to be done.
    place.root("touch /srv/vault/shared/data/sick")
    failed = place.bring(place.apps(), *TALKATIVE, *rotate)
    assert "failed at the step 'probe'" in failed.text
    place.root("rm /srv/vault/shared/data/sick")
    assert kept(place, "vault", "S_MADE") == first
    assert changed(place.bring(place.apps(), "-e", "app=vault")) == 0

    done = place.bring(place.apps(), *TALKATIVE, *rotate)
    assert done.status == 0, done.text[-3000:]
    place.markers |= {name: kept(place, "vault", name) for name in ("S_MADE", "S_MADE_CRED")}
    assert place.told(done.text) == []
    assert place.markers["S_MADE"] != first
    now = place.seen("vault")
    assert now == expected(place, "vault")
    assert {name for name in now if now[name] != old[name]} == {"S_MADE", "S_MADE_CRED", "settings.ini", "settings.txt"}
    assert changed(place.bring(place.apps(), "-e", "app=vault")) == 0

    back = place.bring(place.apps(), "-e", "app=vault", playbook="playbooks/rollback.yml")
    assert back.status == 0, back.text[-3000:]
    assert place.seen("vault") == old
    refused = place.bring(place.apps(), "-e", "app=vault")
    assert "which was rolled back from" in refused.text
    assert place.bring(place.apps(), "-e", "app=vault", "-e", "force=true").status == 0
    assert place.seen("vault") == now


def test_what_can_not_be_rotated_is_named(place: SecretsHost) -> None:
    done = place.bring(place.apps(), "-e", "app=vault", "-e", "rotate=S_MAD")
    assert "S_MAD (did you mean 'S_MADE'?)" in done.text
    done = place.bring(place.apps(), "-e", "rotate=S_MADE")
    assert "rotate could be meant for any of clock, vault, warden: add -e app=NAME" in re.sub(r"\s+", " ", done.text)


def test_a_template_that_changes_a_generated_secret_is_refused(place: SecretsHost) -> None:
    (place.folder / "changing.j2").write_text("x={{ flask_app_secrets.S_MADE | upper }}\n")
    apps = place.apps()
    apps["spy"] |= {
        "secrets": {"S_MADE": {"generate": 50}},
        "files": {"settings.ini": {"template": str(place.folder / "changing.j2")}},
    }
    done = place.bring(apps, "-e", "app=spy")
    assert "its template changes a generated secret" in re.sub(r"\s+", " ", done.text)


def test_removal_keeps_what_the_host_has_made_with_the_data(place: SecretsHost) -> None:
    made = kept(place, "warden", "S_MADE")
    gone = place.bring(place.apps(), "-e", "app=warden", playbook="playbooks/remove.yml")
    assert gone.status == 0, gone.text[-3000:]
    assert sorted(place.root("ls -A /srv/warden").split()) == ["secrets", "shared"]
    assert place.searched("nobody", ["/srv"]) == []
    assert place.bring(place.apps(), playbook="site.yml").status == 0
    assert place.seen("warden")["S_MADE"] == digest(made)
    gone = place.bring(place.apps(), "-e", "app=warden", "-e", "remove_data=true", playbook="playbooks/remove.yml")
    assert gone.status == 0, gone.text[-3000:]
    assert "warden" not in place.root("ls -A /srv").split()


def test_the_searches_find_what_leaks(place: SecretsHost) -> None:
    """The canary of the canary: each search is shown a leak."""
    decoy = f"cnry{digest('decoy')[:16]}"
    place.markers["decoy"] = decoy
    place.sampling()
    halves = f"a={decoy[:8]}; b={decoy[8:]}; "
    place.root(halves + "umask 022; echo x$a$b >/srv/vault/leak; echo x$a$b | systemd-cat -t leak; touch /var/tmp/$a$b")
    place.root(halves + 'systemd-run --quiet --wait --collect sh -c "sleep 2; : $a$b"')
    assert any("sleep 2" in hit for hit in place.sampled()["hits"])
    for user in ("nobody", "spy"):
        found = place.searched(user, ["/srv", "/var/tmp"])
        assert "/srv/vault/leak" in found, user
        assert f"name /var/tmp/{decoy}" in found, user
    assert "decoy" in place.told(place.journal())
    assert place.told(f"a box │ {decoy[:9]} │\n│ {decoy[9:]} │") == ["decoy"]
    leaked: Any = place.folder / "scratch" / "leak"
    leaked.write_text(decoy)
    assert place.left_behind() == [str(leaked)]
    leaked.unlink()
    place.root(f"rm /srv/vault/leak {shlex.quote('/var/tmp/' + decoy)}")
