"""A message on its way to clients: its whole WebSocket frame, its event time, and its fate."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from websockets.frames import Frame, Opcode

__all__ = ["UNSENT", "Fate", "Outgoing", "outgoing"]

Fate = Literal["sent", "delayed", "reordered", "duplicate", "replayed", "flood", "garbage", "dropped", "lost"]
"""What became of a message. ``dropped`` was left out on purpose; ``lost`` still waited when its link went."""

UNSENT: Final[frozenset[Fate]] = frozenset({"dropped", "lost"})


class Outgoing(NamedTuple):
    """A message, mostly an event, ready for the socket.

    `event_type` is ``"garbage"`` for what is no event; `wire` is a WebSocket frame; `time_us` is event time
    in microseconds since the epoch (that of the slice where the node keeps no record); `number` counts the
    network's events from 0, and is -1 for what is none of them.
    """

    event_type: str
    wire: bytes
    time_us: int = 0
    number: int = -1
    fate: Fate = "sent"

    @property
    def data(self) -> bytes:
        r"""The message without the head of its frame.

        Examples
        --------
        >>> outgoing("meme_posted", b"{}").data
        b'{}'
        """
        return self.wire[{126: 4, 127: 10}.get(self.wire[1], 2) :]


def outgoing(
    event_type: str,
    data: bytes,
    time_us: int = 0,
    number: int = -1,
    fate: Fate = "sent",
    *,
    binary: bool = False,
) -> Outgoing:
    r"""Frame a message once for all clients.

    Examples
    --------
    >>> outgoing("meme_posted", b"{}").wire
    b'\x81\x02{}'
    """
    wire = Frame(Opcode.BINARY if binary else Opcode.TEXT, data).serialize(mask=False)
    return Outgoing(event_type, wire, time_us, number, fate)
