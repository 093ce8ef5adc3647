"""Make the pictures of the README: notebook 01 on the simulated node, in a real JupyterLab.

Run it from the repository's root: ``python docs/screenshots.py``. It writes ``docs/dashboard.png`` and
``docs/dashboard-dark.png``, and needs a Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.lab import Notebook, open_browser, run_lab  # noqa: E402

NOTEBOOK = "01_live_stream.ipynb"
FILL_S = 45
VIEWPORT = {"width": 1280, "height": 1080}


def main() -> None:
    """Run the notebook, let the plots fill, and photograph the dashboard in both themes."""
    with TemporaryDirectory() as folder:
        home, root = Path(folder, "home"), Path(folder, "notebooks")
        home.mkdir()
        root.mkdir()
        shutil.copy(ROOT / "notebooks" / NOTEBOOK, root)
        with run_lab(home, root, CHAOSNB_URL="devnet") as lab, open_browser() as browser:
            book = Notebook(browser.new_page(viewport=VIEWPORT), lab)
            book.open(NOTEBOOK)
            book.run_all()
            book.wait_plots(4)
            book.wait_idle(120)
            book.page.wait_for_timeout(FILL_S * 1000)
            photograph(book, ROOT / "docs" / "dashboard.png")
            book.dark()
            photograph(book, ROOT / "docs" / "dashboard-dark.png")


def photograph(book: Notebook, file: Path) -> None:
    """Write a picture of the dashboard alone."""
    dashboard = book.page.locator(".chaosnb-dashboard")
    dashboard.scroll_into_view_if_needed()
    # The mouse must not leave a tool bar or a hover label in the picture.
    book.page.mouse.move(0, 0)
    book.page.wait_for_timeout(1000)
    dashboard.screenshot(path=file)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
