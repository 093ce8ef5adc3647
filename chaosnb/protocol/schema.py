"""The columns of every table: one declaration that tables, documentation and exports all read.

A column's name is its path in the message's ``data`` joined with ``_``. Each table begins with `timestamp`,
which is the event's own time, and ends with `received_at` and `seq`, which are this client's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

__all__ = ["DTYPES", "TABLES", "Column", "Kind", "TableSchema", "field_reader"]

Kind = Literal[
    "time", "integer", "number", "category", "text", "json", "duration", "texts", "integers", "records"
]

DTYPES: Final[dict[Kind, str]] = {
    "time": "datetime64[us, UTC]",
    "integer": "int64",
    "number": "float64",
    "category": "category",
    "text": "str",
    "json": "str",
    "duration": "float64",
    "texts": "list[str]",
    "integers": "list[int]",
    "records": "list[dict]",
}
"""The pandas dtype of each kind; lists are Arrow-backed columns whose values are Python lists."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
    kind : Kind
        What it holds; `DTYPES` gives the pandas dtype.
    description : str
    path : tuple of str
        Where the value stands in the event; empty for what the client adds.
    unit : str or None
    fields : tuple of str
        The fields of a record in a list of records.
    """

    name: str
    kind: Kind
    description: str
    path: tuple[str, ...] = ()
    unit: str | None = None
    fields: tuple[str, ...] = ()

    @property
    def dtype(self) -> str:
        """The name of the pandas dtype."""
        return DTYPES[self.kind]


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One table: its name, which is the event's type, and its columns in order."""

    name: str
    description: str
    columns: tuple[Column, ...]


@cache
def field_reader(path: Sequence[str]) -> Callable[[Sequence[Any]], list[Any]]:
    """Return what reads the field at this path from many objects.

    Examples
    --------
    >>> field_reader(("real",))([1, 2])
    [1, 2]
    """
    if not all(step.isidentifier() for step in path):
        raise ValueError(f"not the path of a field: {path!r}")
    # A comprehension in source takes half the time of `attrgetter` with `map`.
    read: Callable[[Sequence[Any]], list[Any]] = eval(
        f"lambda items: [item.{'.'.join(path)} for item in items]"
    )
    return read


_TIMESTAMP: Final = Column("timestamp", "time", "when it happened, by the sender's clock", ("timestamp",))
_RECEIVED_AT: Final = Column("received_at", "time", "when it arrived here, by this machine's clock")
_SEQ: Final = Column("seq", "integer", "arrival number in this stream, counted over all tables")


def _column(path: str, kind: Kind, description: str, unit: str | None = None, fields: str = "") -> Column:
    steps = tuple(path.split("."))
    return Column("_".join(steps), kind, description, steps, unit, tuple(fields.split()))


def _duration(path: str) -> tuple[Column, Column]:
    text = _column(path, "text", "ISO 8601 duration as it was sent")
    about = "the same in seconds; NaN where it has years or months, or is no duration"
    return text, Column(f"{text.name}_s", "duration", about, text.path, "s")


def _table(name: str, description: str, *columns: Column, timestamp: Column = _TIMESTAMP) -> TableSchema:
    return TableSchema(name, description, (timestamp, *columns, _RECEIVED_AT, _SEQ))


_BLOCK_HASH: Final = _column("block_hash", "text", "hash of the block it is about")

_SCHEMAS: Final = (
    _table(
        "block_proposal",
        "Blocks proposed by producers.",
        _column("block_hash", "text", "hash of the block"),
        _column("parent_hash", "text", "hash of the block it builds on"),
        _column("height", "integer", "number of blocks below it in its chain"),
        _column("producer.id", "category", "agent that made the block"),
        _column("producer.public_key", "category", "that agent's Ed25519 public key, in hex"),
        _column("transactions", "records", "transactions in the block", fields="hash type"),
        _column("meme_content.type", "category", "kind of the meme in the block"),
        _column("meme_content.content", "text", "the meme itself"),
    ),
    _table(
        "block_validation",
        "Votes of validators on blocks.",
        _BLOCK_HASH,
        _column("validator.id", "category", "agent that votes"),
        _column("validator.personality", "category", "that agent's personality"),
        _column("decision", "category", "approve or reject"),
        _column("reason", "text", "why, in the agent's words"),
    ),
    _table(
        "consensus_discussion",
        "What agents say about blocks before they vote.",
        _BLOCK_HASH,
        _column("agent.id", "category", "agent that speaks"),
        _column("agent.personality", "category", "that agent's personality"),
        _column("message", "text", "what it says"),
        _column("sentiment", "category", "positive, negative or neutral"),
        _column("meme_references", "texts", "ids of the memes it refers to"),
    ),
    _table(
        "alliance_update",
        "Alliances formed or changed.",
        _column("alliance_id", "text", "the alliance"),
        _column("members", "records", "its members", fields="id role"),
        _column("purpose", "text", "what it is for"),
        *_duration("duration"),
    ),
    _table(
        "agent_status",
        "Agents that become active, inactive or go to maintenance.",
        _column("agent_id", "category", "the agent"),
        _column("status", "category", "active, inactive or maintenance"),
        _column("reason", "text", "why"),
        *_duration("expected_duration"),
    ),
    _table(
        "network_metrics",
        "The network's own figures about itself.",
        _column("block_height", "integer", "height of the chain's head"),
        _column("tps", "number", "transactions a second, as the network reports them", "1/s"),
        _column("active_validators", "integer", "validators at work"),
        _column("active_producers", "integer", "producers at work"),
        _column("pending_transactions", "integer", "transactions that wait for a block"),
    ),
    _table(
        "meme_posted",
        "Memes posted by agents.",
        _column("meme_id", "text", "the meme"),
        _column("creator.id", "category", "agent that posted it"),
        _column("creator.personality", "category", "that agent's personality"),
        _column("content.type", "category", "image, text or gif"),
        _column("content.url", "text", "where the content is said to lie; never fetched"),
        _column("content.caption", "text", "its caption"),
        _column("tags", "texts", "its tags"),
    ),
    _table(
        "reputation_update",
        "Changes of agents' reputation.",
        _column("agent_id", "category", "the agent"),
        _column("old_score", "number", "score before"),
        _column("new_score", "number", "score after"),
        _column("reason", "text", "why"),
    ),
    _table(
        "error",
        "Errors that the node reported.",
        _column("code", "category", "error code"),
        _column("message", "text", "the node's words"),
        _column("details", "json", "further details, as JSON"),
        timestamp=Column("timestamp", "time", "the same as received_at, since an error carries no time"),
    ),
)

TABLES: Final[dict[str, TableSchema]] = {schema.name: schema for schema in _SCHEMAS}
"""Every table by name, in the protocol's order."""
