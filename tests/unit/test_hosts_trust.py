"""Certificates travel from the controller to a host only when the host lacks them."""

from __future__ import annotations

from pathlib import Path

from hosts.trust import controller_bundle, missing_certificates, trust_script


def pem(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"


def test_only_unknown_certificates_are_missing() -> None:
    known = f"# a root\n{pem('AAAA')}\n"
    bundle = f"{pem('AAAA')}\nsome text\n{pem('BBBB')}\n"
    missing = missing_certificates(bundle, known)
    assert list(missing.values()) == [pem("BBBB") + "\n"]


def test_the_same_certificate_in_other_lines_is_known() -> None:
    assert missing_certificates(pem("AAAABBBB"), pem("AAAA\r\nBBBB")) == {}


def test_the_first_variable_that_names_a_file_counts(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(pem("CCCC"))
    environ = {"SSL_CERT_FILE": str(tmp_path / "absent.pem"), "CURL_CA_BUNDLE": str(bundle)}
    assert controller_bundle(environ) == pem("CCCC")
    assert controller_bundle({}) == ""


def test_the_script_writes_each_certificate_and_refreshes_the_store() -> None:
    script = trust_script({"one.crt": "ONE\n", "two.crt": "TWO\n"})
    assert "cat > /usr/local/share/ca-certificates/one.crt <<'EOF'\nONE\nEOF" in script
    assert script.index("two.crt") < script.index("update-ca-certificates")
