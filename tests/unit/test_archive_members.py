"""Archives: unpacked as one expects, and refused by name when they lead elsewhere."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import IO

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import archive_members
from ansible_collections.flaskworks.deploy.plugins.module_utils.archive_members import unpack_archive
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from e2e.sources.archives import member
from hypothesis import given, settings
from hypothesis import strategies as st

SITE = {"blog-2.1/setup.py": "x", "blog-2.1/blog/__init__.py": "y", "blog-2.1/docs/index": ""}


def packed(files: dict[str, str], mode: str = "w:gz", *others: tarfile.TarInfo) -> IO[bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o4777 if name.endswith(".sh") else 0o666
            tar.addfile(entry, io.BytesIO(text.encode()))
        for entry in others:
            # The header alone: addfile asks for as many bytes as it promises.
            tar.fileobj.write(entry.tobuf(tar.format, tar.encoding, tar.errors))
    stream.seek(0)
    return stream


def zipped(files: dict[str, str], modes: dict[str, int] | None = None) -> IO[bytes]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, text)
    stream.seek(0)
    return stream


def unpacked(stream: IO[bytes], folder: Path, strip: bool = True, subdirectory: str = "") -> list[str]:
    """The names of all files and links after unpacking."""
    there = folder / "there"
    there.mkdir(exist_ok=True)
    unpack_archive(stream, str(there), strip, subdirectory)
    return sorted(str(path.relative_to(there)) for path in there.rglob("*") if not path.is_dir() or path.is_symlink())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_the_one_directory_at_the_top_is_left_out(tmp_path: Path, mode: str) -> None:
    stream = zipped(SITE) if mode == "zip" else packed(SITE, mode)
    assert unpacked(stream, tmp_path) == ["blog/__init__.py", "docs/index", "setup.py"]
    assert (tmp_path / "there/blog/__init__.py").read_text() == "y"


def test_the_archives_of_git_are_understood(tmp_path: Path) -> None:
    """They begin with a header that holds the commit, and name every directory."""
    folder = member("blog-2.1/", tarfile.DIRTYPE)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", pax_headers={"comment": "a" * 40}) as tar:
        tar.addfile(folder)
        tar.addfile(member("blog-2.1/setup.py", tarfile.REGTYPE))
        tar.addfile(member("blog-2.1/empty", tarfile.DIRTYPE))
    stream.seek(0)
    assert unpacked(stream, tmp_path) == ["setup.py"]
    assert (tmp_path / "there/empty").is_dir()


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"a/x": "", "b/y": ""}, ["a/x", "b/y"]),
        ({"a/x": "", "y": ""}, ["a/x", "y"]),
        ({"app.py": ""}, ["app.py"]),
        ({"./a/x": "", "./a/y": ""}, ["x", "y"]),
        ({"blog/__init__.py": "", "blog/views.py": ""}, ["blog/__init__.py", "blog/views.py"]),
        ({"a/b/x": ""}, ["b/x"]),
    ],
)
def test_only_a_directory_that_holds_all_is_left_out(tmp_path: Path, files: dict[str, str], names: list[str]) -> None:
    assert unpacked(packed(files), tmp_path) == names


def test_nothing_is_left_out_unasked(tmp_path: Path) -> None:
    assert unpacked(packed(SITE), tmp_path, strip=False) == sorted(SITE)


def test_a_subdirectory_is_below_the_top(tmp_path: Path) -> None:
    assert unpacked(packed(SITE), tmp_path, subdirectory="blog/") == ["__init__.py"]
    with pytest.raises(ReleaseError, match="the archive has no directory 'nowhere'"):
        unpacked(packed(SITE), tmp_path, subdirectory="nowhere")
    with pytest.raises(ReleaseError, match=r"the archive has no directory 'setup\.py'"):
        unpacked(packed(SITE), tmp_path, subdirectory="setup.py")


def test_what_macos_adds_to_a_zip_is_left_out(tmp_path: Path) -> None:
    assert unpacked(zipped({**SITE, "__MACOSX/._blog": ""}), tmp_path) == ["blog/__init__.py", "docs/index", "setup.py"]


def test_modes_are_those_of_a_program_or_a_file(tmp_path: Path) -> None:
    unpacked(packed({"run.sh": "", "x": ""}), tmp_path)
    assert [stat.S_IMODE((tmp_path / "there" / name).stat().st_mode) for name in ("run.sh", "x")] == [0o755, 0o644]
    (tmp_path / "zip").mkdir()
    unpacked(zipped({"run": "", "x": ""}, {"run": stat.S_IFREG | 0o6755}), tmp_path / "zip")
    modes = [stat.S_IMODE((tmp_path / "zip/there" / name).stat().st_mode) for name in ("run", "x")]
    assert modes == [0o755, 0o644]


def test_links_inside_stay(tmp_path: Path) -> None:
    links = [member("top/now", tarfile.SYMTYPE, "docs/../x"), member("top/hard", tarfile.LNKTYPE, "top/x")]
    assert unpacked(packed({"top/x": "content", "top/docs/y": ""}, "w:gz", *links), tmp_path) == [
        "docs/y",
        "hard",
        "now",
        "x",
    ]
    assert (tmp_path / "there/now").read_text() == (tmp_path / "there/hard").read_text() == "content"
    assert (tmp_path / "there/hard").stat().st_nlink == 1, "a second name would be refused when the release is sealed"


EVIL = [
    (member("/etc/cron.d/x", tarfile.REGTYPE), "has an absolute path"),
    (member("../x", tarfile.REGTYPE), "leaves the archive's own directory"),
    (member("a/../../x", tarfile.REGTYPE), "leaves the archive's own directory"),
    (member("a/..", tarfile.DIRTYPE), "leaves the archive's own directory"),
    (member("s", tarfile.SYMTYPE, "/etc/passwd"), "points outside: /etc/passwd"),
    (member("a/s", tarfile.SYMTYPE, "../../x"), "points outside"),
    (member("h", tarfile.LNKTYPE, "/etc/passwd"), "has an absolute path"),
    (member("h", tarfile.LNKTYPE, "nowhere"), "is a hard link to nowhere"),
    (member("d", tarfile.CHRTYPE), "a device, a pipe"),
    (member("d", tarfile.BLKTYPE), "a device, a pipe"),
    (member("d", tarfile.FIFOTYPE), "a device, a pipe"),
    (member("big", tarfile.REGTYPE, size=5 << 30), "bytes unpacked"),
    (member("x", tarfile.SYMTYPE, "y"), "is there twice"),
    (member("x", tarfile.REGTYPE), "is there twice"),
    (member("x/below", tarfile.REGTYPE), "is there twice"),
    (member("x", tarfile.DIRTYPE), "is there twice"),
]


@pytest.mark.parametrize(("evil", "words"), EVIL, ids=[f"{entry.name}-{words[:9]}" for entry, words in EVIL])
def test_what_leads_elsewhere_is_refused_with_its_name(tmp_path: Path, evil: tarfile.TarInfo, words: str) -> None:
    with pytest.raises(ReleaseError, match=words) as caught:
        unpacked(packed({"x": "", "y": ""}, "w:gz", evil), tmp_path)
    assert repr(evil.name) in caught.value.problem or repr(evil.linkname) in caught.value.problem
    assert not (tmp_path / "x").exists()


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    evil = [member("door", tarfile.SYMTYPE, "../outside"), member("door/x", tarfile.REGTYPE)]
    with pytest.raises(ReleaseError, match="points outside"):
        unpacked(packed({"y": ""}, "w:gz", *evil), tmp_path)
    (tmp_path / "again").mkdir()
    evil[0].linkname = "y"
    with pytest.raises(ReleaseError, match="'door/x' lies below a link"):
        unpacked(packed({"y": ""}, "w:gz", *evil), tmp_path / "again")
    assert list(outside.iterdir()) == []


def test_links_that_lead_out_together_are_refused(tmp_path: Path) -> None:
    """Each of them stays inside, read by itself."""
    chain = [member("a/b/up", tarfile.SYMTYPE, "../.."), member("out", tarfile.SYMTYPE, "a/b/up/../secret")]
    with pytest.raises(ReleaseError, match=r"'out' is a link that leads outside by way of others"):
        unpacked(packed({"x": "", "a/y": ""}, "w:gz", *chain), tmp_path)


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("../x", 0, "leaves the archive's own directory"),
        ("/x", 0, "absolute"),
        ("a\\b", 0, "backslashes"),
        ("s", stat.S_IFLNK | 0o777, "points outside: /etc/passwd"),
        ("d", stat.S_IFCHR | 0o666, "a device, a pipe"),
    ],
)
def test_a_zip_is_looked_at_in_the_same_way(tmp_path: Path, name: str, mode: int, words: str) -> None:
    with pytest.raises(ReleaseError, match=words):
        unpacked(zipped({"y": "", name: "/etc/passwd"}, {name: mode}), tmp_path)


def test_sizes_are_bounded_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "MOST_BYTES", 1000)
    for stream in (packed({"a": "x" * 600, "b": "x" * 600}), zipped({"a": "x" * 600, "b": "x" * 600})):
        with pytest.raises(ReleaseError, match=r"'b' brings it to 1200 bytes unpacked: at most 1000"):
            unpacked(stream, tmp_path)
    monkeypatch.setattr(archive_members, "MOST_MEMBERS", 2)
    with pytest.raises(ReleaseError, match="'c' is one too many"):
        unpacked(packed({"a": "", "b": "", "c": ""}), tmp_path)
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "zip"])
def test_a_damaged_archive_is_told(tmp_path: Path, mode: str) -> None:
    noise = {"a": os.urandom(5000).hex(), "b": os.urandom(5000).hex()}
    whole = (zipped(noise) if mode == "zip" else packed(noise, mode)).read()
    with pytest.raises(ReleaseError, match=r"the archive is (damaged|no tar)"):
        unpacked(io.BytesIO(whole[: len(whole) // 2]), tmp_path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"PK", b"\x28\xb5\x2f\xfd zstd", b"7z\xbc\xaf\x27\x1c"])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ReleaseError, match="the archive"):
        unpacked(io.BytesIO(content), tmp_path)
    with pytest.raises(ReleaseError, match="the archive has no files"):
        unpacked(packed({}), tmp_path)


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", ""]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(NAMES, st.sampled_from(["file", "link", "folder"]), NAMES), min_size=1, max_size=5))
def test_whatever_the_names_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str, str]]
) -> None:
    kinds = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "folder": tarfile.DIRTYPE}
    members = [member(name, kinds[kind], target) for name, kind, target in entries]
    top = tmp_path_factory.mktemp("any")
    try:
        unpacked(packed({}, "w", *members), top)
    except ReleaseError:
        pass
    else:
        root = os.path.realpath(top / "there")
        for folder, folders, files in os.walk(root):
            for name in folders + files:
                assert os.path.realpath(os.path.join(folder, name)).startswith(root)
    assert os.listdir(top) in (["there"], [])
