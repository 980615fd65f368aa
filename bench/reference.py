"""The collection that the reference playbook needs, unpacked from the locked package `ansible`, without Galaxy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from measure import BenchError

REQUIREMENTS = Path(__file__).resolve().with_name("requirements.txt")
PREFIX = "ansible_collections/community/general/"


def ensure_collections(cache: Path) -> Path:
    """The directory to add to ANSIBLE_COLLECTIONS_PATH. Fetched on first use; half of it is never used."""
    target = cache / "collections"
    done = target / f"{REQUIREMENTS.read_text().split()[-1].replace(':', '-').strip('-')}.done"
    if done.exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        wheel = download(Path(scratch))
        unpack(wheel, target)
    done.touch()
    return target


def download(directory: Path) -> Path:
    """The wheel, checked against its locked hash. Raises BenchError with pip's own words."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [*argv, "--dest", str(directory), "--requirement", str(REQUIREMENTS)]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    wheels = list(directory.glob("ansible-*.whl"))
    if found.returncode or not wheels:
        raise BenchError(f"the package ansible can't be fetched:\n{found.stderr.strip()}")
    return wheels[0]


def unpack(wheel: Path, target: Path) -> None:
    """Take community.general out of the wheel. Raises BenchError when it isn't in there."""
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(PREFIX)]
        if not members:
            raise BenchError(f"there is no community.general in {wheel.name}")
        archive.extractall(target, members)
