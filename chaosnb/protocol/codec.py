"""JSON messages to typed events and back.

Strict decoding comes first; only a message that fails it takes the slower, lenient way, which drops unknown
fields (and counts them by name) and takes ``5.0`` for the integer 5, as JSON does not tell them apart.
What cannot be read becomes a `Reject`; no input makes `decode` raise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from msgspec import Struct

from chaosnb.protocol.events import EVENT_TYPES, TYPE_NAMES, Control, ErrorEvent, Event, Frame, Int64, Reject
from chaosnb.protocol.lines import FrameLines, Piece

__all__ = ["FURTHER_NAMES", "decode", "decode_all", "encode"]

FURTHER_NAMES: Final = "(further names)"
"""What unknown fields beyond the first hundred names of a message are counted under."""

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
_MOST_LEVELS: Final = 100
_LONGEST_ID: Final = 200
_MOST_NAMES: Final = 100
# From so many on, reading them at once is quicker than one by one.
_AT_ONCE: Final = 4
_OPENING: Final = ord("{")
_CLOSING: Final = ord("}")


def _envelope(name: str, cls: type[Event]) -> type[Struct]:
    return msgspec.defstruct(
        f"{cls.__name__}Message",
        [("data", cls)],
        rename={"data": "error" if cls is ErrorEvent else "data"},
        tag=name,
        tag_field="type",
        frozen=True,
        forbid_unknown_fields=True,
        gc=False,
    )


_ENVELOPES: Final[dict[type[Event], Any]] = {cls: _envelope(name, cls) for cls, name in TYPE_NAMES.items()}
_Message: Final[Any] = Union[tuple(_ENVELOPES.values())]  # noqa: UP007 - made at run time
_decode_strictly: Final[Any] = msgspec.json.Decoder(_Message).decode
# Without errors, which take a further look.
_Line: Final[Any] = Union[tuple(_ENVELOPES[cls] for cls in EVENT_TYPES.values())]  # noqa: UP007 - as above
_decode_lines_strictly: Final[Any] = msgspec.json.Decoder(_Line).decode_lines
_encoder: Final = msgspec.json.Encoder()


def decode(frame: Frame, drift: Counter[str] | None = None) -> Event | Control | Reject:
    """Read one message; nothing that a node sends makes it raise.

    Parameters
    ----------
    frame : Frame
        The message as it came.
    drift : collections.Counter, optional
        Unknown fields are counted here by their place, such as ``block_proposal.data.producer.stake``;
        of more than a hundred in one message the others under `FURTHER_NAMES`.
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
    return decode_all((frame,), drift)[0]


def decode_all(frames: Iterable[Frame], drift: Counter[str] | None = None) -> list[Event | Control | Reject]:
    """Read many messages, as `decode` reads one; the result has one item for each, in their order."""
    decoded: list[Event | Control | Reject] = []
    if isinstance(frames, FrameLines):
        for piece in frames.pieces:
            events = _decode_piece(piece)
            if events is None:
                place = len(decoded)
                arrivals = frames.received_at_ns[place : place + len(piece.lengths)]
                events = decode_all(list(map(Frame, piece.messages(), arrivals)), drift)
            decoded += events
        return decoded
    for frame in frames:
        try:
            event = _decode_strictly(frame.data).data
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            decoded.append(_decode_leniently(frame, drift, str(error)))
            continue
        decoded.append(event if type(event) is not ErrorEvent else _checked(event, frame))
    return decoded


def encode(event: Event) -> bytes:
    """Write an event as the JSON message that a node sends.

    Examples
    --------
    >>> encode(ErrorEvent("RATE_LIMITED", "slow down")).decode()
    '{"type":"error","error":{"code":"RATE_LIMITED","message":"slow down","details":null}}'
    """
    return _encoder.encode(_ENVELOPES[type(event)](event))


def _decode_piece(piece: Piece) -> list[Any] | None:
    """Return the events of a piece, or None if it holds anything else, or what lines do not tell apart."""
    if len(piece.lengths) < _AT_ONCE:
        return None
    if not _is_in_braces(piece):
        return None
    try:
        events = [line.data for line in _decode_lines_strictly(piece.data)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return events if len(events) == len(piece.lengths) else None


def _is_in_braces(piece: Piece) -> bool:
    """Say whether each message begins and ends with a brace.

    A line end between ``}`` and ``{`` is nowhere within a value. So each message holds one value at least,
    and where there are as many values as messages, each is one. Without that, a value may go on over the end
    of a line, and two may be on one, which `decode_lines` reads like lines of their own.
    """
    data = np.frombuffer(piece.data, dtype=np.uint8)
    ends = np.cumsum(np.array(piece.lengths, dtype=np.int64) + 1)[:-1]
    if not (piece.data.startswith(b"{") and piece.data.endswith(b"}")):
        return False
    return bool((data[ends - 2] == _CLOSING).all() and (data[ends] == _OPENING).all())


def _checked(error: ErrorEvent, frame: Frame) -> ErrorEvent | Reject:
    return _too_deep(frame) if _is_deep(error.details) else error


def _is_deep(value: Any) -> bool:
    """Say whether a JSON value is so deep that writing it again could exhaust the caller's stack."""
    level = [value]
    for _ in range(_MOST_LEVELS):
        lists = [list(item.values()) if isinstance(item, dict) else item for item in level]
        level = [inner for item in lists if isinstance(item, list) for inner in item]
        if not level:
            return False
    return True


def _too_deep(frame: Frame) -> Reject:
    return Reject(frame.data, "JSON is nested too deeply", frame.received_at_ns)


# -- the lenient way


class _Shape(Struct, frozen=True):
    """What the lenient way must know of a field: its inner fields, and whether it is an integer."""

    fields: dict[str, _Shape]
    is_integer: bool


def _shape_of(annotation: Any) -> _Shape:
    if get_origin(annotation) is tuple:
        return _shape_of(get_args(annotation)[0])
    fields: dict[str, _Shape] = {}
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        hints = get_type_hints(annotation, include_extras=True)
        names = zip(annotation.__struct_encode_fields__, annotation.__struct_fields__, strict=True)
        fields = {name: _shape_of(hints[field]) for name, field in names}
    return _Shape(fields, annotation == Int64)


_SHAPES: Final = {
    name: _Shape({"type": _Shape({}, False)} | _shape_of(_ENVELOPES[cls]).fields, False)
    for cls, name in TYPE_NAMES.items()
}


def _decode_leniently(frame: Frame, drift: Counter[str] | None, refusal: str) -> Event | Control | Reject:
    try:
        message = msgspec.json.decode(frame.data)
    except RecursionError:
        return _too_deep(frame)
    except UnicodeDecodeError as error:
        return Reject(frame.data, f"not UTF-8: {error.reason}", frame.received_at_ns)
    except msgspec.ValidationError as error:
        # A number that nothing can hold; the strict way knows its place, if it came so far.
        reason = refusal if "out of range" in refusal else str(error)
        return Reject(frame.data, reason, frame.received_at_ns)
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
        event: Event = msgspec.convert(message, _Message).data
    except msgspec.MsgspecError as error:
        return Reject(frame.data, str(error), frame.received_at_ns)
    result = _checked(event, frame) if isinstance(event, ErrorEvent) else event
    if drift is not None and not isinstance(result, Reject):
        drift.update(unknown)
    return result


def _control(name: str, message: dict[str, Any]) -> Control:
    data = message.get("data")
    fields = data if isinstance(data, dict) else {}
    fields = fields | {field: value for field, value in message.items() if value is not None}
    connection_id = fields.get("connection_id")
    known = isinstance(connection_id, str) and len(connection_id) <= _LONGEST_ID
    return Control(name[:_LONGEST_ID], connection_id if known else None, fields.get("simulated") is True)


def _conform(value: Any, shape: _Shape, place: str, unknown: Counter[str]) -> Any:
    if shape.is_integer and isinstance(value, float) and value.is_integer():
        return int(value)
    if shape.fields and isinstance(value, list):
        return [item if isinstance(item, list) else _conform(item, shape, place, unknown) for item in value]
    if shape.fields and isinstance(value, dict):
        names = [name for name in value if name not in shape.fields]
        room = max(0, _MOST_NAMES - len(unknown))
        unknown.update(f"{place}.{name[:64]}" for name in names[:room])
        if len(names) > room:
            unknown[FURTHER_NAMES] += len(names) - room
        return {
            name: _conform(value[name], inner, f"{place}.{name}", unknown)
            for name, inner in shape.fields.items()
            if name in value
        }
    return value
