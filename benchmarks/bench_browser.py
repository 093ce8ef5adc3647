"""A dashboard in JupyterLab and a headless Chromium: what it costs, and how it keeps up.

The node, the kernel, JupyterLab and the browser, which draws in software, share this machine's cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from report import additions_ms, arguments, markdown, pace, publish, verdict
from workload import HERE

sys.path.insert(0, str(HERE.parent))

from tests.browser.lab import Lab, Notebook, open_browser, run_lab

_FPS = 10
_PAST_S = 660
_CONNECT = """
import json, os, time
import pandas as pd
import chaosnb
s = chaosnb.stream(["blocks", "consensus", "network", "social"], url="{url}")
s.wait(until=lambda s: s.received >= {past}, timeout=120)
with open("pid", "w") as file:
    file.write(str(os.getpid()))
"""
# Notes when each message of frames is sent, and what is in it.
_SHOW = f"""
from ipywidgets import Layout
from chaosnb.notebook import Dashboard
d = Dashboard(s, fps={_FPS})
sent = []
def noted(live, content, buffers=None, send=Layout.send):
    sent.append((time.time(), content.get("frames", []), [len(values) for values in buffers]))
    send(live, content, buffers)
Layout.send = noted
d
"""
_TELL = """
places = {live.number: place for place, live in enumerate(d.plots.values())}
with open("sent.json", "w") as file:
    json.dump([
        (at, [(places[one["plot"]], one["seq"]) for one in frames], len(json.dumps(frames)) + sum(sizes))
        # Not those of the plot that brings plotly.js ahead.
        for at, frames, sizes in sent if frames and all(one["plot"] in places for one in frames)
    ], file)
"""
_BUSY = {
    "sleep": "time.sleep({seconds})",
    "pandas": (
        "end = time.time() + {seconds}\nwhile time.time() < end:\n"
        '    pd.concat([s.block_validation] * 20).groupby("validator_id", observed=True).size()'
    ),
    "pure Python": "end = time.time() + {seconds}\nwhile time.time() < end:\n    pass",
}
# Notes when each plot has drawn which frame.
_WATCH = """() => {
    window.drawn = [];
    const plots = [...document.querySelectorAll('.chaosnb-plot')];
    const note = (list) => list.forEach(({ target }) =>
        window.drawn.push([plots.indexOf(target), Number(target.dataset.seq), Date.now() / 1000]));
    new MutationObserver(note).observe(document.body, { attributeFilter: ['data-seq'], subtree: true });
}"""


@dataclass
class Session:
    """A notebook on a feed, what its page received, and its kernel."""

    book: Notebook
    root: Path
    received: list[tuple[float, int]] = field(default_factory=list)

    def listen(self) -> None:
        """Count what comes over the page's websockets, from now on."""

        def opened(socket: Any) -> None:
            socket.on("framereceived", lambda data: self.received.append((time.time(), len(data))))

        self.book.page.on("websocket", opened)

    def run(self) -> None:
        """Run the next cell and wait for its end."""
        self.book.run_next()
        self.book.wait_idle()

    def kernel(self) -> psutil.Process:
        """Return the kernel's process."""
        return psutil.Process(int((self.root / "pid").read_text()))

    def cpu_s(self, seconds: float) -> float:
        """Return the CPU seconds of the kernel in so many seconds from now."""
        before = self.kernel().cpu_times()
        self.book.page.wait_for_timeout(seconds * 1000)
        after = self.kernel().cpu_times()
        return float(after.user + after.system - before.user - before.system)

    def frames(self) -> dict[int, list[tuple[int, float]]]:
        """Return for each plot which frames it has drawn, and when."""
        drawn: list[tuple[int, int, float]] = self.book.page.evaluate("window.drawn")
        return {plot: [(seq, at) for number, seq, at in drawn if number == plot] for plot in range(4)}

    def heap_bytes(self) -> int:
        """Return what the page's JavaScript holds after the garbage was collected."""
        page = self.book.page
        devtools = page.context.new_cdp_session(page)
        devtools.send("HeapProfiler.collectGarbage")
        used = int(devtools.send("Runtime.getHeapUsage")["usedSize"])
        devtools.detach()
        return used


@contextmanager
def _session(rate: int, past_s: int, cells: list[str]) -> Iterator[Session]:
    command = [sys.executable, str(HERE / "browser_feed.py"), str(rate), str(past_s)]
    with (
        TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as feed,
    ):
        assert feed.stdout is not None
        url = f"ws://127.0.0.1:{feed.stdout.readline().strip()}/ws/v1"
        home, root = Path(folder, "home"), Path(folder, "notebooks")
        home.mkdir()
        root.mkdir()
        try:
            with run_lab(home, root) as lab, open_browser() as browser:
                page = browser.new_page(viewport={"width": 1400, "height": 1000})
                # All that was before, but for what is on its way.
                cells = [_CONNECT.format(url=url, past=max(round(rate * past_s * 0.98), 1)), _SHOW, *cells]
                yield _opened(lab, page, cells)
        finally:
            feed.kill()


def _opened(lab: Lab, page: Any, cells: list[str]) -> Session:
    book = Notebook(page, lab)
    session = Session(book, lab.root)
    session.listen()
    book.open(lab.write("bench.ipynb", *cells))
    book.run_next()
    book.wait_idle(150)
    return session


def _rate(frames: dict[int, list[tuple[int, float]]], start: float, end: float) -> float:
    """Return how many frames a second the slowest plot has drawn between two times."""
    return min(sum(start <= at <= end for _, at in drawn) for drawn in frames.values()) / (end - start)


@dataclass
class Sent:
    """A message of frames: when it was sent, which frame of which plot is in it, and its content's bytes."""

    at: float
    frames: list[tuple[int, ...]]
    size: int


def _sent(session: Session) -> list[Sent]:
    notes = json.loads((session.root / "sent.json").read_text())
    return [Sent(at, [tuple(frame) for frame in frames], size) for at, frames, size in notes]


def steady(seconds: float) -> tuple[list[list[str]], str]:
    """Measure one dashboard of a ten-minute window at 100 events a second; tell the machine's speed, too."""
    busy = [code.format(seconds=seconds) for code in _BUSY.values()]
    with _session(100, _PAST_S, [_TELL, *busy, "d.close()"]) as session:
        book, page = session.book, session.book.page
        begin = time.time()
        book.run_next()
        book.wait_plots(4)
        start_s = time.time() - begin
        book.wait_idle()
        page.wait_for_timeout(3000)
        large = [size for _, size in session.received if size > 1_000_000]
        page.evaluate(_WATCH)
        speeds_ms = [additions_ms() for _ in range(5)]
        start = time.time()
        cpu_s = session.cpu_s(seconds)
        end = time.time()
        speeds_ms += [additions_ms() for _ in range(5)]
        frames = session.frames()
        session.run()
        sent = _sent(session)
        busy_rates = []
        for _ in _BUSY:
            book.run_next()
            page.wait_for_timeout(1500)
            begin = time.time()
            page.wait_for_timeout((seconds - 3) * 1000)
            busy_rates.append(_rate(session.frames(), begin, time.time()))
            book.wait_idle()
        session.run()
        idle_cpu_s = session.cpu_s(seconds)
        book.saved()
        disk = (session.root / "bench.ipynb").stat().st_size
    inside = [message for message in sent if start <= message.at <= end]
    # A frame brings what has changed in the four plots, with one message.
    count = len(inside)
    content = sum(message.size for message in inside) / count
    on_screen = {(plot, seq) for plot, drawn in frames.items() for seq, _ in drawn}
    drawn = sum(on_screen.issuperset(message.frames) for message in inside) / (end - start)
    changed = sum(len(message.frames) for message in inside) / count
    wire = sum(size for at, size in session.received if start <= at <= end) / count
    rows = [
        _row("frames drawn a second, with what changed in the four plots", drawn, 5, at_most=False),
        _row("plots that changed, per frame", changed),
        _row("frames drawn a second of the plot that changed least", _rate(frames, start, end)),
        _row("KB of content to the browser per frame, all four plots", content / 1e3, 4),
        _row("the same on the websocket, with Jupyter's envelopes and the status line", wire / 1e3, 4),
        _row(
            "CPU ms of the kernel per frame, with sending and answers", (cpu_s - idle_cpu_s) / count * 1e3, 3
        ),
        _row("s from the cell's start to four plots drawn", start_s, 3),
        _row(f"MB of plotly.js, transfers: {len(large)}", sum(large) / 1e6, 1.6),
        *(
            _row(f"frames a second while a cell computes for {seconds:g} s: {name}", rate, 1, at_most=False)
            for name, rate in zip(_BUSY, busy_rates, strict=True)
        ),
        _row("KB of the executed notebook on disk, dashboard closed", disk / 1e3, 300),
    ]
    return rows, pace(speeds_ms)


def flood(seconds: float) -> list[list[str]]:
    """Measure a dashboard at 5,000 events a second."""
    with _session(5_000, 0, [_TELL]) as session:
        book, page = session.book, session.book.page
        book.run_next()
        book.wait_plots(4)
        book.wait_idle()
        page.evaluate(_WATCH)
        part = seconds / 6
        start = time.time()
        page.wait_for_timeout(part * 1000)
        heap = session.heap_bytes()
        page.wait_for_timeout((seconds - part) * 1000)
        end = time.time()
        heap_end = session.heap_bytes()
        frames = session.frames()
        session.run()
        sent = _sent(session)

    sent_at = {(plot, seq): message.at for message in sent for plot, seq in message.frames}

    def behind(begin: float, until: float) -> float:
        """How old the data on the screen is just before the next frame is drawn, at the 95th percentile."""
        ages = [
            later - sent_at[plot, seq]
            for plot, drawn in frames.items()
            for (seq, at), (_, later) in pairwise(drawn)
            if begin <= at <= until and (plot, seq) in sent_at
        ]
        return float(np.percentile(ages, 95))

    rate = _rate(frames, start, end)
    first, last = behind(start, start + part), behind(end - part, end)
    return [
        _row(f"s that the browser lags behind the kernel, first {part:g} s", first, 1),
        _row(f"the same, last {part:g} s", last, 1),
        _row("JavaScript heap of the page at the end, times that after the first part", heap_end / heap, 1.1),
        _row("frames drawn a second, in each of which all four plots changed", rate, 5, at_most=False),
    ]


def _row(what: str, value: float, target: float | None = None, *, at_most: bool = True) -> list[str]:
    return [what, f"{value:.2f}", "" if target is None else verdict(value, target, at_most=at_most)]


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", choices=["steady", "flood"])
    options = parser.parse_args()
    columns = ["figure", "measured", "target"]
    if options.only != "flood":
        text = f"A ten-minute window of 300 buckets at 100 events a second, {_FPS} frames a second at most."
        rows, speed = steady(4 if options.quick else 20)
        publish("bench_browser", f"{text} {speed}\n\n{markdown(columns, rows)}", options)
    if options.only != "steady":
        seconds = 6 if options.quick else 120
        rows = flood(seconds)
        text = f"5,000 events a second for {seconds} s."
        publish("bench_browser_flood", f"{text}\n\n{markdown(columns, rows)}", options)


if __name__ == "__main__":
    _main()
