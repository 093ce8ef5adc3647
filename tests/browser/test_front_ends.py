"""The first notebook in each front end: four plots are drawn and move, and nothing goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.browser.conftest import Open, picture
from tests.browser.lab import PAGES, Lab

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "01_live_stream.ipynb"
# What the front ends do by themselves: Voila's page asks for its icons and for MathJax, and fails without.
OWN_REQUESTS = (
    "https://cdn.jsdelivr.net/npm/@fortawesome/",
    "https://cdnjs.cloudflare.com/ajax/libs/mathjax/",
)
OWN_ERRORS = ("ERR_NAME_NOT_RESOLVED", "ERR_INTERNET_DISCONNECTED", "@jupyterlab/docregistry", "'schema'")
OWN_ERRORS += ("Command 'filebrowser:open-path' not registered",)


@pytest.mark.parametrize("front_end", PAGES)
def test_four_plots_are_drawn_and_move(lab: Lab, notebook: Open, front_end: str) -> None:
    """Their data changes between two looks, no cell fails, and the console stays clean."""
    shutil.copy(NOTEBOOK, lab.root)
    book = notebook(NOTEBOOK.name, front_end)
    if front_end != "voila":
        book.run_all()
    book.wait_plots(4)
    first = book.plots()
    if front_end == "voila":
        book.page.wait_for_timeout(3000)
    else:
        book.wait_idle(120)
    second = book.plots()
    assert len(first) == 4
    for before, after in zip(first, second, strict=True):
        assert after["seq"] > before["seq"]
        assert after["data"] != before["data"]
        assert after["note"] == ""
    picture(book, f"notebook_01_{front_end}")
    assert book.cell_problems() == []
    foreign, errors = OWN_REQUESTS, OWN_ERRORS
    if front_end == "lab":
        foreign, errors = (), ()
    assert [url for url in book.foreign if not url.startswith(foreign)] == []
    assert [text for text in book.errors if not any(own in text for own in errors)] == []
