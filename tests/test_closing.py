"""What is done about each way in which a link ends, and about each error of the node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnb.errors import TransportError
from chaosnb.ingest.closing import asked_wait_s, judge, judge_loss, parse_retry_after

ACTIONS = {
    "retry": [1000, 1001, 1002, 1005, 1006, 1007, 1009, 1011, 1012, 1014, 408, 500, 502, 504, None],
    "back_off": [1003, 1008, 1010, 1013, 4000, 4999, 301, 400, 404, 426, 429, 503, "RATE_LIMITED"],
    "give_up": [401, 403, "INVALID_SIGNATURE", "INVALID_AGENT"],
}


@pytest.mark.parametrize(
    ("action", "code"), [(action, code) for action in ACTIONS for code in ACTIONS[action]]
)
def test_every_known_end_has_its_verdict(action: str, code: int | str | None) -> None:
    """Only refused credentials end a stream."""
    assert judge(code).action == action


@given(st.integers() | st.text())
def test_an_unknown_end_never_ends_the_stream(code: int | str) -> None:
    """New codes will be invented; trying again is right or does no harm."""
    assert judge(code).action != "give_up" or code in ACTIONS["give_up"]


def test_an_overloaded_node_is_the_cause_of_the_gap() -> None:
    """The ledger tells it from a broken line."""
    assert {judge(code).cause for code in (1013, 429, 503, "RATE_LIMITED")} == {"server_overload"}
    assert {judge(code).cause for code in (1000, 1001, 1006, 1008, 500, None)} == {"disconnected"}


def test_the_status_of_a_handshake_counts_where_there_is_one() -> None:
    """A link that was never made has no close code."""
    assert judge_loss(TransportError("no", status=403)).action == "give_up"
    assert judge_loss(TransportError("no", code=1013)).action == "back_off"
    assert judge_loss(TransportError("connection refused")).action == "retry"


@pytest.mark.parametrize(
    ("details", "wait_s"),
    [
        ({"retry_after_s": 3}, 3.0),
        ({"retry_after": 0.5}, 0.5),
        ({"retry_after_s": -1}, 0.0),
        ({"retry_after_s": 10**400}, 3600.0),
        ({"retry_after_s": float("inf")}, 3600.0),
        ({"retry_after_s": float("nan")}, None),
        ({"retry_after_s": True}, None),
        ({"retry_after_s": "5"}, None),
        ({"retry_after_s": [5]}, None),
        ({}, None),
        ([5], None),
        ("5", None),
        (None, None),
    ],
)
def test_a_wait_is_asked_for_by_a_number_and_bounded(details: object, wait_s: float | None) -> None:
    """Details are whatever the node sends."""
    assert asked_wait_s(details) == wait_s


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_no_details_break_it(value: object) -> None:
    """Within the hour, or none."""
    for details in (value, {"retry_after": value}, {"retry_after_s": value}):
        assert asked_wait_s(details) is None or 0 <= asked_wait_s(details) <= 3600  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("9" * 400, 3600.0),
        ("-5", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:40 GMT", 0.0),
        ("Thu, 01 Jan 99999 00:00:40 GMT", None),
        ("soon", None),
        ("", None),
        ("\u0665", None),
        (None, None),
    ],
)
def test_a_retry_after_header_is_seconds_or_a_date(text: str | None, wait_s: float | None) -> None:
    """A date is read by our clock, a minute after the epoch here."""
    assert parse_retry_after(text, 60_000_000_000) == wait_s


@given(st.text())
def test_no_header_breaks_it(text: str) -> None:
    """Within the hour, or none."""
    wait_s = parse_retry_after(text, 0)
    assert wait_s is None or 0 <= wait_s <= 3600
