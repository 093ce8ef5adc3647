"""JSON messages to events, and back; whatever a node sends, reading it never raises."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.protocol import events as ev
from chaosnb.protocol.codec import FURTHER_NAMES, decode, encode
from tests.event_strategies import any_events, json_values

STAMP = "2026-11-23T00:36:12.345Z"

# Every message of the protocol document in its own shape, and what it is read as.
MESSAGES: dict[str, tuple[dict[str, Any], ev.Event]] = {
    "block_proposal": (
        {
            "block_hash": "0xb10c",
            "parent_hash": "0xfa7e",
            "height": 42,
            "producer": {"id": "producer-1", "public_key": "ab12"},
            "transactions": [{"hash": "0x1", "type": "transfer"}, {"hash": "0x2", "type": "meme"}],
            "meme_content": {"type": "text", "content": "much block"},
            "timestamp": STAMP,
        },
        ev.BlockProposal(
            "0xb10c",
            "0xfa7e",
            42,
            ev.Producer("producer-1", "ab12"),
            (ev.Transaction("0x1", "transfer"), ev.Transaction("0x2", "meme")),
            ev.MemeContent("text", "much block"),
            STAMP,
        ),
    ),
    "block_validation": (
        {
            "block_hash": "0xb10c",
            "validator": {"id": "validator-1", "personality": "chaotic"},
            "decision": "approve",
            "reason": "it rhymes",
            "timestamp": STAMP,
        },
        ev.BlockValidation("0xb10c", ev.Agent("validator-1", "chaotic"), "approve", "it rhymes", STAMP),
    ),
    "consensus_discussion": (
        {
            "block_hash": "0xb10c",
            "agent": {"id": "validator-2", "personality": "lawful"},
            "message": "too many memes",
            "sentiment": "negative",
            "meme_references": ["meme-1", "meme-2"],
            "timestamp": STAMP,
        },
        ev.ConsensusDiscussion(
            "0xb10c",
            ev.Agent("validator-2", "lawful"),
            "too many memes",
            "negative",
            ("meme-1", "meme-2"),
            STAMP,
        ),
    ),
    "alliance_update": (
        {
            "alliance_id": "alliance-1",
            "members": [{"id": "validator-1", "role": "leader"}, {"id": "validator-2", "role": "member"}],
            "purpose": "more memes",
            "duration": "PT1H",
            "timestamp": STAMP,
        },
        ev.AllianceUpdate(
            "alliance-1",
            (ev.Member("validator-1", "leader"), ev.Member("validator-2", "member")),
            "more memes",
            "PT1H",
            STAMP,
        ),
    ),
    "agent_status": (
        {
            "agent_id": "validator-1",
            "status": "maintenance",
            "reason": "upgrade",
            "expected_duration": "PT5M",
            "timestamp": STAMP,
        },
        ev.AgentStatus("validator-1", "maintenance", "upgrade", "PT5M", STAMP),
    ),
    "network_metrics": (
        {
            "block_height": 42,
            "tps": 12.5,
            "active_validators": 21,
            "active_producers": 3,
            "pending_transactions": 7,
            "timestamp": STAMP,
        },
        ev.NetworkMetrics(42, 12.5, 21, 3, 7, STAMP),
    ),
    "meme_posted": (
        {
            "meme_id": "meme-1",
            "creator": {"id": "validator-3", "personality": "memetic"},
            "content": {"type": "image", "url": "https://example.org/m.png", "caption": "wow"},
            "tags": ["doge", "chaos"],
            "timestamp": STAMP,
        },
        ev.MemePosted(
            "meme-1",
            ev.Agent("validator-3", "memetic"),
            ev.PostContent("image", "https://example.org/m.png", "wow"),
            ("doge", "chaos"),
            STAMP,
        ),
    ),
    "reputation_update": (
        {
            "agent_id": "validator-1",
            "old_score": 0.5,
            "new_score": 0.75,
            "reason": "good vote",
            "timestamp": STAMP,
        },
        ev.ReputationUpdate("validator-1", 0.5, 0.75, "good vote", STAMP),
    ),
    "error": (
        {"code": "RATE_LIMITED", "message": "slow down", "details": {"retry_after": 5}},
        ev.ErrorEvent("RATE_LIMITED", "slow down", {"retry_after": 5}),
    ),
}
NAMES = list(MESSAGES)
Path = tuple[str | int, ...]


def message(name: str) -> dict[str, Any]:
    """Return one of the messages, to be changed at will."""
    data = copy.deepcopy(MESSAGES[name][0])
    return {"type": name, "error" if name == "error" else "data": data}


def read(value: Any, drift: Counter[str] | None = None) -> ev.Event | ev.Control | ev.Reject:
    """Decode a message given as bytes, or as what JSON is made from."""
    return decode(ev.Frame(value if isinstance(value, bytes) else json.dumps(value).encode(), 7), drift)


def reason(value: Any) -> str:
    """Return why a message was rejected, which it must be, with its bytes and arrival kept."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    result = read(raw)
    assert isinstance(result, ev.Reject), result
    assert (result.raw, result.received_at_ns) == (raw, 7)
    return result.reason


def places(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Go through a message and give each field's or item's place and value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key), inner
        yield from places(inner, (*at, key))


def changed(name: str, at: Path, value: Any) -> dict[str, Any]:
    """Return a message with another value at one place."""
    whole = message(name)
    inner: Any = whole
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return whole


def json_path(at: Path) -> str:
    """Write a place as a reject names it."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in at)


FIELDS = [
    (name, at, value)
    for name in NAMES
    for at, value in places(message(name))
    if at != ("type",) and "details" not in at
]
FIELD_IDS = [f"{name}:{'.'.join(map(str, at))}" for name, at, _ in FIELDS]
OBJECTS = [
    (name, at)
    for name in NAMES
    for at, value in [((), message(name)), *places(message(name))]
    if isinstance(value, dict) and "details" not in at
]


@pytest.mark.parametrize("name", NAMES)
def test_reads_every_message_of_the_document(name: str) -> None:
    """Each message of the protocol document is read into its event, field by field."""
    drift: Counter[str] = Counter()
    assert read(message(name), drift) == MESSAGES[name][1]
    assert not drift


@pytest.mark.parametrize("name", NAMES)
def test_writes_every_message_of_the_document(name: str) -> None:
    """Each event is written as the protocol document's message."""
    assert json.loads(encode(MESSAGES[name][1])) == message(name)


@given(any_events)
@settings(max_examples=200, deadline=None)
def test_every_event_survives_the_wire(event: ev.Event) -> None:
    """What was written is read back as the same event, for any valid text and numbers."""
    assert decode(ev.Frame(encode(event), 0)) == event


@given(any_events)
@settings(max_examples=100, deadline=None)
def test_every_event_survives_the_lenient_way(event: ev.Event) -> None:
    """A message with one unknown field takes the lenient way and gives the same event."""
    whole = json.loads(encode(event)) | {"unheard of": 1}
    drift: Counter[str] = Counter()
    assert read(whole, drift) == event
    assert drift == {f"{whole['type']}.unheard of": 1}


@pytest.mark.parametrize(("name", "at"), OBJECTS, ids=[f"{n}:{'.'.join(map(str, a))}" for n, a in OBJECTS])
def test_unknown_fields_are_counted_by_place(name: str, at: Path) -> None:
    """A field the protocol lacks is dropped at any level, and counted under its place."""
    drift: Counter[str] = Counter()
    for _ in range(2):
        assert read(changed(name, (*at, "zeal"), {"id": [1]}), drift) == MESSAGES[name][1]
    assert drift == {".".join([name, *(key for key in at if isinstance(key, str)), "zeal"]): 2}


def test_unknown_fields_of_every_list_item_are_counted() -> None:
    """Two items with an unknown field count twice, and a place needs no counter to be dropped at."""
    whole = message("alliance_update")
    for member in whole["data"]["members"]:
        member["since"] = 1
    drift: Counter[str] = Counter()
    assert read(whole, drift) == read(whole) == MESSAGES["alliance_update"][1]
    assert drift == {"alliance_update.data.members.since": 2}


def test_unknown_fields_of_a_rejected_message_are_not_counted() -> None:
    """Drift is about messages that were read, so a reject leaves the count alone."""
    drift: Counter[str] = Counter()
    assert isinstance(read({"type": "agent_status", "data": {"mood": 1}}, drift), ev.Reject)
    assert not drift


@pytest.mark.parametrize("places", [["data"], ["data", "members"]])
def test_no_message_has_more_than_a_hundred_names_of_unknown_fields(places: list[str]) -> None:
    """The others are counted without their names, wherever they stand."""
    whole = message("alliance_update")
    objects = whole["data"]["members"] if "members" in places else [whole["data"]]
    for number, one in enumerate(objects):
        one |= {f"{number} {name}": 1 for name in range(70)}
    objects[-1] |= {f"{name}": 1 for name in range(1_000)}
    drift: Counter[str] = Counter()
    assert read(whole, drift) == MESSAGES["alliance_update"][1]
    assert len(drift) == 101
    assert drift.total() == len(objects) * 70 + 1_000
    assert drift[FURTHER_NAMES] == drift.total() - 100


def test_names_of_unknown_fields_are_cut() -> None:
    """A hostile node cannot fill the memory with names of fields."""
    drift: Counter[str] = Counter()
    read(message("agent_status") | {"x" * 100_000: 1}, drift)
    assert list(drift) == ["agent_status." + "x" * 64]


@pytest.mark.parametrize(("name", "at", "value"), FIELDS, ids=FIELD_IDS)
def test_a_missing_field_is_named(name: str, at: Path, value: Any) -> None:
    """Without a field the message is rejected by name; a list may be shorter."""
    whole = message(name)
    inner: Any = whole
    for key in at[:-1]:
        inner = inner[key]
    del inner[at[-1]]
    if isinstance(at[-1], int):
        assert isinstance(read(whole), ev.Event)
    else:
        assert f"`{at[-1]}`" in reason(whole)


@pytest.mark.parametrize(("name", "at", "value"), FIELDS, ids=FIELD_IDS)
def test_a_value_of_a_wrong_kind_is_named(name: str, at: Path, value: Any) -> None:
    """Null, and any kind of value but the field's own, is rejected with the place."""
    for wrong in (None, True, 5, 5.5, "5", [5], {"5": 5}):
        fits = isinstance(value, float) and type(wrong) is int
        fits = fits or (isinstance(value, float | str) and type(wrong) is type(value))
        fits = fits or (isinstance(value, int) and wrong == 5 and wrong is not True)
        if fits:
            assert isinstance(read(changed(name, at, wrong)), ev.Event)
        else:
            assert f" - at `{json_path(at)}" in reason(changed(name, at, wrong))


@pytest.mark.parametrize("name", NAMES)
def test_without_its_body_a_message_is_rejected(name: str) -> None:
    """A message that is a type and nothing else says what is missing."""
    assert f"`{'error' if name == 'error' else 'data'}`" in reason({"type": name})


def test_an_error_may_lack_details() -> None:
    """Details are optional and may be any JSON value; code and message must be there."""
    whole = message("error")
    del whole["error"]["details"]
    assert read(whole) == ev.ErrorEvent("RATE_LIMITED", "slow down", None)
    for details in (None, 5, "x", [1, {"a": None}], {}, 2**70):
        assert read(changed("error", ("error", "details"), details)) == ev.ErrorEvent(
            "RATE_LIMITED", "slow down", details
        )


INTEGERS = [
    ("block_proposal", "height"),
    ("network_metrics", "block_height"),
    ("network_metrics", "active_validators"),
    ("network_metrics", "active_producers"),
    ("network_metrics", "pending_transactions"),
]
NUMBERS = [("network_metrics", "tps"), ("reputation_update", "old_score"), ("reputation_update", "new_score")]


def with_literal(name: str, field: str, literal: str) -> bytes:
    """Return a message in which a field's value is this very text."""
    return json.dumps(changed(name, ("data", field), "@")).replace('"@"', literal).encode()


@pytest.mark.parametrize(("name", "field"), INTEGERS)
@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("5.0", 5),
        ("-0.0", 0),
        ("1e2", 100),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775808.0", -(2**63)),
    ],
)
def test_integral_numbers_are_integers(name: str, field: str, literal: str, value: int) -> None:
    """JSON does not tell 5.0 from 5, so an integral number of the int64 range is taken as an integer."""
    result = read(with_literal(name, field, literal))
    found = getattr(result, field)
    assert (found, type(found)) == (value, int)


@pytest.mark.parametrize(("name", "field"), INTEGERS)
@pytest.mark.parametrize(
    "literal",
    [
        "5.5",
        "9223372036854775808",
        "-9223372036854775809",
        "9223372036854775808.0",
        "1e300",
        "9" * 400,
        '"5"',
        "true",
        "null",
    ],
)
def test_no_other_number_is_an_integer(name: str, field: str, literal: str) -> None:
    """What an int64 column cannot hold is rejected with its place."""
    assert f"$.data.{field}" in reason(with_literal(name, field, literal))


@pytest.mark.parametrize(("name", "field"), INTEGERS + NUMBERS)
@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "05", "+5", "0x5"])
def test_numbers_that_json_lacks_are_malformed(name: str, field: str, literal: str) -> None:
    """Numbers that are no JSON are rejected with the byte they stand at."""
    why = reason(with_literal(name, field, literal))
    assert why.startswith("malformed JSON: ")
    assert "(byte " in why


@pytest.mark.parametrize(("name", "field"), INTEGERS + NUMBERS)
@pytest.mark.parametrize("literal", ["1e400", "-1e400", "9" * 5_000], ids=["1e400", "-1e400", "5000 digits"])
def test_numbers_that_nothing_can_hold_are_named(name: str, field: str, literal: str) -> None:
    """A number beyond every float or integer is rejected with its place."""
    why = reason(with_literal(name, field, literal))
    assert "out of range" in why
    assert f"`$.data.{field}`" in why


def test_a_number_that_nothing_can_hold_is_refused_in_unknown_fields_too() -> None:
    """Where strict reading stopped earlier, the reason is still the number."""
    raw = json.dumps({"zeal": "@"} | message("agent_status")).replace('"@"', "1e400").encode()
    assert "out of range" in reason(raw)


@pytest.mark.parametrize(("name", "field"), NUMBERS)
@pytest.mark.parametrize(("literal", "value"), [("5", 5.0), ("-0", 0.0), ("1e-400", 0.0), ("1e308", 1e308)])
def test_floats_take_any_number(name: str, field: str, literal: str, value: float) -> None:
    """A float field takes integers too, and always gives a float."""
    found = getattr(read(with_literal(name, field, literal)), field)
    assert (found, type(found)) == (value, float)


@pytest.mark.parametrize(("name", "field"), NUMBERS)
@pytest.mark.parametrize("literal", ["true", '"5"', "null", '"NaN"', "[1]"])
def test_floats_take_nothing_else(name: str, field: str, literal: str) -> None:
    """Booleans, text and null are no numbers."""
    assert f"$.data.{field}" in reason(with_literal(name, field, literal))


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"", "malformed JSON"),
        (b"  ", "malformed JSON"),
        (b"{", "malformed JSON"),
        (b"{} x", "malformed JSON"),
        (b'{"type":"error","error":{"code":"A","message":"b"}}{}', "malformed JSON"),
        (b"5", "got int"),
        (b'"text"', "got str"),
        (b"null", "got NoneType"),
        (b"[]", "got list"),
        (b'[{"type":"error"}]', "got list"),
        (b"{}", "no type"),
        (b'{"data":{}}', "no type"),
        (b'{"type":5}', "no type"),
        (b'{"type":null}', "no type"),
        (b'{"type":["error"]}', "no type"),
        (b'{"type":"block_exploded","data":{}}', "'block_exploded'"),
        (b'{"type":"Error","error":{}}', "'Error'"),
        (b'{"type":""}', "''"),
        (b'\xef\xbb\xbf{"type":"connected"}', "byte 0"),
        (b'{"type":"\xff"}', "not UTF-8"),
        (b'{"type":"agent_status","data":{"agent_id":"\xc3"}}', "not UTF-8"),
        (b'{"type":"connected","data":"\xed\xa0\x80"}', "not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "malformed JSON"),
        (b'{"type":"\\ud800 high alone"}', "surrogate"),
        (b'{"type":"error","error":{"code":"\\udc00","message":""}}', "surrogate"),
        (b'{"type":"error","error":{"code":"","message":"","details":{"\\ud83d":1}}}', "surrogate"),
    ],
)
def test_what_is_no_message_is_rejected(raw: bytes, part: str) -> None:
    """Bytes that are no message of the protocol become a reject that says why."""
    assert part in reason(raw)


def test_a_long_unknown_type_is_cut() -> None:
    """The reason stays short however long the type is."""
    assert len(reason({"type": "x" * 100_000})) < 200


def test_of_two_equal_keys_the_last_counts() -> None:
    """Doubled keys are read as most JSON readers do: the last one wins."""
    raw = json.dumps(message("agent_status")).replace('"status": ', '"status": "active", "status": ').encode()
    assert read(raw) == MESSAGES["agent_status"][1]


DEEP_PLACES = [
    '{"type":"block_proposal","data":{"transactions":@}}',
    '{"type":"block_proposal","data":{"producer":@}}',
    '{"type":"block_proposal","data":@}',
    '{"type":"alliance_update","data":{"members":[{"id":@}]}}',
    '{"type":"meme_posted","data":{"tags":@}}',
    '{"type":"error","error":@}',
    '{"type":"error","error":{"code":"A","message":"b","details":@}}',
    '{"type":"connected","data":@}',
    '{"type":@}',
    "@",
]


def nested(levels: int, opening: str) -> str:
    """Return JSON that is nested so deep."""
    return opening * levels + "0" + ("]" if opening == "[" else "}") * levels


@pytest.mark.parametrize("levels", [20, 101, 600, 980, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"data":'])
@pytest.mark.parametrize("place", DEEP_PLACES)
def test_no_depth_of_nesting_raises(place: str, opening: str, levels: int) -> None:
    """However deep a field is nested, reading the message gives a result."""
    result = read(place.replace("@", nested(levels, opening)).encode())
    assert isinstance(result, ev.Reject | ev.Control | ev.ErrorEvent)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"type":' * 100_000, b'{"type":"error","error":[' * 100_000]
)
def test_a_bomb_of_open_brackets_is_rejected(raw: bytes) -> None:
    """Brackets that never close exhaust nothing."""
    assert reason(raw) == "JSON is nested too deeply"


def at_depth(frames: int, event: ev.Event) -> bytes:
    """Write an event from deep within other calls, as a notebook does."""
    return encode(event) if frames == 0 else at_depth(frames - 1, event)


@pytest.mark.parametrize("levels", [1, 50, 90, 200, 600, 950])
def test_details_can_be_written_again_if_they_are_read(levels: int) -> None:
    """Details are kept only while they are shallow enough to be written wherever the caller stands."""
    raw = '{"type":"error","error":{"code":"A","message":"b","details":@}}'.replace("@", nested(levels, "["))
    result = read(raw.encode())
    if levels < 100:
        assert isinstance(result, ev.ErrorEvent)
        assert at_depth(500, result).decode() == raw
    else:
        assert reason(raw.encode()) == "JSON is nested too deeply"


def test_a_deep_unknown_field_does_not_cost_the_event() -> None:
    """An unknown field is dropped however deep it is, and the event stays."""
    raw = json.dumps(message("agent_status") | {"extra": "@"}).replace('"@"', nested(500, "[")).encode()
    assert read(raw) == MESSAGES["agent_status"][1]


CONTROL_NAMES = [
    "auth_success",
    "authenticated",
    "subscribed",
    "connected",
    "unsubscribed",
    "welcome",
    "ping",
    "pong",
]


@pytest.mark.parametrize("name", CONTROL_NAMES)
def test_known_control_messages_are_no_events(name: str) -> None:
    """A message known to steer the connection is a control, with or without a body."""
    assert read({"type": name}) == ev.Control(name)
    assert read({"type": name, "data": {"topics": ["blocks"]}, "x": 1}) == ev.Control(name)
    assert read({"type": name, "data": [1]}) == ev.Control(name)


@pytest.mark.parametrize("name", ["connected", "hello_from_node"])
@pytest.mark.parametrize(
    "body",
    [
        {"connection_id": "c-1"},
        {"data": {"connection_id": "c-1"}},
        {"connection_id": None, "data": {"connection_id": "c-1"}},
        {"connection_id": "c-1", "data": {"connection_id": "c-2"}},
    ],
    ids=["top", "data", "null at top", "both"],
)
def test_a_connection_id_is_found_at_both_levels(name: str, body: dict[str, Any]) -> None:
    """A connection id makes any unknown message a control; the one at the top comes first."""
    assert read({"type": name} | body) == ev.Control(name, "c-1")


@pytest.mark.parametrize("wrong", [5, None, ["c"], {"id": "c"}, True])
def test_a_connection_id_is_text(wrong: Any) -> None:
    """A connection id of another kind is none."""
    assert read({"type": "connected", "connection_id": wrong}) == ev.Control("connected", None)
    assert "unknown event type" in reason({"type": "hello", "data": {"connection_id": wrong}})


@pytest.mark.parametrize(
    ("body", "simulated"),
    [
        ({"simulated": True}, True),
        ({"data": {"simulated": True}}, True),
        ({"simulated": False}, False),
        ({"simulated": "true"}, False),
        ({"simulated": 1}, False),
        ({}, False),
    ],
)
def test_a_node_says_that_it_is_simulated(body: dict[str, Any], simulated: bool) -> None:
    """Only a true `simulated` marks the source as simulated."""
    assert read({"type": "connected"} | body) == ev.Control("connected", None, simulated)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    """Arbitrary bytes are read into something, and a reject keeps them."""
    result = read(raw)
    assert isinstance(result, ev.Event | ev.Control | ev.Reject)
    assert not isinstance(result, ev.Reject) or (result.raw == raw and result.reason)


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_no_json_raises(value: Any) -> None:
    """An arbitrary JSON value without a type of the protocol is a reject."""
    assert reason(value)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a message of the protocol with one value replaced by any other."""
    name = draw(st.sampled_from(NAMES))
    at, _ = draw(st.sampled_from(list(places(message(name)))))
    return changed(name, at, draw(json_values | st.sampled_from([*NAMES, *CONTROL_NAMES])))


@given(mutated(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_near_message_raises(whole: dict[str, Any], unknown: bool) -> None:
    """A message with one odd value is read on either way, and an event can be written again."""
    drift: Counter[str] = Counter()
    result = read(whole | ({"unknown": 1} if unknown else {}), drift)
    assert isinstance(result, ev.Event | ev.Control | ev.Reject)
    if isinstance(result, ev.Event):
        assert decode(ev.Frame(encode(result), 0)) == result
        assert (drift.total() > 0) >= unknown
