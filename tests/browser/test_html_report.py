"""The HTML report in a real browser, opened from a file: what it shows, what it does, and what it must not do.

Needs Chromium, its driver and the selenium package; skipped without them, unless CI_BROWSER=1 says they must be there.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn

import pytest

from graflow.show.html import to_html
from graflow.show.picture import Picture, PictureTask

EVIL = "</script><img src=x onerror=\"window.hacked = 'id'\">"
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
]


def missing(what: str) -> NoReturn:
    """Skip here, fail where the browser must be there."""
    if os.environ.get("CI_BROWSER") == "1":
        pytest.fail(f"CI_BROWSER=1, but there is no {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        missing("selenium (pip install selenium)")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        missing("chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in SWITCHES:
        options.add_argument(switch)
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield started
    finally:
        started.quit()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Callable[[Picture], Any]]:
    """Opens the report of a picture; afterwards, the console must be empty."""

    def open_report(picture: Picture) -> Any:
        file = tmp_path / "report.html"
        file.write_text(to_html(picture), "utf-8")
        browser.get(file.as_uri())
        assert browser.execute_script("return document.body.dataset.ready") == "yes"
        return browser

    yield open_report
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert browser.get_log("browser") == []


def workflow() -> Picture:
    """extract -> (clean, checks/values) -> report, with a run's states."""
    tasks = (
        PictureTask("extract", "extract", "path: Path -> list[Row]", 0, critical=True, source="flow.py:3"),
        PictureTask("clean", "clean", "rows: list[Row] -> list[Row]", 1, critical=True),
        PictureTask("checks/values", "checks/values", "rows: list[Row] -> bool", 1, ("checks",)),
        PictureTask("report", "report", "rows: list[Row] -> Path", 2, critical=True),
        PictureTask("alone", "alone", "-> None", 0),
    )
    return Picture("sales", tasks, ((0, 1, "rows"), (0, 2, "rows"), (1, 3, "rows"), (2, 3, "")))


def batches(count: int) -> Picture:
    tasks = [PictureTask("split", "split"), *(PictureTask(f"batch_{i}", f"batch_{i}", level=1) for i in range(count))]
    tasks.append(PictureTask("join", "join", level=2))
    edges = [(0, i, "part") for i in range(1, count + 1)] + [(i, count + 1, "parts") for i in range(1, count + 1)]
    return Picture("batches", tuple(tasks), tuple(edges))


def layers(count: int, width: int) -> Picture:
    """Every task reads two of the layer before; no two ids are of one family."""
    names = [f"{chr(97 + i % width)}_layer{i // width}{'x' * (i % 7)}" for i in range(count)]
    tasks = [PictureTask(name, name, level=i // width) for i, name in enumerate(names)]
    edges = [
        (i // width * width - width + (i + shift) % width, i, "x") for i in range(width, count) for shift in (0, 3)
    ]
    return Picture("layers", tuple(tasks), tuple(edges))


def visible_boxes(driver: Any) -> list[tuple[str, float, float, float, float]]:
    """Label and place of every box that is shown, and of its text."""
    return [
        tuple(box)
        for box in driver.execute_script(
            """return [...document.querySelectorAll(".drawing:not([hidden]) .gf-task")].map((box) => {
                 const at = box.querySelector("rect, circle").getBoundingClientRect();
                 return [box.querySelector("title").textContent, at.left, at.top, at.right, at.bottom];
               });"""
        )
    ]


def marked(driver: Any, mark: str) -> list[str]:
    """The labels of the boxes with a mark."""
    return driver.execute_script(
        f"return [...document.querySelectorAll('.drawing:not([hidden]) .gf-task.{mark} .gf-label')]"
        ".map((label) => label.textContent);"
    )


def heading(driver: Any) -> str | None:
    """What the panel is about."""
    return driver.execute_script("return document.querySelector('#panel:not([hidden]) h2')?.textContent")


def press(driver: Any, *keys: str) -> None:
    driver.switch_to.active_element.send_keys(*keys)


def click(driver: Any, selector: str, text: str = "") -> None:
    found = [one for one in driver.find_elements("css selector", selector) if text in (one.text or "")]
    found[0].click()


def view(driver: Any) -> list[float]:
    """What part of the drawing is shown."""
    box = driver.execute_script("return document.querySelector('.drawing:not([hidden])').getAttribute('viewBox')")
    return [float(number) for number in box.split()]


@pytest.mark.parametrize("picture", [workflow(), batches(60), layers(50, 10), layers(500, 20)], ids=lambda p: p.name)
def test_nothing_overlaps_and_text_fits(page: Callable[[Picture], Any], picture: Picture) -> None:
    driver = page(picture)
    boxes = visible_boxes(driver)
    assert boxes
    for (a, left, top, right, bottom), (b, left2, top2, right2, bottom2) in combinations(boxes, 2):
        apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
        assert apart, (a, b)
    outside = driver.execute_script(
        """return [...document.querySelectorAll(".drawing:not([hidden]) .gf-task text")].filter((text) => {
             const box = text.parentElement.querySelector("rect").getBBox(), at = text.getBBox();
             const fits = at.x >= box.x && at.x + at.width <= box.x + box.width;
             return !fits || at.y < box.y || at.y + at.height > box.y + box.height;
           }).map((text) => text.textContent);"""
    )
    assert outside == []


def test_it_asks_no_network_for_anything(page: Callable[[Picture], Any]) -> None:
    driver = page(workflow())
    assert driver.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)") == []


def test_evil_text_is_text(page: Callable[[Picture], Any]) -> None:
    tasks = (PictureTask(EVIL, EVIL, EVIL, 0, (EVIL,), state=EVIL, source=EVIL), PictureTask("b", "b", level=1))
    driver = page(Picture(EVIL, tasks, ((0, 1, EVIL),)))
    click(driver, ".gf-task")
    assert heading(driver) == EVIL
    click(driver, "#panel li button", "b")
    driver.find_element("id", "search").send_keys("img")
    assert driver.execute_script("return document.querySelector('#found li').textContent") == EVIL
    assert driver.title == EVIL
    assert driver.execute_script("return [window.hacked ?? null, document.images.length]") == [None, 0]


def test_the_policy_stops_what_would_get_in_all_the_same(page: Callable[[Picture], Any]) -> None:
    driver = page(workflow())
    stopped = driver.execute_async_script(
        """const done = arguments[0];
           document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
           const script = document.createElement("script");
           script.textContent = "window.hacked = true";
           document.body.append(script);"""
    )
    assert stopped.startswith("script-src")
    assert driver.execute_script("return window.hacked ?? null") is None
    assert len(driver.get_log("browser")) == 1  # the browser says that it stopped the script


def test_a_click_shows_a_task_and_what_hangs_on_it(page: Callable[[Picture], Any]) -> None:
    driver = page(workflow())
    click(driver, ".gf-task", "clean")
    assert heading(driver) == "clean"
    assert marked(driver, "is-selected") == ["clean"]
    assert marked(driver, "is-up") == ["extract"]
    assert marked(driver, "is-down") == ["report"]
    panel = driver.find_element("id", "panel").text
    assert "rows: list[Row] -> list[Row]" in panel
    assert "On the critical path." in panel
    click(driver, "#panel li button", "extract")
    assert heading(driver) == "extract"
    assert "flow.py:3" in driver.find_element("id", "panel").text
    assert marked(driver, "is-down") == ["clean", "values", "report"]
    click(driver, "#panel .close")
    assert heading(driver) is None
    assert marked(driver, "is-selected") == []


def test_search_needs_no_mouse(page: Callable[[Picture], Any]) -> None:
    driver = page(workflow())
    press(driver, "/")
    press(driver, "E")
    assert driver.execute_script(
        "return [...document.querySelectorAll('#found li')].map((one) => one.textContent)"
    ) == [
        "extract",
        "clean",
        "checks/values",
        "report",
        "alone",
    ]
    press(driver, "p", "o")
    press(driver, "\ue007")  # Enter
    assert heading(driver) == "report"
    assert driver.execute_script("return document.activeElement.classList.contains('drawing')")
    press(driver, "/", "zebra")
    assert driver.find_element("css selector", "#found li").text == "No task with this in its id"
    press(driver, "\ue00c")  # Escape
    assert not driver.find_element("id", "found").is_displayed()


def test_arrow_keys_follow_edges(page: Callable[[Picture], Any]) -> None:
    driver = page(workflow())
    driver.execute_script("document.querySelector('.drawing').focus()")
    path = []
    for key in ("\ue014", "\ue014", "\ue014", "\ue012", "\ue015", "\ue013"):  # right, right, right, left, down, up
        press(driver, key)
        path.append(heading(driver))
    assert path == ["extract", "clean", "report", "clean", "checks/values", "clean"]
    press(driver, "\ue00c")  # Escape
    assert heading(driver) is None


def test_a_stack_unfolds(page: Callable[[Picture], Any]) -> None:
    driver = page(batches(60))
    assert len(visible_boxes(driver)) == 3
    click(driver, ".gf-stack")
    assert heading(driver) == "batch_* × 60"
    assert len(driver.find_elements("css selector", "#panel li")) == 60
    click(driver, "#panel button", "Show them in the picture")
    assert len(visible_boxes(driver)) == 62
    assert len(marked(driver, "is-selected")) == 60
    click(driver, "#unfold")
    assert len(visible_boxes(driver)) == 3
    assert marked(driver, "is-selected") == ["batch_* × 60"]


def test_a_search_finds_a_task_inside_a_stack(page: Callable[[Picture], Any]) -> None:
    driver = page(batches(60))
    driver.find_element("id", "search").send_keys("batch_17\ue007")
    assert heading(driver) == "batch_17"
    assert marked(driver, "is-selected") == ["batch_* × 60"]
    assert marked(driver, "is-up") == ["split"]


def test_zoom_and_move(page: Callable[[Picture], Any]) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    driver = page(layers(50, 10))
    at_first = view(driver)
    click(driver, "#closer")
    closer = view(driver)
    assert closer[2] < at_first[2]
    drawing = driver.find_element("css selector", ".drawing")
    ActionChains(driver).drag_and_drop_by_offset(drawing, 80, 0).perform()
    assert view(driver)[0] < closer[0]
    assert heading(driver) is None
    before = view(driver)
    ActionChains(driver).scroll_from_origin(ScrollOrigin.from_element(drawing), 0, 100).perform()
    assert view(driver) == before
    driver.execute_script("document.querySelector('.drawing').focus()")
    press(driver, "-")
    assert view(driver)[2] > before[2]
    press(driver, "0")
    fitted = view(driver)
    click(driver, "#fit")
    assert view(driver) == fitted


def test_the_table_selects_in_the_picture(page: Callable[[Picture], Any]) -> None:
    driver = page(workflow())
    click(driver, "tbody th a", "alone")
    assert heading(driver) == "alone"
    assert marked(driver, "is-selected") == ["alone"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(page: Callable[[Picture], Any], scheme: str) -> None:
    driver = page(workflow())
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    colours: dict[str, str] = driver.execute_script(
        """const seen = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
           return { paper: seen("body", "backgroundColor"), box: seen(".gf-task rect", "fill"),
                    text: seen("body", "color"), label: seen(".gf-label", "fill"), detail: seen(".gf-detail", "fill"),
                    parameter: seen(".gf-parameter", "fill"), link: seen("td a", "color"),
                    critical: seen(".critical", "color"), line: seen(".gf-edge", "stroke") };"""
    )
    paper, box = luminance(colours["paper"]), luminance(colours["box"])
    assert (paper < 0.1) == (scheme == "dark")
    for name in ("text", "parameter", "link", "critical"):
        assert contrast(luminance(colours[name]), paper) >= 4.5, name
    for name in ("label", "detail"):
        assert contrast(luminance(colours[name]), box) >= 4.5, name
    assert contrast(luminance(colours["line"]), paper) >= 3


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(1, 2, 3)``, as WCAG 2 defines it."""
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
