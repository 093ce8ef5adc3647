"""Hypothesis strategies for every event of the protocol, and the way from events to batches."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from chaosnb.ingest.session import Batch, Session
from chaosnb.protocol import events as ev
from chaosnb.protocol.codec import encode
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.signing import Identity

START_US = 1_795_394_172_345_000  # 2026-11-23T00:36:12.345Z
ALL_TOPICS = ("blocks", "consensus", "network", "social", "memes")

texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "\0", "a\0b", "🦊🧨", "e\u0301", "\u2028", '"\\', "x" * 5_000, "\U0010ffff"]),
)
labels = st.sampled_from(["alice", "bob", "carol", "", "\0", "🦊"])
int64s = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
stamps = st.integers(START_US, START_US + 90_000_000).map(format_timestamp)
durations = st.sampled_from(["PT0S", "PT90S", "P1DT2H", "P1M", "soon", "", "PT0,5S"])

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def _agents() -> st.SearchStrategy[Any]:
    return st.builds(ev.Agent, labels, st.sampled_from([*ev.PERSONALITIES, "custom 🃏"]))


def _known(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*values, "something else"])


def events(name: str, when: st.SearchStrategy[str] = stamps) -> st.SearchStrategy[Any]:
    """Events of one type, with valid text and numbers of every kind and times from `when`."""
    made: dict[str, st.SearchStrategy[Any]] = {
        "block_proposal": st.builds(
            ev.BlockProposal,
            texts,
            texts,
            int64s,
            st.builds(ev.Producer, labels, labels),
            st.lists(st.builds(ev.Transaction, texts, texts), max_size=3).map(tuple),
            st.builds(ev.MemeContent, labels, texts),
            when,
        ),
        "block_validation": st.builds(
            ev.BlockValidation, texts, _agents(), _known("approve", "reject"), texts, when
        ),
        "consensus_discussion": st.builds(
            ev.ConsensusDiscussion,
            texts,
            _agents(),
            texts,
            _known("positive", "negative", "neutral"),
            st.lists(texts, max_size=3).map(tuple),
            when,
        ),
        "alliance_update": st.builds(
            ev.AllianceUpdate,
            texts,
            st.lists(st.builds(ev.Member, texts, texts), max_size=3).map(tuple),
            texts,
            durations,
            when,
        ),
        "agent_status": st.builds(
            ev.AgentStatus, labels, _known("active", "inactive", "maintenance"), texts, durations, when
        ),
        "network_metrics": st.builds(ev.NetworkMetrics, int64s, floats, int64s, int64s, int64s, when),
        "meme_posted": st.builds(
            ev.MemePosted,
            texts,
            _agents(),
            st.builds(ev.PostContent, _known("image", "text", "gif"), texts, texts),
            st.lists(texts, max_size=3).map(tuple),
            when,
        ),
        "reputation_update": st.builds(ev.ReputationUpdate, labels, floats, floats, texts, when),
        "error": st.builds(ev.ErrorEvent, labels, texts, json_values),
    }
    return made[name]


NAMES = (*ev.EVENT_TYPES, "error")
any_events = st.one_of([events(name) for name in NAMES])


def new_session() -> Session:
    """Return a session that is subscribed to every topic."""
    return Session(ALL_TOPICS, Identity.generate())


def batch_of(found: Iterable[ev.Event], session: Session | None = None, at_us: int = START_US) -> Batch:
    """Return the batch that comes of these events when a session reads them off the wire."""
    session = session or new_session()
    frames = [ev.Frame(encode(event), (at_us + place) * 1_000) for place, event in enumerate(found)]
    return session.feed(frames)


def slices(items: Sequence[Any], cuts: Iterable[int]) -> list[Sequence[Any]]:
    """Cut a sequence at these places, each taken modulo its length."""
    edges = [0, *sorted(cut % (len(items) + 1) for cut in cuts), len(items)]
    return [items[low:high] for low, high in pairwise(edges)]


def unlike(found: Iterable[Any]) -> list[Any]:
    """Return the events without those that are there twice, which a session takes for one."""
    return list({encode(event): event for event in found}.values())
