"""live_plot.js alone in a page, with a stand-in for plotly.js: what it draws, when, and what it answers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from chaosnb.notebook.delta import Packed, diff, pack, unpack
from tests.browser.lab import open_browser

SCRIPT = resources.files("chaosnb.notebook").joinpath("live_plot.js").read_text("utf-8")
# Plots 1 and 2 of one kernel, plot 3 of another. `react` keeps what it was asked to draw.
STAGE = """async (script) => {
    const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
    const react = async (box, data, layout) => {
        box.drawn = { data, layout };
        box.times = (box.times ?? 0) + 1;
    };
    const plotly = { react, purge: () => {} };
    const libraries = { '7': { plotly, waiting: new Set() } };
    globalThis.chaosnbPage = { libraries, families: new WeakMap() };
    const managers = [{}, {}];
    globalThis.said = [];
    globalThis.plots = await Promise.all([1, 2, 3].map(async (number) => {
        const handlers = {};
        const layout = {
            on: (name, handler) => (handlers[name] = handler),
            off: (name) => delete handlers[name],
            send: (content) => said.push([number, content]),
        };
        const model = {
            widget_manager: managers[number < 3 ? 0 : 1],
            get: (name) => ({ number, plotly_version: '7', problem: '', layout })[name],
            // Nothing comes this way where the module was loaded late.
            on: () => {},
            off: () => {},
        };
        const el = document.createElement('div');
        el.style.height = '100px';
        document.body.append(el);
        // As anywidget does it, each has the module for itself.
        const { initialize, render } = (await import(url + '#' + number)).default();
        initialize({ model });
        const end = render({ model, el });
        const box = el.querySelector('.chaosnb-plot-box');
        box.style.height = '100px';
        return { el, box, end, take: (message, buffers) => handlers['msg:custom'](message, buffers) };
    }));
    await new Promise((done) => setTimeout(done, 100));
}"""
# All at once, as when the page was busy; then two frames of the screen for drawing and answering.
FEED = """async (frames) => {
    said.length = 0;
    // What is for several plots comes by one of them.
    for (const carrier of [1, 2]) {
        const own = frames.filter(([number]) => (number < 3 ? 1 : 2) === carrier);
        const parcels = own.map(([plot, frame]) => ({ plot, ...frame }));
        const buffers = own.map(([, , bytes]) => new DataView(Uint8Array.from(bytes).buffer));
        plots[carrier].take({ kind: 'frames', frames: parcels }, buffers);
    }
    await new Promise((done) => setTimeout(done, 200));
    return { said, times: plots.map(({ box }) => box.times ?? 0) };
}"""
DRAWN = """(place) => JSON.stringify(plots[place].box.drawn, (key, value) =>
    value instanceof Float64Array ? [...value].map((v) => (Number.isFinite(v) ? v : null)) : value)"""


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as browser:
        opened = browser.new_page()
        errors: list[Any] = []
        opened.on("pageerror", lambda error: errors.append(error))
        opened.evaluate(STAGE, SCRIPT)
        yield opened
        assert errors == []


def frame(old: Packed | None, new: Packed, seq: int, place: int = 0, *, ask: bool = True) -> list[Any]:
    delta = diff(old, new)
    message: dict[str, Any] = {"seq": seq, "base": seq - 1 if old else -1, "ops": delta.ops, "ask": ask}
    more = {"order": delta.order, "patches": delta.patches}
    message |= {key: value for key, value in more.items() if value}
    return [place + 1, message, [*delta.values]]


def answers(found: dict[str, Any]) -> list[Any]:
    """What the page said, sorted, without the time that drawing took, which is far below a second."""
    said = sorted(found["said"], key=lambda one: one[0])
    times = [content.pop("took") for _, content in said if content["kind"] == "drawn"]
    assert all(0 <= took < 1000 for took in times)
    return said


def spec(chance: random.Random, start: int) -> dict[str, Any]:
    """A figure whose lines come, go and move on, and whose title and shapes change."""
    x = np.arange(start, start + 30, dtype=float)
    x[0] += chance.choice([0, 0.5])
    lines = [
        {
            "name": name,
            "x": x,
            "y": np.where(np.sin(x * place) > 0.9, np.nan, x * place),
            "text": [f"{chance.choice('ab')} {value}" for value in x[:-1]] + [chance.choice("ab")],
            "line": {"width": 2},
        }
        for place, name in enumerate(chance.sample("abcdef", 3), 1)
    ]
    layout: dict[str, Any] = {"title": {"text": f"t{start // 20}"}}
    if chance.random() < 0.7:
        layout["shapes"] = [{"x0": float(start), "x1": 9.0} for _ in range(chance.randint(1, 2))]
    return {"data": lines, "layout": layout}


def test_it_draws_what_the_kernel_has_once_a_time_and_answers_once_for_all(page: Page) -> None:
    """Frames that came at once are drawn as one; a lost one is asked for; a closed view draws no more."""
    chance = random.Random(7)
    packed = [pack(spec(chance, start)) for start in range(60)]
    pairs = zip([None, *packed], packed, strict=False)
    frames = [frame(old, new, seq) for seq, (old, new) in enumerate(pairs)]
    others = [frame(None, packed[place], 7, place) for place in (1, 2)]
    found = page.evaluate(FEED, [*frames, *others])
    assert found["times"] == [1, 1, 1]
    one, two = answers(found)
    assert one == [1, {"kind": "drawn", "seqs": {"1": 59, "2": 7}}]
    assert two == [3, {"kind": "drawn", "seqs": {"3": 7}}]
    for place, shown in ((0, packed[59]), (1, packed[1])):
        drawn, wanted = json.loads(page.evaluate(DRAWN, place)), unpack(shown)
        assert drawn["data"] == wanted["data"]
        assert {key: drawn["layout"].get(key) for key in wanted["layout"]} == wanted["layout"]

    # One frame got lost.
    lost = frame(packed[0], packed[1], 61)
    assert page.evaluate(FEED, [lost])["said"] == [[1, {"kind": "ready", "plotly": False, "again": False}]]
    # The whole mends it.
    mended = page.evaluate(FEED, [frame(None, packed[2], 62)])
    assert answers(mended) == [[1, {"kind": "drawn", "seqs": {"1": 62}}]]
    # Who is not asked draws and says nothing, and answers the next question for all till then.
    silent = page.evaluate(FEED, [frame(packed[2], packed[3], 63, ask=False)])
    assert silent == {"said": [], "times": [3, 1, 1]}
    asked = page.evaluate(FEED, [frame(packed[3], packed[4], 64)])
    assert answers(asked) == [[1, {"kind": "drawn", "seqs": {"1": 64}}]]
    page.evaluate("plots[0].end()")
    assert page.evaluate(FEED, [frame(packed[4], packed[5], 65)]) == {"said": [], "times": [4, 1, 1]}


def test_it_asks_again_for_a_library_that_was_sent_before_it_listened(page: Page) -> None:
    """Only where it has none, and loads none."""
    sent = (
        "(has) => { lib.plotly = has; said.length = 0; plots[0].take({ kind: 'plotly' }, []); return said; }"
    )
    page.evaluate("() => (globalThis.lib = globalThis.chaosnbPage.libraries['7'])")
    assert page.evaluate(sent, None) == [[1, {"kind": "ready", "plotly": True, "again": True}]]
    assert [content["plotly"] for _, content in page.evaluate(sent, {})] == [False]
