"""What certificates say, and what is wrong with a pair before it goes live."""

from __future__ import annotations

import base64
import datetime

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_certificate import (
    CertificateError,
    chain_faults,
    covering,
    pair_faults,
    read_chain,
)
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.certificate_files import checked_pair
from unit.authority import CHAIN, MIDDLE, NOW, ROOT, SITE, issue


def test_a_certificate_is_read_without_a_library() -> None:
    leaf, middle = read_chain(f"before it\n{CHAIN}")
    assert leaf.names == ("blog.test", "*.pages.test", "192.0.2.7")
    assert (leaf.subject_name, leaf.issuer_name, middle.issuer_name) == ("blog.test", "Test intermediate", "Test root")
    assert leaf.not_after == SITE.certificate.not_valid_after_utc
    assert leaf.not_before == SITE.certificate.not_valid_before_utc
    assert (leaf.days_left(NOW), leaf.self_issued, middle.names) == (89, False, ())


def test_years_beyond_2049_are_read() -> None:
    (far,) = read_chain(issue("far", ["far.test"], days=10000).pem)
    assert far.not_after.year == (NOW + datetime.timedelta(days=9999)).year


@pytest.mark.parametrize(
    ("name", "held"),
    [("blog.test", True), ("BLOG.test", True), ("a.pages.test", True), ("pages.test", False), ("a.b.pages.test", False),
     ("192.0.2.7", True), ("other.test", False), ("*.pages.test", True)],
)  # fmt: skip
def test_a_wildcard_stands_for_one_part(name: str, held: bool) -> None:
    assert read_chain(CHAIN)[0].covers(name) is held
    assert covering(name, read_chain(CHAIN)[0].names) is held


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        CHAIN[:300] + CHAIN[400:],
        CHAIN.replace("MII", "!!!", 1),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(CertificateError):
        read_chain(text)


def test_a_chain_leads_up() -> None:
    assert chain_faults(read_chain(CHAIN)) == []
    assert chain_faults(read_chain(CHAIN + ROOT.pem)) == []
    assert chain_faults(read_chain(issue("own", ["own.test"]).pem)) == []
    assert "the host's certificate alone" in chain_faults(read_chain(SITE.pem))[0]
    assert "put the certificate of the host first" in chain_faults(read_chain(MIDDLE.pem + SITE.pem))[0]
    assert "put the certificate of 'Test intermediate' between" in chain_faults(read_chain(SITE.pem + ROOT.pem))[0]


def test_a_pair_is_for_its_names_and_its_time() -> None:
    chain = read_chain(CHAIN)
    assert pair_faults(chain, ["blog.test", "x.pages.test"], NOW) == []
    assert [check for check, dummy in pair_faults(chain, ["www.blog.test"], NOW)] == ["names"]
    later, before = NOW + datetime.timedelta(days=100), NOW - datetime.timedelta(days=2)
    assert [check for check, dummy in pair_faults(chain, [], later)] == ["expired"]
    assert [check for check, dummy in pair_faults(chain, [], before)] == ["not-yet-valid"]


def read(path: str) -> str:
    files: dict[str, str] = {
        "chain.pem": CHAIN,
        "key.pem": SITE.key_pem,
        "both.pem": CHAIN + SITE.key_pem,
        "binary.pem": "\x00",
    }
    if path not in files:
        raise FileNotFoundError(2, "No such file or directory")
    return files[path]


def faults(certificate: str, key: str, names: tuple[str, ...] = ("blog.test",)) -> list[tuple[str, str]]:
    return checked_pair({"certificate": certificate, "key": key, "names": list(names)}, read, NOW)[1]


def test_files_and_texts_are_taken() -> None:
    for given in (("chain.pem", "key.pem"), (CHAIN, SITE.key_pem), ("chain.pem", SITE.key_pem)):
        texts, found = checked_pair({"certificate": given[0], "key": given[1], "names": ["blog.test"]}, read, NOW)
        assert found == []
        assert texts["key"].split() == SITE.key_pem.split()
        assert texts["certificate"].split() == CHAIN.split()


def test_a_key_beside_the_certificate_stays_out_of_it() -> None:
    texts, found = checked_pair({"certificate": "both.pem", "key": "both.pem", "names": []}, read, NOW)
    assert found == []
    assert "PRIVATE" not in texts["certificate"]
    assert texts["key"].count("-----BEGIN") == 1


def test_another_key_is_refused_in_words() -> None:
    (found,) = faults("chain.pem", issue("other", ["other.test"]).key_pem)
    assert found == (
        "key",
        "the text: it is not the key of the certificate: take the one from which the certificate was requested",
    )


@pytest.mark.parametrize(
    ("certificate", "key", "place", "words"),
    [
        ("missing.pem", "key.pem", "certificate", "missing.pem can't be read on the controller (No such file"),
        ("key.pem", "key.pem", "certificate", "key.pem holds no certificate in PEM"),
        ("chain.pem", "chain.pem", "key", "chain.pem holds no private key in PEM"),
        ("chain.pem", SITE.locked_key_pem, "key", "it is encrypted, and nginx could not start with it"),
        (SITE.pem, "key.pem", "certificate", "append the intermediate certificates"),
        (issue("old", ["blog.test"], days=3, age=30).pem, "key.pem", "certificate", "it has expired on"),
        (SITE.pem + issue("Test intermediate", by=ROOT, days=9).pem, "key.pem", "certificate", "but not its signature"),
        (
            "chain.pem",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "key",
            "no private key that can be",
        ),
    ],
)
def test_what_is_wrong_with_a_pair_is_told(certificate: str, key: str, place: str, words: str) -> None:
    found = faults(certificate, key)
    assert (place, True) in [(key, words in text) for key, text in found], found
    assert not any(line in text for dummy, text in found for line in SITE.key_pem.splitlines()[1:-1])


def test_names_that_a_certificate_lacks_are_listed() -> None:
    (found,) = faults("chain.pem", "key.pem", ("blog.test", "www.blog.test", "shop.test"))
    assert "it is not for www.blog.test, shop.test: it holds blog.test" in found[1]


@pytest.mark.parametrize("wrap", [False, True])
def test_a_key_that_lost_its_pem_is_not_taken_for_the_name_of_a_file(wrap: bool) -> None:
    """Base64 of a key, or of its whole PEM as a variable of a pipeline has it: no message may repeat it."""
    encoded = base64.b64encode(SITE.key_pem.encode()).decode()
    body = "".join(SITE.key_pem.splitlines()[1:-1])
    for given in (encoded, body):
        value = "\n".join(given[start : start + 64] for start in range(0, len(given), 64)) if wrap else given
        (found,) = faults("chain.pem", value)
        assert found[0] == "key"
        assert "the text can't be read on the controller" in found[1]
        assert given[:30] not in found[1]


@pytest.mark.parametrize(
    "name", ["2001:DB8:0::1", "[2001:db8::1]", "2001:db8:0:0:0:0:0:1", "Blog.Test", "x.pages.test"]
)
def test_a_name_is_held_however_it_is_written(name: str) -> None:
    made = read_chain(issue("x", ["2001:db8::1", "blog.test", "*.pages.test"]).pem)[0]
    assert made.covers(name)
    assert not made.lacks([name])
