"""Archives and wheels, good and bad ones."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path


def tar_with(path: Path, files: dict[str, str], *others: tarfile.TarInfo) -> Path:
    """Write a gzipped tar of these files and other members; return its path."""
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        for entry in others:
            tar.addfile(entry)
    return path


def member(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """A member without content."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, target, size
    return entry


def zip_with(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a wheel that holds these files; return its path."""
    info = f"{name}-{version}.dist-info"
    meta = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, *meta, f"{info}/RECORD"])
    return zip_with(folder / f"{name}-{version}-py3-none-any.whl", {**files, **meta, f"{info}/RECORD": record})


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
