"""The columns of every table."""

import re

import pytest

from chaosnb.protocol.events import EVENT_TYPES
from chaosnb.protocol.schema import DTYPES, TABLES

COLUMNS = {
    "block_proposal": "block_hash parent_hash height producer_id producer_public_key transactions "
    "meme_content_type meme_content_content",
    "block_validation": "block_hash validator_id validator_personality decision reason",
    "consensus_discussion": "block_hash agent_id agent_personality message sentiment meme_references",
    "alliance_update": "alliance_id members purpose duration duration_s",
    "agent_status": "agent_id status reason expected_duration expected_duration_s",
    "network_metrics": "block_height tps active_validators active_producers pending_transactions",
    "meme_posted": "meme_id creator_id creator_personality content_type content_url content_caption tags",
    "reputation_update": "agent_id old_score new_score reason",
    "error": "code message details",
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_the_specification(name: str) -> None:
    """A table has `timestamp`, the event's own fields in the protocol's order, `received_at` and `seq`."""
    assert [column.name for column in TABLES[name].columns] == [
        "timestamp",
        *COLUMNS[name].split(),
        "received_at",
        "seq",
    ]


def test_there_is_a_table_for_every_event_and_no_other() -> None:
    """The tables are the event types in the protocol's order, then errors."""
    assert list(TABLES) == [*EVENT_TYPES, "error"]
    assert [schema.name for schema in TABLES.values()] == list(TABLES)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_is_described(name: str) -> None:
    """Documentation reads the schema: each column has a description, a dtype and its place in the event."""
    for column in TABLES[name].columns:
        assert column.description
        assert column.dtype == DTYPES[column.kind]
        if column.name not in ("received_at", "seq", "timestamp"):
            assert "_".join(column.path) == re.sub("duration_s$", "duration", column.name)


def test_quantities_have_their_units() -> None:
    """Columns that hold a quantity say its unit, and no others."""
    units = {
        (schema.name, column.name): column.unit
        for schema in TABLES.values()
        for column in schema.columns
        if column.unit is not None
    }
    assert units == {
        ("alliance_update", "duration_s"): "s",
        ("agent_status", "expected_duration_s"): "s",
        ("network_metrics", "tps"): "1/s",
    }


def test_records_name_their_fields() -> None:
    """A column of records says what fields a record has."""
    records = {
        column.name: column.fields
        for schema in TABLES.values()
        for column in schema.columns
        if column.kind == "records"
    }
    assert records == {"transactions": ("hash", "type"), "members": ("id", "role")}
