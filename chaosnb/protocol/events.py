"""The wire messages of ChaosChain and their decoding: bytes in, typed events out.

Strict decoding comes first; only a message that fails it takes the slower, lenient way, which drops unknown
fields (and counts them by name) and takes ``5.0`` for the integer 5, as JSON does not tell them apart.
What cannot be read becomes a `Reject`; no input makes `decode` raise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

__all__ = [
    "ERROR_CODES",
    "EVENT_TYPES",
    "KNOWN_VALUES",
    "PERSONALITIES",
    "TOPICS",
    "AgentStatus",
    "AllianceUpdate",
    "BlockProposal",
    "BlockValidation",
    "ConsensusDiscussion",
    "Control",
    "ErrorEvent",
    "Event",
    "Frame",
    "MemePosted",
    "NetworkMetrics",
    "Reject",
    "ReputationUpdate",
    "check_topics",
    "decode",
    "encode",
    "event_type",
    "events_of",
]

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Record(Struct, frozen=True, forbid_unknown_fields=True):
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
    transactions: list[Transaction]
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
    meme_references: list[str]
    timestamp: str


class AllianceUpdate(Event, frozen=True):
    """An alliance is formed or changed; `duration` is an ISO 8601 duration."""

    alliance_id: str
    members: list[Member]
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
    tags: list[str]
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

ERROR_CODES: Final = (
    "INVALID_SIGNATURE",
    "INVALID_AGENT",
    "RATE_LIMITED",
    "INVALID_REQUEST",
    "NETWORK_ERROR",
)

# The field of each event whose values the protocol lists; any other value is kept and counted as drift.
KNOWN_VALUES: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "block_validation": ("decision", frozenset({"approve", "reject"})),
    "consensus_discussion": ("sentiment", frozenset({"positive", "negative", "neutral"})),
    "agent_status": ("status", frozenset({"active", "inactive", "maintenance"})),
    "meme_posted": ("content.type", frozenset({"image", "text", "gif"})),
}

_CONTROL_TYPES: Final = frozenset(
    {
        "ack",
        "auth_ok",
        "auth_success",
        "authenticated",
        "connected",
        "connection",
        "heartbeat",
        "ping",
        "pong",
        "subscribed",
        "subscription_success",
        "unsubscribed",
        "welcome",
    }
)

_TYPE_NAMES: Final[dict[type[Event], str]] = {cls: name for name, cls in EVENT_TYPES.items()} | {
    ErrorEvent: "error"
}


def _envelope(name: str, cls: type[Event]) -> type[Struct]:
    field = "error" if cls is ErrorEvent else "data"
    return msgspec.defstruct(
        f"{cls.__name__}Message",
        [(field, cls)],
        tag=name,
        tag_field="type",
        frozen=True,
        forbid_unknown_fields=True,
    )


_ENVELOPES: Final[dict[type[Event], Any]] = {cls: _envelope(name, cls) for cls, name in _TYPE_NAMES.items()}
_Message: Final[Any] = Union[tuple(_ENVELOPES.values())]  # noqa: UP007 - made at run time
_decoder: Final[Any] = msgspec.json.Decoder(_Message)
_encoder: Final = msgspec.json.Encoder()


def decode(frame: Frame, drift: Counter[str] | None = None) -> Event | Control | Reject:
    """Read one message; nothing that a node sends makes it raise.

    Parameters
    ----------
    frame : Frame
        The message as it came.
    drift : collections.Counter, optional
        Unknown fields are counted here by their place, such as ``block_proposal.data.producer.stake``.
        None: they are dropped uncounted.

    Returns
    -------
    Event, Control or Reject
        An event (`ErrorEvent` for an error message), a control message, or what could not be read and why.

    Examples
    --------
    >>> decode(Frame(b'{"type": "error", "error": {"code": "RATE_LIMITED", "message": "slow down"}}', 0))
    ErrorEvent(code='RATE_LIMITED', message='slow down', details=None)
    >>> decode(Frame(b"{oops", 0)).reason
    'malformed JSON: object keys must be strings (byte 1)'
    """
    try:
        message = _decoder.decode(frame.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(frame, drift)
    event: Event = message.error if type(message) is _ENVELOPES[ErrorEvent] else message.data
    return event


def encode(event: Event) -> bytes:
    """Write an event as the JSON message that a node sends.

    Examples
    --------
    >>> encode(ReputationUpdate("agent-1", 0.5, 0.6, "good meme", "2026-11-23T00:36:12.345Z")).decode()[:60]
    '{"type":"reputation_update","data":{"agent_id":"agent-1","ol'
    """
    return _encoder.encode(_ENVELOPES[type(event)](event))


def event_type(event: Event) -> str:
    """Return the event's type on the wire, which is also its table's name.

    Examples
    --------
    >>> event_type(AgentStatus("agent-1", "active", "back", "PT0S", "2026-11-23T00:36:12.345Z"))
    'agent_status'
    """
    return _TYPE_NAMES[type(event)]


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
    wanted = (topics,) if isinstance(topics, str) else tuple(dict.fromkeys(topics))
    unknown = [topic for topic in wanted if topic not in TOPICS]
    if unknown or not wanted:
        what = f"unknown topic {', '.join(map(repr, unknown))}" if unknown else "no topic given"
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


# -- the lenient way


class _Shape(Struct, frozen=True):
    """What the lenient way must know of a field: its inner fields, and whether it is an integer."""

    fields: dict[str, _Shape]
    is_integer: bool


def _shape_of(annotation: Any) -> _Shape:
    if get_origin(annotation) is list:
        return _shape_of(get_args(annotation)[0])
    fields: dict[str, _Shape] = {}
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        hints = get_type_hints(annotation, include_extras=True)
        fields = {name: _shape_of(hints[name]) for name in annotation.__struct_fields__}
    return _Shape(fields, annotation == Int64)


_SHAPES: Final = {
    name: _Shape({"type": _Shape({}, False)} | _shape_of(_ENVELOPES[cls]).fields, False)
    for cls, name in _TYPE_NAMES.items()
}


def _decode_leniently(frame: Frame, drift: Counter[str] | None) -> Event | Control | Reject:
    try:
        message = msgspec.json.decode(frame.data)
    except RecursionError:
        return Reject(frame.data, "JSON is nested too deeply", frame.received_at_ns)
    except UnicodeDecodeError as error:
        return Reject(frame.data, f"not UTF-8: {error.reason} at byte {error.start}", frame.received_at_ns)
    except msgspec.MsgspecError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        return Reject(frame.data, f"malformed JSON: {reason}", frame.received_at_ns)
    if not isinstance(message, dict):
        return Reject(
            frame.data, f"expected a JSON object, got {type(message).__name__}", frame.received_at_ns
        )
    name = message.get("type")
    if not isinstance(name, str):
        return Reject(frame.data, "the message has no type", frame.received_at_ns)
    if name not in _SHAPES:
        control = _control(name, message)
        if name in _CONTROL_TYPES or control.connection_id is not None:
            return control
        return Reject(frame.data, f"unknown event type {name[:64]!r}", frame.received_at_ns)
    unknown: Counter[str] = Counter()
    message = _conform(message, _SHAPES[name], name, unknown)
    try:
        event = msgspec.convert(message, _Message)
    except msgspec.MsgspecError as error:
        return Reject(frame.data, str(error), frame.received_at_ns)
    if drift is not None:
        drift.update(unknown)
    result: Event = event.error if name == "error" else event.data
    return result


def _control(name: str, message: dict[str, Any]) -> Control:
    data = message.get("data")
    fields = (data if isinstance(data, dict) else {}) | message
    connection_id = fields.get("connection_id")
    return Control(
        name, connection_id if isinstance(connection_id, str) else None, fields.get("simulated") is True
    )


def _conform(value: Any, shape: _Shape, place: str, unknown: Counter[str]) -> Any:
    if shape.is_integer and isinstance(value, float) and value.is_integer():
        return int(value)
    if shape.fields and isinstance(value, list):
        return [_conform(item, shape, place, unknown) for item in value]
    if shape.fields and isinstance(value, dict):
        unknown.update(f"{place}.{name[:64]}" for name in value if name not in shape.fields)
        return {
            name: _conform(value[name], inner, f"{place}.{name}", unknown)
            for name, inner in shape.fields.items()
            if name in value
        }
    return value
