"""A JupyterLab of its own, with Notebook 7 and Voila, and a browser: no user's settings, no network.

The browser tests and ``docs/screenshots.py`` use it.
"""

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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Error, Page, sync_playwright

__all__ = ["Lab", "Notebook", "open_browser", "run_lab"]

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
    "--JupyterNotebookApp.expose_app_in_browser=True",
]
# One server has all three front ends.
PAGES = {"lab": "doc/tree", "notebook": "notebooks", "voila": "voila/render"}
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
PLACES = {
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
# Of each plot in the page: its frame number and what plotly holds of it. NaN becomes null on the way.
PLOTS = """() => [...document.querySelectorAll('.chaosnb-plot')].map(e => {
    const box = e.querySelector('.chaosnb-plot-box');
    return {
        seq: Number(e.dataset.seq ?? -1),
        names: (box.data ?? []).map(t => t.name),
        data: (box.data ?? []).map(t => [...(t.y ?? [])].map(v => Number.isNaN(v) ? null : v)),
        last: Math.max(...(box.data ?? []).map(t => t.x?.at(-1) ?? -Infinity)),
        note: e.querySelector('.chaosnb-plot-note').textContent,
    };
})"""
IDLE = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const context = panel?.sessionContext;
    return context?.isReady && context.session?.kernel?.status === 'idle'
        && panel.content.widgets.every(cell => cell.model.executionState !== 'running')
        && ![...document.querySelectorAll('.jp-InputPrompt')].some(p => p.textContent.includes('*'));
}"""


@dataclass
class Lab:
    """A running JupyterLab and where its notebooks are."""

    url: str
    token: str
    root: Path

    def write(self, name: str, *cells: str) -> str:
        """Write a notebook of code cells and return its path inside the Lab."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.root / name)
        return name

    def reset(self) -> None:
        """Shut down all kernels and go back to the light theme."""
        for session in json.loads(self._ask("api/sessions")):
            self._ask(f"api/sessions/{session['id']}", "DELETE")
        self._ask("lab/api/settings/@jupyterlab/apputils-extension:themes", "PUT", b'{"raw": "{}"}')

    def _ask(self, path: str, method: str = "GET", data: bytes | None = None) -> bytes:
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
        return content


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

    def open(self, path: str, front_end: str = "lab") -> None:
        """Open a notebook and wait until its kernel is idle; Voila has run it by then."""
        self.page.goto(f"{self.lab.url}/{PAGES[front_end]}/{path}?token={self.lab.token}", timeout=90_000)
        if front_end != "voila":
            self.wait_idle()

    def wait_idle(self, timeout_s: float = 60.0) -> None:
        """Wait until the kernel is there and no cell is running or waits to run."""
        self.page.wait_for_function(IDLE, timeout=timeout_s * 1000)

    def command(self, name: str, **arguments: Any) -> None:
        """Execute a command of JupyterLab; does not wait for its end."""
        call = "([name, args]) => { window.jupyterapp.commands.execute(name, args); }"
        self.page.evaluate(call, [name, arguments])

    def run_all(self) -> None:
        """Run all cells; does not wait for their end."""
        self.command("notebook:run-all-cells")

    def run_next(self) -> None:
        """Run the selected cell and select the one below it; does not wait for its end."""
        self.command("notebook:run-cell-and-select-next")

    def saved(self) -> nbformat.NotebookNode:
        """Save the notebook with its outputs, and read it from the disk."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        path = self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")
        return nbformat.read(self.lab.root / path, as_version=4)

    def dark(self) -> None:
        """Switch to JupyterLab's dark theme and wait until the page wears it."""
        self.command("apputils:change-theme", theme="JupyterLab Dark")
        self.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
        self.page.wait_for_timeout(1500)

    def wait_plots(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until at least this many plots have been drawn."""
        drawn = "count => document.querySelectorAll('.chaosnb-plot[data-seq]').length >= count"
        self.page.wait_for_function(drawn, arg=count, timeout=timeout_s * 1000)

    def plots(self) -> list[dict[str, Any]]:
        """Return of each plot in the page `seq`, `names`, `data` (the y values), `last` (x) and `note`."""
        found: list[dict[str, Any]] = self.page.evaluate(PLOTS)
        return found

    def cell_problems(self) -> list[str]:
        """Return the text of everything that cells said on stderr or failed with."""
        kinds = ("jupyter.stderr", "jupyter.error")
        found = [f".jp-OutputArea-output[data-mime-type='application/vnd.{kind}']" for kind in kinds]
        return self.page.locator(", ".join(found)).all_inner_texts()

    def _on_console(self, message: Any) -> None:
        url = message.location.get("url", "")
        # Now and then the server refuses a font of its own icons.
        if message.type == "error" and not url.endswith(".woff2"):
            self.errors.append(f"{message.text} ({url})")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.lab.url, self.lab.url.replace("http", "ws"), "data:", "blob:")):
            self.foreign.append(request.url)


@contextmanager
def run_lab(home: Path, root: Path, **variables: str) -> Iterator[Lab]:
    """Run JupyterLab on a folder, with an empty home, settings that keep it off the network, and a token."""
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", *LAB_OPTIONS, f"--ServerApp.port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    log = home / "lab.log"
    environment = _environment(home) | variables
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env=environment,
            cwd=root,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
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


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the system's Chromium, or else the one that Playwright brings.

    While it is open, an event loop runs in this thread, and `asyncio.run` cannot.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        except Error as error:
            raise RuntimeError("no Chromium: install it, or run `playwright install chromium`") from error
        yield chromium
        chromium.close()


def _environment(home: Path) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "CHAOSNB"))}
    for name, folder in PLACES.items():
        (home / folder).mkdir(exist_ok=True)
        environment[name] = str(home / folder)
    for plugin, settings in SETTINGS.items():
        extension, _, part = plugin.partition(":")
        file = home / "settings" / extension / f"{part}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    package = str(Path(__file__).parents[2])
    environment["CHAOSNB_URL"] = "devnet"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environment.get("PYTHONPATH")]))
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    return environment


def _wait_for(lab: Lab, server: subprocess.Popen[bytes], log: Path, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
