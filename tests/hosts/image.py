"""The image of a test host: Debian made by mmdebstrap from the machine's own package sources, tagged by its recipe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hosts.engine import Engine, HostError, as_root

HERE = Path(__file__).resolve().parent
REPOSITORY = "localhost/flaskworks-debian"
SUITES = {"12": "bookworm", "13": "trixie"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# python3-apt: without it Ansible's apt module fails in check mode.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)


@dataclass(frozen=True)
class Source:
    """One place that Debian packages come from."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def line(self) -> str:
        return f"deb [signed-by={KEYRING}] {self.uri} {self.suite} {' '.join(self.components)}"


def parse_one_line(text: str) -> Iterator[Source]:
    """The `deb` lines of a sources.list."""
    for raw in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^]]*)]\s+)?(\S+)\s+(\S+)\s+(.+)", raw.split("#")[0].strip())
        if match:
            options = dict(word.split("=", 1) for word in (match[1] or "").split() if "=" in word)
            yield Source(match[2], match[3], tuple(match[4].split()), options.get("signed-by", ""))


def parse_deb822(text: str) -> Iterator[Source]:
    """The enabled `deb` stanzas of a *.sources file."""
    for stanza in re.split(r"\n\s*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#"))):
        joined = re.sub(r"\n[ \t]+", " ", stanza)
        pairs = (line.split(":", 1) for line in joined.splitlines() if ":" in line)
        fields = {key.strip().lower(): value.strip() for key, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()), fields.get("signed-by", ""))


def debian_sources(sources: Iterable[Source], own_codename: str, wanted: str) -> list[str]:
    """Debian's own sources among those of the machine, as sources.list lines for the wanted codename.

    A third-party repository is left out: it has other suites, no `main`, or its own key.
    """
    lines: list[str] = []
    for source in sources:
        base, dash, rest = source.suite.partition("-")
        ours = base in (own_codename, "stable", "oldstable") and dash + rest in ("", "-updates", "-security")
        debian_key = source.signed_by in ("", KEYRING) or "debian-archive-" in source.signed_by
        if not (ours and debian_key and "main" in source.components):
            continue
        line = Source(source.uri, wanted + dash + rest, ("main",)).line()
        if line not in lines:
            lines.append(line)
    return lines


def machine_sources(etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """Everything that this machine's apt reads."""
    found: list[Source] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.is_file():
            found += parse_one_line(path.read_text())
        elif path.suffix == ".sources" and path.is_file():
            found += parse_deb822(path.read_text())
    return found


def machine_codename() -> str:
    """VERSION_CODENAME of the machine, or an empty string."""
    text = Path("/etc/os-release").read_text()
    match = re.search(r'^VERSION_CODENAME="?(\w+)', text, re.MULTILINE)
    return match[1] if match else ""


def apt_proxies() -> list[str]:
    """The machine's apt proxies as apt configuration lines."""
    done = subprocess.run(
        ["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"],
        check=False,
        capture_output=True,
        text=True,
    )
    return [line for line in done.stdout.splitlines() if re.match(r'Acquire::https?::Proxy ".+"', line)]


def ensure_image(engine: Engine, debian: str, cache: Path) -> str:
    """The tag of the image for this Debian release; built now when the engine doesn't have it yet."""
    named = os.environ.get("FLASKWORKS_IMAGE", "")
    if named:
        if not engine.has_image(named):
            engine.run("pull", named)
        return named
    suite = SUITES[debian]
    lines = debian_sources(machine_sources(), machine_codename(), suite)
    setup = HERE / "image" / "setup.sh"
    proxies = apt_proxies()
    recipe = "\n".join([suite, *PACKAGES, *lines, *proxies, setup.read_text()])
    tag = f"{REPOSITORY}{debian}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if engine.has_image(tag):
        return tag
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"image-{debian}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not engine.has_image(tag):
            build_image(engine, suite, lines, proxies, setup, tag, cache)
    return tag


def build_image(
    engine: Engine, suite: str, lines: list[str], proxies: list[str], setup: Path, tag: str, cache: Path
) -> None:
    """Bootstrap Debian into a tarball and hand it to the engine. Raises HostError with the end of the log."""
    if not lines:
        raise HostError("this machine's apt names no Debian source: name a ready image with FLASKWORKS_IMAGE")
    if shutil.which("mmdebstrap") is None:
        raise HostError("mmdebstrap is not installed: run tests/bootstrap")
    if not Path(f"/usr/share/keyrings/debian-archive-{suite}-stable.gpg").exists():
        raise HostError(f"debian-archive-keyring is older than {suite} and lacks its keys: upgrade that package")
    tarball, log = cache / f"{suite}.tar", cache / f"image-{suite}.log"
    argv = as_root("mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", f"--customize-hook={setup}")
    # setup.sh cleans up instead: mmdebstrap would leave a folder that looks freshly updated.
    argv += ["--skip=cleanup/apt"]
    argv += [f"--aptopt={line}" for line in proxies]
    print(f"building {tag}", flush=True)
    try:
        with tarball.open("wb") as out, log.open("wb") as err:
            done = subprocess.run(
                [*argv, "--format=tar", suite, "-", *lines],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        if done.returncode:
            raise HostError(f"mmdebstrap failed:\n{log.read_text(errors='replace')[-3000:]}")
        engine.import_tarball(tarball, tag)
    finally:
        tarball.unlink(missing_ok=True)


def remove_images(engine: Engine) -> None:
    """Remove what ensure_image built and nothing uses."""
    for tag in engine.run("images", "--format={{.Repository}}:{{.Tag}}").stdout.split():
        if tag.startswith(REPOSITORY):
            engine.run("rmi", tag, check=False)
