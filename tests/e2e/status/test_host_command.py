"""Promise: the host's own command shows the same, and runs commands as the application, with no more rights than it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time

from e2e.status.host import CANARY, Deployed, StatusHost


def test_it_shows_the_same_as_the_playbook(deployed: Deployed) -> None:
    machine = deployed.machine
    done = machine.flaskworks()
    assert (done.status, done.errors) == (0, "")
    head, line = done.text.splitlines()
    assert head.split()[0] == "APP"
    assert line.split()[:2] == ["blog", deployed.second]
    dummy, found = machine.status("-e", "app=blog")
    shown = json.loads(machine.flaskworks("blog", "status", "--json").text)
    stable = ("app", "release", "since", "by", "version", "releases", "failures", "state")
    assert {key: shown[key] for key in stable} == {key: found["apps"][0][key] for key in stable}
    assert json.loads(machine.flaskworks("--json").text)["apps"][0]["release"] == deployed.second
    about = machine.flaskworks("blog").text
    assert "kept releases:" in about
    assert "last failures:" in about
    listed = machine.flaskworks("blog", "releases").text.splitlines()
    assert [line.split()[0] for line in listed] == ["RELEASE", deployed.second, deployed.first]
    assert len(json.loads(machine.flaskworks("blog", "releases", "--json").text)) == 2


def test_wrong_use_is_told(machine: StatusHost) -> None:
    for words, status, text in (
        (["blok"], 66, "did you mean 'blog'"),
        (["blog", "stat"], 64, "did you mean 'status'"),
        (["--help"], 0, ""),
    ):
        done = machine.flaskworks(*words)
        assert (done.status, text in done.errors) == (status, True), done
    stranger = machine.run("flaskworks blog run id")
    assert (stranger.status, stranger.text) == (77, "")
    assert "sudo flaskworks blog run id" in stranger.errors
    assert machine.run("flaskworks --help").status == 0


def test_a_command_runs_as_the_application(deployed: Deployed) -> None:
    machine = deployed.machine
    assert machine.flaskworks("blog", "run", "id", "-un").text == "blog\n"
    assert machine.flaskworks("blog", "run", "pwd").text == f"/srv/blog/releases/{deployed.second}/src\n"
    python = "import os, sys, flask; print(os.environ['SECRET_KEY'], sys.prefix)"
    printed = machine.flaskworks("blog", "run", "python", "-c", python).text
    assert printed == f"{CANARY} /srv/blog/releases/{deployed.second}/venv\n"
    assert "flask" in machine.flaskworks("blog", "run", "--", "flask", "--version").text.lower()
    piped = machine.run("echo from the pipe | sudo flaskworks blog run cat")
    assert piped.text == "from the pipe\n"


def test_words_reach_the_command_as_they_are(machine: StatusHost) -> None:
    words = ["a b", "$HOME", "${SECRET_KEY}", "$$", "it's", '"q"', "%n %%", "x\\ty", "--", "-n", "", "ü", ";true", "*"]
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    done = machine.flaskworks("blog", "run", "python", "-c", code, *words)
    assert json.loads(done.text) == words


def test_the_exit_status_is_the_commands(machine: StatusHost) -> None:
    for status in (0, 1, 7, 77, 200):
        assert machine.flaskworks("blog", "run", "sh", "-c", f"exit {status}").status == status
    missing = machine.flaskworks("blog", "run", "no-such-program")
    assert (missing.status, "no-such-program" in missing.errors) == (127, True)
    both = machine.flaskworks("blog", "run", "sh", "-c", "echo out; echo err >&2")
    assert (both.text, both.errors) == ("out\n", "err\n")


def test_it_can_do_no_more_than_the_site(deployed: Deployed) -> None:
    machine = deployed.machine
    for path in ("x", "blog/__init__.py", f"/srv/blog/releases/{deployed.second}/venv/x", "/etc/x", "/usr/local/x"):
        done = machine.flaskworks("blog", "run", "sh", "-c", f"echo x >>{path}")
        assert done.status != 0, path
    assert machine.flaskworks("blog", "run", "sh", "-c", "echo x >data/x && cat data/x && rm data/x").text == "x\n"
    assert machine.flaskworks("blog", "run", "cat", f"/srv/blog/releases/{deployed.second}/release.json").status != 0
    assert machine.flaskworks("blog", "run", "grep", "-c", "^CapEff:.0*$", "/proc/self/status").text == "1\n"
    assert machine.flaskworks("blog", "run", "grep", "-c", "^NoNewPrivs:.1$", "/proc/self/status").text == "1\n"


def test_a_command_ends_with_its_caller_and_shows_no_secret(machine: StatusHost) -> None:
    caller = subprocess.Popen([*machine.ssh(), "sudo flaskworks blog run sleep 987"], stdin=subprocess.DEVNULL)
    try:
        machine.wait("pgrep -u blog -f '^sleep 987'")
        shown = machine.root("ps -eww -o args; systemctl show 'flaskworks-run.*'; journalctl -q -o cat --no-pager")
        assert CANARY not in shown
        unit = machine.root("systemctl list-units --plain --no-legend 'flaskworks-run.*'")
        assert re.match(r"flaskworks-run\.blog\.\d+\.service +loaded active running A command of blog\n$", unit)
        machine.root("pkill -TERM -f 'bin/flaskworks blog run slee[p]'")
        assert caller.wait(timeout=15) != 0
        assert machine.root("systemctl list-units --plain --no-legend 'flaskworks-run.*'") == ""
        assert machine.root("pgrep -u blog -f '^sleep 987' || true") == ""
    finally:
        caller.kill()


class Terminal:
    """An operator's terminal on the host."""

    def __init__(self, machine: StatusHost, command: str) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            words = [*machine.ssh("-tt"), command]
            os.execvp(words[0], words)
        self.seen = ""

    def until(self, pattern: str, seconds: float = 20) -> str:
        """Return what matched; fails when it does not come."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.descriptor], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.descriptor, 4096).decode(errors="replace")
                except OSError:
                    assert re.search(pattern, self.seen), f"it ended without {pattern!r}: {self.seen!r}"
        self.seen = self.seen[found.end() :]
        return found[0]

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def end(self) -> int:
        """Return the exit status."""
        dummy, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)


def test_a_shell_in_a_terminal(deployed: Deployed) -> None:
    shell = Terminal(deployed.machine, "sudo flaskworks blog shell")
    shell.until(r"\(blog\) \S+src\$ ")
    shell.type("id -un; tty; command -v python; echo end-$((1 + 1))\n")
    seen = shell.until(r"(?s)\rblog\r\n/dev/pts/\d+\r\n\S+/venv/bin/python\r\n.*end-2")
    assert f"/srv/blog/releases/{deployed.second}/venv/bin/python" in seen
    shell.type("echo x >here; echo status $?\n")
    shell.until(r"\nstatus [12]")
    shell.type("sleep 100\n")
    time.sleep(0.5)
    shell.type("\x03")
    shell.until(r"src\$ ")
    shell.type("exit 5\n")
    assert shell.end() == 5


def test_python_in_a_terminal(machine: StatusHost) -> None:
    python = Terminal(machine, "sudo env TERM=dumb flaskworks blog run python -q")
    python.until(">>> ")
    python.type("import blog; 6 * 7\r")
    python.until(r"\n42")
    python.type("exit(3)\r")
    assert python.end() == 3


def test_logs_are_followed_over_a_switch(deployed: Deployed) -> None:
    assert f"Started blog@{deployed.first}.service" in deployed.followed
    assert f"Started blog@{deployed.second}.service" in deployed.followed
    assert "said after-the-switch" in deployed.followed
    assert "a line of gunicorn" in deployed.followed
    assert deployed.machine.root("pgrep -x 'tail|journalctl' || true") == ""


def test_logs_show_the_last_lines(deployed: Deployed) -> None:
    machine = deployed.machine
    lines = machine.flaskworks("blog", "logs", "-n", "3").text
    assert deployed.second in lines
    assert "a line of gunicorn" in machine.flaskworks("blog", "logs", "--error").text
    assert machine.get("/say/once").status_code == 200
    (line,) = machine.flaskworks("blog", "logs", "--access", "-n1").text.splitlines()
    assert json.loads(line)["request_path"] == "/say/once"


def test_logs_move_nothing_on_a_terminal(deployed: Deployed) -> None:
    machine = deployed.machine
    machine.root(r"printf 'said\t\033[31mred \033]0;mine\007\302\2332Jall\n' >>/var/log/blog/error.log")
    terminal = Terminal(machine, "sudo flaskworks blog logs --error -n1")
    assert terminal.until("said.*all").split() == ["said", "red", "\ufffd]0;mine\ufffd\ufffd2Jall"]
    assert terminal.end() == 0


def test_no_execution_is_added_by_the_command(deployed: Deployed) -> None:
    machine = deployed.machine
    before = machine.executions()
    done = machine.deploy("two", "--tags", "accounts")
    assert machine.executions() - before == 1 + 1, done.text
    assert " changed=0 " in done.text
    assert machine.root("find /usr/local/lib/flaskworks -name '*.pyc'") == ""
    assert machine.root("stat -c '%a %U:%G' /usr/local/bin/flaskworks").strip() == "755 root:root"
    assert machine.root("find /usr/local/lib/flaskworks ! -user root -o -perm /022 | grep -v '^$' || true") == ""
