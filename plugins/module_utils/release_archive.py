# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An archive as the source of a release: fetched by the build user, known by its checksum before it is opened.

The fetched file is root's from its first byte, so that what was checked is what is unpacked; it is unpacked by a
process of the build user.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO

from ansible_collections.flaskworks.deploy.plugins.module_utils.archive_members import unpack_archive
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, last_lines
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import BUILD_USER, NO_HOME
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import account_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH

MOST_BYTES = 1 << 30
MOST_SECONDS = 1800
_BLOCK = 1 << 16
_UNPACK_MEMORY = 2 << 30

# Python's own client is on every host that Ansible can manage. The address comes by standard input: its query may be
# somebody's key, and arguments are everybody's to read. The certificates are those that the other tools are told.
FETCH = r"""
import os, ssl, sys, urllib.error, urllib.request
url = sys.stdin.readline().strip()
names = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO")
bundle = next((os.environ[name] for name in names if os.environ.get(name)), None)
try:
    context = ssl.create_default_context(cafile=bundle)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers={"User-Agent": "flaskworks.deploy", "Accept": "*/*"})
    with opener.open(request, timeout=20) as answer:
        wanted, count = answer.headers.get("Content-Length"), 0
        while block := answer.read(65536):
            sys.stdout.buffer.write(block)
            count += len(block)
        sys.stdout.buffer.flush()
    if wanted is not None and int(wanted) != count:
        sys.exit(f"the connection broke off after {count} of {wanted} bytes")
except urllib.error.HTTPError as error:
    sys.exit(f"the server answered {error.code} {error.reason}")
except BrokenPipeError:
    os._exit(1)
except Exception as error:
    sys.exit(str(getattr(error, "reason", None) or error or type(error).__name__))
"""


def checksum_of(path: str) -> str:
    """Return the SHA-256 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def wrong_checksum(place: str, expected: str, found: str, size: int, head: bytes = b"") -> ReleaseError:
    """Return the error for an archive that is another one than the definition names."""
    page = " It is a web page: the address may ask for a login." if head.lstrip()[:1] == b"<" else ""
    return ReleaseError(
        "source",
        f"{place} is another archive than source.checksum says: expected sha256:{expected}, found sha256:{found}"
        f" ({size} bytes).{page}",
    )


def fetched(url: str, checksum: str, folder: str, build_env: Mapping[str, str]) -> str:
    """Return the path of the archive on this host; it is downloaded unless ``folder`` has it from the last time.

    Of each application one archive is kept. Raises ReleaseError.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    kept = os.path.join(folder, checksum)
    if os.path.exists(kept) and checksum_of(kept) == checksum:
        return kept
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    descriptor, path = tempfile.mkstemp(dir=folder)
    try:
        with open(descriptor, "wb") as output:
            found, size, head = _download(url, output, build_env)
        if found != checksum:
            raise wrong_checksum(url, checksum, found, size, head)
        os.rename(path, kept)
    finally:
        if os.path.exists(path):
            os.unlink(path)
    return kept


def _download(url: str, output: IO[bytes], build_env: Mapping[str, str]) -> tuple[str, int, bytes]:
    """Write what the build user reads from ``url``; return its digest, its size and its beginning."""
    account = account_of(BUILD_USER)
    digest, size, head, deadline = hashlib.sha256(), 0, b"", time.monotonic() + MOST_SECONDS
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        reader = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable, "-I", "-c", FETCH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd="/",
            env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": NO_HOME, **build_env},
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
        )
        try:
            if reader.stdin is None or reader.stdout is None:
                raise ReleaseError("source", f"{url} can't be fetched: no pipe")
            with reader.stdin as address:
                address.write(f"{url}\n".encode())
            while block := reader.stdout.read1(_BLOCK):  # type: ignore[attr-defined]
                head, size = head or block[:64], size + len(block)
                if size > MOST_BYTES:
                    raise ReleaseError("source", f"{url} has more than {MOST_BYTES} bytes, the most that is taken")
                if time.monotonic() > deadline:
                    raise ReleaseError("source", f"{url} did not arrive within {MOST_SECONDS} s: {size} bytes came")
                digest.update(block)
                output.write(block)
        finally:
            if sys.exc_info()[0] is not None:
                reader.kill()
            if reader.stdout is not None:
                reader.stdout.close()
            status = reader.wait()
        if status != 0:
            said.seek(0)
            raise ReleaseError("source", f"{url} can't be fetched: {last_lines(said.read(), 3)}")
    return digest.hexdigest(), size, head


def place_archive(path: str, checksum: str, destination: str, strip: bool, subdirectory: str) -> None:
    """Unpack an archive that is root's into a directory of the build user, as the build user. Raises ReleaseError."""
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != checksum:
            raise wrong_checksum("what arrived on the host", checksum, found, os.path.getsize(path))
        stream.seek(0)
        as_user(account_of(BUILD_USER), lambda: unpack_archive(stream, destination, strip, subdirectory))


def as_user(account: pwd.struct_passwd, work: Callable[[], None]) -> None:
    """Run ``work`` in a process of that user, with an end to its memory. Raises what it raised as ReleaseError."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os._exit(_worked(account, work, writing))
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as stream:
        said = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise ReleaseError("source", said or f"unpacking the archive ended with status {status}")


def _worked(account: pwd.struct_passwd, work: Callable[[], None], report: int) -> int:
    try:
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.umask(0o022)
        resource.setrlimit(resource.RLIMIT_AS, (_UNPACK_MEMORY, _UNPACK_MEMORY))
        work()
    except ReleaseError as error:
        words = error.problem
    except MemoryError:
        words = "the archive is refused: it takes too much memory to read"
    except OSError as error:
        words = f"the archive can't be unpacked: {error.strerror}: {error.filename}"
    except BaseException as error:  # the process ends here, whatever happened
        words = f"the archive can't be unpacked: {type(error).__name__}: {error}"
    else:
        return 0
    os.write(report, words.encode(errors="replace")[:4000])
    return 1
