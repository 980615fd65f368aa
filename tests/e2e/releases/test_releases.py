"""What the release module promises, each promise on a real machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e.release_host import ReleaseHost
from e2e.releases.definition import entry, write_site

CANARY = "canary-3f9a1c-secret"
AWKWARD = {
    "QUOTES": "a \"b\" 'c' `d`",
    "DOLLAR": "$HOME ${PATH} $$ %i %%",
    "BACKSLASH": "\\ \\n \\\\ end\\",
    "LINES": "one\ntwo\n\n three ",
    "COMMENT": "# not ; a comment",
    "UNICODE": "grüße 日本 \u2028",
    "SPACES": "  padded\t",
    "EMPTY": "",
}


def test_check_mode_predicts_a_release_on_an_empty_host(bare_machine: ReleaseHost, tmp_path: Path) -> None:
    before = bare_machine.root("ls -la /srv /var/lib /run | md5sum")
    run = bare_machine.deploy({"blog": entry(write_site(tmp_path, "one"))}, "--check", "--diff")
    assert run.status == 0, run.text
    assert run.result["changed"]
    assert run.app()["action"] == "deployed"
    assert (
        bare_machine.root("test ! -e /srv/blog && test ! -e /var/lib/flaskworks && echo untouched") == "untouched\n"
    ), before


@pytest.fixture
def live(machine: ReleaseHost, tmp_path: Path) -> dict[str, object]:
    """An application that is live with the word "one"."""
    definition = entry(write_site(tmp_path / "live", "one"))
    run = machine.deploy({"blog": definition})
    assert run.status == 0, run.text
    assert machine.ask() == "200 one"
    return definition


def test_a_second_run_is_one_execution_and_changes_nothing(machine: ReleaseHost, live: dict[str, object]) -> None:
    before = machine.executions()
    run = machine.deploy({"blog": live})
    assert run.status == 0, run.text
    assert not run.result["changed"]
    assert run.app()["action"] == "none"
    assert machine.executions() - before == 1 + 1, "one by the playbook, one by the counting itself"


def test_new_code_goes_live_and_installs_nothing(machine: ReleaseHost, live: dict[str, object], tmp_path: Path) -> None:
    environments = machine.root("ls /srv/blog/venvs")
    run = machine.deploy({"blog": entry(write_site(tmp_path / "new", "two"))})
    assert run.status == 0, run.text
    assert run.app()["action"] == "deployed"
    assert run.app()["reason"][0].startswith("code: ")
    assert machine.ask() == "200 two"
    assert machine.root("ls /srv/blog/venvs") == environments
    assert machine.root("ls /etc/systemd/system | grep -c blog@").strip() == "2", "the old release's units are gone"


def test_a_kept_release_is_activated_again(machine: ReleaseHost, live: dict[str, object], tmp_path: Path) -> None:
    first = machine.root("readlink /srv/blog/current")
    assert machine.deploy({"blog": entry(write_site(tmp_path / "new", "between"))}).app()["action"] == "deployed"
    run = machine.deploy({"blog": live})
    assert run.status == 0, run.text
    assert run.app()["action"] == "reactivated"
    assert machine.root("readlink /srv/blog/current") == first
    assert machine.ask() == "200 one"


def test_a_changed_secret_is_a_new_release_and_is_shown_nowhere(machine: ReleaseHost, live: dict[str, object]) -> None:
    secrets, files = {"SECRET_KEY": CANARY}, {"config/site.py": {"template": "site.py.j2", "vars": {"key": CANARY}}}
    (machine.folder / "templates").mkdir(exist_ok=True)
    (machine.folder / "templates" / "site.py.j2").write_text("KEY = '{{ key }}'  # {{ inventory_hostname }}\n")
    run = machine.deploy({"blog": {**live, "secrets": secrets, "files": files}}, "-vvv", "--diff")
    assert run.status == 0, run.text
    assert run.app()["action"] == "deployed"
    assert CANARY in machine.ask(path="/environment")
    rendered = machine.root("cat /srv/blog/current/src/config/site.py")
    assert rendered == f"KEY = '{CANARY}'  # {machine.facts['test_host_name']}\n"
    assert CANARY not in run.text
    assert CANARY not in json.dumps(run.result)
    assert CANARY not in machine.root("journalctl -q -o cat")
    assert (
        machine.root(f"find /srv /etc /var /run /tmp -xdev -type f -perm -o+r -exec grep -l {CANARY} {{}} + || true")
        == ""
    )
    assert (
        machine.root(f"cat /srv/blog/releases/*/release.json /srv/blog/releases.jsonl | grep -c {CANARY} || true")
        == "0\n"
    )
    mode = (
        "stat -c '%a %U:%G' /srv/blog/current/env /srv/blog/current/src/config/site.py /srv/blog/current/release.json"
    )
    assert machine.root(mode).split("\n")[:3] == ["640 root:blog", "640 root:blog", "600 root:root"]
    again = machine.deploy({"blog": {**live, "secrets": {"SECRET_KEY": CANARY + "2"}, "files": files}})
    assert (again.app()["action"], again.app()["reason"]) == ("deployed", ["secrets or files changed"])
    assert again.app()["release"][-8:] == run.app()["release"][-8:], "an id tells nothing about a secret"
    assert CANARY + "2" in machine.ask(path="/environment")


def test_values_reach_the_application_as_they_are(machine: ReleaseHost, live: dict[str, object]) -> None:
    run = machine.deploy({"blog": {**live, "secrets": AWKWARD}})
    assert run.status == 0, run.text
    seen = json.loads(machine.ask(path="/environment").partition(" ")[2])
    assert {name: seen.get(name) for name in AWKWARD} == AWKWARD


@pytest.mark.parametrize(
    ("step", "changes"),
    [
        ("check", {"top": "raise RuntimeError('broken at import')"}),
        ("probe", {"health": "raise RuntimeError('database is down')"}),
        ("before_switch", {}),
        ("once", {}),
        ("build", {}),
        ("python", {}),
    ],
)
def test_a_bad_release_is_red_and_the_old_one_serves(
    machine: ReleaseHost, live: dict[str, object], tmp_path: Path, step: str, changes: dict[str, str]
) -> None:
    before = machine.root(
        "readlink /srv/blog/current; ls /srv/blog/releases /etc/systemd/system; cat /srv/blog/current/release.json"
    )
    definition = entry(write_site(tmp_path / "bad", "bad", **changes))
    definition["health"]["timeout"] = 2
    command = "echo the migration says no; exit 3"
    if step == "python":
        definition["python"]["packages"] = ["gunicorn", "no-such-package-of-ours==1.0"]
    elif step == "once":
        definition["commands"] = {"once": [{"run": command, "creates": "instance/never"}]}
    elif step in ("build", "before_switch"):
        definition["commands"] = {step: [command]}
    run = machine.deploy({"blog": definition})
    assert run.status != 0
    assert f"at the step '{step}'" in run.text
    words = {
        "check": "broken at import",
        "probe": "500 INTERNAL SERVER ERROR where 200 is wanted",
        "python": "no-such-package-of-ours",
    }
    assert words.get(step, "the migration says no") in run.text.replace("\n", " ")
    assert "still serving" in run.text.replace("\n", " ")
    if step == "probe":
        assert "database is down" in run.text, "the journal of the new unit"
    assert machine.ask() == "200 one"
    after = machine.root(
        "readlink /srv/blog/current; ls /srv/blog/releases /etc/systemd/system; cat /srv/blog/current/release.json"
    )
    assert after == before
    healed = machine.deploy({"blog": live})
    assert (healed.status, healed.result["changed"]) == (0, False), healed.text


def test_a_stopped_application_is_started_again(machine: ReleaseHost, live: dict[str, object]) -> None:
    machine.root("systemctl stop 'blog@*.socket'")
    run = machine.deploy({"blog": live})
    assert run.app()["action"] == "started", run.text
    assert machine.ask() == "200 one"
    assert machine.deploy({"blog": live}).result["changed"] is False


def test_a_release_changed_by_hand_is_replaced(machine: ReleaseHost, live: dict[str, object]) -> None:
    machine.root("echo '# by hand' >> /srv/blog/current/src/blog/__init__.py")
    run = machine.deploy({"blog": live})
    assert run.app()["action"] == "deployed", run.text
    assert "changed on the host by hand" in run.app()["reason"][0]
    assert machine.root("grep -c hand /srv/blog/current/src/blog/__init__.py || true") == "0\n"


def test_an_application_that_is_no_longer_listed_is_stopped_and_comes_back(
    machine: ReleaseHost, live: dict[str, object]
) -> None:
    run = machine.deploy({})
    assert run.status == 0, run.text
    assert run.result["stopped"] == ["blog"]
    assert machine.root("ls /etc/systemd/system | grep -c blog@ || true") == "0\n"
    assert machine.deploy({}).result["changed"] is False
    back = machine.deploy({"blog": live})
    assert back.app()["action"] == "started", back.text
    assert machine.ask() == "200 one"


def test_a_killed_deploy_needs_no_clean_up(machine: ReleaseHost, live: dict[str, object], tmp_path: Path) -> None:
    definition = entry(write_site(tmp_path / "killed", "survivor"), commands={"build": ["sleep 30"]})
    finish = machine.start_deploy({"blog": definition})
    machine.wait("systemctl is-active flaskworks.blog.build.service", 30)
    second = machine.deploy({"blog": definition})
    assert second.status != 0
    assert "another deploy of blog is running" in second.text.replace("\n", " ")
    machine.root(r"""kill -KILL $(sed 's/.*"pid": \([0-9]*\).*/\1/' /run/flaskworks/blog.lock)""")
    assert finish().status != 0
    assert machine.ask() == "200 one"
    definition["commands"] = {}
    run = machine.deploy({"blog": definition})
    assert run.status == 0, run.text
    assert machine.ask() == "200 survivor"
    assert machine.root("systemctl list-units --no-legend 'flaskworks.*'") == ""
    assert machine.deploy({"blog": definition}).result["changed"] is False


def test_no_request_is_lost_while_releases_change(
    machine: ReleaseHost, live: dict[str, object], tmp_path: Path
) -> None:
    machine.root("cat > /root/load.py", LOAD)
    machine.root("systemd-run --quiet --unit=load --property=StandardOutput=file:/root/load.out python3 /root/load.py")
    for word in ("two", "three"):
        assert machine.deploy({"blog": entry(write_site(tmp_path / word, word))}).status == 0
    assert machine.deploy({"blog": live}).app()["action"] == "reactivated"
    machine.root("systemctl kill --signal=TERM load")
    machine.wait("! systemctl is-active load", 30)
    counts = json.loads(machine.root("cat /root/load.out"))
    assert counts["lost"] == 0, counts
    assert counts["sent"] > 200
    assert {"two", "three"} <= set(counts["words"])


def test_git_tags_branches_commits_and_subdirectories(machine: ReleaseHost, tmp_path: Path) -> None:
    machine.root("rm -rf /srv/git && mkdir -p /srv/git/work/site")
    for word in ("one", "two"):
        site = write_site(tmp_path / word, word)
        for name in ("blog/__init__.py", "requirements.txt"):
            machine.root(
                f"mkdir -p /srv/git/work/site/blog; cat > /srv/git/work/site/{name}", (site / name).read_text()
            )
        git = "git -C /srv/git/work -c user.name=t -c user.email=t@example.org"
        machine.root(f"{git} init -q -b main; {git} add -A; {git} commit -q -m {word}; {git} tag -a -m {word} v-{word}")
    head = machine.root("git -C /srv/git/work rev-parse HEAD").strip()
    base = {"type": "git", "url": "file:///srv/git/work", "subdir": "site"}
    python = {
        "interpreter": "python3",
        "installer": "uv",
        "requirements": [],
        "constraints": [],
        "packages": ["gunicorn"],
    }
    quiet = {"public": {}, "shared": [], "python": python}
    run = machine.deploy({"shop": entry({**base, "version": "v-one"}, "shop", **quiet)}, owner="other")
    assert run.status == 0, run.text
    assert machine.ask(app="shop") == "200 one"
    run = machine.deploy({"shop": entry({**base, "version": "main"}, "shop", **quiet)}, owner="other")
    assert run.app("shop")["reason"][0].endswith(head[:12]), run.text
    assert machine.ask(app="shop") == "200 two"
    same = machine.deploy({"shop": entry({**base, "version": head}, "shop", **quiet)}, owner="other")
    assert same.result["changed"] is False, same.text
    machine.root("mv /srv/git/work /srv/git/gone")
    offline = machine.deploy({"shop": entry({**base, "version": head}, "shop", **quiet)}, owner="other")
    assert offline.result["changed"] is False, "a full commit asks no server"
    gone = machine.deploy({"shop": entry({**base, "version": "main"}, "shop", **quiet)}, owner="other")
    assert gone.status != 0
    assert "git can't read file:///srv/git/work" in gone.text.replace("\n", " ")
    assert machine.ask(app="shop") == "200 two"
    foreign = machine.deploy(
        {"shop": entry({**base, "version": head}, "shop", **quiet)}, owner="flask_apps", only="shop"
    )
    assert "belongs to another owner" in foreign.text


def test_absent_removes_all_but_the_data_and_then_that_too(machine: ReleaseHost, live: dict[str, object]) -> None:
    machine.root("echo upload > /srv/blog/shared/media/upload.txt")
    assert machine.deploy({"blog": {}}, "--check", state="absent").result["changed"] is True
    assert machine.ask() == "200 one"
    run = machine.deploy({"blog": {}}, state="absent")
    assert run.app()["action"] == "removed", run.text
    assert machine.root("ls -A /srv/blog") == "shared\n"
    assert machine.root("cat /srv/blog/shared/media/upload.txt") == "upload\n"
    assert machine.root("ls /etc/systemd/system | grep -c blog@ || true") == "0\n"
    assert machine.deploy({"blog": {}}, state="absent").result["changed"] is False
    assert machine.deploy({"blog": {}}, state="absent", keep_data=False).result["changed"] is True
    assert machine.root("ls -d /srv/blog /var/log/blog /run/blog 2>/dev/null || true") == ""


def test_pruning_keeps_what_was_live_last(machine: ReleaseHost, tmp_path: Path) -> None:
    for word in ("a", "b", "c", "d"):
        run = machine.deploy({"blog": entry(write_site(tmp_path / word, word), keep=2)})
        assert run.status == 0, run.text
    assert len(machine.root("ls /srv/blog/releases").split()) == 2
    assert machine.ask() == "200 d"


LOAD = """
import collections, http.client, json, signal, socket, threading, time
words, lost, sent, stop = collections.Counter(), [], 0, threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
def ask(path):
    try:
        c = http.client.HTTPConnection("x", timeout=20)
        c.sock = socket.socket(socket.AF_UNIX); c.sock.settimeout(20); c.sock.connect("/srv/blog/current/gunicorn.sock")
        c.request("GET", path); r = c.getresponse(); body = r.read().decode()
        words[body] += 1
        if r.status != 200: lost.append(r.status)
    except Exception as error:
        lost.append(repr(error))
threads = []
while not stop.is_set():
    sent += 1
    t = threading.Thread(target=ask, args=("/slow" if sent % 30 == 0 else "/",)); t.start(); threads.append(t)
    time.sleep(0.01)
for t in threads: t.join()
print(json.dumps({"sent": sent, "lost": len(lost), "what": lost[:5], "words": words}))
"""
