"""Text that an agent or a server chose, in every field, and every way in which chaosnb shows it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import chaosnb
from chaosnb.errors import CredentialsError, DebugError, TransportError
from chaosnb.notebook.dashboard import Dashboard
from chaosnb.protocol import events as ev
from chaosnb.protocol.codec import decode, encode
from chaosnb.protocol.events import Frame
from chaosnb.protocol.schema import TABLES
from tests.memory_network import MemoryNetwork, VirtualTime

HOSTILE = (
    "\x1b[31m\x9b2J<img src=x onerror=alert(1)><script>x</script><a href='https://evil.example/'>y</a>"
    "\N{RIGHT-TO-LEFT OVERRIDE}&amp;%{x}$\\frac{1}{2}$\x07\0\r\nhttps://evil.example/"
)
STAMP = "2026-11-23T00:36:12.345Z"
# What pandas and chaosnb make tables and lines of; none of it loads, links or runs anything.
HARMLESS = {*("div", "span", "b", "table", "thead", "tbody", "tr", "th", "td", "code", "style", "p")}


def hostile_messages() -> list[bytes]:
    """One of each kind, with the text in every field, known and unknown, and what cannot be read."""
    h = HOSTILE
    agent = ev.Agent(h, h)
    found = [
        ev.BlockProposal(h, h, 1, ev.Producer(h, h), [ev.Transaction(h, h)], ev.MemeContent(h, h), STAMP),
        ev.BlockValidation(h, agent, h, h, STAMP),
        ev.ConsensusDiscussion(h, agent, h, h, [h], STAMP),
        ev.AllianceUpdate(h, [ev.Member(h, h)], h, h, STAMP),
        ev.AgentStatus(h, h, h, h, STAMP),
        ev.NetworkMetrics(1, 2.5, 3, 4, 5, STAMP),
        ev.MemePosted(h, agent, ev.PostContent(h, h, h), [h], STAMP),
        ev.ReputationUpdate(h, 1.0, 2.0, h, STAMP),
        ev.ErrorEvent(h, h, {h: h}),
    ]
    messages = [encode(event) for event in found]
    for event in found[:-1]:
        message = json.loads(encode(event))
        message["data"][h] = h
        message["data"]["timestamp"] = "2026-11-23T00:36:13.345Z"
        messages.append(json.dumps(message).encode())
    rest: list[Any] = [
        {"type": h, "connection_id": h},
        {"type": h},
        {"type": "network_metrics", "data": {"timestamp": h}},
        {"type": "agent_status", "data": json.loads(encode(found[4]))["data"] | {"timestamp": h}},
    ]
    return [*messages, *(json.dumps(one).encode() for one in rest), h.encode(), h.encode() + b"\xff"]


class Page(HTMLParser):
    """The elements and attributes that a browser makes of markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture
def stream(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[chaosnb.Stream]:
    """A stream that was sent all of it, lost its link for a hostile reason, and is live again."""
    caplog.set_level(logging.DEBUG)
    time = VirtualTime()
    net = MemoryNetwork(time)
    net.link(hostile_messages(), end=TransportError(HOSTILE, code=4_000))
    net.link([encode(ev.NetworkMetrics(2, 2.5, 3, 4, 5, STAMP))])
    with chaosnb.stream(
        ["blocks", "consensus", "network", "social"],
        url="ws://localhost:1",
        transport=net,  # type: ignore[arg-type]
        clock=time.clock,
    ) as s:
        s.wait(until=lambda s: len(s.network_metrics) == 3, timeout=20)
        yield s


def walk(value: object) -> Iterator[str]:
    """Every text within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from walk(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from walk(inner)


def test_all_of_it_is_kept_as_it_came(stream: chaosnb.Stream) -> None:
    """Only what is shown is escaped; the tables have the text itself."""
    assert all(len(stream[name]) for name in TABLES)
    assert stream.consensus_discussion["message"].tolist() == [HOSTILE] * 2
    assert stream.meme_posted["tags"].tolist() == [[HOSTILE]] * 2
    assert len(stream.rejects) == 5


def test_a_terminal_shows_no_control_character(
    stream: chaosnb.Stream, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor a direction mark: in the stream, its status and ledgers, in logs and what is printed."""
    ledgers = [stream.rejects, stream.incidents, stream.gaps, stream.drift, stream.memory]
    shown = [repr(stream), str(stream), repr(stream.status), stream._repr_mimebundle_()["text/plain"]]
    shown += [ledger.to_string() for ledger in ledgers]
    logged = [record.getMessage() for record in caplog.get_records("setup")]
    shown += [*logged, *capsys.readouterr()]
    shown += [repr(decode(Frame(message, 0))) for message in hostile_messages()]
    assert "\\x1b[31m" in stream.incidents.to_string()
    assert any("\\x1b[31m" in text for text in logged)
    for text in shown:
        assert text.replace("\n", "").isprintable(), ascii(text)


def test_ipython_in_a_terminal_shows_no_control_character_of_a_table(
    stream: chaosnb.Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plain text of tables and columns with a node's data is escaped; other tables are left alone."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    try:
        net = MemoryNetwork(VirtualTime()).link([b"{}"])
        chaosnb.stream("network", url="ws://localhost:1", transport=net).close()  # type: ignore[arg-type]
        format_plain = shell.display_formatter.formatters["text/plain"]
        with pd.option_context("display.max_colwidth", None):
            for frame in stream.frames().values():
                for shown in (frame, frame["timestamp"], frame.iloc[:1, 1], frame.head(1)):
                    assert format_plain(shown).replace("\n", "").isprintable()
            assert r"\x1b[31m\x9b2J<img" in format_plain(stream.consensus_discussion["message"])
        mine = pd.DataFrame({"text": ["\x1b[31m"]})
        assert format_plain(mine) == repr(mine)
    finally:
        InteractiveShell.clear_instance()


def test_errors_show_no_control_character() -> None:
    """The words of a node stand in them, escaped and cut."""
    for error in (
        CredentialsError(HOSTILE, HOSTILE),
        TransportError(HOSTILE, code=4_000),
        TransportError(HOSTILE * 1_000),
        DebugError("ws://node.example", HOSTILE),
    ):
        assert "<img" in str(error)
        assert str(error).isprintable()
        assert len(str(error)) < 3_000


def test_a_notebook_makes_no_element_of_it(stream: chaosnb.Stream) -> None:
    """No image, script or link, in the stream's own display or in pandas' tables."""
    frames = [*stream.frames().values(), stream.rejects, stream.incidents, stream.drift]
    own = stream._repr_mimebundle_()["text/html"]
    markup = [own, *(frame._repr_html_() for frame in frames)]
    assert sum("&lt;img" in one for one in markup) >= len(TABLES)
    plain, drawing = {"style", "class", "border", "scoped"}, {"details", "summary", "svg", "title", "path"}
    strokes = {"role", "width", "height", "aria-label", "d", "stroke", "stroke-width"}
    for one in markup:
        page = Page(one)
        assert page.elements <= HARMLESS | (drawing if one is own else set())
        assert page.attributes <= plain | (strokes if one is own else set())
    assert len(own) < 20_000


def test_the_dashboard_and_its_plots_make_no_element_of_it(stream: chaosnb.Stream) -> None:
    """Plotly reads a subset of HTML, templates and TeX in labels; widgets of HTML read all of it."""
    dashboard = Dashboard(stream)
    try:
        for live in dashboard.plots.values():
            texts = list(walk(live.static()))
            assert any("&lt;img" in text for text in texts) == (live is dashboard.plots["reputation"])
            for text in texts:
                for own in ("<extra>", "</extra>", "<br>", "<i>", "</i>"):
                    text = text.replace(own, "")
                assert not {"<", ">", "\x1b", "\N{RIGHT-TO-LEFT OVERRIDE}"} & {*text}
                assert "$" not in text
                # As text alone: without a bracket it begins no element.
                assert "href" not in text.replace("&lt;a href", "")
        controls = dashboard.controls
        for box in (controls.status, controls.message, controls.problems):
            assert Page(box.value).elements <= HARMLESS
        labels = [name for name, _ in controls.agents.options]
        assert [label.isprintable() for label in labels] == [True]
        assert [agent for _, agent in controls.agents.options] == [HOSTILE]
        assert repr(dashboard).isprintable()
        live = dashboard.plots["tps"]
        live.tell(HOSTILE)
        assert live.problem.isprintable()
    finally:
        dashboard.close()
        widgets.Widget.close_all()


def test_nothing_fetches_or_links_an_address(
    stream: chaosnb.Stream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No display or export opens a connection, and none makes a link: an address stays text."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    with pd.option_context("display.max_colwidth", None):
        shown = [frame._repr_html_() for frame in stream.frames().values()]
    shown += [*stream._repr_mimebundle_().values(), str(stream), stream.status.error or ""]
    stream.export(tmp_path)
    assert sum("https://evil.example/" in text for text in shown) >= len(TABLES) - 1
    assert not any("<a" in text or " href" in text for text in map(_elements, shown))


def _elements(markup: str) -> str:
    page = Page(markup)
    return " ".join(["", *(f"<{one}" for one in page.elements), *page.attributes])
