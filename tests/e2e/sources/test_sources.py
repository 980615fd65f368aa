"""Where a release's code may come from, and what happens when that place lies, leaks or is silent."""

from __future__ import annotations

import base64
import json
import tarfile
import time
from pathlib import Path

import pytest
from e2e.sources.archives import member, sha256, tar_with, wheel, zip_with
from e2e.sources.servers import SITE, Sources, key_pair, said

URL = "http://127.0.0.1:8000/site.tar.gz"


def publish(sources: Sources, path: Path, name: str) -> None:
    """Let the host's own server offer a file."""
    sources.host.root(f"base64 -d > /opt/files/{name}", base64.b64encode(path.read_bytes()).decode())


def downloads(sources: Sources) -> int:
    return int(sources.host.root("journalctl --sync; journalctl -q -u files -o cat | grep -c 'GET /' || true"))


def test_an_archive_is_fetched_once_and_known_by_its_checksum(sources: Sources, tmp_path: Path) -> None:
    site = {"blog-2.1/blog/__init__.py": SITE.format(word="one"), "blog-2.1/README": "x"}
    path = tar_with(tmp_path / "site.tar.gz", site)
    publish(sources, path, "site.tar.gz")
    before = downloads(sources)
    definition = {"source": {"archive": URL, "checksum": sha256(path)}, "shared": ["media"]}
    run = sources.deploy(blog=definition)
    assert run.status == 0, run.text
    assert sources.host.ask() == "200 one"
    assert sources.host.root("cd /srv/blog/current/src && find . -mindepth 1 -maxdepth 1 | sort").split() == [
        "./README",
        "./blog",
        "./media",
    ]
    assert downloads(sources) == before + 1
    assert not sources.deploy(blog=definition).result["changed"]
    assert sources.deploy(blog={**definition, "env": {"A": "1"}}).app()["reason"] == ["environment changed"]
    assert downloads(sources) == before + 1, "neither an unchanged run nor another release of the same code fetches it"
    last = json.loads(sources.host.root("tail -n1 /srv/blog/releases.jsonl"))
    assert "sha256:" + last["version"] == definition["source"]["checksum"]  # type: ignore[index]
    assert sources.host.root("stat -c %a%U /srv/blog/archives").strip() == "700root"


def test_another_archive_than_the_checksum_says_is_refused(sources: Sources, tmp_path: Path) -> None:
    path = tar_with(tmp_path / "site.tar.gz", {"blog/__init__.py": SITE.format(word="other")})
    publish(sources, path, "other.tar.gz")
    wrong = "sha256:" + "0" * 64
    source = {"archive": URL.replace("site", "other"), "checksum": wrong}
    before = sources.host.ask()
    run = sources.deploy(blog={"source": source, "shared": ["media"]})
    assert run.status != 0
    assert f"expected {wrong}, found {sha256(path)} ({path.stat().st_size} bytes)" in said(run.text)
    assert "is still serving" in run.text
    assert sources.host.ask() == before
    missing = sources.deploy(blog={"source": {"archive": URL + "x", "checksum": wrong}})
    assert "site.tar.gzx can't be fetched: the server answered 404 File not found" in said(missing.text)
    local = sources.deploy(blog={"source": {"archive": str(path), "checksum": wrong}})
    assert f"{path} is another archive than source.checksum says" in said(local.text)


@pytest.mark.parametrize(
    ("evil", "words"),
    [
        (member("../../../../../tmp/evil", tarfile.REGTYPE), "leaves the archive's own directory"),
        (member("blog/link", tarfile.SYMTYPE, "/etc/shadow"), "is a link that points outside: /etc/shadow"),
        (member("blog/huge", tarfile.REGTYPE, size=1 << 40), "1099511627"),
    ],
)
def test_an_archive_that_leads_elsewhere_is_refused_with_the_name(
    sources: Sources, tmp_path: Path, evil: tarfile.TarInfo, words: str
) -> None:
    path = tar_with(tmp_path / "evil.tar.gz", {"blog/__init__.py": SITE.format(word="evil")}, evil)
    run = sources.deploy(shop={"source": {"archive": str(path)}})
    assert run.status != 0
    assert f"the archive is refused: '{evil.name}'" in said(run.text)
    assert words in said(run.text)
    assert sources.host.root("ls /srv/shop/releases /tmp | grep -c evil || true").strip() == "0"


def test_an_archive_of_the_controller_is_carried_over(sources: Sources, tmp_path: Path) -> None:
    site = {"web/site/blog/__init__.py": SITE.format(word="zipped"), "web/docs/x": "", "other/y": ""}
    path = zip_with(tmp_path / "site.zip", site)
    source = {"archive": str(path), "checksum": sha256(path), "subdir": "web/site", "strip": False}
    run = sources.deploy(shop={"source": source})
    assert run.status == 0, run.text
    assert sources.host.ask(app="shop") == "200 zipped"
    assert not sources.deploy(shop={"source": source}).result["changed"]
    assert sources.host.root("stat -c %U:%G:%a /srv/shop/current/src/blog/__init__.py").strip() == "root:shop:640"


def test_a_deploy_key_is_used_and_leaves_no_trace(sources: Sources) -> None:
    host = sources.host
    host.root("mkdir -p /run/flaskworks-keys/4194999.left && echo x > /run/flaskworks-keys/4194999.left/key")
    # As people paste it: Windows' line breaks, and no last one.
    broken = sources.deploy_key.rstrip().replace("\n", "\r\n")
    watch = "systemd-run --quiet --unit=watch sh -c 'while sleep 0.05; do find /run/flaskworks-keys -name key -ls; "
    host.root(watch + "grep -lz FLASKWORKS /proc/[0-9]*/cmdline; ps -eo args; done > /run/watched 2>/dev/null'")
    run = sources.deploy("-vvv", "--diff", blog=sources.git(deploy_key=broken))
    host.root("systemctl stop watch")
    assert run.status == 0, run.text
    assert host.ask() == "200 from git"
    assert host.root("cat /srv/blog/current/src/theme/colour") == "green\n", "the submodule came with the same key"
    seen = host.root("grep /run/flaskworks-keys /run/watched")
    assert "-r--------" in seen
    assert "flaskworks-build" in seen
    assert host.root("ls /run/flaskworks-keys") == "", "neither this run's key nor one of a run that was killed"
    secret = sources.deploy_key.splitlines()[-3]
    assert secret not in run.text
    host.root("journalctl --sync")
    places = "/etc /home /opt /root /run /srv /tmp /usr/local /var"
    # By standard input: sudo writes the arguments into the journal that is searched.
    assert host.root(f"grep -rlF -f - {places} 2>/dev/null || true", secret) == ""
    assert host.root("cat > /run/pattern; journalctl -q -o cat | grep -cF -f /run/pattern || true", secret) == "0\n"
    host.root("rm /run/pattern")
    unused = key_pair(sources.folder, "unused")[0]
    changed = sources.deploy(blog=sources.git(deploy_key=unused, version=commit(sources)))
    assert changed.result["changed"] is False, "another key is no other release, and a full commit asks no server"


def commit(sources: Sources) -> str:
    return sources.host.root("git -C /opt/work rev-parse main").strip()


def test_a_server_with_another_host_key_gets_nothing(sources: Sources) -> None:
    other = key_pair(sources.folder, "other-host")[1]
    run = sources.deploy(blog=sources.git(host_key=other))
    assert run.status != 0
    text = said(run.text)
    shown = sources.host.root("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert f"git can't read git@localhost:site.git: the server showed the host key {shown} (ED25519)" in text
    assert "but source.host_key pins SHA256:" in text
    assert "Host key for localhost has changed" in text, "what ssh said"
    refused = sources.deploy(blog=sources.git(deploy_key=key_pair(sources.folder, "stranger")[0]))
    assert "the server does not accept source.deploy_key, whose public half is SHA256:" in said(refused.text)
    unpinned = sources.deploy(blog=sources.git(host_key="", deploy_key=""))
    assert "its host key is not known on this host: pin it as source.host_key" in said(unpinned.text)


def test_a_password_goes_to_one_server_over_https_only(sources: Sources) -> None:
    ca = {"GIT_SSL_CAINFO": "/opt/ca.pem"}
    source = {"git": "https://localhost:8443/site.git", "version": "plain", "user": "ann", "password": "s3cr3t-p%ss"}
    run = sources.deploy("-vvv", shop={"source": source}, env=ca)
    assert run.status == 0, run.text
    assert sources.host.ask(app="shop") == "200 from git"
    assert "s3cr3t-p" not in run.text
    places = "/etc /home /root /run /srv /tmp /usr/local /var"
    assert sources.host.root(f"grep -rlF -f - {places} 2>/dev/null || true", "s3cr3t-p") == ""
    wrong = sources.deploy(shop={"source": {**source, "password": "wrong-one"}}, env=ca)
    assert "the server does not accept source.user and source.password" in said(wrong.text)
    none = {key: value for key, value in source.items() if key not in ("user", "password")}
    unasked = sources.deploy(shop={"source": none}, env=ca)
    assert "the server wants credentials: give source.user and source.password" in said(unasked.text)
    greedy = sources.deploy(shop={"source": {**source, "version": "greedy"}}, env=ca)
    assert greedy.status != 0, "the submodule's server wants a password too"
    heard = sources.host.root("cat /run/second.log")
    assert "/theme.git/info/refs" in heard
    assert "Basic" not in heard, "and it is not given this one"


def test_pointers_of_git_lfs_and_a_missing_directory_are_told(sources: Sources) -> None:
    run = sources.deploy(shop={"source": {"git": "file:///opt/work", "version": "big"}})
    assert run.status == 0, run.text
    assert "blog/logo.png: only pointers of Git LFS, without the content" in said(run.text)
    missing = sources.deploy(shop={"source": {"git": "file:///opt/work", "subdir": "nowhere"}})
    assert "has no directory 'nowhere'" in said(missing.text)


def test_a_package_of_an_index_is_a_whole_application(sources: Sources, tmp_path: Path) -> None:
    files = {"blog/__init__.py": SITE.format(word="packaged"), "blog/static/site.css": "body {}\n"}
    made = wheel(tmp_path, "blog", "2.1", files)
    sources.host.root("mkdir -p /opt/wheels")
    publish(sources, made, f"../wheels/{made.name}")
    definition = {
        "source": {"pypi": "blog == 2.1", "checksum": sha256(made)},
        "shared": ["media"],
        "files": {"settings.py": {"content": "A = 1\n"}},
        "static": {"/static/": "package:blog/static/"},
    }
    index = {"PIP_FIND_LINKS": "/opt/wheels"}
    run = sources.deploy(blog=definition, env=index)
    assert run.status == 0, run.text
    assert sources.host.ask() == "200 packaged"
    assert sources.host.root("ls /srv/blog/current/src").split() == ["media", "settings.py"]
    assert sources.host.root("cat /srv/blog/current/public/static/site.css") == "body {}\n"
    record = json.loads(sources.host.root("cat /srv/blog/current/release.json"))
    assert (record["source"]["type"], record["source"]["resolved"]) == ("pypi", "blog==2.1")
    assert f"blog==2.1 --hash={sha256(made)}" in sources.host.root("cat /srv/blog/current/requirements.lock")
    assert not sources.deploy(blog=definition, env=index).result["changed"]
    forged = {**definition, "source": {"pypi": "blog==2.1", "checksum": "sha256:" + "0" * 64}}
    assert "Hash mismatch for `blog==2.1`" in said(sources.deploy(blog=forged, env=index).text)
    assert sources.host.ask() == "200 packaged"


def test_a_silent_server_ends_the_run_in_time(sources: Sources) -> None:
    started = time.monotonic()
    run = sources.deploy(
        silent={"source": {"git": "https://127.0.0.1:8099/x.git"}},
        still=sources.git(git="ssh://git@127.0.0.1:8099/x.git", host_key=f"[127.0.0.1]:8099 {sources.host_key}"),
    )
    seconds = time.monotonic() - started
    assert run.status != 0
    text = said(run.text)
    assert "x.git: 127.0.0.1 took no connection on port 8099 within" in text, text
    assert "git can't read ssh://git@127.0.0.1:8099/x.git" in text
    assert "timed out" in text, text
    assert seconds < 60, seconds
