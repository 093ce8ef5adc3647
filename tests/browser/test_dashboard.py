"""The dashboard in a real JupyterLab: it moves while cells compute, obeys its controls, and is readable."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from playwright.sync_api import Locator

from tests.browser.conftest import Open, picture
from tests.browser.lab import PAGES, Lab, Notebook, open_browser

START = """
import time
import chaosnb
node = chaosnb.Devnet(rate=100)
node.start()
s = chaosnb.stream(["blocks", "consensus", "network", "social"], url=node.url)
s.wait(events=200, timeout=60)
"""
SHOW = "d = s.dashboard()\nd"
BUSY_S = 10
LOOP = f"end = time.time() + {BUSY_S}\nwhile time.time() < end:\n    pass"
SLEEP = f"time.sleep({BUSY_S})"
# Luminance as WCAG defines it, of the words in the plots and of what is behind them.
CONTRAST = """() => {
    const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = light(getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor);
    return [...document.querySelectorAll('.chaosnb-plot svg text')].map(text => {
        const ink = light(getComputedStyle(text).fill);
        return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    });
}"""


def show(lab: Lab, notebook: Open, name: str, *cells: str) -> Notebook:
    book = notebook(lab.write(name, START, SHOW, *cells))
    book.run_next()
    book.run_next()
    book.wait_plots(4)
    book.wait_idle()
    return book


def is_busy(book: Notebook) -> bool:
    # Not by the kernel's state: that is 'idle' whenever a subshell has answered a plot.
    return "[*]" in "".join(book.page.locator(".jp-InputPrompt").all_inner_texts())


def frames_in(book: Notebook, seconds: float) -> list[tuple[int, float]]:
    """For each plot, how many frames it has drawn and how far its data went on (in seconds)."""
    before = book.plots()
    book.page.wait_for_timeout(seconds * 1000)
    pairs = zip(before, book.plots(), strict=True)
    return [(new["seq"] - old["seq"], (new["last"] - old["last"]) / 1000) for old, new in pairs]


def frames_while_busy(book: Notebook, seconds: float) -> list[tuple[int, float]]:
    """The same, of a notebook whose cell is still running after that."""
    frames = frames_in(book, seconds)
    assert is_busy(book)
    return frames


def test_busy_cells_do_not_stop_the_plots(lab: Lab, notebook: Open) -> None:
    """While a cell computes, or sleeps, for ten seconds, four plots go on at one frame a second or more."""
    book = show(lab, notebook, "busy.ipynb", LOOP, SLEEP)
    for _ in ("loop", "sleep"):
        book.run_next()
        book.page.wait_for_timeout(1000)
        for frames, seconds in frames_while_busy(book, BUSY_S - 3):
            assert frames >= BUSY_S - 3
            assert seconds >= (BUSY_S - 3) / 2
        book.wait_idle()
    assert book.errors == []
    assert book.cell_problems() == []


def test_a_dashboard_shown_by_a_busy_cell_is_drawn_before_the_cell_ends(lab: Lab, notebook: Open) -> None:
    """Without an answer to the page's first question, plots and plotly.js come by themselves, and move."""
    book = notebook(lab.write("busy_at_once.ipynb", START, "d = s.dashboard()\nd.show()\ntime.sleep(20)"))
    book.run_next()
    book.wait_idle()
    book.run_next()
    book.wait_plots(4, 15)
    assert is_busy(book)
    moved = frames_while_busy(book, 4)
    assert min(frames for frames, _ in moved) >= 3
    assert book.errors == []


def test_closed_before_it_is_drawn_it_leaves_a_picture(lab: Lab, notebook: Open) -> None:
    """Whatever the page was just about to make of it."""
    cells = [f"d = s.dashboard()\nd.show()\ntime.sleep({pause})\nd.close()" for pause in (0, 0.15, 0.3)]
    book = show(lab, notebook, "closed_early.ipynb", *cells)
    for _ in cells:
        book.run_next()
        book.page.wait_for_timeout(300)
        book.wait_idle()
    images = book.page.locator(".jp-OutputArea img[src^='data:image/svg']")
    images.nth(2).wait_for(timeout=60_000)
    assert images.count() == 3
    # Of its console nothing is said: a page that is still making the views complains there of their end.
    assert book.cell_problems() == []


def test_plots_chosen_from_the_list_are_drawn(lab: Lab, notebook: Open) -> None:
    """Those beside the first four; what is not chosen any more leaves no complaint."""
    book = show(lab, notebook, "more.ipynb")
    chosen = ["tps", "event_rate", "lag", "approval", "outcomes", "consensus", "movers"]
    book.page.get_by_label("Plots", exact=True).select_option(chosen)
    book.wait_plots(len(chosen))
    book.page.wait_for_timeout(1500)
    assert [len(plot["data"]) > 0 for plot in book.plots()] == [True] * len(chosen)
    picture(book, "more-plots")
    assert book.errors == []
    assert book.cell_problems() == []


def behind_s(book: Notebook) -> float:
    """How far the plots of counts are behind this machine's clock, in seconds."""
    return time.time() - min(plot["last"] for plot in book.plots()[1:3]) / 1000


def test_in_a_flood_the_page_stays_at_the_present_and_comes_back_when_loaded_anew(
    lab: Lab, notebook: Open
) -> None:
    """At a thousand events a second it falls no further behind, and a new page shows what is now."""
    book = notebook(lab.write("flood.ipynb", START.replace("rate=100", "rate=1000"), SHOW))
    book.run_next()
    book.run_next()
    book.wait_plots(4)
    assert behind_s(book) < 5
    book.page.wait_for_timeout(6000)
    assert behind_s(book) < 5
    assert min(frames for frames, _ in frames_in(book, 2)) >= 2
    book.saved()
    book.page.reload(timeout=60_000)
    book.wait_plots(4)
    book.page.wait_for_timeout(1000)
    assert behind_s(book) < 5
    assert "live" in book.page.locator(".chaosnb-dashboard").inner_text()
    assert book.cell_problems() == []


def test_it_goes_on_after_the_connection_was_cut_and_in_a_tab_opened_anew(lab: Lab) -> None:
    """Its websockets to the kernel are lost, then the tab is closed; both times it shows what is now."""
    sockets: list[Any] = []

    def through(socket: Any) -> None:
        sockets.append((socket, socket.connect_to_server()))

    with open_browser() as browser:
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        page = context.new_page()
        page.route_web_socket(re.compile("/channels"), through)
        book = Notebook(page, lab)
        book.open(lab.write("cut.ipynb", START, SHOW))
        book.run_next()
        book.run_next()
        book.wait_plots(4)
        book.wait_idle()
        cut = len(sockets)
        for ends in [*sockets]:
            for end in ends:
                end.close(code=1011, reason="cut")
        while len(sockets) == cut:
            page.wait_for_timeout(100)
        # What was under way when it was cut is lost: after a while the page says what it has.
        page.wait_for_timeout(7000)
        assert min(frames for frames, _ in frames_in(book, 3)) >= 2
        assert behind_s(book) < 5
        book.saved()
        page.close()
        again = Notebook(context.new_page(), lab)
        again.open("cut.ipynb")
        again.wait_plots(4)
        assert min(frames for frames, _ in frames_in(again, 3)) >= 2
        assert behind_s(again) < 5
        assert again.cell_problems() == []
    lab.reset()


def pixels(image: Locator) -> float:
    """How wide an image is shown, once it is read."""
    image.evaluate("image => image.decode()")
    box = image.bounding_box()
    assert box is not None
    return box["width"]


def test_it_pauses_is_readable_in_both_themes_and_saved_as_a_picture(lab: Lab, notebook: Open) -> None:
    """Held plots catch up; words stand out from both grounds; closed and saved, a picture remains."""
    book = show(lab, notebook, "themes.ipynb", "d.close(); s.close()")
    button = book.page.get_by_role("button", name="Pause")
    button.click()
    book.page.wait_for_timeout(1500)
    held = book.plots()
    words = book.page.locator(".chaosnb-dashboard").inner_text()
    book.page.wait_for_timeout(2000)
    assert book.plots() == held
    assert book.page.locator(".chaosnb-dashboard").inner_text() != words
    button.click()
    book.page.wait_for_timeout(1500)
    for before, after in zip(held, book.plots(), strict=True):
        assert after["last"] > before["last"]
    picture(book, "dashboard_light")
    assert min(book.page.evaluate(CONTRAST)) >= 7
    book.dark()
    picture(book, "dashboard_dark")
    assert min(book.page.evaluate(CONTRAST)) >= 7
    # Clicking the button has selected the dashboard's own cell.
    book.command("notebook:move-cursor-down")
    book.run_next()
    book.wait_idle()
    still = book.page.locator(".jp-OutputArea-output img")
    assert pixels(still) > 600
    picture(book, "dashboard_closed")
    whole = book.saved()
    bundle = whole.cells[1].outputs[0].data
    assert set(bundle) == {"text/plain", "text/html"}
    text = json.dumps(whole)
    assert len(text) < 200_000
    assert "plotly.js v" not in text
    assert book.cell_problems() == []
    # A stranger's notebook is not trusted, and has no kernel; it is shown all the same.
    del whole.metadata["kernelspec"]
    whole.cells[1].source += "  # changed, so that its signature is none"
    nbformat.write(whole, lab.root / "stranger.ipynb")
    for front_end in ("lab", "notebook"):
        strange = Notebook(book.page, lab)
        strange.page.goto(f"{lab.url}/{PAGES[front_end]}/stranger.ipynb?token={lab.token}", timeout=90_000)
        assert pixels(strange.page.locator(".jp-OutputArea-output img")) > 600
    page, _ = HTMLExporter().from_notebook_node(whole)
    book.page.set_content(page)
    assert pixels(book.page.locator("img[alt*=simulated]")) > 600
