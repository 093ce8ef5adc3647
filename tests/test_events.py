"""The event types, the topics and what they cover."""

import pytest

from chaosnb.protocol.events import (
    EVENT_TYPES,
    KNOWN_VALUES,
    TOPICS,
    AgentStatus,
    ErrorEvent,
    check_topics,
    event_type,
    events_of,
)


def test_topics_cover_the_events_the_protocol_says() -> None:
    """The topic map is the protocol's, word for word."""
    assert TOPICS == {
        "blocks": ("block_proposal", "block_validation"),
        "consensus": ("consensus_discussion", "alliance_update"),
        "network": ("agent_status", "network_metrics"),
        "social": ("meme_posted", "reputation_update"),
        "memes": ("meme_posted",),
    }


def test_every_event_belongs_to_a_topic() -> None:
    """No event type is out of reach of a subscription, and no topic names one that does not exist."""
    assert {name for names in TOPICS.values() for name in names} == set(EVENT_TYPES)


def test_known_values_are_the_protocols() -> None:
    """The values that the protocol lists for a field are known, and no others."""
    assert dict(KNOWN_VALUES) == {
        "block_validation": ("decision", {"approve", "reject"}),
        "consensus_discussion": ("sentiment", {"positive", "negative", "neutral"}),
        "agent_status": ("status", {"active", "inactive", "maintenance"}),
        "meme_posted": ("content.type", {"image", "text", "gif"}),
    }


@pytest.mark.parametrize(
    ("topics", "checked"),
    [
        ("blocks", ("blocks",)),
        (["memes", "blocks"], ("memes", "blocks")),
        (["social", "blocks", "social"], ("social", "blocks")),
        (iter(["network"]), ("network",)),
        ({"consensus": 1}, ("consensus",)),
    ],
    ids=["text", "order kept", "doubles dropped", "iterator", "keys"],
)
def test_check_topics_returns_each_once_in_order(topics: object, checked: tuple[str, ...]) -> None:
    """Topics come as text or any iterable, and leave as a tuple without doubles."""
    assert check_topics(topics) == checked  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("topics", "named"),
    [
        ("block", ["'block'"]),
        (["blocks", "alliances", "x"], ["'alliances'", "'x'"]),
        ("", ["''"]),
        ([], ["no topic given"]),
        (["Blocks"], ["'Blocks'"]),
        ("blocks,social", ["'blocks,social'", "a list, such as ['blocks', 'network']"]),
        ("devnet", ["address of a node is no topic, and given as url="]),
        ("ws://localhost:3000/ws/v1", ["address of a node is no topic, and given as url="]),
    ],
)
def test_check_topics_lists_the_valid_ones(topics: object, named: list[str]) -> None:
    """An unknown topic, or none, is a ValueError that names it and every topic there is."""
    with pytest.raises(ValueError) as caught:
        check_topics(topics)  # type: ignore[arg-type]
    for part in [*named, "'blocks', 'consensus', 'network', 'social', 'memes'"]:
        assert part in str(caught.value)


def test_events_of_joins_the_topics_and_adds_error() -> None:
    """An event that two topics share is there once, and errors come whatever is subscribed."""
    assert events_of(["social", "memes"]) == {"meme_posted", "reputation_update", "error"}
    assert events_of([]) == {"error"}


def test_event_type_is_the_name_on_the_wire() -> None:
    """An event knows its type name, errors included."""
    assert event_type(ErrorEvent("A", "b")) == "error"
    assert event_type(AgentStatus("a", "active", "", "PT0S", "")) == "agent_status"
