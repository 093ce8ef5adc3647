"""The dashboard's controls in a real JupyterLab, each for itself: tests leave the board as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.lab import Lab, Notebook, open_browser

HOSTILE = "<img src=x onerror='window.__hacked=1'><a href='javascript:window.__hacked=2'>%{x}</a>"
# Event time runs thirty times as fast, so that windows differ after seconds.
START = f"""
import chaosnb
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import ReputationUpdate
node = chaosnb.Devnet(rate=10, speed=30)
node.start()
s = chaosnb.stream(["blocks", "consensus", "network", "social"], url=node.url)
s.wait(events=1500, timeout=60)
for score in (0.0, 99.0):
    at = s.reputation_update["timestamp"].iloc[-1].isoformat().replace("+00:00", "Z")
    node.garbage(encode(ReputationUpdate({HOSTILE!r}, 0.0, score, {HOSTILE!r}, at)))
    s.wait(events=300, timeout=60)
d = s.dashboard()
d
"""
TITLES = "() => [...document.querySelectorAll('.chaosnb-plot .gtitle')].map(title => title.textContent)"
STEPS = """() => [...document.querySelectorAll('.chaosnb-plot-box')].slice(1, 3).map(box => {
    const x = [...box.data[0].x];
    return {span: x.at(-1) - x[0], step: Math.min(...x.slice(1).map((v, i) => v - x[i]))};
})"""


@pytest.fixture(scope="module")
def book(lab: Lab) -> Iterator[Notebook]:
    """A notebook that shows a dashboard, for all tests of this module."""
    with open_browser() as browser:
        book = Notebook(browser.new_page(viewport={"width": 1400, "height": 1200}), lab)
        book.open(lab.write("controls.ipynb", START, "s"))
        book.run_next()
        book.wait_plots(4)
        book.wait_idle()
        yield book
    lab.reset()


def wait(book: Notebook, condition: str) -> None:
    book.page.wait_for_function(condition, timeout=15_000)


def choose(book: Notebook, name: str, label: str) -> None:
    book.page.get_by_label(name, exact=True).select_option(label=label)


def test_a_personality_filters_all_plots_and_show_all_ends_it(book: Notebook) -> None:
    chosen = f"({TITLES})().every(title => title.includes('chosen agents'))"
    choose(book, "Personalities", "chaotic")
    wait(book, f"() => {chosen}")
    votes = "document.querySelectorAll('.chaosnb-plot-box')[1].data[0].y"
    few = book.page.evaluate(f"() => Math.max(...{votes})")
    book.page.get_by_role("button", name="Show all").click()
    wait(book, f"() => !({TITLES})().some(title => title.includes('chosen agents'))")
    all_votes = book.page.evaluate(f"() => Math.max(...{votes})")
    assert all_votes > few, (all_votes, few)
    for name in ("Personalities", "Agents"):
        assert book.page.get_by_label(name, exact=True).locator("option:checked").count() == 0


def test_window_and_resolution(book: Notebook) -> None:
    choose(book, "Window", "1 min")
    wait(book, f"() => ({STEPS})().every(plot => plot.span <= 66e3)")
    choose(book, "Resolution", "5 s")
    wait(book, f"() => ({STEPS})().every(plot => plot.step === 5000)")
    choose(book, "Resolution", "automatic")
    wait(book, f"() => ({STEPS})().every(plot => plot.step === 1000)")
    choose(book, "Window", "all")
    wait(book, f"() => ({STEPS})().every(plot => plot.span > 100e3)")
    choose(book, "Window", "10 min")
    wait(book, f"() => ({STEPS})().every(plot => plot.span <= 660e3)")
    # A choice whose value is None would leave the list blank.
    blank = "() => [...document.querySelectorAll('.chaosnb-dashboard select:not([multiple])')]"
    assert book.page.evaluate(f"{blank}.every(list => list.selectedIndex >= 0)")


def test_the_export_button_writes_the_files_and_says_where(book: Notebook, lab: Lab) -> None:
    book.page.get_by_label("Export as").select_option("csv")
    book.page.get_by_label("to", exact=True).fill("from the button")
    book.page.get_by_role("button", name="Export").click()
    wait(book, "() => document.querySelector('.chaosnb-dashboard').innerText.includes('files written to')")
    folder = lab.root / "from the button"
    assert str(folder) in book.page.locator(".chaosnb-dashboard").inner_text()
    assert (folder / "block_validation.csv").stat().st_size > 1000


def test_every_control_is_reached_and_worked_by_keyboard(book: Notebook) -> None:
    """Where the focus is can be seen; a topic switched by the space bar stays switched."""
    page = book.page
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    reached: list[dict[str, Any]] = []
    for _ in range(60):
        found = page.evaluate(
            """() => {
                const e = document.activeElement, style = getComputedStyle(e);
                return {name: (e.labels?.[0] ?? e).textContent.trim(),
                        ours: Boolean(e.closest('.chaosnb-row')), seen: style.outlineStyle !== 'none'};
            }"""
        )
        if found["ours"]:
            reached.append(found)
        page.keyboard.press("Tab")
    names = [found["name"] for found in reached]
    wanted = "Pause Window Resolution|Full screen|blocks|consensus|network|social|memes|Personalities Agents"
    for name in wanted.replace(" ", "|").replace("Full|screen", "Full screen").split("|"):
        assert name in names
    for name in ("Show all", "Export as", "to", "Export"):
        assert name in names
    assert [found["name"] for found in reached if not found["seen"]] == []
    # The tools of a plot are otherwise shown to the mouse alone.
    page.locator(".chaosnb-plot .modebar-btn").first.focus()
    wait(book, "() => getComputedStyle(document.activeElement.closest('.modebar')).opacity === '1'")
    box = page.get_by_label("memes")
    for checked in (True, False):
        box.focus()
        page.keyboard.press("Space")
        page.wait_for_timeout(2500)
        assert box.is_checked() is checked


def test_it_fills_the_screen_and_comes_back(book: Notebook) -> None:
    heights = "[...document.querySelectorAll('.chaosnb-plot')].map(plot => plot.clientHeight)"
    book.page.get_by_role("button", name="Full screen").click()
    wait(book, "() => document.fullscreenElement?.classList.contains('chaosnb-dashboard')")
    wait(book, f"() => Math.min(...{heights}) > 400")
    book.page.get_by_role("button", name="Leave full screen").click()
    wait(book, f"() => !document.fullscreenElement && Math.max(...{heights}) === 300")


def test_where_the_page_may_not_fill_the_screen_it_fills_the_window(book: Notebook) -> None:
    """As in a frame without that permission; Escape leaves it there, too."""
    board = "document.querySelector('.chaosnb-dashboard')"
    refuse = "() => Promise.reject(new Error('refused'))"
    book.page.evaluate(f"() => {{ {board}.requestFullscreen = {refuse}; }}")
    book.page.get_by_role("button", name="Full screen").click()
    wait(book, f"() => getComputedStyle({board}).position === 'fixed'")
    book.page.get_by_role("button", name="Leave full screen").wait_for()
    book.page.keyboard.press("Escape")
    wait(book, f"() => getComputedStyle({board}).position !== 'fixed'")
    book.page.evaluate(f"() => {{ delete {board}.requestFullscreen; }}")


def test_printed_it_is_black_on_white_without_controls(book: Notebook) -> None:
    """Also in the dark theme."""
    book.dark()
    rate = "getComputedStyle([...document.querySelectorAll('.chaosnb-plot .xy2 path.js-line')].at(-1)).stroke"
    assert book.page.evaluate(rate) == "rgb(143, 208, 255)"
    book.page.emulate_media(media="print")
    assert book.page.evaluate(rate) == "rgb(58, 123, 213)"
    grid = "getComputedStyle(document.querySelector('.chaosnb-plot .gridlayer path')).stroke"
    assert book.page.evaluate(grid) == "rgb(221, 221, 221)"
    assert not book.page.get_by_role("button", name="Pause").is_visible()
    fill = "text => getComputedStyle(text).fill === 'rgb(0, 0, 0)'"
    assert book.page.evaluate(f"() => [...document.querySelectorAll('.chaosnb-plot svg text')].every({fill})")
    ground = "() => getComputedStyle(document.querySelector('.chaosnb-dashboard')).backgroundColor"
    assert book.page.evaluate(ground) == "rgb(255, 255, 255)"
    book.page.emulate_media(media="screen")
    book.command("apputils:change-theme", theme="JupyterLab Light")


def test_hostile_names_are_shown_and_do_nothing(book: Notebook) -> None:
    """In a plot's legend, in the choice of agents and in the tables: no element, no script, no request."""
    whole = book.page.locator(".chaosnb-dashboard")
    choose(book, "Window", "all")
    whole.locator(".chaosnb-plot .legendtext", has_text="<img").first.wait_for()
    assert "<img" in str(book.page.get_by_label("Agents", exact=True).text_content())
    choose(book, "Window", "10 min")
    assert book.page.locator(".jp-OutputArea").locator("img, iframe, [onerror]").count() == 0
    links = "board => [...board.querySelectorAll('a')].map(link => link.outerHTML).join()"
    assert "javascript:" not in whole.evaluate(links)
    assert book.page.evaluate("window.__hacked") is None
    assert book.foreign == []
    # Now and then the server refuses a font of icons.
    assert book.errors == []
