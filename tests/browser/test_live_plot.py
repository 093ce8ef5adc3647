"""LivePlot in a real JupyterLab: it moves, survives busy cells, reloads and closing, and text stays text."""

from __future__ import annotations

import time

from tests.browser.conftest import Open, picture
from tests.browser.lab import Lab, Notebook

SINE = """
import threading, time
import numpy as np
from chaosnb.figures import label
from chaosnb.notebook import LivePlot

HOSTILE = "<img src=x onerror='window.hacked=1'><b>%{x}</b><script>window.hacked=2</script>$x^2$"

def frame(i):
    x = np.arange(i, i + 200, dtype=float)
    sine = {"type": "scatter", "name": label(HOSTILE), "x": x, "y": np.sin(x / 10)}
    raw = {"type": "scatter", "name": HOSTILE, "x": x, "y": np.cos(x / 10)}
    return {"data": [sine, raw], "layout": {"title": {"text": HOSTILE}, "showlegend": True}}

plot = LivePlot(frame(0))
plot.tell(HOSTILE)

def move():
    i = 0
    while not plot.closed:
        plot.push(frame(i))
        i += 1
        time.sleep(0.05)

threading.Thread(target=move, daemon=True).start()
plot
"""
BUSY = """
end = time.monotonic() + 8
while time.monotonic() < end:
    pass
"""


def moved(notebook: Notebook, seconds: float) -> list[int]:
    """Return how many frames each plot drew meanwhile."""
    before = [plot["seq"] for plot in notebook.plots()]
    notebook.page.wait_for_timeout(seconds * 1000)
    return [after["seq"] - seq for after, seq in zip(notebook.plots(), before, strict=True)]


def test_it_moves_and_goes_on_through_busy_cells_reloads_and_second_views(
    lab: Lab, notebook: Open
) -> None:
    book = notebook(lab.write("sine.ipynb", SINE, "plot", BUSY, "plot.close()"))
    started = time.monotonic()
    book.run_next()
    book.wait_plots(1)
    print(f"first frame {time.monotonic() - started:.1f} s after the cell was run")
    first = book.plots()[0]
    rate = moved(book, 3)
    print("frames in 3 s", rate)
    assert rate[0] >= 5
    assert book.plots()[0]["data"] != first["data"]
    picture(book, "sine")

    # A second view draws the same model.
    book.run_next()
    book.wait_plots(2)
    assert min(moved(book, 2)) >= 3
    one, two = book.plots()
    assert abs(one["seq"] - two["seq"]) <= 2

    # The kernel's main thread computes; the plots go on.
    book.run_next()
    book.page.wait_for_timeout(500)
    rate = moved(book, 5)
    print("frames in 5 s of a busy cell", rate)
    assert min(rate) >= 3
    book.wait_idle()

    # A page loaded anew shows what is, not what was.
    last = book.plots()[0]["last"]
    saved = book.saved()
    assert "plotly.js v" not in str(saved)
    book.page.wait_for_timeout(1000)
    book.page.reload()
    book.wait_idle()
    book.wait_plots(2)
    assert min(plot["last"] for plot in book.plots()) > last
    assert min(moved(book, 2)) >= 3
    picture(book, "sine-reloaded")

    # Text is shown, and does nothing.
    assert book.page.evaluate("window.hacked") is None
    assert book.page.locator(".chaosnb-plot img, .chaosnb-plot script").count() == 0
    assert "<img" in book.page.locator(".chaosnb-plot-problem").first.inner_text()
    assert book.cell_problems() == []
    assert book.errors == []
    assert book.foreign == []


def test_closing_leaves_a_static_figure(lab: Lab, notebook: Open) -> None:
    book = notebook(lab.write("close.ipynb", SINE, "plot.close()"))
    book.run_next()
    book.wait_plots(1)
    book.run_next()
    book.page.wait_for_selector(".jp-OutputArea .js-plotly-plot:not(.chaosnb-plot-box)")
    assert book.page.locator(".chaosnb-plot").count() == 0
    picture(book, "closed")
    assert book.page.evaluate("window.hacked") is None
    outputs = book.saved().cells[0].outputs
    assert [sorted(output.data) for output in outputs] == [
        ["application/vnd.plotly.v1+json", "text/plain"]
    ]
    assert book.cell_problems() == []


def test_it_is_drawn_although_the_next_cell_blocks_at_once(lab: Lab, notebook: Open) -> None:
    book = notebook(lab.write("block.ipynb", SINE, BUSY.replace("8", "25")))
    book.run_all()
    book.wait_plots(1, timeout_s=25)
    rate = moved(book, 4)
    print("frames in 4 s with the first cell's comm unanswered", rate)
    assert rate[0] >= 2
    assert book.page.locator(".jp-InputPrompt:text-is('[*]:')").count() == 1
    assert book.errors == []
