"""LivePlot in a real JupyterLab: it is drawn, moves, survives reloads and busy cells, and text does nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from conftest import Lab, Notebook

SINE = """
import threading, time
import numpy as np
from chaosnb.notebook import LivePlot

HOSTILE = "<img src=x onerror='window.__hacked=1'><b>%{x}</b><script>window.__hacked=2</script>$x^2$"

def frame(i):
    x = np.arange(i, i + 200, dtype=float)
    return {
        "data": [{"type": "scatter", "name": HOSTILE, "x": x, "y": np.sin(x / 10)}],
        "layout": {"xaxis": {}, "yaxis": {}, "title": {"text": HOSTILE}, "showlegend": True},
    }

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


def look(name: str, notebook: Notebook) -> None:
    """Keep a picture where the one who runs the tests wants it."""
    folder = os.environ.get("CHAOSNB_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        notebook.page.screenshot(path=f"{folder}/{name}.png")


def frames_in(notebook: Notebook, seconds: float) -> int:
    before = notebook.plots()[0]["seq"]
    notebook.page.wait_for_timeout(seconds * 1000)
    return notebook.plots()[0]["seq"] - before


def test_smoke(lab: Lab, notebook: Callable[[str], Notebook]) -> None:
    name = lab.write("sine.ipynb", SINE, "plot", "end = time.time() + 10\nwhile time.time() < end: pass", "plot.close()")
    book = notebook(name)
    page = book.page
    started = time.monotonic()
    page.locator(".jp-Cell").first.click()
    page.keyboard.press("Control+Enter")
    try:
        book.wait_plots(1, 15)
    except Exception:
        look("fail", book)
        print(book.errors, book.foreign)
        raise
    print("first drawn after", time.monotonic() - started)
    print("frames in 3 s", frames_in(book, 3))
    look("sine", book)
    print(book.plots()[0]["names"], page.evaluate("window.__hacked"), book.errors, book.foreign)
