"""The controller's certificate authorities in a host's trust store.

Behind a proxy that inspects TLS, what runs on a host (apt, git, pip, uv) must trust the same authority as the
controller.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO")
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


def controller_bundle(environ: dict[str, str]) -> str:
    """The text of the bundle that the environment names, or an empty string."""
    for name in BUNDLE_VARIABLES:
        path = environ.get(name)
        if path and Path(path).is_file():
            return Path(path).read_text(errors="replace")
    return ""


def missing_certificates(bundle: str, known: str) -> dict[str, str]:
    """Certificates of `bundle` that `known` lacks: file name -> PEM text."""
    have = {_bare(pem) for pem in CERTIFICATE.findall(known)}
    missing = [pem for pem in CERTIFICATE.findall(bundle) if _bare(pem) not in have]
    return {f"controller-{hashlib.sha256(_bare(pem).encode()).hexdigest()[:12]}.crt": pem + "\n" for pem in missing}


def trust_script(certificates: dict[str, str]) -> str:
    """A shell script that makes a host trust the certificates.

    uv brings its own bundle and has to be pointed at the system's; Debian's pip reads that one anyway.
    """
    files = [f"/usr/local/share/ca-certificates/{name}" for name in certificates]
    writes = [_here(path, pem) for path, pem in zip(files, certificates.values(), strict=True)]
    return "\n".join(
        [
            "set -eu",
            *writes,
            "update-ca-certificates >/dev/null 2>&1",
            "mkdir -p /etc/uv",
            _here("/etc/uv/uv.toml", "system-certs = true\n"),
            "",
        ]
    )


def _bare(pem: str) -> str:
    return "".join(pem.split())


def _here(path: str, text: str) -> str:
    return f"cat > {path} <<'EOF'\n{text}EOF"
