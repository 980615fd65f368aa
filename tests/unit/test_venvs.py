"""Virtual environments, really built: offline, from wheels made here, by pip and by uv."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs, venvs_requirements, venvs_tools, venvs_uv

RUN = venvs.plain_runner()
UV_ROOT = Path(__file__).parents[2] / ".cache" / "uv-for-tests"
BACKEND = """\
import zipfile
def _meta(): return "Metadata-Version: 2.1\\nName: site-app\\nVersion: 1.0\\nRequires-Dist: alpha\\n"
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "site_app-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.writestr("site_app.py", open("site_app.py").read())
        wheel.writestr("site_app-1.0.dist-info/METADATA", _meta())
        wheel.writestr("site_app-1.0.dist-info/WHEEL",
                       "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("site_app-1.0.dist-info/RECORD", "")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\n'
PYPROJECT += 'name = "site-app"\nversion = "1.0"\nrequires-python = ">=3.9"\ndependencies = ["alpha"]\n'


def wheel(directory: Path, name: str, version: str, requires: Sequence[str] = (), body: str = "") -> str:
    """Write a wheel and return its sha256."""
    info = f"{name}-{version}.dist-info"
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", body or f"VERSION = {version!r}\n")
        needs = "".join(f"Requires-Dist: {item}\n" for item in requires)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name}-tool = {name}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def uv() -> str:
    return venvs.ensure_uv(
        RUN, env={k: v for k, v in os.environ.items() if "PIP" in k or "SSL" in k}, root=str(UV_ROOT)
    )


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    house = tmp_path / "wheels"
    house.mkdir()
    wheel(house, "alpha", "1.0")
    wheel(house, "alpha", "2.0", ["beta>=1"])
    wheel(house, "beta", "1.1")
    wheel(house, "gamma", "3.0")
    return house


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def spec(project: Path, wheels: Path) -> venvs.VenvSpec:
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return venvs.VenvSpec(project_dir=str(project), interpreter=sys.executable, env=env)


def make(spec: venvs.VenvSpec, uv: str, tmp_path: Path) -> tuple[Path, str]:
    """Resolve and build as a caller does; the environment and its exact set."""
    abi = venvs.interpreter_abi(spec.interpreter, RUN)
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    resolved = venvs.resolve(spec, abi, RUN, uv, str(scratch))
    dest = tmp_path / "venvs" / venvs.digest(abi, resolved)[:16]
    venvs.build(spec, resolved, str(dest), RUN, uv)
    venvs.seal(str(dest), inputs=venvs.inputs_digest(spec, abi), abi=abi, resolved=resolved)
    return dest, resolved


def imported(venv: Path, expression: str, module: str) -> str:
    code = f"import {module}; print({module}.{expression})"
    return subprocess.run(
        [venv / "bin/python", "-I", "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def exact(resolved: str) -> list[str]:
    return [line.split(" --hash")[0] for line in venvs_requirements.logical_lines(resolved)]


def test_the_pinned_uv_is_known_by_its_hashes() -> None:
    for machine in ("x86_64", "aarch64"):
        assert any("manylinux" in name and name.endswith(machine) for name in venvs_uv.UV_HASHES)
    hashes = list(venvs_uv.UV_HASHES.values())
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes)


def test_a_foreign_uv_is_not_installed(wheels: Path, tmp_path: Path) -> None:
    """Root would start it. The fixture uv shows that the true one is."""
    wheel(wheels, "uv", venvs_uv.UV_VERSION)
    env, root = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}, tmp_path / "tools"
    with pytest.raises(venvs.VenvError, match=r"(?s)another file than PyPI's uv.*nothing of it was installed"):
        venvs.ensure_uv(RUN, env=env, root=str(root))
    assert [path.name for path in root.iterdir()] == [".lock"]
    with pytest.raises(venvs.VenvError, match="no wheel of uv"):
        venvs.ensure_uv(RUN, env={**env, "PIP_FIND_LINKS": "/nonexistent"}, root=str(root))


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_unpinned_requirements_become_an_exact_compiled_environment(
    spec: venvs.VenvSpec, project: Path, tmp_path: Path, uv: str, installer: str
) -> None:
    (project / "requirements.txt").write_text("-r more.txt\nalpha  # newest\n")
    (project / "more.txt").write_text("beta\n")
    (project / "limits.txt").write_text("gamma<4\n")
    spec = replace(spec, installer=installer, requirements=["requirements.txt"], constraints=["limits.txt"])
    venv, resolved = make(replace(spec, packages=["gamma"]), uv, tmp_path)
    assert exact(resolved) == ["alpha==2.0", "beta==1.1", "gamma==3.0"]
    assert imported(venv, "VERSION", "alpha") == "2.0"
    assert (venv / "flaskworks-requirements.txt").read_text() == resolved
    (installed,) = venv.glob("lib/python3*/site-packages/alpha.py")
    assert list(installed.parent.glob("__pycache__/alpha.*.pyc"))
    assert installed.stat().st_nlink == 1
    assert (venv / "bin" / "alpha-tool").read_text().startswith(f"#!{venv}/bin/python")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_constraints_hold(spec: venvs.VenvSpec, project: Path, tmp_path: Path, uv: str, installer: str) -> None:
    (project / "limits.txt").write_text("alpha<2\n")
    spec = replace(spec, installer=installer, constraints=["limits.txt"], packages=["alpha"])
    assert exact(make(spec, uv, tmp_path)[1]) == ["alpha==1.0"]


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_given_hash_is_honoured_and_a_foreign_file_refused(
    spec: venvs.VenvSpec, project: Path, wheels: Path, tmp_path: Path, uv: str, installer: str
) -> None:
    good = hashlib.sha256((wheels / "alpha-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    (project / "requirements.txt").write_text(f"alpha==1.0 \\\n    --hash=sha256:{good}\n")
    spec = replace(spec, installer=installer, requirements=["requirements.txt"], packages=["gamma"])
    dummy, resolved = make(spec, uv, tmp_path)
    assert f"alpha==1.0 --hash=sha256:{good}\n" in resolved
    assert resolved.count("--hash=") == 2
    (project / "requirements.txt").write_text(f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(venvs.VenvError, match=r"(?is)alpha.*hash|hash.*alpha"):
        make(spec, uv, tmp_path)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_package_named_beside_the_files_may_have_a_hash(
    spec: venvs.VenvSpec, wheels: Path, tmp_path: Path, uv: str, installer: str
) -> None:
    good = hashlib.sha256((wheels / "alpha-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    spec = replace(spec, installer=installer, packages=[f"alpha==1.0 --hash=sha256:{good}", "gamma"])
    venv, resolved = make(spec, uv, tmp_path)
    assert f"alpha==1.0 --hash=sha256:{good}\n" in resolved
    assert resolved.count("--hash=") == 2
    assert imported(venv, "VERSION", "alpha") == "1.0"
    with pytest.raises(venvs.VenvError, match=r"(?is)alpha.*hash|hash.*alpha"):
        make(replace(spec, packages=[f"alpha==1.0 --hash=sha256:{'0' * 64}", "gamma"]), uv, tmp_path)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_required_hashes_are_those_that_somebody_gave(
    spec: venvs.VenvSpec, project: Path, wheels: Path, tmp_path: Path, uv: str, installer: str
) -> None:
    def line(name: str, version: str) -> str:
        path = wheels / f"{name}-{version}-py3-none-any.whl"
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    spec = replace(spec, installer=installer, requirements=["requirements.txt"], require_hashes=True)
    spec = replace(spec, packages=["gamma>=3"], server_packages=["gamma>=3"])
    (project / "requirements.txt").write_text(line("alpha", "2.0") + line("beta", "1.1") + line("gamma", "3.0"))
    resolved = make(spec, uv, tmp_path)[1]
    assert exact(resolved) == ["alpha==2.0", "beta==1.1", "gamma==3.0"]
    assert resolved.count("--hash=") == 3
    (project / "requirements.txt").write_text(line("alpha", "2.0") + "beta==1.1\n")
    with pytest.raises(venvs.VenvError, match=r"(?s)beta==1.1: requirements.txt says.*gamma>=3: the server says"):
        make(spec, uv, tmp_path)
    (project / "requirements.txt").write_text(line("alpha", "2.0") + line("gamma", "3.0"))
    with pytest.raises(venvs.VenvError, match=r"(?s)beta.*has no hash"):
        make(spec, uv, tmp_path)


def source_archive(directory: Path, work: Path) -> str:
    """Write a package that exists as its source alone, without needs for its build; return its line with the hash."""
    top = work / "site_app-1.0"
    top.mkdir()
    for name, text in {"pyproject.toml": PYPROJECT, "backend.py": BACKEND, "site_app.py": ""}.items():
        (top / name).write_text(text.replace('"alpha"', "").replace("Requires-Dist: alpha\\n", ""))
    (top / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: site-app\nVersion: 1.0\n")
    path = directory / "site_app-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(top, "site_app-1.0")
    return f"site-app==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("way", ["uv", "pip", "uv.lock"])
def test_with_required_hashes_nothing_is_built(
    spec: venvs.VenvSpec, project: Path, wheels: Path, tmp_path: Path, uv: str, way: str
) -> None:
    """What a build fetches has no hash, whatever its source has."""
    line = source_archive(wheels, tmp_path)
    if way == "uv.lock":
        # An index, which the lock names: the files of a directory of wheels have no hashes in a lock.
        page = tmp_path / "simple" / "site-app" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="{wheels}/site_app-1.0.tar.gz#sha256={line[-64:]}">site_app-1.0.tar.gz</a>')
        named = '[project]\nname = "site"\nversion = "0"\nrequires-python = ">=3.9"\ndependencies = ["site-app"]\n'
        named += f'[[tool.uv.index]]\nurl = "file://{page.parent.parent}"\ndefault = true\n'
        (project / "pyproject.toml").write_text(named)
        lock = [uv, "lock", "--python", sys.executable]
        subprocess.run(lock, cwd=project, env=venvs.command_env({}), check=True, capture_output=True)
        spec = venvs.detect(replace(spec, env={}))
    else:
        (project / "requirements.txt").write_text(line)
        spec = replace(spec, installer=way, requirements=["requirements.txt"])
    assert exact(make(spec, uv, tmp_path)[1]) == ["site-app==1.0"]
    with pytest.raises(venvs.VenvError, match=r"site-app (has no|can't be had: .* no fitting) wheel"):
        make(replace(spec, require_hashes=True), uv, tmp_path)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_the_project_itself_is_installed_as_a_copy(
    spec: venvs.VenvSpec, project: Path, tmp_path: Path, uv: str, installer: str
) -> None:
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "backend.py").write_text(BACKEND)
    (project / "site_app.py").write_text("WHO = 'me'\n")
    spec = venvs.detect(replace(spec, installer=installer, source_digest="abc"))
    assert spec.install_project
    venv, resolved = make(spec, uv, tmp_path)
    assert str(project) not in resolved
    assert "# source: abc" in resolved
    assert imported(venv, "WHO", "site_app") == "me"
    assert "site-packages" in imported(venv, "__file__", "site_app")
    assert (
        venvs.resolve(
            replace(spec, source_digest="other"), venvs.interpreter_abi(sys.executable, RUN), RUN, uv, _empty(tmp_path)
        )
        != resolved
    )


def test_uv_lock_is_followed_and_extra_packages_stay(
    spec: venvs.VenvSpec, project: Path, wheels: Path, tmp_path: Path, uv: str
) -> None:
    (project / "pyproject.toml").write_text(
        '[project]\nname = "site"\nversion = "0"\nrequires-python = ">=3.9"\ndependencies = ["alpha"]\n'
    )
    lock = [uv, "lock", "--python", sys.executable]
    (wheels / "alpha-2.0-py3-none-any.whl").rename(tmp_path / "later.whl")
    subprocess.run(lock, cwd=project, env=venvs.command_env(spec.env), check=True, capture_output=True)
    (tmp_path / "later.whl").rename(wheels / "alpha-2.0-py3-none-any.whl")
    spec = venvs.detect(replace(spec, packages=["gamma", "alpha"]))
    assert spec.lock_project
    assert not spec.install_project
    venv, resolved = make(spec, uv, tmp_path)
    assert exact(resolved) == ["alpha==1.0", "gamma==3.0"]
    assert imported(venv, "VERSION", "alpha") == "1.0"
    assert imported(venv, "VERSION", "gamma") == "3.0"
    (project / "pyproject.toml").write_text(
        (project / "pyproject.toml").read_text().replace('"alpha"', '"alpha", "beta"')
    )
    with pytest.raises(venvs.VenvError, match=r"(?s)uv\.lock.*lock"):
        make(spec, uv, tmp_path)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_what_cannot_be_had_is_named(spec: venvs.VenvSpec, tmp_path: Path, uv: str, installer: str) -> None:
    with pytest.raises(venvs.VenvError, match=r"(?s)Resolving the requirements failed.*no-such-thing"):
        make(replace(spec, installer=installer, packages=["no-such-thing"]), uv, tmp_path)


def test_a_missing_python_is_named_with_those_that_are_there() -> None:
    with pytest.raises(venvs.VenvError, match=r"python3\.99 is not on this host, and none is ever downloaded"):
        venvs.interpreter_abi("python3.99", RUN)


def test_the_inputs_digest_sees_every_input_and_needs_no_process(spec: venvs.VenvSpec, project: Path) -> None:
    (project / "requirements.txt").write_text("-r more.txt\n")
    (project / "more.txt").write_text("beta\n")
    (project / "uv.lock").write_text("1")
    (project / "pyproject.toml").write_text("")
    spec = replace(spec, requirements=["requirements.txt"])
    first = venvs.inputs_digest(spec, "abi")
    seen = {first, venvs.inputs_digest(spec, "other")}
    for change in (
        {"installer": "pip"},
        {"packages": ["x"]},
        {"lock_project": True},
        {"constraints": ["more.txt"]},
        {"env": {"PIP_INDEX_URL": "file:///x"}},
    ):
        seen.add(venvs.inputs_digest(replace(spec, **change), "abi"))
    (project / "more.txt").write_text("beta==1\n")
    seen.add(venvs.inputs_digest(spec, "abi"))
    assert len(seen) == 8
    (project / "more.txt").write_text("# only a comment is new\nbeta\n")
    assert venvs.inputs_digest(replace(spec, env={**spec.env, "HTTPS_PROXY": "x"}, source_digest="x"), "abi") == first


def test_only_a_sealed_environment_counts(spec: venvs.VenvSpec, tmp_path: Path, uv: str) -> None:
    venv, resolved = make(replace(spec, packages=["beta"]), uv, tmp_path)
    inputs = venvs.inputs_digest(replace(spec, packages=["beta"]), venvs.interpreter_abi(sys.executable, RUN))
    assert venvs.find_sealed(str(venv.parent), inputs) == str(venv)
    assert venvs.find_sealed(str(venv.parent), "other") is None
    venvs.seal(str(venv), inputs="other", abi="x", resolved=resolved)
    assert venvs.find_sealed(str(venv.parent), "other") == venvs.find_sealed(str(venv.parent), inputs) == str(venv)
    (venv / ".flaskworks-venv.json").write_text('{"abi": ')
    assert venvs.sealed(str(venv)) is None
    venvs.discard(str(venv))
    assert not venv.exists()
    venvs.discard(str(venv))


def test_discard_does_not_follow_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    venvs.discard(str(tmp_path / "link"))
    assert target.is_dir()
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.txt": "-r missing.txt"}, "missing.txt can't be read"),
        ({"a.txt": "-r a.txt"}, "a.txt includes itself"),
        ({"a.txt": "-r ../../../etc/passwd"}, "lies outside of the project"),
    ],
)
def test_requirements_that_cannot_be_read(
    spec: venvs.VenvSpec, project: Path, files: Mapping[str, str], said: str
) -> None:
    for name, text in files.items():
        (project / name).write_text(text)
    with pytest.raises(venvs.VenvError, match=said):
        venvs.inputs_digest(replace(spec, requirements=["a.txt"]), "abi")


def test_a_link_out_of_the_project_is_refused(spec: venvs.VenvSpec, project: Path) -> None:
    (project / "a.txt").symlink_to("/etc/shadow")
    with pytest.raises(venvs.VenvError, match="lies outside of the project"):
        venvs.inputs_digest(replace(spec, requirements=["a.txt"]), "abi")


def test_what_is_no_file_is_refused_before_it_is_opened(spec: venvs.VenvSpec, project: Path) -> None:
    (project / "a.txt").mkdir()
    with pytest.raises(venvs.VenvError, match=r"a\.txt can't be read: it is no file"):
        venvs.inputs_digest(replace(spec, requirements=["a.txt"]), "abi")


def test_passwords_of_an_index_never_reach_a_message() -> None:
    said = ["sh", "-c", "echo at https://joe:hunter2@x/simple; exit 3"]
    with pytest.raises(venvs.VenvError, match="Asking failed") as caught:
        venvs_tools.call(RUN, said, {}, "/", "Asking")
    assert "hunter2" not in str(caught.value)


def _empty(tmp_path: Path) -> str:
    directory = tmp_path / f"empty-{len(list(tmp_path.iterdir()))}"
    directory.mkdir()
    return str(directory)
