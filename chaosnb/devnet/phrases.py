"""What agents say: readable sentences by personality and sentiment, reasons, captions and tags."""

from __future__ import annotations

from random import Random
from typing import Final

__all__ = [
    "ALLIANCE_PURPOSES",
    "AWAY_REASONS",
    "MEME_TAGS",
    "TRANSACTION_TYPES",
    "caption",
    "message",
    "reason",
]

TRANSACTION_TYPES: Final = ("transfer", "meme_mint", "alliance_pledge", "stake", "tip", "bribe")
MEME_TAGS: Final = (
    "chaos",
    "consensus",
    "blocks",
    "drama",
    "wagmi",
    "gm",
    "validators",
    "fork",
    "vibes",
    "order",
)
ALLIANCE_PURPOSES: Final = (
    "approve good memes only",
    "keep the chain moving",
    "resist boring blocks",
    "share the rewards",
    "defend the rules",
    "maximum drama",
)
AWAY_REASONS: Final = {
    "maintenance": (
        "scheduled upgrade",
        "rebuilding the state database",
        "rotating keys",
        "meme cache is full",
    ),
    "inactive": ("lost its peers", "ran out of coffee", "sulking after a vote", "host restarted"),
}

_OPENERS: Final[dict[str, tuple[str, ...]]] = {
    "lawful": ("By the rules,", "I checked the specification:", "For the record,"),
    "chaotic": ("Flip the table!", "I rolled a die:", "Rules are a suggestion,"),
    "memetic": ("Much block, very vote:", "The meme speaks:", "Such consensus,"),
    "greedy": ("Show me the fees:", "My wallet says", "I did the sums:"),
    "dramatic": ("O fellow validators!", "My heart trembles:", "Never in all my epochs!"),
    "neutral": ("On balance,", "I note that", "As it stands,"),
    "rational": ("The evidence is plain:", "Expected value first:", "After some analysis,"),
    "emotional": ("I have a feeling:", "This moves me:", "I cannot help it,"),
    "strategic": ("Thinking three blocks ahead,", "Seen from the long game,", "Position matters:"),
}
_ANY_OPENER: Final = ("I say", "In my view,", "Well,")
_STATEMENTS: Final[dict[str, tuple[str, ...]]] = {
    "positive": (
        "block {block} deserves our approval.",
        "{producer} has done fine work at height {height}.",
        "{count} transactions, all in good order.",
        "I like where {block} takes the chain.",
        "let us take {block} and move on.",
    ),
    "negative": (
        "block {block} should not pass.",
        "{producer} can do better than this at height {height}.",
        "{count} transactions, and something smells.",
        "{block} takes the chain the wrong way.",
        "I would send {block} straight back.",
    ),
    "neutral": (
        "I have yet to make up my mind about {block}.",
        "height {height} could go either way.",
        "what do the others think of {producer}?",
        "{count} transactions; I have seen more and I have seen fewer.",
        "{block} is a block.",
    ),
}
_REASONS: Final[dict[bool, tuple[str, ...]]] = {
    True: (
        "valid transactions and a sound parent",
        "the discussion convinced me",
        "the meme is good enough",
        "in line with my principles",
        "the producer has earned it",
    ),
    False: (
        "the meme is stale",
        "the discussion left me in doubt",
        "too many odd transactions",
        "against my principles",
        "the producer should try again",
    ),
}
_CAPTIONS: Final = (
    "when {agent} sees a block at height {height}",
    "one does not simply fork at {height}",
    "this is fine: {pending} transactions pending",
    "consensus? in this economy?",
    "{agent} has joined the chat",
    "nobody: … {agent}: reject",
    "all your blocks are belong to {agent}",
)


def message(
    rng: Random, personality: str, sentiment: str, block: str, producer: str, height: int, count: int
) -> str:
    """Return a sentence that an agent of this personality says about a block of `count` transactions."""
    opener = rng.choice(_OPENERS.get(personality, _ANY_OPENER))
    statement = rng.choice(_STATEMENTS[sentiment])
    return f"{opener} {statement.format(block=block, producer=producer, height=height, count=count)}"


def reason(rng: Random, approve: bool, leader: str | None) -> str:
    """Return the reason for a vote; `leader` is the leader whose vote was copied, if it was."""
    if leader is not None:
        return f"voting with {leader}, who leads my alliance"
    return rng.choice(_REASONS[approve])


def caption(rng: Random, agent: str, height: int, pending: int) -> str:
    """Return the caption of a meme."""
    return rng.choice(_CAPTIONS).format(agent=agent, height=height, pending=pending)
