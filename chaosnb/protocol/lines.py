"""Many frames in one piece of bytes, as a recording has them, which need not be cut up to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, overload

from chaosnb.protocol.events import Frame

__all__ = ["FrameLines", "Piece", "arrivals_ns", "total_bytes"]


class Piece(NamedTuple):
    """Messages with a line end between each two, and the bytes that each has."""

    data: bytes
    lengths: list[int]

    def messages(self) -> list[bytes]:
        r"""Return them one by one.

        Examples
        --------
        >>> Piece(b"{}\n[ ]", [2, 3]).messages()
        [b'{}', b'[ ]']
        """
        ends = accumulate([length + 1 for length in self.lengths])
        return [self.data[end - length - 1 : end - 1] for length, end in zip(self.lengths, ends, strict=True)]


class FrameLines(Sequence[Frame]):
    r"""A sequence of frames, each of which is made only when it is asked for.

    Parameters
    ----------
    pieces : sequence of Piece
        The messages, in order of arrival.
    received_at_ns : sequence of int
        Of each message, in nanoseconds since the epoch.

    Examples
    --------
    >>> frames = FrameLines([Piece(b"{}\n[ ]", [2, 3])], [5, 7])
    >>> frames[1]
    Frame(data=b'[ ]', received_at_ns=7)
    """

    def __init__(self, pieces: Sequence[Piece] = (), received_at_ns: Sequence[int] = ()) -> None:
        self.pieces: Final = list(pieces)
        self.received_at_ns: Final = list(received_at_ns)

    def extend(self, other: FrameLines) -> None:
        """Add the frames of another one."""
        self.pieces.extend(other.pieces)
        self.received_at_ns.extend(other.received_at_ns)

    def __len__(self) -> int:
        return len(self.received_at_ns)

    def __iter__(self) -> Iterator[Frame]:
        messages = [message for piece in self.pieces for message in piece.messages()]
        return map(Frame, messages, self.received_at_ns)

    @overload
    def __getitem__(self, place: int) -> Frame: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Frame]: ...

    def __getitem__(self, place: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(place, slice):
            whole = place.indices(len(self)) == (0, len(self), 1)
            return self if whole else list(self)[place]
        received_at_ns = self.received_at_ns[place]
        left = range(len(self))[place]
        for data, lengths in self.pieces:
            if left < len(lengths):
                start = sum(lengths[:left]) + left
                return Frame(data[start : start + lengths[left]], received_at_ns)
            left -= len(lengths)
        raise IndexError(place)


def total_bytes(frames: Sequence[Frame]) -> int:
    """Return how many bytes the messages have."""
    if isinstance(frames, FrameLines):
        return sum([sum(piece.lengths) for piece in frames.pieces])
    return sum([len(frame.data) for frame in frames])


def arrivals_ns(frames: Sequence[Frame]) -> list[int]:
    """Return when each frame arrived."""
    if isinstance(frames, FrameLines):
        return frames.received_at_ns
    return [frame.received_at_ns for frame in frames]
