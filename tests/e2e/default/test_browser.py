"""Promise: in a real browser the page has its style sheet, and an upload appears."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.support import PIXEL, Site, wait_until
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

CHROMIUM = "/usr/bin/chromium"
DRIVER = "/usr/bin/chromedriver"
# New folder, no first-run pages, no calls home: the test talks to the site and to nobody else.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP guestbook.test 127.0.0.1",
    "--window-size=1100,760",
]


@pytest.fixture
def browser() -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="flaskworks-chromium-") as profile:
        options = Options()
        options.binary_location = CHROMIUM
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


@pytest.fixture
def front_page(guestbook: Site) -> str:
    """The address that a visitor types."""
    return guestbook.base.replace("127.0.0.1", guestbook.name) + "/"


def test_the_page_has_its_style_sheet(browser: Any, front_page: str) -> None:
    browser.get(front_page)
    masthead = browser.find_element(By.CLASS_NAME, "masthead")
    assert masthead.value_of_css_property("background-color") == "rgba(31, 78, 74, 1)"
    assert browser.find_element(By.CLASS_NAME, "columns").value_of_css_property("display") == "grid"
    icon = browser.find_element(By.CSS_SELECTOR, ".brand img")
    assert browser.execute_script("return arguments[0].naturalWidth", icon) > 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_an_upload_appears(browser: Any, front_page: str, tmp_path: Path) -> None:
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    browser.get(front_page)
    browser.find_element(By.NAME, "name").send_keys("Grace")
    browser.find_element(By.NAME, "message").send_keys("Sent by a browser")
    browser.find_element(By.NAME, "picture").send_keys(str(picture))
    browser.find_element(By.CSS_SELECTOR, "form button").click()
    wait_until(lambda: bool(browser.find_elements(By.CLASS_NAME, "flash")), 15, "the thanks")
    assert browser.find_element(By.CLASS_NAME, "flash").text == "Thank you, Grace."
    entry = browser.find_element(By.CLASS_NAME, "entry")
    assert "Sent by a browser" in entry.text
    shown = entry.find_element(By.CLASS_NAME, "picture")
    assert browser.execute_script("return arguments[0].complete && arguments[0].naturalWidth", shown) == 1
