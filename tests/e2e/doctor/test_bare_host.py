"""Promise: before its first deploy a host is told what will be in the way, and is left as it is."""

from __future__ import annotations

import json

from e2e.doctor.host import DoctorHost

LISTEN = "import socket, time; s = socket.socket(); s.bind(('0.0.0.0', 80)); s.listen(); time.sleep(600)"


def test_an_empty_host_is_told_what_will_be_in_the_way(bare: DoctorHost) -> None:
    look = "ls -A /srv /var/lib /run /usr/local/bin /usr/local/lib /etc; cat /etc/hosts"
    before = bare.root(look)
    bare.root(f'systemd-run -q --unit=in-the-way python3 -c "{LISTEN}"')
    try:
        bare.wait("ss -Hltn | grep -q :80")
        bare.claim(server={"workers": 1000})
        done, said = bare.examine()
    finally:
        bare.claim()
        bare.root("systemctl stop in-the-way")
    assert bare.root(look) == before
    counted = done.recap(bare.name)
    assert (counted["changed"], counted["failed"]) == (0, 1)
    found = {(one["level"], one["app"], one["check"]): one["evidence"] for one in said["findings"]}
    assert set(found) == {
        ("error", "", "port-taken"),
        ("error", "blog", "dns"),
        ("warning", "", "memory-workers"),
        ("warning", "", "unattended-upgrades"),
    }
    assert "port 80, which blog wants, is in use by python3 (pid " in found["error", "", "port-taken"]
    assert "blog 125 GiB (1000 x 128 MiB, estimated)" in found["warning", "", "memory-workers"]
    assert said["worst"] == "error"


def test_one_execution_and_the_exit_status_by_level(bare: DoctorHost) -> None:
    before = bare.executions()
    done, dummy = bare.examine("-e", "doctor_fail_on=never")
    # One is the second question itself.
    assert bare.executions() - before == 2
    assert done.status == 0, done.text
    bare.root('echo "$(hostname -I | cut -d" " -f1) blog.test" >>/etc/hosts')
    try:
        done, said = bare.examine()
        assert (done.status, said["worst"]) == (0, "warning"), done.text
        done, dummy = bare.examine("-e", "doctor_fail_on=warning")
        assert done.status != 0
        assert "the worst finding is of the level warning: see above" in done.text
        done, dummy = bare.examine("-e", "doctor_fail_on=off")
        assert done.status != 0
        assert "choose error, warning or never" in done.text
        done, dummy = bare.examine("-e", "app=blok")
        assert done.status != 0
        assert "neither the inventory nor a host has an application 'blok': there is blog" in done.text
    finally:
        bare.root("sed /blog.test/d /etc/hosts >/run/hosts; cat /run/hosts >/etc/hosts; rm /run/hosts")


def test_the_json_is_printed_as_it_is(bare: DoctorHost) -> None:
    done, said = bare.examine("-e", "doctor_format=json", "-e", "doctor_fail_on=never")
    begin = done.text.index('{\n  "hosts"')
    printed, dummy = json.JSONDecoder().raw_decode(done.text[begin:])
    assert printed["hosts"][bare.name] == said
    assert set(said) == {"time", "apps", "checks", "worst", "findings", "unchecked"}
