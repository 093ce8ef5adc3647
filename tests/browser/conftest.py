"""A JupyterLab of its own and a browser to look at it with: nothing of the user's settings, nothing from the network."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAB_OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--LabApp.expose_app_in_browser=True",
]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


@dataclass
class Lab:
    """A running JupyterLab and where its notebooks are."""

    url: str
    token: str
    root: Path

    def write(self, name: str, *cells: str) -> str:
        """Write a notebook of code cells and return its path inside the Lab."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / name)
        return name


@dataclass
class Notebook:
    """A notebook open in a page, with everything that went wrong there."""

    page: Page
    lab: Lab
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        self.page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.lab.url, self.lab.url.replace("http", "ws"), "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self, path: str) -> None:
        """Open a notebook and wait until its kernel is idle."""
        self.page.goto(f"{self.lab.url}/doc/tree/{path}?token={self.lab.token}", timeout=60_000)
        self.wait_idle()

    def reload(self) -> None:
        """Load the page anew, as a user would with F5."""
        self.page.reload(timeout=60_000)
        self.wait_idle()

    def wait_idle(self, timeout_s: float = 60.0) -> None:
        """Wait until the kernel is there and no cell is running or waits to run."""
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell.currentWidget;
                const context = panel?.sessionContext;
                return context?.isReady && context.session?.kernel?.status === 'idle'
                    && panel.content.widgets.every(cell => cell.model.executionState !== 'running')
                    && ![...document.querySelectorAll('.jp-InputPrompt')].some(p => p.textContent.includes('*'));
            }""",
            timeout=timeout_s * 1000,
        )

    def command(self, name: str) -> None:
        """Execute a command of JupyterLab; does not wait for its end."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    def run_all(self) -> None:
        """Run all cells; does not wait for their end."""
        self.command("notebook:run-all-cells")

    def run_next(self) -> None:
        """Run the selected cell and select the one below it; does not wait for its end."""
        self.command("notebook:run-cell-and-select-next")

    def save(self) -> None:
        """Save the notebook, with its outputs."""
        self.command("docmanager:save")
        self.page.wait_for_timeout(500)

    def wait_plots(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until at least this many plots have been drawn."""
        self.page.wait_for_function(
            "count => [...document.querySelectorAll('.chaosnb-plot')].filter(e => e.dataset.seq).length >= count",
            arg=count,
            timeout=timeout_s * 1000,
        )

    def plots(self) -> list[dict[str, Any]]:
        """Return for each plot in the page its frame number and its last drawn values, as plotly has them."""
        found: list[dict[str, Any]] = self.page.evaluate(
            """() => [...document.querySelectorAll('.chaosnb-plot')].map(e => {
                const box = e.querySelector('.chaosnb-plot-box');
                return {
                    seq: Number(e.dataset.seq ?? -1),
                    data: (box.data ?? []).map(t => [...(t.y ?? [])].map(v => Number.isNaN(v) ? null : v)),
                    names: (box.data ?? []).map(t => t.name),
                    note: [...e.querySelectorAll('.chaosnb-plot-note')].map(n => n.textContent).join(''),
                };
            })"""
        )
        return found

    def cell_errors(self) -> list[str]:
        """Return the text of all error outputs."""
        return self.page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()


def picture(notebook: Notebook, name: str) -> None:
    """Keep a picture of the page in the folder that CHAOSNB_SCREENSHOTS names, if it names one."""
    folder = os.environ.get("CHAOSNB_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        notebook.page.screenshot(path=f"{folder}/{name}.png")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server with an empty home, settings that keep it off the network, and a token."""
    home = tmp_path_factory.mktemp("home")
    root = tmp_path_factory.mktemp("notebooks")
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {
        "HOME": "",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "XDG_CONFIG_HOME": "xdg-config",
        "XDG_DATA_HOME": "xdg-data",
        "XDG_CACHE_HOME": "xdg-cache",
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "CHAOSNB"))}
    for name, folder in places.items():
        (home / folder).mkdir(exist_ok=True)
        environment[name] = str(home / folder)
    for plugin, settings in SETTINGS.items():
        extension, _, part = plugin.partition(":")
        file = home / "settings" / extension / f"{part}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    package = Path(__file__).parents[2]
    environment["CHAOSNB_URL"] = "devnet"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), environment.get("PYTHONPATH")]))
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    command = [sys.executable, "-m", "jupyterlab", *LAB_OPTIONS, f"--ServerApp.port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    log = home / "lab.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=environment, cwd=root, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    running = Lab(f"http://127.0.0.1:{port}", token, root)
    try:
        _wait_for(running, server, log)
        yield running
    finally:
        # The server shuts its kernels down when it is asked politely.
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(15)


def _wait_for(lab: Lab, server: subprocess.Popen[bytes], log: Path, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, or else the one that Playwright brings."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        except Error as error:
            pytest.fail(f"no Chromium to test with: install it, or run `playwright install chromium`\n{error}")
        yield chromium
        chromium.close()


@pytest.fixture
def notebook(lab: Lab, browser: Browser) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook in a new browser context; at the end its kernel is shut down."""
    contexts = []

    def open_notebook(path: str) -> Notebook:
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        contexts.append(context)
        opened = Notebook(context.new_page(), lab)
        opened.open(path)
        return opened

    yield open_notebook
    for context in contexts:
        context.close()
    headers = {"Authorization": f"token {lab.token}"}
    request = urllib.request.Request(f"{lab.url}/api/sessions", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        sessions = json.load(answer)
    for session in sessions:
        url = f"{lab.url}/api/sessions/{session['id']}"
        urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="DELETE"), timeout=10).close()
