"""The command flaskworks: what it understands, what it runs, and that its files are all it needs on a host."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
from ansible_collections.flaskworks.deploy.plugins.filter.host_command import host_command
from ansible_collections.flaskworks.deploy.plugins.module_utils import host_command as command
from ansible_collections.flaskworks.deploy.plugins.module_utils import host_command_run as runs
from ansible_collections.flaskworks.deploy.plugins.module_utils.host_command import Call, CommandError, parse
from ansible_collections.flaskworks.deploy.plugins.module_utils.host_command_logs import journal_filter, log_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import log_words
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.host_command import PACKAGE, imported, sources

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "20260314-101500-1f2e3d4c"


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("", Call("status")),
        ("--json", Call("status", json=True)),
        ("blog", Call("status", "blog")),
        ("blog --json", Call("status", "blog", json=True)),
        ("blog status --json", Call("status", "blog", json=True)),
        ("blog releases", Call("releases", "blog")),
        ("blog logs", Call("logs", "blog")),
        ("blog logs -f -n 5 --error", Call("logs", "blog", follow=True, lines=5, only="error")),
        ("blog logs -n5 --follow --access", Call("logs", "blog", follow=True, lines=5, only="access")),
        ("blog logs --lines=0", Call("logs", "blog", lines=0)),
        ("blog logs --lines 7", Call("logs", "blog", lines=7)),
        ("blog shell", Call("shell", "blog")),
        ("blog run flask db current", Call("run", "blog", words=("flask", "db", "current"))),
        ("blog run -- flask --help", Call("run", "blog", words=("flask", "--help"))),
        ("blog run flask --help -n", Call("run", "blog", words=("flask", "--help", "-n"))),
        ("blog run -- -odd", Call("run", "blog", words=("-odd",))),
        ("blog run a -- b", Call("run", "blog", words=("a", "--", "b"))),
        ("--help", Call("help")),
        ("-h", Call("help")),
        ("help", Call("help")),
        ("blog --help", Call("help")),
        ("blog logs --help", Call("help")),
        ("blog run --help", Call("help")),
    ],
)
def test_what_is_understood(words: str, call: Call) -> None:
    assert parse(words.split()) == call


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("blog stat", "did you mean 'status'"),
        ("blog deploy", "possible: diff, logs, releases, run, shell, status"),
        ("--jason", "'--jason' means nothing here"),
        ("blog status -v", "'-v' means nothing here"),
        ("blog releases --json x", "'x' means nothing here"),
        ("blog diff a b c", "compares two releases, not 3"),
        ("blog diff -x", "'-x' means nothing here"),
        ("blog run", "run what"),
        ("blog run --", "run what"),
        ("blog run -x", "run what"),
        ("blog logs -n", "a number of lines, not ''"),
        ("blog logs -n x", "not 'x'"),
        ("blog logs -n -5", "not '-5'"),
        ("blog logs --tail", "no option '--tail'"),
        ("blog shell ls -l", "flaskworks blog run ls -l"),
    ],
)
def test_what_is_not(words: str, reason: str) -> None:
    with pytest.raises(CommandError, match=re.escape(reason)) as caught:
        parse(words.split())
    assert caught.value.status == command.USAGE


def test_who_is_not_root_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command.main(["blog", "status"]) == 77
    assert "sudo flaskworks blog status" in capsys.readouterr().err
    assert command.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: flaskworks")


def test_an_unknown_application_is_told_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(command, "known_apps", lambda: {"fw-blog": ("x", "active")})
    assert command.main(["fw-blok"]) == 66
    assert "did you mean 'fw-blog'" in capsys.readouterr().err
    assert command.main(["fw-blog", "run", "id"]) == 69
    assert "no live release" in capsys.readouterr().err
    monkeypatch.setattr(command, "known_apps", lambda: None)
    assert command.main(["blog", "shell"]) == 66
    assert "this host has none" in capsys.readouterr().err


def test_the_help_names_every_action_and_fits_a_terminal() -> None:
    assert all(f"  {action} " in command.HELP for action in command.ACTIONS if action != "releases")
    assert max(map(len, command.HELP.splitlines())) <= 120


COMMAND = {"user": "blog", "directory": "/srv/blog/src", "properties": ["User=blog", "EnvironmentFile=/srv/blog/env"]}


def test_a_command_is_run_with_the_properties_of_its_release() -> None:
    words = runs.systemd_run(COMMAND, "u.service", ["sh", "-c", "echo $HOME ${X} 'a b'"], terminal=False)
    assert words[0] == "systemd-run"
    assert {"--pipe", "--wait", "--collect", "--unit=u.service"} <= set(words)
    properties = [word for word in words if word.startswith("--property=")]
    assert properties == [
        "--property=User=blog",
        "--property=EnvironmentFile=/srv/blog/env",
        "--property=WorkingDirectory=/srv/blog/src",
    ]
    end = words.index("--")
    assert words[end:] == ["--", "/usr/bin/env", "--", "sh", "-c", "echo $$HOME $${X} 'a b'"]
    assert "--pty" in runs.systemd_run(COMMAND, "u.service", ["id"], terminal=True)


def test_a_release_of_an_older_version_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="deploy once more"):
        runs.run_words(Layout("blog", str(tmp_path)), RELEASE, ["id"])


def test_a_unit_of_a_command_survives_a_deploy() -> None:
    """A deploy stops flaskworks.<app>.*, whatever the applications are called."""
    source = sources()["host_command_run"]
    assert 'f"flaskworks-run.{layout.app}.' in source


def test_the_status_is_the_commands_and_a_signal_ends_it() -> None:
    assert runs.supervised(["/bin/sh", "-c", "exit 7"], "no-such.service") == 7
    before = signal.getsignal(signal.SIGTERM)
    assert runs.supervised(["/bin/sh", "-c", f"kill -TERM {os.getpid()}; sleep 60"], "no-such.service") == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_lines_of_the_second_in_which_something_began_are_shown() -> None:
    (words,) = log_words(["a.service"], since=100.9)
    assert "--since=@100" in words


def test_logs_are_those_of_the_release(tmp_path: Path) -> None:
    assert log_words(["b.service", "a.service"], 5) == [
        ["journalctl", "--no-pager", "--quiet", "--lines=5", "--unit=a.service", "--unit=b.service"]
    ]
    layout = Layout("blog", str(tmp_path))
    assert log_files(layout, RELEASE, "") == []
    config = Path(layout.release(RELEASE)) / "gunicorn.conf.py"
    config.parent.mkdir(parents=True)
    config.write_text('accesslog = "/var/log/blog/access.log"\nerrorlog = "-"\n')
    assert log_files(layout, RELEASE, "access") == ["/var/log/blog/access.log"]
    assert log_files(layout, RELEASE, "error") == []
    assert journal_filter(layout, RELEASE, "access") is None
    assert journal_filter(layout, RELEASE, "error") == []
    assert journal_filter(layout, RELEASE, "") == []


def test_the_access_log_in_the_journal_is_told_from_all_else(tmp_path: Path) -> None:
    layout = Layout("blog", str(tmp_path))
    Path(layout.release(RELEASE)).mkdir(parents=True)
    record = {"server": {"type": "gunicorn", "access_log": "-", "error_log": "-"}}
    Path(layout.record(RELEASE)).write_text(json.dumps(record))
    assert log_files(layout, RELEASE, "access") == []
    access, others = journal_filter(layout, RELEASE, "access"), journal_filter(layout, RELEASE, "")
    assert access == ["_TRANSPORT=stdout", "PRIORITY=5", "--output=cat"]
    assert journal_filter(layout, RELEASE, "error") == others
    assert others is not None
    assert "PRIORITY=5" not in others
    assert "_TRANSPORT=journal" in others, "systemd says with priority 5 that a process ended"
    record["server"]["access_log"] = ""
    Path(layout.record(RELEASE)).write_text(json.dumps(record))
    assert journal_filter(layout, RELEASE, "access") is None
    assert journal_filter(layout, RELEASE, "error") == []


def test_its_files_are_all_it_needs_and_know_nothing_of_ansible() -> None:
    for name, text in sources().items():
        tree = ast.parse(text, feature_version=(3, 11))
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        ours = {module for module in modules if module.startswith(PACKAGE)}
        strangers = {module.partition(".")[0] for module in modules - ours} - set(sys.stdlib_module_names)
        assert strangers == set(), name
        assert imported(text) <= sources().keys(), name


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The files as the host gets them; returns the launcher."""
    library = tmp_path / "lib"
    for path, entry in host_command(str(library)).items():
        if entry.get("directory"):
            Path(path).mkdir()
        else:
            Path(path).write_text(entry["content"])
    launcher = tmp_path / "flaskworks"
    template = (ROOT / "roles/flask_apps/templates/flaskworks.j2").read_text()
    launcher.write_text(jinja2.Template(template).render(directory=library))
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    return launcher


def test_it_runs_from_its_files_alone_and_leaves_no_bytecode(installed: Path) -> None:
    # A package of that name elsewhere, as Debian's ansible brings it, must not be taken for ours.
    elsewhere = installed.parent / "elsewhere" / "ansible_collections"
    elsewhere.mkdir(parents=True)
    (elsewhere / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    done = subprocess.run(
        [str(installed), "--help"],
        env={"PYTHONPATH": str(elsewhere.parent), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == command.HELP
    assert [str(path) for path in installed.parent.rglob("__pycache__")] == []


def test_a_forgotten_file_would_be_found_out(installed: Path) -> None:
    for path in (installed.parent / "lib").rglob("suggest.py"):
        path.unlink()
    done = subprocess.run([str(installed), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "suggest" in done.stderr


def test_the_entries_are_shared_and_complete() -> None:
    files = host_command("/usr/local/lib/flaskworks")
    folders = [path for path, entry in files.items() if entry.get("directory")]
    assert folders[0] == "/usr/local/lib/flaskworks"
    assert folders[-1] == "/usr/local/lib/flaskworks/" + PACKAGE.replace(".", "/")
    assert all(os.path.dirname(path) in ("/usr/local/lib", *folders) for path in files)
    assert all(entry["shared"] for entry in files.values() if "content" in entry)
    assert len(files) - len(folders) == len(sources())


def test_both_spellings_of_an_import_are_found() -> None:
    text = f"from {PACKAGE} import one, two as x\nfrom {PACKAGE}.three import (\n    y,\n)\nimport json\n"
    assert imported(text) == {"one", "two", "three"}
