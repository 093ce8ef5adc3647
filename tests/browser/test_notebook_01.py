"""The first notebook in a real JupyterLab: four plots are drawn and move, and nothing goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.browser.conftest import Lab, Notebook, picture

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "01_live_stream.ipynb"


def test_four_plots_are_drawn_and_move(lab: Lab, notebook: Callable[[str], Notebook]) -> None:
    """Their data changes between two looks, no cell fails, and the console stays clean."""
    shutil.copy(NOTEBOOK, lab.root)
    book = notebook(NOTEBOOK.name)
    book.run_all()
    book.wait_plots(4)
    first = book.plots()
    book.wait_idle(120)
    second = book.plots()
    assert len(first) == 4
    for before, after in zip(first, second, strict=True):
        assert after["seq"] > before["seq"]
        assert after["data"] != before["data"]
        assert after["note"] == ""
    assert book.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert book.cell_errors() == []
    picture(book, "notebook_01")
    assert book.errors == []
    assert book.foreign == []
