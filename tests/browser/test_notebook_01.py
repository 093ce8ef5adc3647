"""The first notebook in a real JupyterLab: four plots are drawn and move, and nothing goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.browser.conftest import Open, picture
from tests.browser.lab import Lab

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "01_live_stream.ipynb"


def test_four_plots_are_drawn_and_move(lab: Lab, notebook: Open) -> None:
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
    picture(book, "notebook_01")
    assert book.cell_problems() == []
    assert book.errors == []
    assert book.foreign == []
