"""The stream against the simulated node over a real socket: tables, waiting, faults, ending."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter

import chaosnb
from chaosnb.protocol.schema import TABLES

ALL = ["blocks", "consensus", "network", "social"]


@pytest.fixture
def node() -> Iterator[chaosnb.Devnet]:
    """A quick simulated node."""
    with chaosnb.Devnet(seed=7, rate=400) as node:
        yield node


def wait_for(happened: object, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def stream_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("chaosnb-stream")]


def test_all_tables_fill_with_the_columns_of_the_schema(node: chaosnb.Devnet) -> None:
    """One line of code gives every event type as a DataFrame in order of time."""
    with chaosnb.stream(ALL, url=node.url) as s:
        s.wait(until=lambda s: all(len(s[name]) for name in TABLES if name != "error"), timeout=60)
    frames = s.frames()
    assert list(frames) == list(TABLES)
    for name, frame in frames.items():
        assert frame.columns.tolist() == [column.name for column in TABLES[name].columns]
        assert frame["timestamp"].is_monotonic_increasing
        assert frame.equals(getattr(s, name))
    assert s.rejects.empty
    assert s.drift.empty


def test_every_frame_of_a_day_is_in_a_table() -> None:
    """A day of event time at full speed: what the node says it sent is what the tables hold."""
    with (
        chaosnb.Devnet(seed=3, rate=2, speed=None, duration=86_400) as node,
        chaosnb.stream(ALL, url=node.url) as s,
    ):
        assert node.wait_finished(200)
        sent = node.sent
        s.wait(until=lambda s: s.status.events + s.status.rejects >= sum(sent.values()), timeout=60)
        assert {name: len(frame) for name, frame in s.frames().items() if len(frame)} == dict(sent)
        assert s.status.rejects == 0
        assert sum(sent.values()) > 100_000
        span = s.network_metrics["timestamp"].iloc[-1] - s.network_metrics["timestamp"].iloc[0]
    assert span > pd.Timedelta(hours=23)


@pytest.mark.parametrize(
    ("topic", "tables"),
    [
        ("blocks", {"block_proposal", "block_validation"}),
        ("consensus", {"consensus_discussion", "alliance_update"}),
        ("network", {"agent_status", "network_metrics"}),
        ("social", {"meme_posted", "reputation_update"}),
        ("memes", {"meme_posted"}),
    ],
)
def test_a_topic_gives_its_events_and_no_others(node: chaosnb.Devnet, topic: str, tables: set[str]) -> None:
    """The server filters; nothing else crosses the wire."""
    with chaosnb.stream(topic, url=node.url) as s:
        s.wait(until=lambda s: all(len(s[name]) for name in tables), timeout=30)
        assert {name for name, frame in s.frames().items() if len(frame)} == tables
        assert s.status.filtered == 0


def test_topics_can_be_added_and_dropped_while_it_runs(node: chaosnb.Devnet) -> None:
    """Subscribing asks the node; unsubscribing leaves out what still comes."""
    with chaosnb.stream("network", url=node.url) as s:
        s.wait(events=1, timeout=30)
        s.subscribe("blocks")
        s.wait(until=lambda s: len(s.block_validation) > 0, timeout=30)
        s.unsubscribe("blocks")
        assert s.status.topics == ("network",)
        rows = len(s.block_validation)
        s.wait(until=lambda s: s.status.filtered > 20, timeout=30)
        assert len(s.block_validation) <= rows + 500
        with pytest.raises(ValueError, match="'blocks', 'consensus', 'network', 'social', 'memes'"):
            s.subscribe("bloks")


def test_it_survives_the_death_of_its_node_and_the_hole_is_on_record() -> None:
    """Killed and restarted on its port, the node is found again; the time between is a gap."""
    node = chaosnb.Devnet(seed=7, rate=400)
    node.start()
    with chaosnb.stream(ALL, url=node.url) as s:
        s.wait(events=50, timeout=30)
        node.close()
        s.wait(until=lambda s: s.status.state == "reconnecting", timeout=30)
        assert s.gaps["end"].isna().tolist() == [True]
        before = len(s.frames()["block_validation"])
        node.start()
        s.wait(events=50, timeout=60)
        (gap,) = s.gaps.itertuples()
        assert gap.cause == "disconnected"
        assert gap.duration_s > 0
        assert s.status.state == "live"
        assert len(s.block_validation) >= before
        assert {"connecting", "live", "reconnecting"} <= set(s.incidents["state"])
    node.close()


def test_refused_credentials_raise_at_the_next_call_and_what_came_can_be_read() -> None:
    """No storm of reconnections, and the reason in words."""
    identity = chaosnb.Identity.generate()
    with chaosnb.Devnet(refuse=frozenset({identity.public_key_hex})) as node:
        s = chaosnb.stream(ALL, url=node.url, identity=identity)
        wait_for(lambda: s.closed)
        with pytest.raises(chaosnb.CredentialsError, match="INVALID_AGENT") as caught:
            _ = s.block_validation
        assert caught.value.code == "INVALID_AGENT"
        assert len(s.error) == 1
        with pytest.raises(chaosnb.CredentialsError):
            s.wait(events=1)
        assert s.status.state == "failed"
        assert "INVALID_AGENT" in (s.status.error or "")
        assert s.incidents["state"].tolist().count("connecting") == 1
        s.close()


def test_a_node_that_is_not_there_is_said_at_once_and_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    """The newcomer learns where it tried and how to get a simulated node."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with chaosnb.stream("blocks", url=f"ws://127.0.0.1:{port}") as s:
        out = capsys.readouterr().err
        assert f"ws://127.0.0.1:{port}/ws/v1" in out
        assert 'url="devnet"' in out
        with chaosnb.Devnet(rate=400, port=port):
            s.wait(events=1, timeout=60)
        assert s.incidents["detail"].iloc[1] == "connection refused"
        assert s.gaps.empty or s.gaps["end"].isna().any()


def test_debug_gives_what_the_node_knows_of_the_connection(node: chaosnb.Devnet) -> None:
    """The debug endpoint, asked for this connection, as a dict."""
    with chaosnb.stream("network", url=node.url) as s:
        s.wait(events=1, timeout=30)
        known = s.debug()
        assert known["connection_id"] == s.status.connection_id
        assert known["subscriptions"] == ["network"]


def test_debug_without_an_endpoint_is_a_clear_error(node: chaosnb.Devnet) -> None:
    """The error says which address was asked."""
    s = chaosnb.stream("network", url=node.url)
    s.wait(events=1, timeout=30)
    node.close()
    with pytest.raises(chaosnb.DebugError, match="/api/v1/debug/ws/"):
        s.debug()
    s.close()


def test_simulated_data_never_passes_for_real(node: chaosnb.Devnet, tmp_path: object) -> None:
    """The status, the display, the frames' attrs and every export say that it is simulated."""
    with chaosnb.stream("network", url=node.url) as s:
        s.wait(events=5, timeout=30)
        assert s.status.simulated
        assert "simulated" in s.network_metrics.attrs["source"]
        assert "simulated" in s.gaps.attrs["source"]
        bundle = s._repr_mimebundle_()
        assert "simulated" in bundle["text/plain"]
        assert "simulated" in bundle["text/html"]
        package = json.loads((s.export(str(tmp_path)) / "datapackage.json").read_text())
        assert package["chaosnb"]["simulated"] is True


def test_waiting_for_events_counts_from_the_call(node: chaosnb.Devnet) -> None:
    """Running a cell again waits for as many more."""
    with chaosnb.stream(ALL, url=node.url) as s:
        s.wait(events=20, timeout=30)
        before = s.status.events
        s.wait(events=20, timeout=30)
        assert s.status.events >= before + 20


def test_waiting_in_vain_ends_with_what_came_meanwhile(node: chaosnb.Devnet) -> None:
    """The error tells how far it got."""
    with chaosnb.stream("network", url=node.url) as s:
        with pytest.raises(chaosnb.WaitTimeoutError, match=r"wait\(events=1000000\)") as caught:
            s.wait(events=1_000_000, timeout=0.05)
        assert caught.value.timeout_s == 0.05
        assert isinstance(caught.value, TimeoutError)
        s.wait(seconds=0.01)
        for wrong in ({}, {"events": 1, "seconds": 1}, {"events": -1}, {"events": 1, "timeout": -1}):
            with pytest.raises(ValueError, match=r"one of|0 or more"):
                s.wait(**wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="0 or more"):
            s.wait(seconds=float("nan"))
        for odd in ({"events": "10"}, {"seconds": 1, "timeout": "5s"}):
            with pytest.raises(ValueError, match=r"(events='10'|timeout='5s') is not possible"):
                s.wait(**odd)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"of wait\(\)"):
            s.wait(until=5)  # type: ignore[arg-type]


def test_an_interrupt_ends_the_wait_within_half_a_second_and_nothing_else(node: chaosnb.Devnet) -> None:
    """Ctrl-C belongs to the cell, not to the stream."""
    with chaosnb.stream(ALL, url=node.url) as s:
        s.wait(events=5, timeout=30)
        # Where tests run in the background of a shell, Python is told to ignore interrupts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        waiting = threading.Event()
        sent: list[float] = []

        def interrupt() -> None:
            waiting.wait(30)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            s.wait(until=lambda s: bool(waiting.set()), timeout=30)
        assert time.monotonic() - sent[0] < 0.5
        thread.join()
        signal.signal(signal.SIGINT, before)
        s.wait(events=20, timeout=30)


def test_a_cell_that_computes_does_not_stop_the_stream(node: chaosnb.Devnet) -> None:
    """The stream has a thread of its own; pure Python in the main thread leaves it its share."""
    with chaosnb.stream(ALL, url=node.url) as s:
        s.wait(events=5, timeout=30)
        before = s.status.events
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            sum(range(1_000))
        assert s.status.events - before > 100
        assert s.status.lag_s is not None
        assert s.status.lag_s < 1


def test_closing_twice_and_reading_afterwards_is_fine(node: chaosnb.Devnet) -> None:
    """The tables stay; only what needs the node is refused."""
    s = chaosnb.stream(ALL, url=node.url)
    s.wait(events=20, timeout=30)
    assert s.status.events_per_s > 0
    s.close()
    s.close()
    assert (s.status.state, s.status.events_per_s) == ("closed", 0.0)
    assert sum(map(len, s.frames().values())) == s.status.events
    for call in (lambda: s.wait(events=1), lambda: s.subscribe("memes"), s.debug):
        with pytest.raises(chaosnb.StreamClosedError, match="closed"):
            call()


def test_a_closed_stream_leaves_no_thread(node: chaosnb.Devnet) -> None:
    """Neither does one that nobody holds any more."""
    gc.collect()
    before = len(stream_threads())
    s = chaosnb.stream("network", url=node.url)
    assert len(stream_threads()) == before + 1
    s.close()
    wait_for(lambda: len(stream_threads()) == before)
    forgotten = weakref.ref(chaosnb.stream("network", url=node.url))
    gc.collect()
    assert forgotten() is None
    wait_for(lambda: len(stream_threads()) == before)


def test_the_async_context_manager_closes_it(node: chaosnb.Devnet) -> None:
    """`async with` works in a cell as well as `with`."""

    async def use() -> chaosnb.Stream:
        async with chaosnb.stream("network", url=node.url) as s:
            while not s.status.events:
                await asyncio.sleep(0.005)
            return s

    assert asyncio.run(use()).status.state == "closed"


def test_connect_gives_events_in_order_of_arrival(node: chaosnb.Devnet) -> None:
    """Asyncio users get one event after the other."""

    async def read() -> list[str]:
        stamps = []
        async with chaosnb.connect(ALL, url=node.url) as events:
            async for event in events:
                stamps.append(event.timestamp)
                if len(stamps) == 100:
                    break
        return stamps

    stamps = asyncio.run(read())
    assert stamps == sorted(stamps)


def test_connect_says_once_that_a_node_cannot_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    """And goes on trying until it is there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def first() -> object:
        async with chaosnb.connect("network", url=f"ws://127.0.0.1:{port}") as events:
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.1)
            with chaosnb.Devnet(rate=400, port=port):
                return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(first()) is not None
    out = capsys.readouterr().err
    assert out.count(f"ws://127.0.0.1:{port}/ws/v1: connection refused. connect() keeps trying") == 1


def test_many_streams_run_side_by_side(node: chaosnb.Devnet) -> None:
    """Each has its own connection and its own numbering."""
    streams = [chaosnb.stream("network", url=node.url) for _ in range(5)]
    for s in streams:
        s.wait(events=3, timeout=30)
    assert len({s.status.connection_id for s in streams}) == 5
    for s in streams:
        assert s.network_metrics["seq"].is_unique
        s.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topics": ["bloks"]}, "'blocks', 'consensus', 'network', 'social', 'memes'"),
        ({"topics": []}, "no topic given"),
        ({"topics": "blocks", "url": "http://node.example"}, "ws://host:port"),
        ({"topics": "blocks", "url": "devnett"}, "'devnet'"),
        ({"topics": "blocks", "url": "ws://node:port"}, "devnet"),
        ({"topics": "blocks", "url": "devnet", "max_message_bytes": 0}, "at least 1"),
        ({"topics": "blocks", "url": "devnet", "max_message_bytes": "1MB"}, "number of bytes"),
    ],
)
def test_misuse_is_a_value_error_that_lists_what_is_valid(arguments: dict[str, object], message: str) -> None:
    """It is said at the call, not later in a thread."""
    with pytest.raises(ValueError, match=message):
        chaosnb.stream(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topics": 3}, "topics must be"),
        ({"topics": "blocks", "url": 3000}, "url must be"),
        ({"topics": "blocks", "url": "devnet", "identity": "ab" * 32}, "CHAOSNB_PRIVATE_KEY"),
    ],
)
def test_a_wrong_type_is_said_at_the_call_too(arguments: dict[str, object], message: str) -> None:
    """A key given as text is told where it belongs, and is not repeated."""
    with pytest.raises(TypeError, match=message) as caught:
        chaosnb.stream(**arguments)  # type: ignore[arg-type]
    assert "abab" not in str(caught.value)


def test_while_it_cannot_connect_the_status_says_why() -> None:
    """The line that was printed once is gone by the time somebody asks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with chaosnb.stream("blocks", url=f"ws://127.0.0.1:{port}") as s:
        assert s.status.error == "connection refused"
        assert "connection refused" in str(s)


def test_a_wrong_table_or_plot_lists_the_right_ones(node: chaosnb.Devnet) -> None:
    """A KeyError by item, an AttributeError by attribute, a ValueError for a plot."""
    with chaosnb.stream("network", url=node.url) as s:
        with pytest.raises(KeyError, match="block_validation"):
            s["votes"]
        with pytest.raises(KeyError, match=r"no table \['error'\].*; the tables are block_proposal"):
            s[["error"]]  # type: ignore[index]
        with pytest.raises(AttributeError, match=r"block_validation.*frames\(\) gives them all"):
            _ = s.votes  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="the topic 'blocks' is in block_proposal, block_validation"):
            _ = s.blocks  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="'tps', 'decisions', 'sentiment', 'reputation'"):
            s.aggregate("votes")
        with pytest.raises(ValueError, match=r"no aggregate \['tps'\].*; there are 'tps'"):
            s.aggregate(["tps"])  # type: ignore[arg-type]


async def _first_of(s: chaosnb.Stream) -> object:
    async for event in s:  # type: ignore[attr-defined]
        return event
    return None


@pytest.mark.parametrize("take", [list, lambda s: asyncio.run(_first_of(s))])
def test_what_iterates_a_stream_is_told_what_to_ask_for(
    node: chaosnb.Devnet, take: Callable[[chaosnb.Stream], object]
) -> None:
    """Its tables and single events are to be had elsewhere; no table 0 is looked for."""
    with (
        chaosnb.stream("network", url=node.url) as s,
        pytest.raises(TypeError, match=r"frames\(\) has tables by name, chaosnb.connect\(\) single events"),
    ):
        take(s)


def test_ipython_completes_the_name_of_a_table(node: chaosnb.Devnet) -> None:
    """As it does the name of a column in a DataFrame."""
    with chaosnb.stream("network", url=node.url) as s:
        completer = IPCompleter(namespace={"s": s}, use_jedi=False)
        with provisionalcompleter():
            found = [completion.text for completion in completer.completions('s["block_v', 10)]
        assert [name for name in found if "block_validation" in name]


def test_the_address_comes_from_the_environment(
    node: chaosnb.Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CHAOSNB_URL names the node where the call does not."""
    monkeypatch.setenv("CHAOSNB_URL", node.url)
    with chaosnb.stream("network") as s:
        assert s.status.url == node.url


def test_secrets_are_nowhere_to_be_seen(
    node: chaosnb.Devnet, monkeypatch: pytest.MonkeyPatch, tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in reprs, logs, tracebacks, incidents or exports: neither the key nor what the URL carries."""
    key = os.urandom(32).hex()
    monkeypatch.setenv("CHAOSNB_PRIVATE_KEY", key)
    caplog.set_level("DEBUG")
    address = node.url.replace("ws://", "ws://me:hunter2@") + "?token=s3cret"
    with chaosnb.stream("network", url=address) as s:
        s.wait(events=5, timeout=30)
        assert s.debug()["public_key"] == chaosnb.Identity(key).public_key_hex
        shown = [
            repr(s),
            str(s.status),
            *s._repr_mimebundle_().values(),
            s.incidents.to_string(),
            # The simulated node is the other side, which is told what the URL carries.
            *(r.getMessage() for r in caplog.records if not r.name.startswith("chaosnb.devnet")),
        ]
        shown += [path.read_text() for path in s.export(str(tmp_path), format="csv").iterdir()]
    try:
        s.wait(events=1)
    except chaosnb.StreamClosedError as error:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        del report.stack[0]  # this test's own frame, which knows the secrets
        shown.append("".join(report.format()))
    for text in shown:
        for secret in (key, "hunter2", "s3cret"):
            assert secret not in text


def test_a_script_that_forgets_to_close_ends_cleanly() -> None:
    """No hang, no 'Task was destroyed', no warning at the interpreter's end."""
    script = textwrap.dedent(
        """
        import chaosnb
        s = chaosnb.stream(["blocks", "network"], url="devnet")
        s.wait(events=5, timeout=30)
        print(s)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("chaosnb stream: live, ws://127.0.0.1:")


def test_a_closed_stream_cannot_be_entered() -> None:
    """Silence would look like a stream of which nothing comes."""
    s = chaosnb.stream("blocks", url="devnet")
    s.close()
    with pytest.raises(chaosnb.StreamClosedError, match="Open a new one"), s:
        pass


@pytest.mark.parametrize("name", ["block_validations", "Memes_posted", "network_metric"])
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(name: str) -> None:
    """Of tables and of topics."""
    with chaosnb.stream("blocks", url="devnet") as s:
        with pytest.raises(KeyError, match=r"did you mean '(block_validation|meme_posted|\w+_metrics)'"):
            s[name]
        with pytest.raises(AttributeError, match=r"did you mean '\w+'"):
            getattr(s, name)
        with pytest.raises(ValueError, match="did you mean 'consensus'"):
            s.subscribe(["concensus"])
