"""The memes that were posted lately, and the posting of new ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final

from chaosnb.devnet.agents import Parameters
from chaosnb.devnet.phrases import MEME_TAGS, caption
from chaosnb.devnet.population import Validator
from chaosnb.protocol.events import MemeContent, MemePosted, PostContent

__all__ = ["Memes"]

_SUFFIXES: Final = {"image": "png", "gif": "gif", "text": "txt"}
_KIND_WEIGHTS: Final = (5, 3, 2)
_REMEMBERED: Final = 8


@dataclass(frozen=True, slots=True)
class _Meme:
    id: str
    content: MemeContent
    creator: Validator


class Memes:
    """What agents post, refer to and put into blocks.

    Parameters
    ----------
    rng : random.Random
    validators : list of Validator
    parameters : Parameters
    fresh_us : int
        How long a meme is fresh, in microseconds.
    """

    def __init__(
        self, rng: Random, validators: list[Validator], parameters: Parameters, fresh_us: int
    ) -> None:
        weights = [parameters.meme_weight.get(v.reference.personality, 1.0) for v in validators]
        self._rng = rng
        self._validators = validators
        self._weights = weights if sum(weights) > 0 else [1.0] * len(validators)
        self._reference_probability = parameters.meme_reference_probability
        self._fresh_us = fresh_us
        self._fresh_until_us = 0
        self._recent: deque[_Meme] = deque(maxlen=_REMEMBERED)

    def is_fresh(self, now_us: int) -> bool:
        """Return whether a meme was posted so lately that memetic agents are under its spell."""
        return now_us < self._fresh_until_us

    def for_block(self) -> MemeContent:
        """Return the latest meme as a block carries it."""
        return self._recent[-1].content if self._recent else MemeContent("text", "gm, chain")

    def references(self) -> list[str]:
        """Return the ids of the memes that something said refers to, most often none."""
        if not self._recent or self._rng.random() >= self._reference_probability:
            return []
        wanted = 2 if self._rng.random() < 0.2 else 1
        chosen = self._rng.sample(self._recent, min(wanted, len(self._recent)))
        for meme in chosen:
            meme.creator.meme_references += 1
        return [meme.id for meme in chosen]

    def post(
        self, now_us: int, height: int, pending: int, timestamp: str
    ) -> tuple[Validator, MemePosted] | None:
        """Post a meme and return its creator and the event; None if who would have posted it is away."""
        rng = self._rng
        (creator,) = rng.choices(self._validators, self._weights)
        if creator.status != "active":
            return None
        name = f"meme-{rng.getrandbits(48):012x}"
        (kind,) = rng.choices(tuple(_SUFFIXES), _KIND_WEIGHTS)
        words = caption(rng, creator.id, height, pending)
        self._recent.append(_Meme(name, MemeContent(kind, words), creator))
        self._fresh_until_us = now_us + self._fresh_us
        creator.memes += 1
        content = PostContent(kind, f"https://memes.example/{name}.{_SUFFIXES[kind]}", words)
        tags = tuple(rng.sample(MEME_TAGS, rng.randint(1, 3)))
        return creator, MemePosted(name, creator.reference, content, tags, timestamp)
