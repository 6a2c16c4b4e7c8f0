"""A headless browser that opens pages as files: one for many tests, and how elements are found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement


class Browsers:
    """One headless browser for all tests here; another one where its session is gone."""

    def __init__(self, start: Callable[[], Chrome]) -> None:
        self._start = start
        self._chrome: Chrome | None = None

    def chrome(self) -> Chrome:
        """The browser, with an empty page."""
        from selenium.common.exceptions import WebDriverException
        from urllib3.exceptions import HTTPError

        if self._chrome is not None:
            try:
                self._chrome.get("about:blank")
                self._chrome.get_log("browser")  # type: ignore[no-untyped-call] # what a test that failed has left
                return self._chrome
            except (WebDriverException, OSError, HTTPError):
                self.close()
        self._chrome = self._start()
        return self._chrome

    def close(self) -> None:
        """End the browser, if it has not ended by itself."""
        chrome, self._chrome = self._chrome, None
        if chrome is not None:
            with contextlib.suppress(Exception):
                chrome.quit()
            chrome.service.stop()


def one(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element("css selector", selector)
