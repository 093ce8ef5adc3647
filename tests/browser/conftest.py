"""One JupyterLab for all browser tests; a browser for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.browser.lab import Lab, Notebook, open_browser, run_lab

__all__ = ["Open", "picture"]


class Open(Protocol):
    """Opens a notebook of the Lab, in one of `lab.PAGES`."""

    def __call__(self, path: str, front_end: str = "lab") -> Notebook: ...


def picture(notebook: Notebook, name: str) -> None:
    """Keep a picture of the page in the folder that CHAOSNB_SCREENSHOTS names, if it names one."""
    folder = os.environ.get("CHAOSNB_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        notebook.page.screenshot(path=f"{folder}/{name}.png")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server."""
    with run_lab(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("notebooks")) as running:
        yield running


# Of no wider scope: Playwright leaves an event loop running in the main thread, and the tests of other
# modules, which come in any order, call `asyncio.run`.
@pytest.fixture
def notebook(lab: Lab) -> Iterator[Open]:
    """Open a notebook in a browser context of its own; at the end its kernel is shut down."""
    with open_browser() as browser:

        def open_notebook(path: str, front_end: str = "lab") -> Notebook:
            opened = Notebook(browser.new_page(viewport={"width": 1400, "height": 1000}), lab)
            opened.open(path, front_end)
            return opened

        yield open_notebook
    lab.reset()
