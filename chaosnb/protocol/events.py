"""The wire messages of ChaosChain: every event and its fields, the topics, and the values that are known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Struct

from chaosnb.text import did_you_mean

__all__ = [
    "EVENT_TYPES",
    "KNOWN_VALUES",
    "PERSONALITIES",
    "TOPICS",
    "TYPE_NAMES",
    "AgentStatus",
    "AllianceUpdate",
    "BlockProposal",
    "BlockValidation",
    "ConsensusDiscussion",
    "Control",
    "ErrorEvent",
    "Event",
    "Frame",
    "Int64",
    "MemePosted",
    "NetworkMetrics",
    "Reject",
    "ReputationUpdate",
    "check_topics",
    "event_type",
    "events_of",
]

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Record(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of every object within a message."""


class Event(Record, frozen=True):
    """Base of all events; each has its `timestamp` as the ISO 8601 text that was sent."""


class Producer(Record, frozen=True):
    """Who made a block."""

    id: str
    public_key: str


class Transaction(Record, frozen=True):
    """A transaction within a block."""

    hash: str
    type: str


class MemeContent(Record, frozen=True):
    """The meme that a block carries."""

    type: str
    content: str


class Agent(Record, frozen=True):
    """An agent with its personality, as validator, speaker or creator."""

    id: str
    personality: str


class Member(Record, frozen=True):
    """A member of an alliance."""

    id: str
    role: str


class PostContent(Record, frozen=True):
    """The content of a posted meme; `type` is ``image``, ``text`` or ``gif``."""

    type: str
    url: str
    caption: str


class BlockProposal(Event, frozen=True):
    """A new block is proposed."""

    block_hash: str
    parent_hash: str
    height: Int64
    producer: Producer
    transactions: tuple[Transaction, ...]
    meme_content: MemeContent
    timestamp: str


class BlockValidation(Event, frozen=True):
    """A validator votes on a block; `decision` is ``approve`` or ``reject``."""

    block_hash: str
    validator: Agent
    decision: str
    reason: str
    timestamp: str


class ConsensusDiscussion(Event, frozen=True):
    """An agent says something about a block; `sentiment` is ``positive``, ``negative`` or ``neutral``."""

    block_hash: str
    agent: Agent
    message: str
    sentiment: str
    meme_references: tuple[str, ...]
    timestamp: str


class AllianceUpdate(Event, frozen=True):
    """An alliance is formed or changed; `duration` is an ISO 8601 duration."""

    alliance_id: str
    members: tuple[Member, ...]
    purpose: str
    duration: str
    timestamp: str


class AgentStatus(Event, frozen=True):
    """An agent changes its status: ``active``, ``inactive`` or ``maintenance``."""

    agent_id: str
    status: str
    reason: str
    expected_duration: str
    timestamp: str


class NetworkMetrics(Event, frozen=True):
    """The network's own figures; `tps` is transactions a second."""

    block_height: Int64
    tps: float
    active_validators: Int64
    active_producers: Int64
    pending_transactions: Int64
    timestamp: str


class MemePosted(Event, frozen=True):
    """An agent posts a meme."""

    meme_id: str
    creator: Agent
    content: PostContent
    tags: tuple[str, ...]
    timestamp: str


class ReputationUpdate(Event, frozen=True):
    """An agent's reputation changes."""

    agent_id: str
    old_score: float
    new_score: float
    reason: str
    timestamp: str


class ErrorEvent(Event, frozen=True):
    """The node reports an error; `details` is whatever JSON value it sent."""

    code: str
    message: str
    details: Any = None


class Frame(Struct, frozen=True, gc=False):
    """A message as it came off the wire, with its arrival in nanoseconds since the epoch."""

    data: bytes
    received_at_ns: int


class Control(Struct, frozen=True):
    """A message that steers the connection and is no event, such as ``auth_success``.

    `simulated` is true where the node says of itself that its events are simulated.
    """

    type: str
    connection_id: str | None = None
    simulated: bool = False


class Reject(Struct, frozen=True):
    """A message that could not be read: its raw bytes, why, and its arrival in ns since the epoch."""

    raw: bytes
    reason: str
    received_at_ns: int


EVENT_TYPES: Final[dict[str, type[Event]]] = {
    "block_proposal": BlockProposal,
    "block_validation": BlockValidation,
    "consensus_discussion": ConsensusDiscussion,
    "alliance_update": AllianceUpdate,
    "agent_status": AgentStatus,
    "network_metrics": NetworkMetrics,
    "meme_posted": MemePosted,
    "reputation_update": ReputationUpdate,
}

TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "blocks": ("block_proposal", "block_validation"),
    "consensus": ("consensus_discussion", "alliance_update"),
    "network": ("agent_status", "network_metrics"),
    "social": ("meme_posted", "reputation_update"),
    "memes": ("meme_posted",),
}

PERSONALITIES: Final = (
    "lawful",
    "chaotic",
    "memetic",
    "greedy",
    "dramatic",
    "neutral",
    "rational",
    "emotional",
    "strategic",
)

# The field of each event whose values the protocol lists; any other value is kept and counted as drift.
KNOWN_VALUES: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "block_validation": ("decision", frozenset({"approve", "reject"})),
    "consensus_discussion": ("sentiment", frozenset({"positive", "negative", "neutral"})),
    "agent_status": ("status", frozenset({"active", "inactive", "maintenance"})),
    "meme_posted": ("content.type", frozenset({"image", "text", "gif"})),
}

TYPE_NAMES: Final[dict[type[Event], str]] = {cls: name for name, cls in EVENT_TYPES.items()} | {
    ErrorEvent: "error"
}


def event_type(event: Event) -> str:
    """Return the event's type on the wire, which is also its table's name.

    Examples
    --------
    >>> event_type(AgentStatus("agent-1", "active", "back", "PT0S", "2026-11-23T00:36:12.345Z"))
    'agent_status'
    """
    return TYPE_NAMES[type(event)]


def check_topics(topics: str | Iterable[str]) -> tuple[str, ...]:
    """Return the topics as a tuple without doubles, in the order given.

    Raises
    ------
    ValueError
        If there is none, or one that the protocol does not have.

    Examples
    --------
    >>> check_topics(["blocks", "social", "blocks"])
    ('blocks', 'social')
    """
    if not isinstance(topics, Iterable):
        raise TypeError(f"topics must be a list of text, not {topics!r}; there are {', '.join(TOPICS)}")
    wanted = (topics,) if isinstance(topics, str) else tuple(dict.fromkeys(topics))
    unknown = [topic for topic in wanted if topic not in TOPICS]
    if unknown or not wanted:
        meant = [f"{topic!r}{did_you_mean(str(topic), TOPICS)}" for topic in unknown]
        what = f"unknown topic {', '.join(meant)}" if unknown else "no topic given"
        if isinstance(topics, str) and "," in topics:
            what = f"{topics!r} is no topic; several are a list, such as ['blocks', 'network']"
        if isinstance(topics, str) and (topics == "devnet" or "://" in topics):
            what = "the address of a node is no topic, and given as url="  # not shown: it may hold a password
        raise ValueError(f"{what}; the topics are {', '.join(map(repr, TOPICS))}")
    return wanted


def events_of(topics: Iterable[str]) -> frozenset[str]:
    """Return the event types that these topics cover; ``error`` comes always.

    Examples
    --------
    >>> sorted(events_of(["memes"]))
    ['error', 'meme_posted']
    """
    return frozenset({"error"}.union(*(TOPICS[topic] for topic in topics)))
