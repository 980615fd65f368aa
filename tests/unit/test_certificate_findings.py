"""What the doctor says of certificates."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.certificate_findings import certificate_findings
from unit.authority import NOW

GOOD: dict[str, Any] = {
    "mode": "acme", "placeholder": False, "staging": False, "wanted": ["x.test"], "names": ["x.test"], "issuer": "R10",
    "until": "2026-08-01T00:00:00Z", "days_left": 60, "self_signed": False, "late": False, "problems": {},
}  # fmt: skip


def test_a_good_certificate_is_not_mentioned() -> None:
    assert certificate_findings({"x": GOOD, "plain": None}, NOW) == []


@pytest.mark.parametrize(
    ("facts", "level", "check", "words"),
    [
        ({"until": "2026-05-31T00:00:00Z"}, "error", "certificate-expired", "has expired on 2026-05-31"),
        ({"until": "2026-06-11T12:00:00Z", "late": True}, "warning", "certificate-expires", "in 10 days"),
        ({"until": "2026-06-02T13:00:00Z", "late": True}, "warning", "certificate-expires", "in 1 day"),
        ({"wanted": ["x.test", "www.x.test"]}, "error", "certificate-names", "is not for www.x.test; it holds x.test"),
        ({"problems": {"key": "a is not the key of b"}}, "error", "certificate-key", "a is not the key of b"),
        ({"problems": {"chain": "alone"}}, "error", "certificate-chain", "alone"),
        ({"problems": {"not-yet-valid": "tomorrow"}}, "error", "certificate-not-yet-valid", "tomorrow"),
        ({"until": None, "problems": {"unreadable": "gone"}}, "error", "certificate-unreadable", "gone"),
        ({"self_signed": True}, "warning", "certificate-self-signed", "signed by itself"),
        ({"staging": True}, "warning", "certificate-staging", "staging authority"),
        ({"placeholder": True, "self_signed": True}, "error", "certificate-placeholder", "no browser trusts"),
    ],
)
def test_each_fault_is_found_once(facts: dict[str, Any], level: str, check: str, words: str) -> None:
    (found,) = certificate_findings({"x": {**GOOD, **facts}}, NOW)
    assert (found.level, found.app, found.check) == (level, "x", check)
    assert words in found.evidence
    assert found.fix


def test_a_renewal_that_nginx_has_not_loaded_is_found() -> None:
    """certbot's hook leaves out what `nginx -t` refuses, and says so in certbot's log alone."""
    (found,) = certificate_findings({"x": {**GOOD, "fingerprint": "new"}}, NOW, {"x": "old"})
    assert (found.level, found.app, found.check) == ("error", "x", "certificate-not-loaded")
    assert "nginx -t" in found.fix


@pytest.mark.parametrize("shown", [{}, {"x": None}, {"x": "same"}])
def test_what_is_shown_is_not_mentioned_when_it_is_the_same_or_not_known(shown: dict[str, str | None]) -> None:
    assert (
        certificate_findings({"x": {**GOOD, "fingerprint": "same"}, "plain": None}, NOW, {**shown, "plain": "p"}) == []
    )
