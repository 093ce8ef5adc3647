"""What to do about an end or an error: one table of close codes, HTTP statuses and the node's error codes."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final, Literal

from msgspec import Struct

from chaosnb.errors import TransportError
from chaosnb.ingest.gaps import Cause

__all__ = ["Verdict", "asked_wait_s", "judge", "judge_loss", "parse_retry_after"]

_LONGEST_WAIT_S: Final = 3600.0


class Verdict(Struct, frozen=True):
    """What to do.

    `action` is ``retry``, ``back_off`` (wait longer before that) or ``give_up`` (the same credentials would
    fail again); `advice` is what to tell the user; `cause` is why events may be missing meanwhile.
    """

    action: Literal["retry", "back_off", "give_up"]
    advice: str = ""
    cause: Cause = "disconnected"


_RETRY: Final = Verdict("retry")
_BACK_OFF: Final = Verdict("back_off")
_OVERLOADED: Final = Verdict("back_off", "the node is overloaded", "server_overload")
_REFUSED: Final = Verdict("give_up")
_BROKEN: Final = Verdict("retry", "node and client do not understand each other")

_VERDICTS: Final[dict[int | str, Verdict]] = {
    # Close codes of RFC 6455 and its registry.
    1000: _RETRY,
    1001: _RETRY,
    1002: _BROKEN,
    1003: Verdict("back_off", "the node does not take what this client sends"),
    1005: _RETRY,
    1006: _RETRY,
    1007: _BROKEN,
    1008: Verdict("back_off", "the node says that a rule of its own was broken"),
    1009: Verdict("retry", "that message is lost, and the stream goes on"),
    1010: Verdict("back_off", "the node asks for an extension that this client does not know"),
    1011: _RETRY,
    1012: _RETRY,
    1013: _OVERLOADED,
    1014: _RETRY,
    1015: Verdict("back_off", "TLS failed"),
    # HTTP statuses that answer the handshake.
    401: _REFUSED,
    403: _REFUSED,
    404: Verdict("back_off", "there is no stream at this path: is the address right? It ends in /ws/v1"),
    408: _RETRY,
    425: _RETRY,
    429: _OVERLOADED,
    503: _OVERLOADED,
    # Error codes that the node sends.
    "INVALID_SIGNATURE": _REFUSED,
    "INVALID_AGENT": _REFUSED,
    "RATE_LIMITED": _OVERLOADED,
    "INVALID_REQUEST": _RETRY,
    "NETWORK_ERROR": _RETRY,
}


def judge(code: int | str | None) -> Verdict:
    """Return what to do about a close code, an HTTP status or an error code; unknown ones are tried again.

    Examples
    --------
    >>> judge(1001).action, judge(1013).action, judge(403).action, judge("INVALID_AGENT").action
    ('retry', 'back_off', 'give_up', 'give_up')
    """
    if code is None or code in _VERDICTS:
        return _RETRY if code is None else _VERDICTS[code]
    if isinstance(code, int) and (300 <= code < 500 or 4000 <= code < 5000):
        # The node means it, so it will hardly change its mind within a second.
        return _BACK_OFF
    return _RETRY


def judge_loss(error: TransportError) -> Verdict:
    """Return what to do about the loss of a link, or about a link that could not be made."""
    return judge(error.code if error.status is None else error.status)


def asked_wait_s(details: object) -> float | None:
    """Return the seconds to wait that the details of an error ask for, at most an hour; None if they do not.

    Examples
    --------
    >>> asked_wait_s({"retry_after_s": 2.5}), asked_wait_s({"retry_after": "soon"}), asked_wait_s(None)
    (2.5, None, None)
    """
    if isinstance(details, dict):
        for name in ("retry_after_s", "retry_after"):
            wait_s = details.get(name)
            if isinstance(wait_s, bool) or not isinstance(wait_s, int | float):
                continue
            # Not equal to itself: not a number. `math.isnan` fails at integers beyond 1e308.
            if wait_s == wait_s:
                return float(min(max(0.0, wait_s), _LONGEST_WAIT_S))
    return None


def parse_retry_after(text: str | None, now_ns: int) -> float | None:
    """Return the seconds that an HTTP Retry-After header asks for, at most an hour; None if it does not.

    Parameters
    ----------
    text : str or None
        Seconds, or a date.
    now_ns : int
        Nanoseconds since the epoch.

    Examples
    --------
    >>> parse_retry_after("120", 0), parse_retry_after("Thu, 01 Jan 1970 00:00:09 GMT", 0)
    (120.0, 9.0)
    """
    if text is None:
        return None
    try:
        wait_s = (
            float(text[:20])
            if text.isascii() and text.isdigit()
            else parsedate_to_datetime(text).timestamp() - now_ns / 1e9
        )
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, wait_s), _LONGEST_WAIT_S)
