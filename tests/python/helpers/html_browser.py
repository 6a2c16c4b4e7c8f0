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


def press(browser: Chrome, element: WebElement) -> None:
    """Click an element once it rests within the window and nothing covers it.

    Sections are laid out only when they come near the window (``content-visibility``), and move
    what is below them: an element that was scrolled to may be elsewhere a frame later.
    """
    from selenium.webdriver.support.ui import WebDriverWait

    at_rest = """
        const [element, done] = arguments;
        const box = () => element.getBoundingClientRect();
        element.scrollIntoView({block: "nearest", inline: "nearest"});
        const before = box();
        requestAnimationFrame(() => requestAnimationFrame(() => {
          const now = box();
          const top = document.elementFromPoint(now.x + now.width / 2, now.y + now.height / 2);
          done(now.x === before.x && now.y === before.y && element.contains(top));
        }));
    """
    WebDriverWait(browser, 20).until(lambda chrome: chrome.execute_async_script(at_rest, element))
    element.click()
