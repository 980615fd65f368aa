# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requirements files as data: read with everything that they include, and written back in one canonical form.

The grammar is pip's (documented as "Requirements File Format"): continuation lines, comments after white space, nested
-r and -c, options, and hashes behind a requirement.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc])(?=\S))(.+)")
EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(.+)")
HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")


class RequirementsError(ValueError):
    """A file can't be read or may not be; the message names it."""


@dataclass
class Requirements:
    """What a set of files says, with everything they include.

    options       lines such as --extra-index-url ..., as they came
    lines         requirements without their hashes; an editable one is an ordinary one here
    constraints   the same from constraints files
    hashes        normalised name -> (version pinned with == or "", its hashes)
    origins       requirement without its hashes -> the file that says it
    """

    options: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    hashes: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether some requirement is a directory or file of the project: its content is part of the environment."""
        return any(is_local(line) for line in self.lines)


def read(project_dir: str, files: Sequence[str], constraints: Sequence[str]) -> Requirements:
    """Read files named relative to project_dir; nothing outside of it is opened, whatever a link points to.

    Raises RequirementsError for a missing, unreadable, foreign or endlessly nested file.
    """
    found = Requirements()
    for name in files:
        _read(project_dir, os.path.join(project_dir, name), found, constraint=False, above=())
    for name in constraints:
        _read(project_dir, os.path.join(project_dir, name), found, constraint=True, above=())
    return found


def logical_lines(text: str) -> list[str]:
    """The lines that count: continuations joined, comments and blank lines gone."""
    joined = re.sub(r"\\\r?\n", " ", text.removeprefix("\ufeff"))
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def split_hashes(line: str) -> tuple[str, list[str]]:
    """("flask==3.0", ["sha256:..."]) from a requirement line."""
    return HASH.sub("", line).strip(), HASH.findall(line)


def name_of(line: str) -> str:
    """Normalised project name of a requirement line (PEP 503), "" for a bare path or address."""
    if is_local(line) and "@" not in line:
        return ""
    if re.match(r"(git|hg|svn|bzr)?\+?\w+://|git\+", line):
        return ""
    match = NAME.match(line)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def pinned_version(line: str) -> str:
    """ "3.0" from "flask==3.0", "" when the line pins nothing."""
    match = re.search(r"={2,3}\s*([^\s;,]+)\s*(?:;|$)", line)
    return match[1] if match and "," not in line.split(";")[0] else ""


def is_local(line: str) -> bool:
    """Whether a requirement names something in the file system (relative to the project, as pip reads it)."""
    target = line.split(";")[0].partition("@")[2].strip() if re.match(r"[\w.\[\],-]+\s*@", line) else line.strip()
    if target.startswith(("file:", "./", "../", "/")) or re.match(r"\.{1,2}(\[|$|\s)", target):
        return True
    return "/" in target and "://" not in target and not re.match(r"\w+\+", target) and "@" not in target


def render(lines: Iterable[str]) -> str:
    """Canonical text: sorted, each once, one requirement with its hashes on a line."""
    canonical = set()
    for line in lines:
        requirement, hashes = split_hashes(line)
        canonical.add(" ".join([requirement, *(f"--hash={item}" for item in sorted(set(hashes)))]))
    return "".join(f"{line}\n" for line in sorted(canonical, key=lambda item: (name_of(item), item)))


def _read(project_dir: str, path: str, found: Requirements, *, constraint: bool, above: tuple[str, ...]) -> None:
    for line in logical_lines(_text(project_dir, path, above)):
        if include := INCLUDE.fullmatch(line):
            target = os.path.join(os.path.dirname(path), include[2].strip("'\""))
            kind = constraint or include[1] in ("-c", "--constraint")
            _read(project_dir, target, found, constraint=kind, above=(*above, os.path.realpath(path)))
        elif editable := EDITABLE.fullmatch(line):
            found.lines.append(editable[1].strip("'\""))
            found.origins.setdefault(found.lines[-1], os.path.relpath(path, project_dir))
        elif line == "--require-hashes":
            continue
        elif line.startswith("-"):
            if line not in found.options:
                found.options.append(line)
        else:
            requirement, hashes = split_hashes(line)
            (found.constraints if constraint else found.lines).append(requirement)
            found.origins.setdefault(requirement, os.path.relpath(path, project_dir))
            remember_hashes(found, requirement, hashes)


def remember_hashes(found: Requirements, requirement: str, hashes: Sequence[str]) -> None:
    """Note the hashes of a requirement. Of two versions for different platforms, both hold and neither is the one."""
    if not hashes:
        return
    name, version = name_of(requirement), pinned_version(requirement)
    known, before = found.hashes.get(name, (version, []))
    found.hashes[name] = (version if version == known else "", list(dict.fromkeys([*before, *hashes])))


def text_of(project_dir: str, path: str) -> str:
    """Content of a file of the project. Raises RequirementsError when it can't be read or lies outside."""
    return _text(project_dir, path, ())


def _text(project_dir: str, path: str, above: tuple[str, ...]) -> str:
    real = os.path.realpath(path)
    shown = os.path.relpath(path, project_dir) if project_dir != "/" else path
    if os.path.commonpath([real, os.path.realpath(project_dir)]) != os.path.realpath(project_dir):
        raise RequirementsError(f"{shown} lies outside of the project, at {real}")
    if real in above:
        raise RequirementsError(f"{shown} includes itself")
    # A build that put a pipe there would have root wait for ever.
    if os.path.exists(real) and not os.path.isfile(real):
        raise RequirementsError(f"{shown} can't be read: it is no file")
    try:
        with open(real, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RequirementsError(f"{shown} can't be read: {reason}") from error
