"""Alliances among validators: who leads whom, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from chaosnb.devnet.phrases import ALLIANCE_PURPOSES
from chaosnb.protocol.events import AllianceUpdate, Member

__all__ = ["Alliance", "Alliances"]

_DAY_S: Final = 86_400
# A month has no fixed length; the alliance then really lasts 30 days.
_DURATIONS: Final = {
    "PT5M": 300,
    "PT10M": 600,
    "PT1H": 3_600,
    "P1D": _DAY_S,
    "P1W": 7 * _DAY_S,
    "P1M": 30 * _DAY_S,
}
_DURATION_WEIGHTS: Final = (3, 5, 4, 2, 1, 1)
_ROLES: Final = ("strategist", "member", "member", "scout", "treasurer")
_MOST_MEMBERS: Final = 6


@dataclass(slots=True)
class Alliance:
    """A standing alliance; `members` holds the validators' indices, the leader's first."""

    id: str
    members: list[int]
    purpose: str
    expires_us: int = 0


class Alliances:
    """All alliances; a validator is in one at most.

    Parameters
    ----------
    rng : random.Random
    ids : list of str
        Identifiers of the validators by index.
    """

    def __init__(self, rng: Random, ids: list[str]) -> None:
        self._rng = rng
        self._ids = ids
        self._most = max(1, len(ids) // 6)
        self._standing: list[Alliance] = []
        self._of: dict[int, Alliance] = {}

    def of(self, index: int, now_us: int) -> Alliance | None:
        """Return the alliance that a validator belongs to now, or None."""
        alliance = self._of.get(index)
        return alliance if alliance is not None and now_us < alliance.expires_us else None

    def leads(self, index: int, now_us: int) -> bool:
        """Return whether a validator leads an alliance now."""
        alliance = self.of(index, now_us)
        return alliance is not None and alliance.members[0] == index

    def update(self, now_us: int, timestamp: str) -> AllianceUpdate:
        """Form an alliance, or change or renew one if there are enough, and return the event."""
        for old in [alliance for alliance in self._standing if alliance.expires_us <= now_us]:
            self._standing.remove(old)
            for index in old.members:
                del self._of[index]
        free = [index for index in range(len(self._ids)) if index not in self._of]
        if len(self._standing) < self._most and len(free) >= 2:
            alliance = self._form(free)
        else:
            alliance = self._rng.choice(self._standing)
            self._change(alliance, free)
        (duration,) = self._rng.choices(tuple(_DURATIONS), _DURATION_WEIGHTS)
        alliance.expires_us = now_us + _DURATIONS[duration] * 1_000_000
        roles = ("leader", *_ROLES)
        members = tuple(
            Member(self._ids[index], role) for index, role in zip(alliance.members, roles, strict=False)
        )
        return AllianceUpdate(alliance.id, members, alliance.purpose, duration, timestamp)

    def _form(self, free: list[int]) -> Alliance:
        members = self._rng.sample(free, min(len(free), self._rng.randint(2, 4)))
        name = f"alliance-{self._rng.getrandbits(48):012x}"
        alliance = Alliance(name, members, self._rng.choice(ALLIANCE_PURPOSES))
        self._standing.append(alliance)
        self._of.update(dict.fromkeys(members, alliance))
        return alliance

    def _change(self, alliance: Alliance, free: list[int]) -> None:
        turn = self._rng.random()
        if turn < 0.4 and free and len(alliance.members) < _MOST_MEMBERS:
            newcomer = self._rng.choice(free)
            alliance.members.append(newcomer)
            self._of[newcomer] = alliance
        elif turn < 0.8 and len(alliance.members) > 2:
            del self._of[alliance.members.pop(self._rng.randrange(1, len(alliance.members)))]
