"""The ground truth of what clients were sent, and of what the network emitted that they were not sent."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from chaosnb.devnet.faults import How
from chaosnb.devnet.outgoing import UNSENT, Outgoing
from chaosnb.errors import DevnetError

__all__ = ["Link", "Recorder", "Sent", "Subscription"]

_PROPOSAL: Final = "block_proposal"


class Subscription(NamedTuple):
    """From the network's event of this number on, a client has wanted these types."""

    since: int
    wanted: frozenset[str]


class Link:
    """What became of one connection. The node writes it; for others it is to be read.

    Attributes
    ----------
    number : int
        1 for the node's first connection.
    client : str or None
        The public key; None before it was checked.
    subscriptions : list of Subscription
    messages : list of Outgoing
        In order: what was handed to the socket, and what was dropped or lost, as their fates say.
    until : int or None
        Number of the first event that was not offered any more; None while the link lasts.
    ended : {"reset", "half-open", "client"} or int or None
        How it ended: cut, by the client itself, or with a close code of the node; None while it lasts.
    """

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.client: str | None = None
        self.subscriptions: list[Subscription] = []
        self.messages: list[Outgoing] = []
        self.until: int | None = None
        self.ended: How | str | None = None

    @property
    def handed(self) -> list[Outgoing]:
        """The messages that were handed to the socket, in order.

        All of them arrive at a client that reads on, but for a link that was reset or that the client ended:
        there the last ones may be missing, so that what arrived is a beginning of this list.
        """
        return [message for message in self.messages if message.fate not in UNSENT]

    @property
    def is_whole(self) -> bool:
        """Whether all that was handed to the socket arrives at a client that reads on."""
        return self.ended not in ("reset", "client")


class _Record:
    def __init__(self) -> None:
        self.emitted: list[Outgoing] = []
        self.forgotten = 0
        self.links: list[Link] = []


class Recorder:
    """What the node writes down while it runs.

    Parameters
    ----------
    keeps : bool
        Whether everything is kept, or nothing but the counts.
    """

    def __init__(self, *, keeps: bool) -> None:
        self.counts: Final[Counter[str]] = Counter()
        self._record = _Record() if keeps else None
        self._emitted = 0
        self._connections = 0
        self._clients: set[str] = set()

    def open(self) -> Link:
        """Return the record of a new link."""
        self._connections += 1
        link = Link(self._connections)
        if self._record is not None:
            self._record.links.append(link)
        return link

    def emit(self, messages: list[Outgoing]) -> None:
        """Note what the network emitted, whoever wants it."""
        self._emitted += len(messages)
        if self._record is not None:
            self._record.emitted += messages

    def subscribe(self, link: Link, client: str, wanted: frozenset[str]) -> bool:
        """Note that a client has asked for these types, and return whether it comes back on a new link."""
        is_back = client in self._clients and not link.subscriptions
        self._clients.add(client)
        link.client = client
        link.subscriptions.append(Subscription(self._emitted, wanted))
        return is_back

    def hand(self, link: Link, messages: list[Outgoing]) -> None:
        """Note what goes to the socket."""
        self.counts.update([message.event_type for message in messages])
        if self._record is not None:
            link.messages += messages

    def withhold(self, link: Link, messages: Iterable[Outgoing]) -> None:
        """Note what does not go to the socket, with its fate."""
        if self._record is not None:
            link.messages += messages

    def end(self, link: Link, ended: How | str) -> None:
        """Note that nothing more is offered to a link; the first reason stays."""
        if link.ended is None:
            link.until, link.ended = self._emitted, ended

    def sent(self) -> Sent:
        """Return the truth as it is now."""
        return Sent(Counter(self.counts), self._record)

    def forget(self, before_us: int) -> None:
        """Drop from the record what happened before this event time; the counts stay."""
        if self._record is None:
            return
        past = bisect_left(self._record.emitted, before_us, key=lambda message: message.time_us)
        for link in self._record.links:
            link.messages = [message for message in link.messages if message.time_us >= before_us]
        self._record.emitted = self._record.emitted[past:]
        self._record.forgotten += past


class Sent(Mapping[str, int]):
    """What clients were sent: a count by event type, and, where the node keeps a record, everything.

    As a mapping it says how many frames of each event type were handed to client sockets, over all
    connections, with ``"garbage"`` for what was no event; these counts stay as they are. The methods tell the
    truth about one client, that is one public key, over all its connections, as it is when they are called.
    `client` may be left out where the node has had one client only. They need ``Devnet(record=True)``, which
    `faults` bring along.

    What was handed to a socket arrives, in order, at a client that reads on, with two exceptions: the tail of
    a link that was reset, and of one that the client itself gave up, may be lost (`Link.is_whole`). A cut by
    close code or to half-open loses nothing that was handed over.

    Examples
    --------
    >>> from chaosnb.devnet import Devnet
    >>> with Devnet(record=True) as node:
    ...     dict(node.sent), node.sent.clients
    ({}, ())
    """

    def __init__(self, counts: Counter[str], record: _Record | None) -> None:
        self._counts = counts
        self._record = record

    # -- counts

    def __getitem__(self, event_type: str) -> int:
        return self._counts[event_type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"Sent({dict(self._counts)})"

    def total(self) -> int:
        """Return the number of frames of all types."""
        return self._counts.total()

    # -- the record

    @property
    def emitted(self) -> tuple[Outgoing, ...]:
        """All events of the network, in order, whether anybody wanted them or not."""
        return tuple(self._kept().emitted)

    @property
    def clients(self) -> tuple[str, ...]:
        """The public keys of those who have subscribed, in order."""
        return tuple(dict.fromkeys(link.client for link in self._kept().links if link.client is not None))

    def links(self, client: str | None = None) -> list[Link]:
        """Return the connections of a client, in order."""
        if client is None:
            if len(clients := self.clients) > 1:
                raise ValueError(f"there were {len(clients)} clients; say which: {', '.join(clients)}")
            client = clients[0] if clients else None
        return [link for link in self._kept().links if link.client is not None and link.client == client]

    def due(self, client: str | None = None) -> list[Outgoing]:
        """Return what a client should have had: all events of its topics since it first subscribed.

        What was emitted while it was away is part of it, until now, or until the client left by itself.
        """
        links = self.links(client)
        if not links:
            return []
        spans = [span for link in links for span in link.subscriptions]
        end = links[-1].until if links[-1].ended == "client" else None
        emitted, forgotten = self._kept().emitted, self._kept().forgotten
        stops = [*(span.since for span in spans[1:]), forgotten + len(emitted) if end is None else end]
        return [
            message
            for span, stop in zip(spans, stops, strict=True)
            for message in emitted[max(0, span.since - forgotten) : max(0, stop - forgotten)]
            if message.event_type in span.wanted
        ]

    def delivered(self, client: str | None = None) -> list[Outgoing]:
        """Return every frame handed to a client's sockets, in order, with copies and garbage."""
        return [message for link in self.links(client) for message in link.handed]

    def rows(self, client: str | None = None) -> list[Outgoing]:
        """Return the rows that a client's tables must have: each event once, by time, ties by arrival."""
        first: dict[bytes, Outgoing] = {}
        for message in self.delivered(client):
            if message.fate != "garbage":
                first.setdefault(message.wire, message)
        return sorted(first.values(), key=lambda message: message.time_us)

    def copies(self, client: str | None = None) -> int:
        """Return how many frames handed over were no news: the same event once more."""
        events = [message.wire for message in self.delivered(client) if message.fate != "garbage"]
        return len(events) - len(set(events))

    def fates(self, client: str | None = None) -> list[tuple[Outgoing, str]]:
        """Return what became of each event that was due.

        The fate is that of the frame that arrived first; ``"dropped"`` or ``"lost"`` if none did, and
        ``"away"`` if the event was offered to no link of the client.
        """
        found: dict[int, str] = {}
        for link in self.links(client):
            for message in link.messages:
                if found.get(message.number, "lost") in UNSENT:
                    found[message.number] = message.fate
        return [(message, found.get(message.number, "away")) for message in self.due(client)]

    # -- what is missing

    def missed(self, client: str | None = None) -> list[Outgoing]:
        """Return the events that were due and never handed over, in order."""
        return [m for m, fate in self.fates(client) if fate == "away" or fate in UNSENT]

    def missed_blocks(self, client: str | None = None) -> list[int]:
        """Return the heights of which the client was handed no proposal, though one was due, in order.

        A client can prove a height missing only if it knows a higher one.
        """
        have = {_block(message).height for message in self.delivered(client) if _is_block(message)}
        due = {_block(message).height for message in self.due(client) if _is_block(message)}
        return sorted(due - have)

    def unknown_parents(self, client: str | None = None) -> list[str]:
        """Return the hashes that delivered proposals name as parent, and whose own proposals were missed."""
        named = {_block(message).parent_hash for message in self.delivered(client) if _is_block(message)}
        missed = [_block(message).block_hash for message in self.missed(client) if _is_block(message)]
        return [block_hash for block_hash in missed if block_hash in named]

    def recall(self, gaps_us: Iterable[tuple[int, int]], client: str | None = None) -> float:
        """Return the share of missed events whose time lies in one of these gaps; 1 if none was missed.

        Parameters
        ----------
        gaps_us : iterable of (int, int)
            First and last moment of each gap, both included, in microseconds since the epoch by the node's
            clock.
        client : str, optional
            Public key; None: the only one.
        """
        gaps, missed = list(gaps_us), self.missed(client)
        found = sum(any(start <= m.time_us <= end for start, end in gaps) for m in missed)
        return found / len(missed) if missed else 1.0

    def precision(self, gaps_us: Iterable[tuple[int, int]], client: str | None = None) -> float:
        """Return the share of gaps (as in `recall`) in which an event was missed; 1 if there is none."""
        gaps, missed = list(gaps_us), self.missed(client)
        right = sum(any(start <= m.time_us <= end for m in missed) for start, end in gaps)
        return right / len(gaps) if gaps else 1.0

    def _kept(self) -> _Record:
        if self._record is None:
            raise DevnetError("this node keeps counts only; make it with Devnet(record=True)")
        return self._record


class _Block(Struct):
    block_hash: str
    parent_hash: str
    height: int


class _Proposal(Struct):
    data: _Block


_decoder: Final = msgspec.json.Decoder(_Proposal)


def _is_block(message: Outgoing) -> bool:
    return message.event_type == _PROPOSAL


def _block(message: Outgoing) -> _Block:
    return _decoder.decode(message.data).data
