"""What a host is to have, what an authority is to be asked for, and what goes."""

from __future__ import annotations

import datetime
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import tls_issue, tls_served, tls_set, tls_store
from ansible_collections.flaskworks.deploy.plugins.module_utils.dns_names import addresses
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError, Wanted
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_facts import certificate_facts, utc_now
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_reach import known_here
from unit.authority import CHAIN, MIDDLE, NOW, SITE, Issued, issue

ACME = {"mode": "acme", "names": ["blog.test", "www.blog.test"], "directory": "https://acme.test/dir"}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose directories are below a temporary one."""
    for name in ("DIRECTORY", "STORE", "LETSENCRYPT"):
        place = f"{tmp_path}{getattr(tls_store, name)}"
        for module in (tls_store, tls_set):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, place)
        Path(place).mkdir(parents=True)
    return tmp_path


def make(title: str, names: Any) -> tuple[bytes, bytes]:
    made = issue(title, list(names))
    return made.pem.encode(), made.key_pem.encode()


def desire(entries: dict[str, Any], owned: tuple[str, ...] = (), **options: Any) -> tls_set.Desired:
    given = {"now": NOW, "foreign": (), "make": make, "keep_stale": True, **options}
    return tls_set.desire(entries, owned, webroot="/var/lib/x", **given)


def put(wanted: list[Wanted]) -> None:
    """Bring what is wanted below the temporary directory."""
    for entry in wanted:
        path = Path(entry.path)
        if not str(path).startswith(str(Path(tls_store.STORE).parent)):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "link":
            path.unlink(missing_ok=True)
            path.symlink_to(entry.target)
        elif entry.kind == "file":
            path.write_bytes(entry.content)


def certbot_has(name: str, made: Issued, server: str = "https://acme.test/dir", webroot: str = "/var/lib/x,") -> None:
    folder = Path(tls_store.lineage_folder(name))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fullchain.pem").write_text(made.pem + MIDDLE.pem)
    (folder / "privkey.pem").write_text(made.key_pem)
    renewal = Path(tls_store.LETSENCRYPT) / "renewal"
    renewal.mkdir(exist_ok=True)
    (renewal / f"flaskworks-{name}.conf").write_text(f"[renewalparams]\nwebroot_path = {webroot}\nserver = {server}\n")


def own(days: int = 90, age: int = 1, names: tuple[str, ...] = ("blog.test", "www.blog.test")) -> Issued:
    return issue("blog.test", list(names), by=MIDDLE, days=days, age=age)


def link(found: tls_set.Desired, name: str = "blog") -> str:
    (target,) = [entry.target for entry in found.wanted if entry.path == tls_store.link_of(name)]
    return target


def test_keys_are_roots_and_sensitive(host: Path) -> None:
    found = desire({"blog": {"mode": "files", "names": [], "certificate": CHAIN, "key": SITE.key_pem}})
    (key,) = [entry for entry in found.wanted if entry.path.endswith("privkey.pem")]
    assert (key.mode, key.owner, key.group, key.sensitive) == (0o600, "root", "root", True)
    assert key.content.decode() == SITE.key_pem
    assert link(found).startswith("../tls.d/blog/files-")


def test_another_certificate_lies_elsewhere_so_that_both_files_change_at_once(host: Path) -> None:
    first, second = (
        desire({"blog": {"mode": "files", "names": [], "certificate": text, "key": "k"}}) for text in (CHAIN, SITE.pem)
    )
    assert link(first) != link(second)


def test_a_self_signed_one_is_made_once_and_renewed_in_time(host: Path) -> None:
    entry = {"blog": {"mode": "self-signed", "names": ["blog.test"]}}
    put(desire(entry).wanted)
    again = desire(entry, make=None)
    assert link(again).startswith("../tls.d/blog/self-signed-")
    late = NOW + datetime.timedelta(days=65)
    assert any(entry.content for entry in desire(entry, now=late).wanted)
    with pytest.raises(TypeError):
        desire(entry, now=late, make=None)
    with pytest.raises(TypeError):
        desire({"blog": {"mode": "self-signed", "names": ["blog.test", "new.test"]}}, make=None)


def test_a_self_signed_one_for_an_address_is_made_once(host: Path) -> None:
    entry = {"blog": {"mode": "self-signed", "names": ["2001:DB8:0::1"]}}
    put(desire(entry).wanted)
    assert link(desire(entry, make=None)).startswith("../tls.d/blog/self-signed-")


def test_a_placeholder_stands_in_until_the_first_one(host: Path) -> None:
    found = desire({"blog": ACME})
    assert found.pending == {"blog": "there is no certificate yet"}
    assert link(found).startswith("../tls.d/blog/placeholder-")
    put(found.wanted)
    assert desire({"blog": ACME}, make=None).pending == found.pending
    facts = certificate_facts("blog", NOW)
    assert facts is not None
    assert (facts["mode"], facts["placeholder"], facts["self_signed"]) == ("acme", True, True)


def test_what_was_issued_takes_the_place_of_the_placeholder(host: Path) -> None:
    put(desire({"blog": ACME}).wanted)
    certbot_has("blog", own())
    found = desire({"blog": ACME}, ("blog",), make=None)
    assert (found.pending, found.lineages) == ({}, [])
    assert link(found) == "../../letsencrypt/live/flaskworks-blog"
    assert not [entry for entry in found.wanted if entry.path.endswith(".pem")]
    put(found.wanted)
    facts = certificate_facts("blog", NOW)
    assert facts is not None
    assert (facts["placeholder"], facts["days_left"], facts["problems"]) == (False, 89, {})


@pytest.mark.parametrize(
    ("age", "days_above", "until", "late", "problems"),
    [
        (1, 4000, 89, False, {}),
        (-1, 4000, 91, False, {"not-yet-valid": "it is not valid before 2026-06-02"}),
        (1, 30, 29, False, {}),
        (1, 10, 9, True, {}),
        (1, 0, 89, False, {"chain": "the certificate of 'Another one' in its chain has expired on 2026-05-31"}),
        (91, 4000, -1, True, {}),
    ],
)  # fmt: skip
def test_all_dates_of_a_chain_count(
    host: Path, age: int, days_above: int, until: int, late: bool, problems: dict[str, str]
) -> None:
    # Visitors have roots of their own, whatever the date of this one.
    root = issue("Old root", days=0)
    above = issue("Another one", by=root, days=2000 + days_above, age=2001)
    made = issue("blog.test", ["blog.test"], by=above, age=age)
    text = made.pem + above.pem + root.pem
    put(desire({"blog": {"mode": "files", "names": [], "certificate": text, "key": made.key_pem}}).wanted)
    facts = certificate_facts("blog", NOW)
    assert facts is not None
    assert (facts["days_left"], facts["late"], sorted(facts["problems"])) == (until, late, sorted(problems))
    assert all(words in facts["problems"][check] for check, words in problems.items())


@pytest.mark.parametrize("trial", [True, False])
def test_whether_a_certificate_is_for_trial_is_read_from_it(host: Path, trial: bool) -> None:
    """The wish may be another one by now: staging was taken away and the authority refused, or the other way round."""
    entry = {**ACME, "directory": "", "staging": not trial}
    certbot_has("blog", own(), tls_store.STAGING if trial else tls_store.PRODUCTION)
    put(desire({"blog": entry}, make=None).wanted)
    facts = certificate_facts("blog", NOW)
    assert facts is not None
    assert facts["staging"] is trial


@pytest.mark.parametrize(("days", "age", "late"), [(90, 75, False), (90, 77, True), (6, 4, False), (6, 5, True)])
def test_a_certificate_of_a_few_days_is_late_by_its_own_measure(host: Path, days: int, age: int, late: bool) -> None:
    put(desire({"blog": ACME}).wanted)
    certbot_has("blog", own(days=days, age=age))
    put(desire({"blog": ACME}, ("blog",), make=None).wanted)
    facts = certificate_facts("blog", NOW)
    assert facts is not None
    assert facts["late"] is late


@pytest.mark.parametrize(
    ("made", "server", "entry", "reason"),
    [
        (own(names=("blog.test",)), "https://acme.test/dir", ACME, "www.blog.test is new"),
        (own(), "https://acme.test/dir", {**ACME, "names": ["blog.test"]}, "www.blog.test is no longer wanted"),
        (own(), "https://other.test/dir", ACME, "it comes from another authority than https://acme.test/dir"),
        (
            own(),
            tls_store.STAGING,
            {**ACME, "directory": ""},
            f"it comes from another authority than {tls_store.PRODUCTION}",
        ),
        (own(), "https://acme.test/dir", {**ACME, "names": ["Blog.test", "WWW.blog.test"]}, ""),
        (own(days=90, age=80), "https://acme.test/dir", ACME, "it ends in 10 days and was not renewed"),
        (own(days=6, age=2), "https://acme.test/dir", ACME, ""),
        (own(days=6, age=5), "https://acme.test/dir", ACME, "it ends in 1 days and was not renewed"),
        (own(days=60, age=80), "https://acme.test/dir", ACME, "it has expired and was not renewed"),
    ],
)
def test_why_an_authority_is_asked_again(
    host: Path, made: Issued, server: str, entry: dict[str, Any], reason: str
) -> None:
    certbot_has("blog", made, server)
    found = desire({"blog": entry}, make=None)
    assert found.pending.get("blog", "") == reason
    # Until then visitors have what there is.
    assert link(found) == "../../letsencrypt/live/flaskworks-blog"


@pytest.mark.parametrize(
    ("webroot", "reason"),
    [
        ("/srv/old,", "its renewals would leave their challenges in /srv/old, not in /var/lib/x"),
        ("/var/lib/x", ""),
        # What can't be read for certain is no reason to ask in every run.
        ('"/srv/a,b",', ""),
        (",", ""),
    ],
)
def test_another_directory_for_challenges_is_another_lineage(host: Path, webroot: str, reason: str) -> None:
    certbot_has("blog", own(), webroot=webroot)
    assert desire({"blog": ACME}, make=None).pending.get("blog", "") == reason


def test_a_pair_that_does_not_belong_together_is_not_served(host: Path) -> None:
    certbot_has("blog", own())
    Path(tls_store.lineage_folder("blog"), "privkey.pem").write_text(own().key_pem)
    found = desire({"blog": ACME})
    assert found.pending == {"blog": "there is no certificate yet"}
    assert link(found).startswith("../tls.d/blog/placeholder-")


def test_files_are_served_until_an_authority_has_issued(host: Path) -> None:
    good = own()
    files = {"mode": "files", "names": [], "certificate": good.pem + MIDDLE.pem, "key": good.key_pem}
    put(desire({"blog": files}).wanted)
    found = desire({"blog": ACME}, make=None)
    assert found.pending == {"blog": "there is no certificate yet"}
    assert link(found).startswith("../tls.d/blog/files-")


def test_what_is_no_longer_listed_stays_until_no_site_needs_it(host: Path) -> None:
    put(desire({"blog": {"mode": "self-signed", "names": ["blog.test"]}}).wanted)
    certbot_has("wiki", own())
    first = desire({}, ("blog",))
    assert (first.stale, first.lineages) == (["blog"], ["wiki"])
    assert sorted(entry.path.rpartition("/")[2] for entry in first.wanted) == [
        "blog", "fullchain.pem", "privkey.pem", "wanted.json",
    ]  # fmt: skip
    assert desire({}, ("blog",), keep_stale=False).wanted == []
    assert desire({}, (), foreign=("wiki",)).lineages == []


def test_certbot_is_told_all_it_would_ask(host: Path) -> None:
    argv = tls_issue.certbot_argv("blog", ACME, "/w")
    assert argv[:3] == ["certbot", "certonly", "--non-interactive"]
    assert argv[argv.index("--domains") + 1] == "blog.test,www.blog.test"
    assert argv[argv.index("--server") + 1] == "https://acme.test/dir"
    assert "--register-unsafely-without-email" in argv
    assert not {"--force-renewal", "--break-my-certs"} & set(argv)
    certbot_has("blog", issue("blog.test", ["blog.test"], by=MIDDLE, now=utc_now()), tls_store.PRODUCTION)
    again = tls_issue.certbot_argv("blog", {**ACME, "directory": "", "email": "ops@x.test"}, "/w")
    assert "--force-renewal" in again
    assert "--break-my-certs" not in again
    assert again[again.index("--email") + 1] == "ops@x.test"
    trial = {**ACME, "directory": "", "staging": True}
    with pytest.raises(FileSetError, match="take staging away"):
        tls_issue.issue("blog", trial, "/w")
    staging = tls_issue.certbot_argv("blog", trial, "/w")
    assert staging[staging.index("--server") + 1] == tls_store.STAGING
    assert "--break-my-certs" in staging


SAID = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for blog.test and www.blog.test

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: blog.test
  Type:   {kind}
  Detail: 192.0.2.1: Fetching http://blog.test/.well-known/acme-challenge/x: {detail}

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org.
"""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (SAID.format(kind="connection", detail="refused"), "the authority does not reach port 80 of this host"),
        (SAID.format(kind="unauthorized", detail="404"), "blog.test: something else has answered the authority"),
        (SAID.format(kind="dns", detail="NXDOMAIN"), "blog.test: the authority can't look the name up"),
        (SAID.format(kind="caa", detail="forbidden"), "a CAA record of the domain allows other authorities only"),
        (SAID.format(kind="strange", detail="odd"), "blog.test: strange (the authority says: 192.0.2.1"),
        ("Another instance of Certbot is already running.", "run this again in a minute"),
        ("x: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "the host does not trust the certificate of https://a/"),
        ("HTTPSConnectionPool: Max retries exceeded", "the host does not reach the authority https://a/"),
        ("Error: too many certificates already issued", "wait as it says, and use staging"),
        ("Saving debug log to x\nSomething odd\n", "Something odd"),
        ("", "certbot failed without a word"),
    ],
)  # fmt: skip
def test_answers_of_an_authority_are_told_in_words(output: str, words: str) -> None:
    told = tls_issue.answer_in_words(output, "https://a/")
    assert words in told
    assert "Saving debug log" not in told
    assert "Ask for help" not in told


def test_the_authority_is_not_asked_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*given: object, **named: object) -> None:
        raise AssertionError("certbot was run")

    monkeypatch.setattr(tls_issue, "run", nothing)
    asked = []

    def unreachable(names: object, webroot: str, lookup: object) -> list[str]:
        asked.append(lookup)
        return ["blog.test has no address"]

    monkeypatch.setattr(tls_issue, "unreachable", unreachable)
    with pytest.raises(FileSetError, match="The authority was not asked"):
        tls_issue.issue("blog", ACME, str(tmp_path))
    with pytest.raises(AssertionError, match="certbot was run"):
        tls_issue.issue("blog", {**ACME, "check": False}, str(tmp_path))
    for directory in ("", tls_store.PRODUCTION):
        with pytest.raises(FileSetError):
            tls_issue.issue("blog", {**ACME, "directory": directory}, str(tmp_path))
    # Let's Encrypt knows nothing of a host's own names, another authority may.
    assert asked == [known_here, addresses, addresses]


@pytest.mark.parametrize(("lived", "unread"), [(60.0, ["x"]), (5.0, []), (None, [])])
def test_what_was_renewed_after_nginx_began_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lived: float | None, unread: list[str]
) -> None:
    """Workers of 60 seconds can't have read a chain of 30; those of 5 have. Nobody knows of a process that is gone."""
    chain = tmp_path / tls_store.CHAIN
    chain.touch()
    os.utime(chain, (time.time() - 30,) * 2)
    monkeypatch.setattr(tls_served, "installed", lambda name: True)
    monkeypatch.setattr(tls_served, "states", lambda names: {name: SimpleNamespace(pid="1") for name in names})
    monkeypatch.setattr(tls_served, "live_workers", lambda master: {7})
    monkeypatch.setattr(tls_served, "_age", lambda process: lived)
    monkeypatch.setattr(tls_store, "leads_to", lambda name: str(tmp_path / ("" if name == "x" else "none")))
    assert tls_served.not_loaded(["x", "without-any"]) == unread


def test_the_age_of_a_process_is_in_seconds() -> None:
    with subprocess.Popen(["sleep", "9"]) as sleeper:
        time.sleep(0.3)
        age = tls_served._age(sleeper.pid)
        sleeper.kill()
    assert age is not None
    assert 0.2 < age < 8
