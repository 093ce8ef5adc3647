"""The session: what it sends, what it makes of frames, what it counts."""

from __future__ import annotations

import json

import nacl.signing
import pytest

from chaosnb.ingest.session import Session
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import (
    Agent,
    AgentStatus,
    ConsensusDiscussion,
    Frame,
    MemePosted,
    NetworkMetrics,
    PostContent,
)
from chaosnb.protocol.signing import Identity

STAMP = "2026-11-23T00:36:12.345Z"
STAMP_US = 1_795_394_172_345_000


def metrics(tps: float = 1.0, timestamp: str = STAMP) -> NetworkMetrics:
    return NetworkMetrics(5, tps, 4, 2, 7, timestamp)


def frame(event: object, at_ns: int = 10_000) -> Frame:
    return Frame(event if isinstance(event, bytes) else encode(event), at_ns)  # type: ignore[arg-type]


def make(*topics: str) -> Session:
    return Session(topics or ("blocks", "consensus", "network", "social", "memes"), Identity.generate())


def test_a_new_connection_is_greeted_by_a_verifiable_auth_and_then_a_subscribe() -> None:
    """The auth message signs auth:<key>:<timestamp> with the very stamp that it carries."""
    auth, subscribe = map(json.loads, make("blocks", "social").greet(STAMP_US * 1_000))
    text = f"auth:{auth['public_key']}:{auth['timestamp']}".encode()
    nacl.signing.VerifyKey(bytes.fromhex(auth["public_key"])).verify(text, bytes.fromhex(auth["signature"]))
    assert auth["timestamp"] == STAMP
    assert subscribe == {"type": "subscribe", "topics": ["blocks", "social"]}


def test_events_keep_their_order_of_arrival_and_are_numbered_over_all_tables() -> None:
    """The arrival number counts frames of any kind."""
    status = AgentStatus("a", "active", "r", "PT0S", STAMP)
    batch = make().feed([frame(metrics(1)), frame(status), frame(b"{"), frame(metrics(2))])
    assert batch.rows["network_metrics"].seq.tolist() == [1, 4]
    assert batch.rows["agent_status"].seq.tolist() == [2]
    assert [event.tps for event in batch.rows["network_metrics"].events] == [1.0, 2.0]
    assert batch.rows["network_metrics"].timestamp_us.tolist() == [STAMP_US, STAMP_US]
    assert (batch.frames, batch.events, len(batch.rejects)) == (4, 3, 1)


def test_the_arrival_number_goes_on_from_batch_to_batch() -> None:
    """A second batch does not begin anew."""
    session = make()
    session.feed([frame(metrics(1))])
    assert session.feed([frame(metrics(2))]).rows["network_metrics"].seq.tolist() == [2]


def test_an_event_whose_time_cannot_be_read_is_rejected_with_its_own_bytes() -> None:
    """The other events of the batch are not touched."""
    bad = encode(metrics(9, "tomorrow"))
    batch = make().feed([frame(metrics(1)), frame(bad, 77), frame(metrics(2))])
    assert [event.tps for event in batch.rows["network_metrics"].events] == [1.0, 2.0]
    assert [(reject.raw, reject.received_at_ns) for reject in batch.rejects] == [(bad, 77)]
    assert "'tomorrow'" in batch.rejects[0].reason


def test_a_batch_of_which_nothing_is_left_has_no_rows() -> None:
    """A table of a batch is never empty."""
    batch = make().feed([frame(metrics(9, "tomorrow"))])
    assert batch.rows == {}
    assert batch.events == 0


def test_an_error_takes_the_time_of_its_arrival() -> None:
    """The protocol gives an error no time of its own."""
    batch = make("blocks").feed([frame(b'{"type":"error","error":{"code":"X","message":"m"}}', 5_000_000)])
    assert batch.rows["error"].timestamp_us.tolist() == [5_000]
    assert [error.code for error in batch.errors] == ["X"]


def test_events_of_topics_not_subscribed_are_left_out_and_counted() -> None:
    """A dropped topic's events may still come, since the protocol knows no unsubscribe."""
    session = make("blocks", "network")
    session.unsubscribe("network")
    batch = session.feed([frame(metrics())])
    assert (batch.rows, batch.filtered) == ({}, 1)
    assert json.loads(session.greet(0)[1])["topics"] == ["blocks"]


def test_memes_come_with_either_of_their_topics() -> None:
    """meme_posted belongs to social and to memes, and stays while one is left."""
    meme = MemePosted("m", Agent("a", "memetic"), PostContent("text", "", "gm"), [], STAMP)
    session = make("social", "memes")
    session.unsubscribe("social")
    assert session.feed([frame(meme)]).events == 1


def test_subscribing_sends_only_what_is_new() -> None:
    """Adding what is there sends nothing."""
    session = make("blocks")
    assert [json.loads(text)["topics"] for text in session.subscribe(["blocks", "social"])] == [["social"]]
    assert session.subscribe("social") == []
    assert session.topics == ("blocks", "social")


def test_dropping_the_last_topic_is_refused() -> None:
    """A stream of nothing would wait for ever."""
    session = make("blocks")
    with pytest.raises(ValueError, match="at least one topic"):
        session.unsubscribe("blocks")
    assert session.topics == ("blocks",)


def test_a_control_message_gives_the_connection_id_and_tells_of_simulation() -> None:
    """It is no event and no reject."""
    session = make()
    batch = session.feed([frame(b'{"type":"auth_success","connection_id":"c1","simulated":true}')])
    assert (batch.events, batch.rejects, session.connection_id, session.simulated) == (0, [], "c1", True)
    session.feed([frame(b'{"type":"subscribed","topics":["blocks"]}')])
    assert session.connection_id == "c1"
    session.greet(0)
    assert session.connection_id is None


def test_unknown_fields_and_values_are_counted_by_name_and_the_event_is_kept() -> None:
    """Schema drift is on record and loses nothing."""
    said = ConsensusDiscussion("b", Agent("a", "lawful"), "hm", "sarcastic", [], STAMP)
    extra = encode(metrics()).replace(b'"tps"', b'"gas":1,"tps"')
    session = make()
    other = encode(metrics(2)).replace(b'"tps"', b'"gas":1,"tps"')
    batch = session.feed([frame(said), frame(extra), frame(other)])
    assert batch.events == 3
    assert session.drift == {
        "network_metrics.data.gas": 2,
        "consensus_discussion.data.sentiment = 'sarcastic'": 1,
    }


def test_the_count_of_drift_stays_bounded_and_complete() -> None:
    """A node that makes up a new name in each message costs no memory without end."""
    session = make()
    for number in range(3_000):
        session.feed([frame(encode(metrics()).replace(b'"tps"', b'"x%d":1,"tps"' % number))])
    assert len(session.drift) <= 1_001
    assert session.drift.total() == 3_000
