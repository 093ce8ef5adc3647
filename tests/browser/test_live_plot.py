"""LivePlot in a real JupyterLab: it moves, comes back after a reload, and hostile text does nothing."""

from __future__ import annotations

import json

from tests.browser.conftest import Open, picture
from tests.browser.lab import Lab, Notebook

SINE = """
import threading, time
import numpy as np
from chaosnb.notebook import LivePlot

HOSTILE = (
    "<img src='http://127.0.0.1:9/x' onerror='window.__hacked=1'><b>%{x}</b>"
    "<a href='javascript:window.__hacked=3'>$x^2$</a><script>window.__hacked=2</script>"
)

def frame(i):
    x = np.arange(i, i + 200, dtype=float)
    hover = {"hovertemplate": HOSTILE, "text": [HOSTILE] * 3}
    note = {"text": HOSTILE, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    return {
        "data": [{"type": "scatter", "name": HOSTILE, "x": x, "y": np.sin(x / 10), **hover}],
        "layout": {"title": {"text": HOSTILE}, "xaxis": {"title": {"text": HOSTILE}}, "yaxis": {},
                   "showlegend": True, "annotations": [note]},
    }

plot = LivePlot(frame(0))
plot.tell(HOSTILE)

moving = True

def move():
    i = 0
    while moving and not plot.closed:
        i += 1
        plot.push(frame(i))
        time.sleep(0.05)

threading.Thread(target=move, daemon=True).start()
plot
"""


def frames_in(book: Notebook, seconds: float) -> list[int]:
    before = [plot["seq"] for plot in book.plots()]
    book.page.wait_for_timeout(seconds * 1000)
    return [plot["seq"] - seq for plot, seq in zip(book.plots(), before, strict=True)]


def test_it_moves_and_hostile_text_does_nothing(lab: Lab, notebook: Open) -> None:
    """Names, titles, notes and problems with markup make no element, no request and run no script."""
    book = notebook(lab.write("sine.ipynb", SINE))
    book.run_next()
    book.wait_plots(1)
    assert frames_in(book, 3)[0] >= 9
    plot = book.page.locator(".chaosnb-plot")
    plot.hover(position={"x": 300, "y": 150})
    book.page.wait_for_timeout(500)
    picture(book, "hostile")
    assert "<img src=" in plot.locator(".chaosnb-plot-problem").inner_text()
    assert plot.locator("img, script, iframe, [onerror], a[href^=javascript]").count() == 0
    for link in plot.locator("a").all():
        assert not (link.get_attribute("xlink:href") or "").startswith("javascript")
    assert book.page.evaluate("window.__hacked") is None
    assert book.foreign == []
    assert book.errors == []
    assert book.cell_problems() == []


def test_a_second_view_and_a_reloaded_page_show_current_data(lab: Lab, notebook: Open) -> None:
    """Two views of one plot both move, and so do both after the page was loaded anew."""
    book = notebook(lab.write("views.ipynb", SINE, "plot"))
    book.run_next()
    book.wait_plots(1)
    book.run_next()
    book.wait_plots(2)
    assert min(frames_in(book, 2)) >= 4
    book.saved()
    before = max(plot["last"] for plot in book.plots())
    book.page.wait_for_timeout(1000)
    book.page.reload(timeout=60_000)
    book.wait_plots(2)
    assert min(plot["last"] for plot in book.plots()) > before
    assert min(frames_in(book, 2)) >= 4
    assert [plot["note"] for plot in book.plots()] == ["", ""]
    assert book.errors == []


def test_a_closed_plot_is_saved_as_a_small_static_figure(lab: Lab, notebook: Open) -> None:
    """The notebook on the disk holds the last data as a plain plotly figure and no plotly.js."""
    # With the last widget JupyterLab ends the thread that takes a page's answers; ipykernel complains of one
    # that is still on its way.
    close = "moving = False\nwhile not plot.due:\n    time.sleep(0.01)\nplot.close()"
    book = notebook(lab.write("closed.ipynb", SINE, close))
    book.run_next()
    book.wait_plots(1)
    book.run_next()
    book.wait_idle()
    book.page.locator(".js-plotly-plot").wait_for()
    drawn = "document.querySelector('.js-plotly-plot')._fullData?.[0].y.length"
    book.page.wait_for_function(f"() => {drawn} === 200")
    whole = book.saved()
    outputs = whole.cells[0].outputs
    # JupyterLab itself adds a picture of what it shows.
    assert set(outputs[0].data) - {"image/png"} == {"text/plain", "application/vnd.plotly.v1+json"}
    text = json.dumps(whole)
    assert len(text) < 300_000
    assert "plotly.js v" not in text
    assert book.cell_problems() == []
