# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making a certificate that nobody but its maker has signed, with OpenSSL."""

from __future__ import annotations

import ipaddress
import os
import shutil
import tempfile
from collections.abc import Sequence

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import run, words

# What browsers still take of a certificate that its user has told them to trust (support.apple.com/103769).
DAYS = 825
# The longest common name (RFC 5280, ub-common-name).
_COMMON_NAME = 64

_CONFIG = """[req]
prompt = no
distinguished_name = subject
x509_extensions = host
[subject]
CN = {title}
[host]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {names}
"""


def make_pair(title: str, names: Sequence[str], days: int = DAYS) -> tuple[bytes, bytes]:
    """Return a certificate for these names and its key (P-256), both PEM. Raises FileSetError with OpenSSL's words.

    ``title`` is its common name, by which a person who looks at it knows what it is.
    """
    folder = tempfile.mkdtemp(prefix="flaskworks.", dir="/run" if os.access("/run", os.W_OK) else None)
    try:
        with open(f"{folder}/config", "w", encoding="utf-8") as stream:
            stream.write(_CONFIG.format(title=title[:_COMMON_NAME], names=", ".join(map(_alternative, names))))
        argv = ["openssl", "req", "-x509", "-sha256", "-days", str(days), "-config", f"{folder}/config", "-nodes"]
        argv += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        done = run([*argv, "-keyout", f"{folder}/key", "-out", f"{folder}/certificate"])
        if done.returncode != 0:
            raise FileSetError(f"OpenSSL can't make a certificate for {', '.join(names)}:\n{words(done)}")
        with open(f"{folder}/certificate", "rb") as certificate, open(f"{folder}/key", "rb") as key:
            return certificate.read(), key.read()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name.strip('[]'))}"
    except ValueError:
        return f"DNS:{name}"
