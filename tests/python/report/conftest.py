"""The browser that tests of pages share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from html_browser import Browsers

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_DRIVER = "chromedriver"


@pytest.fixture(scope="module")
def browsers() -> Iterator[Browsers]:
    """The browser and the driver of this machine."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    from selenium.webdriver.chrome.service import Service

    binary = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which(_DRIVER)
    if binary is None or driver is None:
        pytest.skip(f"needs one of {', '.join(_BROWSERS)}, and {_DRIVER}")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    # Containers run tests as root and have little shared memory.
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,1000"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = Browsers(lambda: webdriver.Chrome(options=options, service=Service(driver)))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def browser(browsers: Browsers) -> Chrome:
    """A browser that answers."""
    return browsers.chrome()
