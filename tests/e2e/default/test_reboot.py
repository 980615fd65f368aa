"""Promise: after a reboot of the host the sites are back as they were, their data included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from e2e.support import Site, current_release, output, wait_until


def test_the_sites_come_back_at_boot(host: Any, guestbook: Site, hello: Site, reboot: Callable[[], None]) -> None:
    assert guestbook.sign("Edsger", "Written before the reboot").status_code == 200
    before = (current_release(host, "guestbook"), current_release(host, "hello"))
    booted = output(host, "cat /proc/sys/kernel/random/boot_id; stat --format=%Y /run/systemd")
    reboot()
    assert output(host, "cat /proc/sys/kernel/random/boot_id; stat --format=%Y /run/systemd") != booted
    for site in (guestbook, hello):
        wait_until(lambda site=site: site.get("/health").status_code == 200, 20, f"{site.name} is back")  # type: ignore[misc]
    assert "Written before the reboot" in guestbook.get("/").text
    assert (current_release(host, "guestbook"), current_release(host, "hello")) == before


def test_nothing_failed_on_the_way(host: Any) -> None:
    assert "Status: active" in output(host, "ufw status")
    assert output(host, "systemctl is-active nginx.service") == "active"
    assert output(host, "systemctl --failed --plain --no-legend") == ""
