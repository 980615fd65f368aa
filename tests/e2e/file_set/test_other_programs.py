"""logrotate, systemd and sysusers: their faults are found by their own words; secrets stay out of what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from e2e.support import output, play

UNIT = "/etc/systemd/system/story.service"
RUNS = {"story.service": {"enabled": True, "active": True, "on_change": "restart"}}


def unit(command: str, more: str = "") -> dict[str, Any]:
    return {UNIT: {"content": f"[Service]\nExecStart={command}\n{more}\n[Install]\nWantedBy=multi-user.target\n"}}


@pytest.fixture
def running(host: Any, direct: Any) -> Any:
    """A unit that runs before the test and is gone after it."""
    systemd = {"program": "systemd", "owner": "units", "units": RUNS}
    direct.apply(unit("/bin/sleep infinity"), **systemd)
    yield systemd
    direct.apply({}, program="systemd", owner="units")
    assert not host.file(UNIT).exists
    assert host.run("systemctl is-active story.service").stdout.strip() == "inactive"


@pytest.mark.parametrize(
    ("command", "more", "words"),
    [
        ("/bin/sleep infinity", "Frobnicate=1", "Unknown key"),
        ("/bin/no-such-program", "", "is not executable"),
        ("/bin/sh -c 'sleep 0.3; echo broken; exit 3'", "Restart=always", "does not stay up"),
    ],
)
def test_a_bad_unit_leaves_the_old_one_running(
    host: Any, apply: Any, running: Any, command: str, more: str, words: str
) -> None:
    before = host.file(UNIT).content_string
    for _run in range(2):
        answer = apply(unit(command, more), **running)
        assert answer.status != 0
        assert words in answer.text
        assert host.file(UNIT).content_string == before
        assert "/bin/sleep infinity" in output(host, "systemctl show --property=ExecStart story.service")
        assert output(host, "systemctl is-active story.service") == "active"


def test_a_changed_unit_is_restarted_and_an_unchanged_one_is_not(host: Any, direct: Any, running: Any) -> None:
    first = output(host, "systemctl show --property=MainPID story.service")
    assert not direct.apply(unit("/bin/sleep infinity"), **running)
    assert output(host, "systemctl show --property=MainPID story.service") == first
    assert direct.apply(unit("/bin/sleep 1000000"), **running)
    assert output(host, "systemctl show --property=MainPID story.service") != first


def test_a_unit_stopped_or_disabled_by_hand_is_brought_back(host: Any, direct: Any, running: Any) -> None:
    output(host, "systemctl disable --now story.service")
    assert direct.check(unit("/bin/sleep infinity"), **running)
    assert direct.apply(unit("/bin/sleep infinity"), **running)
    assert output(host, "systemctl is-active story.service") == "active"
    assert output(host, "systemctl is-enabled story.service") == "enabled"


def test_an_unknown_directive_of_logrotate_is_a_failure(host: Any, apply: Any) -> None:
    policy = "/etc/logrotate.d/story"
    bad = {policy: {"content": "/var/log/story/*.log {\n daily\n frobnicate\n}\n"}}
    for _run in range(2):
        answer = apply(bad, program="logrotate", owner="logs")
        assert answer.status != 0
        assert "unknown option 'frobnicate'" in answer.text
        assert not host.file(policy).exists
    good = {policy: {"content": "/var/log/story/*.log {\n daily\n missingok\n}\n"}}
    assert apply(good, program="logrotate", owner="logs").changed
    assert apply({}, program="logrotate", owner="logs").changed
    assert not host.file(policy).exists


def test_a_user_that_went_missing_is_made_again(host: Any, direct: Any) -> None:
    files = {"/etc/sysusers.d/story.conf": {"content": 'u story - "A story" /srv/story /usr/sbin/nologin\n'}}
    assert direct.apply(files, program="sysusers", owner="users")
    assert host.user("story").shell == "/usr/sbin/nologin"
    assert not direct.apply(files, program="sysusers", owner="users")
    output(host, "userdel story")
    assert direct.check(files, program="sysusers", owner="users")
    assert direct.apply(files, program="sysusers", owner="users")
    assert host.user("story").exists
    direct.apply({}, program="sysusers", owner="users")
    output(host, "userdel story")


def test_sensitive_content_is_shown_nowhere(host: Any, apply: Any) -> None:
    secret = {"/etc/story.secret": {"content": "canary-7f3a9\n", "mode": "0600", "sensitive": True}}
    answer = apply(secret, "--diff", "-vvv", program="none", owner="secrets")
    assert answer.status == 0
    assert "/etc/story.secret" in answer.text
    assert "canary-7f3a9" not in answer.text
    assert host.file("/etc/story.secret").content_string == "canary-7f3a9\n"
    # The pattern does not match itself: sudo logs the command that looks.
    assert host.run("journalctl --no-pager | grep -c 'canary-7f3a[9]'").stdout.strip() == "0"
    removed = apply({}, "--diff", program="none", owner="secrets")
    assert removed.changed
    assert "canary-7f3a9" not in removed.text


def test_a_program_that_is_not_installed_yet_is_predicted(apply: Any) -> None:
    files = {"/etc/squid/x.conf": {"content": "x\n"}}
    answer = apply(files, "--check", program="none", owner="later", units={"squid.service": {"active": True}})
    assert answer.status == 0
    assert answer.changed


def test_a_log_that_two_policies_rotate_is_a_failure(host: Any, apply: Any) -> None:
    twice = {"/etc/logrotate.d/aa-story": {"content": "/var/log/dpkg.log {\n daily\n missingok\n}\n"}}
    answer = apply(twice, program="logrotate", owner="logs")
    assert answer.status != 0
    assert "duplicate log entry for /var/log/dpkg.log" in answer.text
    assert not host.file("/etc/logrotate.d/aa-story").exists


def test_a_command_sees_the_change_in_its_context(host: Any, apply: Any) -> None:
    """A fault in sudo's files would lock everybody out, the test included."""
    path = "/etc/sudoers.d/story"
    commands = {"program": "none", "owner": "sudo", "context": ["/etc/sudoers.d"], "validate": [["visudo", "-c"]]}
    answer = apply({path: {"content": "nobody ALL=(ALL NOPASSWD: ALL\n", "mode": "0440"}}, **commands)
    assert answer.status != 0
    assert f"{path}:1" in answer.text
    assert not host.file(path).exists
    assert apply({path: {"content": "nobody ALL=(ALL) /bin/true\n", "mode": "0440"}}, **commands).changed
    assert apply({}, **commands).changed
    assert not host.file(path).exists


def test_all_faults_of_a_call_are_named_at_once(host: Any, apply: Any) -> None:
    files = {
        "relative": {"content": ""},
        "/etc/a": {"content": "", "mode": 420},
        "/etc/b": {"content": "", "link": "c"},
    }
    answer = apply(files, program="none", owner="../up", units={"x": {}})
    for words in ("relative: ", "/etc/a: mode 420", "/etc/b: needs exactly one", "owner '../up'", "units.x"):
        assert words in answer.text


def test_a_template_is_rendered_as_by_ansible_itself(host: Any, tmp_path: Path) -> None:
    (tmp_path / "part.j2").write_text("{% macro loud(word) %}{{ word | upper }}{% endmacro %}")
    (tmp_path / "story.j2").write_text(
        "# {{ ansible_managed }}\n{% import 'part.j2' as part %}\n{% for name in names %}\n"
        "  {{ part.loud(name) }} {{ inventory_hostname }} {{ derived }}\n{% endfor %}\nback\\slash {{ 'a\\\\b' }}\n\n"
    )
    (tmp_path / "play.yml").write_text("""
- name: One text, written twice
  hosts: flask_hosts
  become: true
  gather_facts: false
  vars: {names: [a, b], derived: "{{ names | join('+') }}"}
  tasks:
    - name: By ours, with one variable of its own
      flaskworks.deploy.file_set:
        owner: text
        files:
          /etc/story.ours: {template: story.j2, vars: {names: [b, c]}}
    - name: By Ansible's
      ansible.builtin.template: {src: story.j2, dest: /etc/story.theirs, mode: "0644"}
      vars: {names: [b, c]}
    - name: The same, byte by byte
      ansible.builtin.command: cmp /etc/story.ours /etc/story.theirs
""")
    try:
        play(host, str(tmp_path / "play.yml"))
        assert host.file("/etc/story.ours").content_string.count("b+c") == 2
    finally:
        output(host, "rm -rf /etc/story.ours /etc/story.theirs /var/lib/flaskworks/file_set/text")
