"""How a stream shows itself: what it says, and that nothing from the node becomes markup."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html.parser import HTMLParser

import IPython
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from msgspec.structs import replace

import chaosnb
from chaosnb.ingest.status import Status
from chaosnb.notebook.display import (
    STATE_COLOURS,
    size_text,
    status_html,
    status_text,
    stream_html,
    stream_text,
)
from chaosnb.notebook.sparkline import sparkline_svg, sparkline_text
from chaosnb.notebook.terminal import guard_terminal

HOSTILE = "<img src=x onerror='window.hacked=1'>\"&amp;<script>alert(1)</script>"
HARMLESS = {"div", "span", "b", "table", "thead", "tbody", "tr", "th", "td", "code"}
HARMLESS |= {"details", "summary", "svg", "title", "path"}
STATUS = Status(
    state="live",
    url="ws://127.0.0.1:3000/ws/v1",
    simulated=False,
    topics=("blocks", "network"),
    events=12_345,
    events_per_s=67.89,
    lag_s=0.123,
    gaps=1,
    rejects=2,
    drift=3,
    filtered=4,
    duplicates=6,
    late=5,
    memory_bytes=1_500_000,
    connection_id="c",
    error=None,
)


class Reader(HTMLParser):
    """Collects elements, attributes and text as a browser sees them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def stream() -> Iterator[chaosnb.Stream]:
    """A closed stream that has received something."""
    with chaosnb.Devnet(rate=400) as node, chaosnb.stream(["blocks", "network"], url=node.url) as stream:
        stream.wait(events=100, timeout=30)
    return stream


@pytest.mark.parametrize("field", ["error", "url", "state"])
def test_hostile_text_in_a_status_stays_text(field: str) -> None:
    """No element and no attribute comes of it, and all of it can be read."""
    read = Reader(status_html(replace(STATUS, **{field: HOSTILE})))  # type: ignore[arg-type]
    assert read.elements <= HARMLESS
    assert read.attributes <= {"style"}
    assert HOSTILE in read.text


def test_a_status_says_all_that_matters() -> None:
    """The same in HTML and in plain text."""
    facts = ["live", "ws://127.0.0.1:3000/ws/v1", "12,345 events", "67.9 events/s", "processing lag 0.12 s"]
    facts += ["gaps 1", "rejects 2", "memory 1.5 MB"]
    for shown in (status_text(STATUS), Reader(status_html(STATUS)).text):
        assert [fact for fact in facts if fact not in shown] == []
    assert "gaps 1 (1 certain)" in status_text(replace(STATUS, certain_gaps=1))
    assert "lag" not in status_text(replace(STATUS, lag_s=None))


def test_a_recording_is_named_and_its_name_stays_text() -> None:
    assert "recording" not in status_text(STATUS)
    recorded = replace(STATUS, recording=f"/tmp/{HOSTILE}/run.chaos")
    assert "recording to /tmp/" in status_text(recorded)
    read = Reader(status_html(recorded))
    assert f"recording to /tmp/{HOSTILE}/run.chaos" in read.text
    assert read.elements <= HARMLESS


def test_the_nodes_clock_is_shown_where_it_is_off() -> None:
    """Less than a second is the time that events take."""
    for skew_s, shown in (
        (None, ""),
        (-0.4, ""),
        (12.34, "node's clock +12.3 s"),
        (-3600.0, "clock -3600.0 s"),
    ):
        text = status_text(replace(STATUS, skew_s=skew_s))
        assert shown in text
        assert bool(shown) is ("clock" in text)


def test_simulated_data_is_called_so() -> None:
    """And data that is not, is not."""
    simulated = replace(STATUS, simulated=True)
    assert "simulated" in status_text(simulated)
    assert "simulated" in Reader(status_html(simulated)).text
    assert "simulated" not in status_text(STATUS) + status_html(STATUS)


def test_an_error_has_a_line_of_its_own_in_plain_text() -> None:
    """It is the last thing said."""
    assert status_text(replace(STATUS, error="refused: bad key")).endswith("\nrefused: bad key")


@pytest.mark.parametrize("state", STATE_COLOURS)
def test_each_state_has_its_word_beside_its_colour(state: str) -> None:
    """Colour alone would not be seen by everyone."""
    markup = status_html(replace(STATUS, state=state))  # type: ignore[arg-type]
    assert STATE_COLOURS[state] in markup
    assert state in Reader(markup).text


def test_a_stream_shows_its_tables(stream: chaosnb.Stream) -> None:
    """Rows and size of each: all of them in HTML, those with rows in plain text."""
    rows = len(stream.block_validation)
    text = stream_text(stream)
    assert f"{rows:,} rows" in text
    assert "block_validation" in text
    assert "meme_posted" not in text
    read = Reader(stream_html(stream))
    assert read.elements <= HARMLESS
    assert "block_validation" in read.text
    assert "meme_posted" in read.text
    assert f"{rows:,}" in read.text
    assert "(simulated)" in text


def test_a_table_opens_to_its_columns_and_draws_its_last_minute(stream: chaosnb.Stream) -> None:
    """With the dtype and the newest value of each; small enough for a notebook, and quick."""
    markup = stream_html(stream)
    read = Reader(markup)
    newest = stream.block_proposal.iloc[-1]
    for word in ("datetime64[us, UTC]", "category", newest["producer_id"], str(newest["height"])):
        assert word in read.text
    assert {"details", "svg"} <= read.elements
    came = sum(stream.arrivals["block_validation"])
    assert f"{came:,} in the last 60 s" in read.text
    assert len(markup) < 20_000
    start = time.process_time()
    for _ in range(10):
        stream._repr_mimebundle_()
    assert time.process_time() - start < 0.5


@given(st.lists(st.integers(0, 10**9), max_size=70))
@settings(deadline=None)
def test_a_sparkline_is_blank_where_nothing_came(counts: list[int]) -> None:
    """It has a block for each second with an event, in both forms, and no other."""
    assert sparkline_svg(counts).count("M") == sum(count > 0 for count in counts)
    line = sparkline_text(counts, width=max(len(counts), 1))
    assert [sign != " " for sign in line] == [count > 0 for count in counts]
    if any(counts):
        assert line[counts.index(max(counts))] == "█"
    assert len(sparkline_text(counts)) <= 20


def test_an_identity_shows_a_little_of_its_public_key() -> None:
    """Enough to tell two apart; nothing of the private one."""
    identity = chaosnb.Identity("01" * 32)
    assert repr(identity) == f"Identity(public key {identity.public_key_hex[:12]}…)"
    assert "0101" not in repr(identity)


def test_ipython_shows_a_status_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook and in a terminal."""
    shell = TerminalInteractiveShell()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    guard_terminal()
    formatters = shell.display_formatter.formatters
    assert formatters["text/plain"](STATUS) == status_text(STATUS)
    # A terminal asks for no HTML, a notebook does.
    formatters["text/html"].enabled = True
    assert formatters["text/html"](STATUS) == status_html(STATUS)


def test_a_cell_gets_html_and_plain_text(stream: chaosnb.Stream) -> None:
    """As IPython asks for it; rates fall while one looks."""
    assert any(
        stream._repr_mimebundle_() == {"text/plain": stream_text(stream), "text/html": stream_html(stream)}
        for _ in range(10)
    )


def test_a_hostile_failure_of_a_stream_stays_text(
    stream: chaosnb.Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node's own words, as it turns the client away, stand in the status."""
    status = replace(stream.status, error=HOSTILE)
    monkeypatch.setattr(chaosnb.Stream, "status", property(lambda _: status))
    read = Reader(stream_html(stream))
    assert read.elements <= HARMLESS
    assert HOSTILE in read.text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2_500_000_000, "2.50 GB")],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    """In powers of ten, as the units say."""
    assert size_text(size) == text
