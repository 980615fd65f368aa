"""Promise: a healthy host has no error and no warning, and each fault that is planted is found, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from e2e.doctor.host import CANARY, RECORDS, DoctorHost

RELEASE = "$(readlink -f /srv/blog/current)"
WEB = "blog@$(basename $(readlink /srv/blog/current)).service"
# Starts by hand count towards the limit.
RESTART = f"systemctl reset-failed {WEB}; systemctl restart {WEB}"
SITE = "/etc/nginx/sites-available/blog.conf"
WORKER = "blog.worker.1@$(basename $(readlink /srv/blog/current)).service"
TIDY = "blog.tidy@$(basename $(readlink /srv/blog/current)).service"
# As systemd says it of a unit when the kernel has killed one of its processes.
KILL = "MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef\\nUNIT=import.service\\nMESSAGE=A process was killed.\\n"
# What Docker starts for each port that is published.
PROXY = (
    'exec -a /usr/bin/docker-proxy python3 -c "import time; time.sleep(600)"'
    " -proto tcp -host-ip 0.0.0.0 -host-port 6379 -container-ip 172.17.0.2 -container-port 6379"
)


@dataclass(frozen=True)
class Fault:
    """What is wrong: the commands that make it so and that end it, what has to be found, a part of the evidence."""

    name: str
    plant: str
    end: str
    level: str
    app: str
    check: str
    evidence: str


def variable(line: str, after: str = "true") -> tuple[str, str]:
    """Put a line into the live environment, where the last one counts, and take it away."""
    return edited(f"{RELEASE}/env", f"$a {line}", after)


def edited(path: str, script: str, after: str = "true") -> tuple[str, str]:
    """Edit a file with sed, and bring it back; /etc/resolv.conf can't be replaced, only written."""
    return (
        f"cp -p {path} /run/before; sed '{script}' /run/before >{path}; {after}",
        f"cat /run/before >{path}; {after}",
    )


def created(path: str, text: str) -> tuple[str, str]:
    """Write a file, and remove it."""
    return f"mkdir -p $(dirname {path}); printf '{text}' >{path}", f"rm {path}"


FAULTS = (
    Fault("no address", *edited(RECORDS, "/blog.test/d"), "error", "blog", "dns", "blog.test has no address"),
    Fault(
        "another host's address",
        *edited(RECORDS, "s/ .*/ 203.0.113.9/"),
        *("warning", "blog", "dns", "blog.test leads to 203.0.113.9 (A), and this host is 10."),
    ),
    Fault(
        "full disk",
        "mount -t tmpfs -o size=8M doctor /tmp",
        "umount /tmp",
        *("error", "", "disk-space", "of 8.0 MiB are free for /tmp"),
    ),
    Fault(
        "no inodes",
        "mount -t tmpfs -o size=2G,nr_inodes=400 doctor /tmp; for i in $(seq 384); do : >/tmp/$i; done",
        "umount /tmp",
        *("warning", "", "disk-inodes", "of the inodes are free for /tmp"),
    ),
    Fault(
        "upgrades switched off",
        *created("/etc/apt/apt.conf.d/99doctor", 'APT::Periodic::Unattended-Upgrade "0";'),
        *("warning", "", "unattended-upgrades", "APT::Periodic::Unattended-Upgrade is 0"),
    ),
    Fault(
        "lists that nobody renews",
        *created("/etc/apt/apt.conf.d/99doctor", 'APT::Periodic::Update-Package-Lists "0";'),
        *("warning", "", "unattended-upgrades", "APT::Periodic::Update-Package-Lists is 0"),
    ),
    Fault(
        "timer of the lists disabled",
        "systemctl -q disable apt-daily.timer",
        "systemctl -q enable apt-daily.timer",
        *("warning", "", "unattended-upgrades", "apt-daily.timer is disabled"),
    ),
    Fault(
        "timer of the upgrades masked",
        "systemctl -q mask apt-daily-upgrade.timer",
        "systemctl -q unmask apt-daily-upgrade.timer",
        *("warning", "", "unattended-upgrades", "apt-daily-upgrade.timer is masked"),
    ),
    Fault(
        "reboot pending",
        "touch /run/reboot-required; echo linux-image-amd64 >/run/reboot-required.pkgs",
        "rm /run/reboot-required /run/reboot-required.pkgs",
        *("warning", "", "reboot-pending", "(linux-image-amd64)"),
    ),
    Fault(
        "volatile journal",
        *created("/etc/systemd/journald.conf.d/doctor.conf", "[Journal]\\nStorage=volatile\\n"),
        *("warning", "", "journal-volatile", "Storage=volatile"),
    ),
    Fault(
        "failed unit",
        "systemd-run -q --unit=broken-thing false; while ! systemctl -q is-failed broken-thing; do sleep 0.1; done",
        "systemctl reset-failed broken-thing",
        *("warning", "", "unit-failed", "broken-thing.service has failed"),
    ),
    Fault(
        "a container's port past the firewall",
        f"systemd-run -q --unit=published bash -c '{PROXY}'; until pgrep -f ^/usr/bin/docker-proxy; do sleep 0.1; done",
        "systemctl stop published",
        *("warning", "", "docker-port", "port 6379/tcp is published by a container"),
    ),
    Fault(
        "everybody may write",
        "chmod o+w /srv/blog/shared/data",
        "cd / && runuser -u blog -- find /srv/blog/shared -xdev ! -type l -perm -o+w -execdir chmod o-w {} +",
        *("error", "blog", "files", "everybody on the host can write /srv/blog/shared/data"),
    ),
    Fault(
        "code of its own",
        f"chown blog {RELEASE}/src/requirements.txt",
        f"chown root {RELEASE}/src/requirements.txt",
        *("error", "blog", "files", "requirements.txt belongs to blog, outside of shared"),
    ),
    Fault(
        "somebody else's data",
        "touch /srv/blog/shared/data/log /srv/blog/shared/data/log2",
        "chown -hR --from=0 blog /srv/blog/shared; rm /srv/blog/shared/data/log*",
        *("warning", "blog", "files", " and 1 more belongs to root, below shared all is blog's"),
    ),
    Fault(
        "code that its group may write",
        f"chmod g+w {RELEASE}/src/requirements.txt",
        f"chmod g-w {RELEASE}/src/requirements.txt",
        *("error", "blog", "files", "requirements.txt can be written by a group of blog, outside of shared"),
    ),
    Fault(
        "code that is the builder's still",
        f"chown flaskworks-build {RELEASE}/src/requirements.txt",
        f"chown root {RELEASE}/src/requirements.txt",
        *("warning", "blog", "files", "requirements.txt belongs to flaskworks-build, neither to root"),
    ),
    Fault(
        "Python too old",
        *created(f"{RELEASE}/src/pyproject.toml", '[project]\\nrequires-python = ">=3.99"\\n'),
        *("error", "blog", "python-version", "and its pyproject.toml wants >=3.99"),
    ),
    Fault(
        "worker class without its package",
        *edited(f"{RELEASE}/release.json", 's/"worker_class": "gthread"/"worker_class": "gevent"/'),
        *("error", "blog", "worker-class", "server.worker_class is gevent, and gevent is not installed"),
    ),
    Fault("debug by variable", *variable('FLASK_DEBUG="1"'), "error", "blog", "debug-on", "has FLASK_DEBUG on"),
    Fault("debug by code", *variable('SHOW_ERRORS="1"'), "error", "blog", "debug-on", "itself says debug=True"),
    Fault(
        "debugger",
        *variable('OFFER_DEBUGGER="1"', RESTART),
        *("error", "blog", "debugger", "Werkzeug's debugger answers visitors"),
    ),
    Fault(
        "well-known key",
        *variable('SECRET_KEY="change-me"'),
        *("error", "blog", "secret-key", "SECRET_KEY is a well-known value"),
    ),
    Fault(
        "key that is the site's name",
        *variable('SECRET_KEY="Blog"'),
        *("error", "blog", "secret-key", "is the name of the application"),
    ),
    Fault(
        "short key",
        *variable('SECRET_KEY="x7Q-20kd.Pw31,zz9Ls"'),
        *("warning", "blog", "secret-key", "SECRET_KEY has 19 characters"),
    ),
    Fault(
        "cookie for plain HTTP",
        *variable('INSECURE_COOKIE="1"', RESTART),
        *("warning", "blog", "session-cookie", "the cookie 'session' was sent without Secure"),
    ),
    Fault(
        "too many hops",
        *variable('HOPS="2"'),
        *(
            "warning",
            "blog",
            "proxy-hops",
            "sees no address in place of the visitor's address; ProxyFix(x_for=2, x_pro",
        ),
    ),
    Fault(
        "visitors choose their address",
        *edited(
            SITE, "s/X-Forwarded-For $remote_addr/X-Forwarded-For $http_x_forwarded_for/", "systemctl reload nginx"
        ),
        *("error", "blog", "forged-address", "a forged X-Forwarded-For is from 192.0.2.77"),
    ),
    Fault(
        "errors for visitors",
        *variable('BROKEN="1"', RESTART),
        *("error", "blog", "site-answers", "blog.test/health on port 80 answers 500"),
    ),
    Fault(
        "nginx stopped",
        "systemctl stop nginx",
        "systemctl start nginx",
        *("error", "blog", "site-answers", "connection refused: nothing listens there"),
    ),
    Fault(
        "cut short",
        *created("/srv/blog/journal.json", '{"step": "switch", "action": "deployed"}'),
        *("warning", "blog", "deploy-interrupted", "was cut short at the step 'switch'"),
    ),
    Fault(
        "failing timer",
        f"systemctl start {TIDY} || true",
        f"systemctl reset-failed {TIDY}",
        *("error", "blog", "timer-failed", "the last run of the timer tidy ended with exit-code"),
    ),
    Fault(
        "does not stay up",
        "for turn in 1 2 3; do"
        f" kill -9 $(systemctl show -p MainPID --value {WORKER});"
        f" until [ $(systemctl show -p NRestarts --value {WORKER}) = $turn ]; do sleep 0.1; done; done",
        f"systemctl stop {WORKER}; systemctl reset-failed {WORKER}; systemctl start {WORKER}",
        *("warning", "blog", "restarts", "was started again 3 times by itself"),
    ),
    Fault(
        "wants more than its sandbox",
        'python3 -c \'import http.client as h; c = h.HTTPConnection("127.0.0.1", 80);'
        ' c.request("GET", "/note", headers={"Host": "blog.test"}); print(c.getresponse().status)\' | grep 500',
        ": >/var/log/blog/error.log",
        *("error", "blog", "sandbox-read-only", "Read-only file system: '/var/lib/note'"),
    ),
    # The last one: nobody takes a line out of the journal.
    Fault(
        "killed for want of memory",
        f"printf '{KILL}' | logger --journald; journalctl --sync",
        "true",
        *("warning", "", "memory-kills", "1 kill for want of memory in the last 7 days"),
    ),
)


def test_a_healthy_host_has_no_finding(healthy: DoctorHost) -> None:
    done, said = healthy.examine("-e", "doctor_fail_on=warning")
    assert done.status == 0, done.text
    assert (done.recap(healthy.name)["changed"], said["worst"], said["unchecked"]) == (0, "none", [])
    assert f"{healthy.name}: nothing found (" in done.text


def test_nothing_is_changed_and_no_secret_is_told(healthy: DoctorHost) -> None:
    places = "/srv /etc /usr/local /var/lib/flaskworks"
    look = f"find {places} -newer /run/marker; systemctl list-units --all --no-legend | wc -l"
    before = healthy.root(f"touch /run/marker; {look}")
    done, said = healthy.examine("-vvv", "--diff")
    assert CANARY not in done.text + json.dumps(said)
    assert healthy.root(look) == before
    assert CANARY not in healthy.root("journalctl --no-pager --output=export | strings || true")


# Before the faults: one of them leaves a line in the journal that is a finding for days.
def test_what_only_the_hosts_file_knows_is_a_remark(healthy: DoctorHost) -> None:
    plant, end = edited("/etc/hosts", "$a 203.0.113.9 blog.test")
    try:
        healthy.root(f": >{RECORDS}; {plant}")
        done, said = healthy.examine()
    finally:
        healthy.root(f'{end}; echo "blog.test $(hostname -I | cut -d" " -f1)" >{RECORDS}')
    assert (done.status, said["unchecked"]) == (0, []), done.text
    assert [(one["level"], one["check"]) for one in said["findings"]] == [("info", "dns")]
    assert "203.0.113.9 on this host, out of its /etc/hosts, and unknown to DNS" in said["findings"][0]["evidence"]


def test_a_resolver_that_does_not_answer(healthy: DoctorHost) -> None:
    plant, end = edited("/etc/resolv.conf", "s/nameserver .*/nameserver 127.0.0.3/")
    try:
        healthy.root(plant)
        done, said = healthy.examine()
    finally:
        healthy.root(end)
    assert (done.status, said["findings"]) == (0, []), done.text
    assert [item["check"] for item in said["unchecked"]] == ["dns"]
    assert said["unchecked"][0]["why"].endswith("does not answer for blog.test")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_nothing_else(healthy: DoctorHost, fault: Fault) -> None:
    try:
        healthy.root(fault.plant)
        done, said = healthy.examine()
    finally:
        healthy.root(fault.end)
    found = [one for one in said["findings"] if one["level"] != "info"]
    assert [(one["level"], one["app"], one["check"]) for one in found] == [(fault.level, fault.app, fault.check)], found
    assert fault.evidence in found[0]["evidence"]
    assert found[0]["fix"]
    assert (done.status != 0) is (fault.level == "error")
    assert f"{fault.level:<8} {fault.check}: " in done.text
    assert said["unchecked"] == []


CLOCK = """---
- name: The clock is compared with another one
  hosts: all
  gather_facts: false
  tasks:
    - name: The host is examined
      become: true
      flaskworks.deploy.doctor:
        controller_time: "{{ (now(utc=true) - ('1970-01-01' | to_datetime('%Y-%m-%d'))).total_seconds() - 95 }}"
      register: found
      failed_when: found.findings | map(attribute='check') | difference(['memory-kills']) != ['clock']
    - name: It is shown
      ansible.builtin.debug:
        msg: "{{ found.findings[0].evidence }}"
"""


def test_a_clock_that_is_wrong(healthy: DoctorHost) -> None:
    play = healthy.folder / "clock.yml"
    play.write_text(CLOCK)
    done = healthy.play(str(play))
    assert done.status == 0, done.text
    assert " s ahead of that of the machine which runs Ansible" in done.text
