"""A fault in nginx's files is red, red again, and nginx serves what it served."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import STEPS
from e2e.support import output, published_site

SITE = "/etc/nginx/sites-enabled/story.conf"
DEFAULT = {"/etc/nginx/sites-enabled/default": {"absent": True}}


def site(answer: str, listen: int = 80) -> dict[str, Any]:
    text = f"server {{ listen {listen}; server_name story; return 200 {answer}; }}\n"
    return {SITE: {"content": text}, **DEFAULT}


@pytest.fixture(autouse=True)
def good(host: Any, direct: Any) -> Any:
    """Every test begins and ends with the same site."""
    yield
    direct.apply(site("good"))
    assert published_site(host, "story").get().text == "good"


FAULTS = {
    "broken": (site("x") | {SITE: {"content": "server { listen 80; server_name story\n"}}, "[emerg]"),
    "a second site of one name": (
        site("x") | {"/etc/nginx/sites-enabled/twin.conf": {"content": site("y")[SITE]["content"]}},
        'conflicting server name "story"',
    ),
    "a port that another program has": (site("x", listen=22), "Address already in use"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_red_twice_and_changes_nothing(host: Any, apply: Any, fault: str) -> None:
    before = output(host, "ls -la --time-style=full-iso /etc/nginx/sites-enabled | tail -n +4")
    files, words = FAULTS[fault]
    for _run in range(2):
        answer = apply(files)
        assert answer.status != 0
        assert words in answer.text
        assert host.run("nginx -t -q").rc == 0
        assert published_site(host, "story").get().text == "good"
    if fault != "a port that another program has":
        assert output(host, "ls -la --time-style=full-iso /etc/nginx/sites-enabled | tail -n +4") == before


def test_a_reload_keeps_the_master_and_the_new_answer_is_there_at_once(host: Any, apply: Any) -> None:
    master = output(host, "cat /run/nginx.pid")
    assert apply(site("other")).changed
    assert published_site(host, "story").get().text == "other"
    assert output(host, "cat /run/nginx.pid") == master


def test_nginx_that_was_stopped_by_hand_is_started(host: Any, direct: Any) -> None:
    output(host, "systemctl stop nginx")
    assert direct.check(site("good"))
    assert direct.apply(site("good"))
    assert not direct.apply(site("good"))


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_each_step_the_next_run_serves_what_is_wanted(host: Any, direct: Any, step: str) -> None:
    direct.kill(step, {SITE: site("new")[SITE]})
    assert published_site(host, "story").get().text in ("good", "new")
    predicted = direct.check(site("new"))
    assert direct.apply(site("new")) == predicted
    assert published_site(host, "story").get().text == "new"
    assert not direct.apply(site("new"))


@pytest.mark.parametrize("step", ["swapped", "applied", "verified"])
def test_killed_then_asked_for_the_old_nginx_serves_the_old(host: Any, direct: Any, step: str) -> None:
    """The files are as before once the crash is put right; nginx may still run with the new ones."""
    direct.kill(step, {SITE: site("new")[SITE]})
    assert direct.apply(site("good"))
    assert published_site(host, "story").get().text == "good"


def test_full_disk_is_an_error_before_anything_changes(host: Any, apply: Any) -> None:
    output(host, "mkdir -p /etc/nginx/full && mount -t tmpfs -o size=4k tmpfs /etc/nginx/full")
    try:
        answer = apply(site("x") | {"/etc/nginx/full/big.conf": {"content": "# big\n" * 5000}})
        assert answer.status != 0
        assert "No space left on device" in answer.text
        assert published_site(host, "story").get().text == "good"
    finally:
        output(host, "umount /etc/nginx/full && rmdir /etc/nginx/full")


def test_a_refused_site_leaves_no_log_file(host: Any, apply: Any) -> None:
    text = "server { listen 80; server_name story; access_log /var/log/nginx/refused.log; frobnicate; }\n"
    assert "frobnicate" in apply({SITE: {"content": text}, **DEFAULT}).text
    assert not host.file("/var/log/nginx/refused.log").exists


def test_the_reason_is_found_in_whatever_error_log_nginx_writes(host: Any, apply: Any) -> None:
    elsewhere = {"/etc/nginx/modules-enabled/90-story.conf": {"content": "error_log /var/log/nginx/elsewhere.log;\n"}}
    main = host.file("/etc/nginx/nginx.conf").content_string
    output(host, "sed -i '/^error_log/d' /etc/nginx/nginx.conf")
    try:
        assert apply(site("good") | elsewhere).status == 0
        answer = apply(site("x", listen=22) | elsewhere)
        assert answer.status != 0
        assert "still could not bind()" in answer.text or "Address already in use" in answer.text
        assert published_site(host, "story").get().text == "good"
    finally:
        assert main.count("error_log /var/log/nginx/error.log;") == 1
        output(host, "sed -i '1i error_log /var/log/nginx/error.log;' /etc/nginx/nginx.conf")
        assert apply(site("good")).status == 0
        output(host, "rm /var/log/nginx/elsewhere.log")


def test_nginx_that_cannot_start_says_why(host: Any, apply: Any) -> None:
    output(host, "systemctl mask --now nginx")
    try:
        answer = apply(site("other"))
        assert answer.status != 0
        assert "masked" in answer.text
    finally:
        output(host, "systemctl unmask nginx")


def test_a_crash_of_one_owner_is_put_right_by_the_run_of_another(host: Any, apply: Any, direct: Any) -> None:
    old = host.file(SITE).content_string
    direct.kill("swapped", {SITE: site("half")[SITE]})
    assert host.file(SITE).content_string != old
    twin = {
        "/etc/nginx/sites-enabled/twin.conf": {"content": "server { listen 80; server_name twin; return 200 twin; }\n"}
    }
    assert apply(twin, owner="twin").status == 0
    assert published_site(host, "twin").get().text == "twin"
    assert host.file(SITE).content_string == old
    assert published_site(host, "story").get().text == "good"
    theft = apply({SITE: {"content": "mine\n"}}, owner="twin")
    assert "belongs to story on this host" in theft.text
    assert published_site(host, "twin").get().text == "twin"
    assert apply({}, owner="twin").changed
    assert host.run("ls -A /var/lib/flaskworks/file_set/twin").rc != 0


def test_nothing_is_left_beside_the_files(host: Any) -> None:
    assert (
        output(host, "find /etc /var/lib/flaskworks /run/flaskworks -name '*flaskworks*~' -o -name 'context.*'") == ""
    )
