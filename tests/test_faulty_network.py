"""The network in memory: what a client of it receives is what its ground truth says."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.devnet import Cut, Faults, Refuse, Sent, Stall
from chaosnb.devnet.outgoing import UNSENT, Outgoing
from chaosnb.errors import TransportError
from chaosnb.ingest.connection import Connection
from chaosnb.ingest.session import Session
from chaosnb.protocol.codec import decode, encode
from chaosnb.protocol.events import BlockProposal, Event, Frame
from chaosnb.protocol.signing import Identity
from tests.faulty_network import FaultyNetwork, run_virtually

TOPICS = ["blocks", "consensus", "network", "social"]
URL = "ws://node.example/ws/v1"
CONTROLS = (b'{"type": "auth_success"', b'{"type": "subscribed"')


class RawClient:
    """Reads whatever comes, and connects again after a second, or after a long silence."""

    def __init__(self, network: FaultyNetwork, silence_s: float = 15.0) -> None:
        self.network = network
        self.links: list[list[bytes]] = []
        self.losses: list[str] = []
        self.session = Session(TOPICS, Identity.generate())
        self._silence_s = silence_s

    async def listen(self) -> None:
        reading = asyncio.create_task(self._read())
        await asyncio.sleep(0.1)
        await self.network.settle()
        await asyncio.sleep(1)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading

    async def _read(self) -> None:
        while True:
            try:
                link = await self.network(URL)
                self.links.append([])
                for text in self.session.greet(self.network.clock.wall_ns()):
                    await link.send(text)
                while True:
                    async with asyncio.timeout(self._silence_s):
                        frames = await link.receive()
                    self.links[-1] += [f.data for f in frames if not f.data.startswith(CONTROLS)]
            except TransportError as error:
                self.losses.append(error.reason)
            except TimeoutError:
                self.losses.append("silence")
                await link.close()
            await asyncio.sleep(1)


def read(faults: Faults, duration_s: float = 60.0, rate: float = 20.0) -> tuple[RawClient, Sent]:
    client = RawClient(FaultyNetwork(faults=faults, duration_s=duration_s, rate=rate))
    run_virtually(client.listen())
    return client, client.network.sent


def blocks(messages: list[Outgoing]) -> list[BlockProposal]:
    events = [decode(Frame(message.data, 0)) for message in messages]
    return [event for event in events if isinstance(event, BlockProposal)]


FAULTS = st.builds(
    Faults,
    seed=st.integers(0, 1_000),
    drop=st.sampled_from([0.0, 0.1]),
    duplicate=st.sampled_from([0.0, 0.1]),
    reorder=st.sampled_from([0.0, 0.1]),
    delay=st.sampled_from([0.0, 0.2]),
    garbage=st.sampled_from([0.0, 0.05]),
    cut=st.sampled_from([0.0, 0.1, 0.5]),
    cuts=st.sampled_from([("reset",), (1001, 1013), ("reset", "half-open", 1006, 1011)]),
    stall=st.sampled_from([0.0, 0.2]),
    flood=st.sampled_from([0.0, 0.1]),
    flood_events=st.just(5),
    refuse=st.sampled_from([0.0, 0.5]),
    replay_s=st.sampled_from([0.0, 5.0]),
    skew_s=st.sampled_from([0.0, -100.0]),
)


@settings(deadline=None, max_examples=40)
@given(FAULTS)
def test_the_truth_is_what_the_client_received(faults: Faults) -> None:
    """Frame by frame and link by link; and what was due and not handed over is missed."""
    client, sent = read(faults, duration_s=30.0)
    assert [frames for frames in client.links if frames] == [
        handed for link in sent.links() if (handed := [message.data for message in link.handed])
    ]
    received = [data for frames in client.links for data in frames]
    assert [message.data for message in sent.delivered()] == received
    had = {message.wire for message in sent.delivered()}
    missed = [message for message in sent.due() if message.wire not in had]
    assert sent.missed() == missed
    if not faults.flood and not faults.garbage:
        since = sent.links()[0].subscriptions[0].since
        known = {message.wire for message in sent.emitted}
        assert had <= known
        assert (
            len(sent.emitted) - since
            == len(sent.due())
            == len(had & {m.wire for m in sent.due()}) + len(missed)
        )


def test_the_same_seed_gives_the_same_run() -> None:
    """To the byte, over many links."""
    faults = Faults(seed=5, drop=0.1, delay=0.1, cut=0.3, cuts=("reset", 1001), refuse=0.3, garbage=0.02)
    (one, _), (two, _) = read(faults), read(faults)
    assert one.links == two.links
    assert len(one.links) > 5


def test_without_faults_nothing_is_missed() -> None:
    """The rows are the emitted events in order of time."""
    client, sent = read(Faults())
    assert sent.missed() == sent.missed_blocks() == sent.unknown_parents() == []
    assert sent.copies() == 0
    assert sent.rows() == sent.due() == sent.delivered()
    assert [message.data for message in sent.rows()] == client.links[0]
    assert sent.total() == len(sent.due()) > 1_000
    assert {fate for _, fate in sent.fates()} == {"sent"}


def test_rows_are_each_event_once_by_time() -> None:
    """Copies, disorder and garbage leave the same tables as a good link."""
    _, sent = read(Faults(seed=1, duplicate=0.3, reorder=0.2, delay=0.2, garbage=0.1, max_delay_s=2.0))
    rows = [message.time_us for message in sent.rows()]
    assert rows == sorted(rows)
    assert [m.wire for m in sent.delivered()] != [m.wire for m in sent.rows()]
    assert {message.wire for message in sent.rows()} == {message.wire for message in sent.due()}
    assert sent.copies() == sum(m.fate == "duplicate" for m in sent.delivered()) > 0
    assert sent["garbage"] > 0


def test_a_row_is_the_first_of_its_copies() -> None:
    """As a table keeps it."""
    _, sent = read(Faults(seed=1, duplicate=0.3))
    assert {message.fate for message in sent.rows()} == {"sent"}
    assert sent.copies() > 0


def test_missed_blocks_and_unknown_parents_are_what_an_observer_lacks() -> None:
    """Computed anew here from what was received and what was emitted."""
    client, sent = read(Faults(seed=2, drop=0.4), duration_s=200.0)
    had = blocks(sent.delivered())
    everything = blocks(list(sent.emitted))
    have = {block.height for block in had}
    assert sent.missed_blocks() == sorted({block.height for block in everything} - have)
    assert sent.missed_blocks()
    named = {block.parent_hash for block in had}
    lacking = {block.block_hash for block in everything} - {block.block_hash for block in had}
    assert {*sent.unknown_parents()} == named & lacking != set()
    assert len(client.links) == 1


def test_what_was_emitted_while_the_client_was_away_is_missed_unless_it_is_replayed() -> None:
    """A cut after 20 s, refused for 8 s: what came meanwhile has the fate 'away', or 'replayed'."""
    script = ((20.0, Cut(1012)), (20.0, Refuse(8.0)))
    client, sent = read(Faults(script=script))
    assert client.losses[0] == "cut on purpose"
    assert len(client.losses) > 8
    missed = sent.missed()
    assert {fate for message, fate in sent.fates() if message in missed} == {"away"}
    span_s = (missed[-1].time_us - missed[0].time_us) / 1e6
    assert 8.0 < span_s < 11.0
    assert [m.number for m in missed] == list(range(missed[0].number, missed[-1].number + 1))
    _, again = read(Faults(script=script, replay_s=12.0))
    assert again.missed() == []
    assert {fate for _, fate in again.fates()} == {"sent", "replayed"}
    assert again.copies() > 0


def test_recall_and_precision_of_gaps() -> None:
    """The span that was missed scores 1; an hour before lowers the precision, half the span the recall."""
    _, sent = read(Faults(script=((20.0, Cut(1012)), (20.0, Refuse(8.0)))))
    missed = sent.missed()
    start, end = missed[0].time_us, missed[-1].time_us
    before = (start - 7_200_000_000, start - 3_600_000_000)
    assert sent.recall([(start, end)]) == sent.precision([(start, end)]) == 1.0
    assert sent.precision([before, (start, end)]) == 0.5
    assert sent.recall([before]) == 0.0
    middle = missed[len(missed) // 2].time_us
    assert 0.3 < sent.recall([(start, middle)]) < 0.7
    assert (sent.recall([]), sent.precision([])) == (0.0, 1.0)


def test_a_half_open_link_says_nothing_and_does_not_end() -> None:
    """The client finds out by the silence alone, and everything since is missed."""
    client, sent = read(Faults(script=((10.0, Cut("half-open")),)))
    assert client.losses == ["silence"]
    assert [link.ended for link in sent.links()] == ["half-open", None]
    assert 15.0 < (sent.missed()[-1].time_us - sent.missed()[0].time_us) / 1e6 < 18.0


def test_a_half_open_link_fails_when_its_pings_are_not_answered() -> None:
    """As the real transports do."""
    client = RawClient(FaultyNetwork(faults=Faults(script=((10.0, Cut("half-open")),))), silence_s=100.0)
    run_virtually(client.listen())
    assert client.losses == ["the node does not answer pings"]
    missed = client.network.sent.missed()
    assert 40.0 < (missed[-1].time_us - missed[0].time_us) / 1e6 < 42.0


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_client_that_leaves_by_itself_is_due_nothing_more(is_cut: bool) -> None:
    """One that was cut off is."""

    async def leave() -> Sent:
        network = FaultyNetwork(duration_s=20.0)
        link = await network(URL)
        for text in Session(TOPICS, Identity.generate()).greet(network.clock.wall_ns()):
            await link.send(text)
        await asyncio.sleep(5)
        await link.receive()
        if is_cut:
            network.strike(Cut(1001))
        await link.close()
        await network.finished.wait()
        return network.sent

    sent = run_virtually(leave())
    assert (len(sent.due()) > len(sent.emitted) / 2) == is_cut == bool(sent.missed())
    assert sent.due()


def test_unread_messages_are_lost_by_a_reset_and_read_before_a_close_code() -> None:
    """The exact truth of what arrived."""

    async def unread(cut: Cut) -> tuple[int, Sent]:
        network = FaultyNetwork(duration_s=20.0)
        link = await network(URL)
        for text in Session(TOPICS, Identity.generate()).greet(network.clock.wall_ns()):
            await link.send(text)
        await asyncio.sleep(5)
        network.strike(cut)
        frames = 0
        with pytest.raises(TransportError):
            while True:
                frames += sum(not f.data.startswith(CONTROLS) for f in await link.receive())
        return frames, network.sent

    frames, sent = run_virtually(unread(Cut("reset")))
    assert (frames, sent.delivered()) == (0, [])
    assert {fate for _, fate in sent.fates()} == {"lost"}
    frames, sent = run_virtually(unread(Cut(1001)))
    assert frames == len(sent.delivered()) > 0
    assert {fate for _, fate in sent.fates()} == {"sent"}


def test_several_clients_have_each_their_own_truth() -> None:
    """And must be named."""

    async def both() -> Sent:
        network = FaultyNetwork(faults=Faults(seed=1, drop=0.2), duration_s=10.0)
        clients = [RawClient(network), RawClient(network)]
        await asyncio.gather(*(client.listen() for client in clients))
        keys = [json.loads(c.session.greet(0)[0])["public_key"] for c in clients]
        assert {*network.sent.clients} == {*keys}
        for key, client in zip(keys, clients, strict=True):
            assert [m.data for m in network.sent.delivered(key)] == client.links[0]
        return network.sent

    sent = run_virtually(both())
    assert sent.missed(sent.clients[0]) != sent.missed(sent.clients[1])
    with pytest.raises(ValueError, match=sent.clients[1]):
        sent.missed()


def test_a_connection_keeps_every_event_that_arrived() -> None:
    """The whole client above the link, in virtual time: an hour of cuts takes no hour."""

    async def listen() -> tuple[set[bytes], Sent]:
        network = FaultyNetwork(
            faults=Faults(seed=3, drop=0.05, cut=0.02, cuts=("reset", 1001, 1011)), rate=2, duration_s=1_200
        )
        events: list[Event] = []
        connection = Connection(
            url=URL,
            session=Session(TOPICS, Identity.generate()),
            connect=network,
            clock=network.clock,
            rng=random.Random(1),
        )

        async def pump() -> None:
            async for batch in connection.batches():
                for rows in batch.rows.values():
                    events.extend(rows.events)

        pumping = asyncio.create_task(pump())
        await asyncio.sleep(0.1)
        await network.settle()
        await asyncio.sleep(5)
        pumping.cancel()
        with suppress(asyncio.CancelledError):
            await pumping
        return {encode(event) for event in events}, network.sent

    had, sent = run_virtually(listen())
    assert had == {message.data for message in sent.rows()}
    assert len(sent.links()) > 15
    assert {fate for _, fate in sent.fates()} >= {"sent", "dropped", "away"}
    assert not UNSENT & {message.fate for message in sent.delivered()}


def test_a_fault_strikes_when_told_to() -> None:
    """Beside those that are drawn."""

    async def stalled() -> list[float]:
        network = FaultyNetwork(duration_s=20.0)
        link = await network(URL)
        for text in Session(TOPICS, Identity.generate()).greet(network.clock.wall_ns()):
            await link.send(text)
        await asyncio.sleep(5)
        await link.receive()
        network.strike(Stall(4.0))
        await link.receive()
        return [asyncio.get_running_loop().time()]

    assert run_virtually(stalled()) == [pytest.approx(9.0, abs=0.2)]
