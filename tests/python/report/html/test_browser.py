"""The page of an inspection in a real browser, opened as a file and without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from html_browser import Browsers, one, press
from html_checks import hostile
from inspection_samples import residual
from optimize_samples import optimized
from sweep_samples import point, swept

from alcs_onnx.report.html import GraphNode, Markup, Section, graph, node_href, page
from alcs_onnx.report.html.colouring import Colouring
from alcs_onnx.report.inspect import inspection_page
from alcs_onnx.report.optimize import optimize_page
from alcs_onnx.report.sweep import sweep_page
from alcs_onnx.structures import RANKED

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def show(browser: Chrome, folder: Path) -> Iterator[Callable[..., Chrome]]:
    """Opens a page of residual blocks; after the test, the console must have no message."""

    def open_page(blocks: int = 6, rename: Callable[[str], str] = str, address: str = "") -> Chrome:
        file = folder / f"{blocks}-{rename.__name__}.html"
        if not file.exists():
            file.write_text(inspection_page(residual(blocks, rename)), encoding="utf-8")
        browser.get("about:blank")  # a change of the address alone would load nothing
        browser.get(f"{file.as_uri()}{address}")
        return browser

    yield open_page
    assert browser.get_log("browser") == []


def node(browser: Chrome, key: str) -> WebElement:
    found: WebElement = browser.execute_script(
        "return [...document.querySelectorAll('.node')].find(n => n.dataset.key === arguments[0])",
        key,
    )
    return found


def keys(browser: Chrome, selector: str) -> set[str]:
    """Names of the nodes that a selector finds."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(n => n.dataset.key)", selector
    )
    return set(found)


def in_view(browser: Chrome, element: WebElement) -> bool:
    """Whether the middle of a node is inside the canvas."""
    inside: bool = browser.execute_script(
        "const box = e => e.getBoundingClientRect();"
        "const c = box(document.querySelector('.canvas')), n = box(arguments[0]);"
        "const x = n.x + n.width / 2, y = n.y + n.height / 2;"
        "return x > c.left && x < c.right && y > c.top && y < c.bottom",
        element,
    )
    return inside


def wait(browser: Chrome, condition: Callable[[Chrome], Any]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(condition)


def hover(browser: Chrome, element: WebElement) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser).move_to_element(element).perform()


def details(browser: Chrome) -> str:
    return one(browser, ".details").text


def test_a_browser_that_ended_is_replaced(browsers: Browsers, tmp_path: Path) -> None:
    ended = browsers.chrome()
    ended.quit()
    page = tmp_path / "page.html"
    page.write_text(inspection_page(residual(2)), encoding="utf-8")
    chrome = browsers.chrome()
    assert chrome is not ended
    chrome.get(page.as_uri())
    assert chrome.find_elements("css selector", ".node")
    assert browsers.chrome() is chrome


@pytest.mark.parametrize(
    ("view", "colouring", "section"),
    [
        ("model", "operator", "nodes"),
        ("coupling", "what optimize would do", "coupling"),
        ("sparsity", "density of weights", "sparsity"),
        ("latency", "time (ms)", "latency"),
    ],
)
def test_a_page_begins_with_its_view(
    view: str, colouring: str, section: str, browser: Chrome, tmp_path: Path
) -> None:
    from selenium.webdriver.support.ui import Select

    page = tmp_path / "page.html"
    page.write_text(inspection_page(residual(3), view), encoding="utf-8")
    browser.get(page.as_uri())
    choice = Select(one(browser, ".controls select"))
    assert choice.first_selected_option.text == colouring
    links = [a.get_attribute("href") for a in browser.find_elements("css selector", "nav a")]
    assert str(links[1]).endswith(f"#{section}")
    seen = "return document.querySelector('.graph').outerHTML"
    before = browser.execute_script(seen)
    others = [option.text for option in choice.options if option.text != colouring]
    choice.select_by_visible_text(others[0])
    assert browser.execute_script(seen) != before
    choice.select_by_visible_text(colouring)
    assert browser.execute_script(seen) == before  # outlines, too, are those of the colouring


@pytest.fixture
def sized(browser: Chrome) -> Iterator[Callable[[int, int], None]]:
    """Gives the browser's window a size (pixels), until the test ends."""

    def resize(width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**metrics, "mobile": width < 500}
        )

    yield resize
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_tables_are_whole_at_1280_pixels(
    browser: Chrome, sized: Callable[[int, int], None], tmp_path: Path
) -> None:
    """No column of a usual result has to be scrolled to: names, reasons and all structures."""
    inspection = residual(6, lambda name: f"/layer1/layer1.0/{name}/Conv")
    assert inspection.sparsity is not None
    layers = [
        replace(layer, zeros=dict.fromkeys((*RANKED, "2:4"), 0.125))
        for layer in inspection.sparsity.layers
    ]
    zeros = dict.fromkeys((*RANKED, "2:4"), 0.125)
    sparsity = replace(inspection.sparsity, layers=tuple(layers), zeros=zeros)
    pages = {
        "inspection": inspection_page(replace(inspection, sparsity=sparsity)),
        "optimized": optimize_page(optimized()),
        "sweep": sweep_page(swept(point("80%", 0.8, 88.25), point("60%", 0.6, 81.5))),
    }
    sized(1280, 900)
    for name, text in pages.items():
        page = tmp_path / f"{name}.html"
        page.write_text(text, encoding="utf-8")
        browser.get(page.as_uri())
        browser.execute_script(
            "for (const e of document.querySelectorAll('main > section, details'))"
            "  { e.style.contentVisibility = 'visible'; e.open = true; }"
        )
        widths = browser.execute_script(
            "return [...document.querySelectorAll('.scroll')].map("
            "e => [e.closest('section').id, e.clientWidth, e.scrollWidth])"
        )
        assert len(widths) >= 2
        assert [found for found in widths if found[1] < found[2]] == [], name
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_the_graph_is_in_the_middle_of_a_phone(
    browser: Chrome, sized: Callable[[int, int], None], tmp_path: Path
) -> None:
    """Its first node, however far other branches reach to one side; also when it is turned."""
    nodes = [GraphNode(f"n{i}", "Conv", [f"n{i}", "1x16x32x32"]) for i in range(36)]
    trunk = [(i, i + 1) for i in range(23)]
    aside = [(1, 24), *((24, 25 + i) for i in range(11))]
    colours = Colouring("one", "one", ["kind-0"] * len(nodes), Markup(""))
    page_file = tmp_path / "page.html"
    section = Section("Graph", [graph(nodes, [*trunk, *aside], [colours])], "graph")
    page_file.write_text(page("A graph", [section]), encoding="utf-8")

    def off_centre() -> float:
        return float(browser.execute_script(
            "const middle = (e) => { const b = e.getBoundingClientRect();"
            "  return b.x + b.width / 2; };"
            "return Math.abs(middle(document.querySelector('.node rect'))"
            "  - middle(document.querySelector('.canvas')))"
        ))  # fmt: skip

    sized(400, 800)
    browser.get(page_file.as_uri())
    assert off_centre() < 2
    canvas, overview = (one(browser, x).rect["width"] for x in (".canvas", ".overview"))
    assert canvas > 3 * overview
    sized(800, 400)
    wait(browser, lambda _: one(browser, ".canvas").rect["width"] > 1.5 * canvas)
    wait(browser, lambda _: off_centre() < 2)
    assert browser.get_log("browser") == []


def test_click_shows_details(show: Callable[..., Chrome]) -> None:
    browser = show()
    press(browser, node(browser, "a0"))
    shown = details(browser)
    for fact in (
        "a0",
        "16x16x3x3",  # weight
        "kernel_shape",
        "3,3",
        "no: a reason",  # not pruned
        "SimdSparseConv",
        "Coupling group",
        "16, 4.61 K parameters",
        "b0.w axis 1 (in, 4 positions each)",
        "90.0 % of 2.30 K weights",
        "2.000 ms",
    ):
        assert fact in shown, fact
    assert browser.find_elements("css selector", ".details .chart svg")
    assert browser.execute_script("return location.hash") == node_href("a0")
    assert keys(browser, ".chosen") == {"a0"}


def test_details_of_other_nodes(show: Callable[..., Chrome]) -> None:
    browser = show()
    press(browser, node(browser, "stem"))
    assert "no: graph output 'y'" in details(browser)  # the group is frozen
    press(browser, node(browser, "relu0"))
    assert "part of a0" in details(browser)
    press(browser, one(browser, ".details a[href='#node=b0']"))
    assert keys(browser, ".chosen") == {"b0"}
    press(browser, node(browser, "input x"))
    assert "float32" in details(browser)


def test_colours(show: Callable[..., Chrome]) -> None:
    from selenium.webdriver.support.ui import Select

    browser = show()

    def fill(key: str) -> str:
        rect = node(browser, key).find_element("tag name", "rect")
        return rect.value_of_css_property("fill")

    def legend() -> str:
        (shown,) = [e for e in browser.find_elements("css selector", ".legend") if e.is_displayed()]
        return shown.text

    fills, legends = {}, {}
    choice = Select(one(browser, ".controls select"))
    for option in choice.options:
        choice.select_by_visible_text(option.text)
        fills[option.text] = [fill(key) for key in ("stem", "a0", "b0", "relu0", "b5")]
        legends[option.text] = legend()
    assert len(set(legends.values())) == len(legends) == 6
    assert len({tuple(colours) for colours in fills.values()}) == 6
    stem, a0, _, relu0, _ = fills["share of MACs"]
    assert len({stem, a0, relu0}) == 3
    assert "no multiply-accumulates" in legends["share of MACs"]
    assert len(set(fills["what optimize would do"])) == 4
    assert "channels are frozen" in legends["what optimize would do"]
    choice.select_by_visible_text("what optimize would do")
    assert "add0" in keys(browser, ".node.outlined")
    choice.select_by_visible_text("operator")
    assert keys(browser, ".node.outlined") == set()


def test_hover_highlights_coupled_nodes(show: Callable[..., Chrome]) -> None:
    browser = show()
    hover(browser, node(browser, "relu0"))
    assert keys(browser, ".coupled") == {"a0", "relu0", "b0"}
    hover(browser, node(browser, "stem"))
    trunk = {"stem", "y", *(f"{kind}{i}" for kind in ("add", "b") for i in range(6))}
    assert keys(browser, ".coupled") == trunk
    hover(browser, one(browser, ".details"))
    assert keys(browser, ".coupled") == set()


def test_tables_sort_and_filter(show: Callable[..., Chrome]) -> None:
    browser = show()

    def column(index: int) -> list[str]:
        values: list[str] = browser.execute_script(
            "return [...document.querySelectorAll('#sparsity tbody tr')].filter(r => !r.hidden)"
            ".map(r => r.cells[arguments[0]].textContent)",
            index,
        )
        return values

    names = ["stem", *(f"{kind}{i}" for i in range(6) for kind in "ab")]
    assert column(0) == names
    name, density = (
        browser.find_element("css selector", f"#sparsity th:nth-child({i})") for i in (1, 4)
    )
    press(browser, density.find_element("tag name", "button"))
    assert density.get_attribute("aria-sort") == "descending"
    numbers = [float(value.split()[0]) for value in column(3)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 5
    press(browser, density.find_element("tag name", "button"))
    assert density.get_attribute("aria-sort") == "ascending"
    assert [float(value.split()[0]) for value in column(3)] == sorted(numbers)
    press(browser, name.find_element("tag name", "button"))
    assert (name.get_attribute("aria-sort"), density.get_attribute("aria-sort")) == (
        "ascending",
        "none",
    )
    assert column(0) == sorted(names)
    one(browser, "#sparsity .filter input").send_keys("a")
    assert column(0) == [f"a{i}" for i in range(6)]
    assert one(browser, "#sparsity .filter output").text == "6 of 13 rows"


def test_missing_values_are_last(show: Callable[..., Chrome]) -> None:
    browser = show()
    times = "[...document.querySelectorAll('#latency tbody tr')].map(r => r.cells[2].textContent)"
    header = one(browser, "#latency th:nth-child(3) button")
    for _ in range(2):
        press(browser, header)
        values = browser.execute_script(f"return {times}")
        assert values[-6:] == ["-"] * 6
        assert "-" not in values[:-6]


def test_row_leads_to_the_node(show: Callable[..., Chrome]) -> None:
    browser = show()
    cell = one(browser, "#layers tbody tr:last-child td:nth-child(4)")
    press(browser, cell)
    assert keys(browser, ".chosen") == {"b5"}
    assert in_view(browser, node(browser, "b5"))
    assert one(browser, ".canvas").rect["y"] < browser.execute_script(
        "return scrollY + innerHeight"
    )
    # Once more, after one has moved away.
    press(browser, one(browser, "[data-do=fit]"))
    browser.execute_script("document.querySelector('.graph').scrollIntoView()")
    press(browser, cell)
    assert "b5" in details(browser)


def test_search(show: Callable[..., Chrome]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = show(40)
    box = one(browser, ".controls input")
    assert not in_view(browser, node(browser, "add39"))
    box.send_keys("add39")
    assert one(browser, ".matches").text.startswith("1 node")
    assert keys(browser, ".found") == {"add39"}
    box.send_keys(Keys.ENTER)
    assert keys(browser, ".chosen") == {"add39"}
    assert in_view(browser, node(browser, "add39"))
    box.clear()
    box.send_keys("conv a3")
    assert len(keys(browser, ".found")) == 11  # a3, a30 to a39
    box.send_keys(Keys.ENTER, Keys.ENTER)
    assert keys(browser, ".chosen") == {"a30"}
    assert one(browser, ".matches").text == "2 of 11 nodes"
    box.clear()
    box.send_keys("nothing like it")
    assert one(browser, ".matches").text == "0 nodes"


def test_address_names_a_node(show: Callable[..., Chrome]) -> None:
    browser = show(40, address=node_href("relu39"))
    assert keys(browser, ".chosen") == {"relu39"}
    assert in_view(browser, node(browser, "relu39"))
    browser.execute_script("location.hash = '#node=a1'")
    wait(browser, lambda b: keys(b, ".chosen") == {"a1"})
    browser.execute_script("location.hash = '#node=%E0%A4%A'")  # no text at all
    browser.back()
    browser.back()
    wait(browser, lambda b: keys(b, ".chosen") == {"relu39"})


def test_keyboard(show: Callable[..., Chrome]) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser = show()
    focused = "return document.activeElement.dataset.key"
    browser.execute_script("document.querySelector('.node').focus()")
    for key, name in (
        (Keys.ARROW_DOWN, "stem"),
        (Keys.ARROW_DOWN, "a0"),
        (Keys.ARROW_DOWN, "relu0"),
        (Keys.ARROW_UP, "a0"),
    ):
        ActionChains(browser).send_keys(key).perform()
        assert browser.execute_script(focused) == name
    assert keys(browser, ".coupled") == {"a0", "relu0", "b0"}
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert keys(browser, ".chosen") == {"a0"}
    assert len(keys(browser, ".node[tabindex='0']")) == 1


def test_view_moves_and_zooms(show: Callable[..., Chrome]) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    browser = show(40)

    def view() -> list[float]:
        return [float(x) for x in str(one(browser, ".canvas").get_dom_attribute("viewBox")).split()]

    start = view()
    browser.execute_script("document.querySelector('.graph').scrollIntoView()")
    canvas = one(browser, ".canvas")
    # From an empty corner of the drawing.
    corner = -int(canvas.rect["width"] / 2) + 20
    ActionChains(browser).move_to_element_with_offset(
        canvas, corner, 0
    ).click_and_hold().move_by_offset(60, -80).release().perform()
    moved = view()
    assert moved[0] < start[0]
    assert moved[1] > start[1]
    assert moved[2:] == pytest.approx(start[2:])
    page = browser.execute_script("return scrollY")
    ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(canvas), 0, -300).perform()
    wait(browser, lambda _: view()[2] < moved[2])
    assert browser.execute_script("return scrollY") == page
    press(browser, one(browser, "[data-do=fit]"))
    assert in_view(browser, node(browser, "y"))
    assert in_view(browser, node(browser, "stem"))
    assert canvas.get_attribute("data-level") == "far"
    assert not node(browser, "stem").find_element("tag name", "text").is_displayed()
    overview = one(browser, ".overview")
    bottom = int(overview.rect["height"] / 2) - 4
    ActionChains(browser).move_to_element_with_offset(overview, 0, bottom).click().perform()
    assert view()[1] + view()[3] / 2 > 0.9 * view()[3]


def test_tips_of_charts(show: Callable[..., Chrome]) -> None:
    browser = show()
    browser.execute_script("document.querySelector('#curves').scrollIntoView()")
    mark = one(browser, "#curves svg[role=img] .mark:nth-of-type(3)")
    hover(browser, mark)
    tip = one(browser, ".tip")
    assert tip.is_displayed()
    assert "time (ms): " in tip.text


def test_dark_and_print(show: Callable[..., Chrome]) -> None:
    browser = show()

    def colours(**media: Any) -> tuple[str, str]:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        body = one(browser, "body")
        return body.value_of_css_property("color"), body.value_of_css_property("background-color")

    def scheme(name: str) -> dict[str, list[dict[str, str]]]:
        return {"features": [{"name": "prefers-color-scheme", "value": name}]}

    try:
        light, dark = colours(**scheme("light")), colours(**scheme("dark"))
        assert light != dark
        assert colours(media="print", **scheme("dark")) == light
        assert not one(browser, ".overview").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


#: Contrast (WCAG 2) of a node's text with its fill, for every fill that the styles have.
_CONTRASTS = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const luminance = (colour) => {
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
};
const node = document.querySelector(".node");
const found = {};
for (const fill of arguments[0]) {
  node.dataset.fill = fill;
  const [box, text] = [node.querySelector("rect"), node.querySelector("text")];
  found[fill] = contrast(getComputedStyle(box).fill, getComputedStyle(text).fill);
}
const muted = getComputedStyle(document.querySelector("dt")).color;
const panel = getComputedStyle(document.querySelector(".details")).backgroundColor;
return { ...found, muted: contrast(muted, panel) };
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_every_fill(show: Callable[..., Chrome], scheme: str) -> None:
    browser = show()
    fills = ["none", *(f"step-{i}" for i in range(8)), *(f"kind-{i}" for i in range(9))]
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        contrasts = browser.execute_script(_CONTRASTS, fills)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(contrasts) == len(fills) + 1
    assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


def test_hostile_names_run_nothing(show: Callable[..., Chrome]) -> None:
    browser = show(9, hostile)
    for name in (hostile(name) for name in ("stem", *(f"a{i}" for i in range(9)))):
        browser.execute_script("location.hash = arguments[0]", node_href(name))
        wait(browser, lambda b: b.execute_script("return !!document.querySelector('.chosen')"))
        assert "Coupling group" in details(browser)
    box = one(browser, ".controls input")
    box.send_keys("<script>")
    assert browser.execute_script("return window.broken") is None
    assert len(browser.find_elements("css selector", "script, img, iframe")) == 1


def test_page_may_not_use_the_network(browser: Chrome, show: Callable[..., Chrome]) -> None:
    show()
    answer = browser.execute_async_script(
        "const done = arguments[0];"
        "fetch('data:,x').then(() => done('allowed'), () => done('refused'))"
    )
    assert answer == "refused"
    assert "Content Security Policy" in str(browser.get_log("browser"))


def test_graph_of_a_thousand_nodes(show: Callable[..., Chrome]) -> None:
    start = time.perf_counter()
    browser = show(250)
    opened = time.perf_counter()
    assert len(browser.find_elements("css selector", ".node")) == 1004
    press(browser, node(browser, "stem"))
    assert "Coupling group" in details(browser)
    clicked = time.perf_counter()
    one(browser, ".controls input").send_keys("add249\n")
    assert keys(browser, ".chosen") == {"add249"}
    assert in_view(browser, node(browser, "add249"))
    found = time.perf_counter()
    print(
        f"1,000 nodes: made and opened in {opened - start:.2f} s, "
        f"details in {clicked - opened:.2f} s, found in {found - clicked:.2f} s"
    )
