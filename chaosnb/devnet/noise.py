"""What a hostile or broken node sends besides its events: messages that nobody can read, and spam."""

from __future__ import annotations

from random import Random
from typing import Final

from chaosnb.devnet.faults import Garbage
from chaosnb.protocol.events import (
    Agent,
    AgentStatus,
    BlockValidation,
    ConsensusDiscussion,
    Event,
    MemePosted,
    PostContent,
)

__all__ = ["garbage", "spam"]

_METRICS: Final = (
    b'{"type":"network_metrics","data":{"block_height":%b,"tps":%b,"active_validators":1,'
    b'"active_producers":1,"pending_transactions":1,"timestamp":"2026-01-01T00:00:00.000Z"}}'
)
_UNREADABLE: Final = (
    b"",
    b"null",
    b"42",
    b'"gm"',
    b"[]",
    b"{}",
    b"{",
    b"\x00\x00",
    b"[" * 5_000,
    b'{"type":7,"data":{}}',
    b'{"type":"no_such_event","data":{}}',
    b'{"type":"meme_posted"}',
    b'{"type":"meme_posted","data":null}',
    b'{"type":"\\ud800","data":{}}',
    _METRICS % (b'"many"', b"1.0"),
    _METRICS % (b"1", b"1e400"),
    _METRICS % (b"1" * 400, b"1.0"),
    _METRICS.replace(b"2026-01-01", b"some other") % (b"1", b"1.0"),
)
_SPAMMER: Final = Agent("agent-spam", "chaotic")
_NO_BLOCK: Final = "0" * 64


def garbage(rng: Random, sample: bytes) -> Garbage:
    """Draw a message that no client can read, yet whose WebSocket frame is in order.

    Parameters
    ----------
    rng : random.Random
    sample : bytes
        A good message, which may come cut short.

    Examples
    --------
    >>> garbage(Random(2), b'{"type":"meme_posted"}')
    Garbage(data=..., binary=...)
    """
    kind = rng.randrange(len(_UNREADABLE) + 2)
    if kind < len(_UNREADABLE):
        return Garbage(_UNREADABLE[kind])
    if kind == len(_UNREADABLE):
        return Garbage(b"\xff" + rng.randbytes(rng.randrange(64)), binary=True)
    # A letter cut in two would be an error of the WebSocket, which ends the link.
    return Garbage(sample[: rng.randrange(1, len(sample))].decode(errors="ignore").encode())


def spam(wanted: frozenset[str], text: str, stamp: str) -> Event | None:
    """Return an event of a type that is wanted, with this text in it; None if there is none."""
    if "consensus_discussion" in wanted:
        return ConsensusDiscussion(_NO_BLOCK, _SPAMMER, text, "neutral", (), stamp)
    if "agent_status" in wanted:
        return AgentStatus(_SPAMMER.id, "active", text, "PT0S", stamp)
    if "meme_posted" in wanted:
        return MemePosted(text, _SPAMMER, PostContent("text", "", text), (), stamp)
    if "block_validation" in wanted:
        return BlockValidation(_NO_BLOCK, _SPAMMER, "approve", text, stamp)
    return None
