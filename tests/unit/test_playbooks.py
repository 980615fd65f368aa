"""What the scenarios read out of a run of ansible-playbook, and where they run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e import machine
from e2e.playbooks import Run, build_env, play

SAID = """
PLAY [Sites] *******************************************************************

TASK [flask_apps : Packages are installed] *************************************
ok: [one]

TASK [flask_apps : Files are written] ******************************************
--- before: /etc/nginx/a.conf
+++ after: /etc/nginx/a.conf
@@ -1 +1 @@
changed: [one]
changed: [two-b]

RUNNING HANDLER [flask_apps : nginx is reloaded] *******************************
changed: [one]

PLAY RECAP *********************************************************************
one                        : ok=3    changed=2    unreachable=0    failed=0
two-b                      : ok=3    changed=1    unreachable=0    failed=1
"""


def test_a_run_is_read() -> None:
    run = Run(0, SAID)
    assert run.changed == ["flask_apps : Files are written", "flask_apps : nginx is reloaded"]
    assert run.diffs == {"/etc/nginx/a.conf"}
    assert run.recap("two-b") == {"ok": 3, "changed": 1, "unreachable": 0, "failed": 1}
    assert run.recap() == run.recap("one")
    assert Run(1, "╭─ why ─╮\n│ it is  │\n│ broken │\n").flat.endswith("it is broken ")


@pytest.mark.parametrize(("host", "said"), [("two", SAID), ("", "no recap")])
def test_a_recap_that_is_not_there_is_an_error(host: str, said: str) -> None:
    with pytest.raises(AssertionError):
        Run(0, said).recap(host)


def test_a_playbook_is_run_as_a_user_would(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSIBLE_BECOME", "true")
    book = tmp_path / "book.yml"
    task = {"ansible.builtin.shell": 'echo "become: ${ANSIBLE_BECOME-} colour: $ANSIBLE_NOCOLOR own: $OWN"'}
    shown = {"ansible.builtin.debug": {"var": "said.stdout"}}
    tasks = [{**task, "register": "said"}, shown]
    book.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]))
    run = play(Path("localhost,"), str(book), env={"OWN": "mine"})
    assert run.status == 0, run.text
    assert "become:  colour: 1 own: mine" in run.text
    assert run.recap()["changed"] == 1


def test_a_playbook_that_hangs_is_ended(tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    tasks = [{"ansible.builtin.command": "sleep 1000"}]
    book.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]))
    with pytest.raises(AssertionError, match=r"book\.yml: not done within 1 s"):
        play(Path("localhost,"), str(book), timeout=1)


def test_the_index_of_the_controller_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.test")
    monkeypatch.setenv("PIP_INDEX_URL_OF_MINE", "https://other.test")
    assert build_env()["UV_DEFAULT_INDEX"] == "https://index.test"
    assert "PIP_INDEX_URL_OF_MINE" not in build_env()


def test_the_two_variables(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("TEST_DEBIAN", "TEST_KEEP"):
        monkeypatch.delenv(name, raising=False)
    assert (machine.debians(), machine.debians("12,13"), machine.keep()) == (["13"], ["12", "13"], False)
    assert machine.folder_of("a", tmp_path_factory) != machine.folder_of("a", tmp_path_factory)
    monkeypatch.setenv("TEST_DEBIAN", "12")
    monkeypatch.setenv("TEST_KEEP", "1")
    root = tmp_path_factory.mktemp("root")
    monkeypatch.setattr(machine, "ROOT", root)
    assert (machine.debians(), machine.debians("12,13"), machine.keep()) == (["12"], ["12"], True)
    assert machine.folder_of("a", tmp_path_factory) == root / ".cache" / "kept" / "a"
    assert machine.folder_of("a", tmp_path_factory).is_dir()
