"""``make demo``: JupyterLab runs notebook 01 by itself, once, and no other notebook."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
WAIT_S = 120


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait in real time, as the server and the browser are real."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(0.1)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The demo's JupyterLab on small notebooks that leave a line in a file when they run."""
    shutil.copytree(ROOT / "demo", tmp_path / "demo")
    folder = tmp_path / "build" / "demo"
    folder.mkdir(parents=True)
    for name in ("01_live_stream", "02_other"):
        cell = nbformat.v4.new_code_cell(f"print('ran', file=open('{name}.txt', 'a'), flush=True)")
        notebook = nbformat.v4.new_notebook(cells=[cell])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, folder / f"{name}.ipynb")
    runtime = tmp_path / "runtime"
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--config=demo/jupyter_lab_config.py",
        "--no-browser",
        "--port=0",
    ]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            until(
                lambda: any(runtime.glob("jpserver-*.json")), f"JupyterLab: {(tmp_path / 'log').read_text()}"
            )
            info = json.loads(next(runtime.glob("jpserver-*.json")).read_text())
            yield folder, f"{info['url']}lab/tree/{{}}?reset&token={info['token']}"
        finally:
            server.terminate()
            server.wait(30)


def in_a_browser(visit: Callable[[Page], None]) -> None:
    """Call `visit` with a page, in a thread of its own, as another test may hold this one's event loop."""

    def run() -> None:
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM_ARGS)
            visit(browser.new_page())
            browser.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


def test_the_demo_runs_notebook_01_once_and_no_other(demo: tuple[Path, str]) -> None:
    folder, address = demo
    ran = folder / "01_live_stream.txt"

    def visit(page: Page) -> None:
        page.goto(address.format("01_live_stream.ipynb"))
        until(ran.exists, "notebook 01 runs by itself")
        assert page.get_by_text("Would you like to get notified").count() == 0
        for name in ("01_live_stream.ipynb", "02_other.ipynb"):
            page.goto(address.format(name))
            page.get_by_text("| Idle").wait_for(timeout=WAIT_S * 1000)
            page.wait_for_timeout(2000)

    in_a_browser(visit)
    assert ran.read_text() == "ran\n", "a page that is loaded again runs nothing"
    assert not (folder / "02_other.txt").exists()
