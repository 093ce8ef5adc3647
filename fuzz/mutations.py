"""Messages that were valid once: seeded mutations of every kind of message, by bytes and by structure."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any, Final

from chaosnb.protocol import events as ev
from chaosnb.protocol.codec import encode

__all__ = ["CORPUS", "Mutator"]

_STAMP: Final = "2026-11-23T00:36:12.345Z"
_AGENT: Final = ev.Agent("agent-1", "lawful")

CORPUS: Final[tuple[bytes, ...]] = (
    *map(
        encode,
        [
            ev.BlockProposal(
                "0xb1",
                "0xb0",
                17,
                ev.Producer("p", "ab12"),
                [ev.Transaction("0xt1", "transfer"), ev.Transaction("0xt2", "meme")],
                ev.MemeContent("text", "much block"),
                _STAMP,
            ),
            ev.BlockValidation("0xb1", _AGENT, "approve", "it rhymes", _STAMP),
            ev.ConsensusDiscussion("0xb1", _AGENT, "so said 🦊", "positive", ["m1", "m2"], _STAMP),
            ev.AllianceUpdate("a1", [ev.Member("agent-1", "founder")], "to win", "P1DT2H", _STAMP),
            ev.AgentStatus("agent-1", "active", "awake", "PT90S", _STAMP),
            ev.NetworkMetrics(17, 12.5, 3, 4, 5, _STAMP),
            ev.MemePosted("m1", _AGENT, ev.PostContent("image", "https://x.example/1", "hi"), ["a"], _STAMP),
            ev.ReputationUpdate("agent-1", 1.5, 2.5, "voted", _STAMP),
            ev.ErrorEvent("RATE_LIMITED", "slow down", {"retry_after": 5, "why": ["a", None]}),
        ],
    ),
    b'{"type":"auth_success","data":{"connection_id":"c1","simulated":true}}',
    b'{"type":"welcome","connection_id":"c2"}',
    b'{"type":"subscribed","topics":["blocks"]}',
    b'{"type":"pong"}',
)
"""A message of each kind."""

# Written as they are, since they are not to be had from a JSON writer.
_RAW: Final = (
    *("1e400", "-1e400", "NaN", "Infinity", "1e-400", "-0.0", "5.0", "1E2", "01", "+1", "1.", ".5", "-"),
    *(r'"\ud800"', r'"\udc00\ud800"', r'"\ud83e\udd8a"', r'"\u0000"', '"\\x"', '"\t"', "'x'", "tru", ""),
    *("9" * 400, "-" + "9" * 5_000, "9" * 400 + ".0", "1" + "0" * 300 + "e-300"),
    *("[" * 150 + "]" * 150, '{"a":' * 150 + "1" + "}" * 150, "[" * 3_000, "// note\n1", "[1,]", '{"a":1,}'),
)
_VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        5.0,
        1e308,
        5e-324,
        2**53 + 1,
        2**63 - 1,
        -(2**63),
        2**63,
        2**64,
        10**30,
    ),
    *(
        "",
        " ",
        "\0",
        "x" * 300,
        "=1+1",
        "<b>&",
        "\u202e\u2066",
        "\x1b[31m",
        "🦊",
        "e\u0301",
        "\ufffe",
        "\U0010ffff",
    ),
    *([], {}, [[]], [None], [1, "a"], {"": {}}, {"id": "a"}, [{"id": "a", "role": "b"}], ["a"] * 50),
    *(
        "blocks",
        "approve",
        "agent-1",
        "agent-2",
        "PT1S",
        "P1M",
        "PT" + "9" * 100 + "S",
        "-P3W",
        "P1Y2M3DT4H5M6.7S",
    ),
    *(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T00:36:60Z",
    ),
    *("2026-11-23T00:36:12+14:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-23"),
    *(
        "20261123T003612Z",
        "2026-W48-1",
        "+292278-08-17T07:12:55Z",
        "NaT",
        "now",
        "１９７０-01-01T00:00:00Z",
        _STAMP,
    ),
)
_BY_TYPE: Final = {kind: [v for v in _VALUES if type(v) is kind] for kind in map(type, _VALUES)}
_BITS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS: Final = tuple(
    b'{ } [ ] , : " \\ \\u null true 0 - e . \xff \xed\xa0\x80 \xef\xbb\xbf \0 \r'.split(b" ")
)
_MARK: Final = "@raw@"


class Mutator:
    """Makes messages out of `CORPUS`; the same seed makes the same ones.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._by_bytes: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._cut,
            self._drop,
            self._repeat,
            self._splice,
            self._insert,
        )

    def next(self) -> bytes:
        """Return the next message: one in eight as it was, most changed in structure, some in their bytes."""
        choice = self._random
        message = choice.choice(CORPUS)
        turn = choice.random()
        if turn < 0.125:
            return message
        if turn < 0.8:
            message = self._reshaped(message)
        if turn > 0.7:
            changed = bytearray(message)
            for _ in range(choice.choice((1, 1, 1, 2, 4))):
                choice.choice(self._by_bytes)(changed)
            message = bytes(changed)
        return message

    def _reshaped(self, message: bytes) -> bytes:
        whole = {"": json.loads(message)}
        raw = ""
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            holder, key = self._place(whole)
            turn = self._random.random()
            if turn < 0.6:
                holder[key] = self._value(like=holder[key])
            elif turn < 0.7:
                holder[key], raw = _MARK, self._random.choice(_RAW)
            elif turn < 0.75:
                holder[key] = [holder[key]] if self._random.random() < 0.5 else {"data": holder[key]}
            elif turn < 0.8 and key != "":
                del holder[key]
            elif turn < 0.9 and isinstance(holder, dict) and key != "":
                holder[str(self._value())[:80]] = holder.pop(key)
            elif isinstance(holder[key], dict):
                holder[key][str(self._value())[:80]] = self._value()
            elif isinstance(holder[key], list):
                holder[key] *= self._random.choice((0, 2, 30))
        text = json.dumps(whole[""], ensure_ascii=self._random.random() < 0.5, separators=(",", ":"))
        return text.replace(f'"{_MARK}"', raw).encode("utf-8", "surrogatepass")

    def _place(self, whole: dict[str, Any]) -> tuple[Any, Any]:
        """Return a random object or list within the message, most often a deep one, and a key or place."""
        holder: Any = whole
        key: Any = ""
        while self._random.random() < 0.93 and isinstance(holder[key], dict | list) and holder[key]:
            holder = holder[key]
            keys: Any = [*holder] if isinstance(holder, dict) else range(len(holder))
            key = self._random.choice(keys)
            if key == "type" and self._random.random() < 0.8:
                key = self._random.choice(keys)
        return holder, key

    def _value(self, like: Any = None) -> Any:
        """Return a value, most often of the type that stood there, so that the message stays an event."""
        alike = _BY_TYPE.get(type(like)) if self._random.random() < 0.8 else None
        value = self._random.choice(alike or _VALUES)
        return copy.deepcopy(value) if isinstance(value, list | dict) else value

    def _at(self, data: bytearray) -> int:
        return self._random.randrange(len(data) + 1)

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= self._random.choice(_BITS)

    def _cut(self, data: bytearray) -> None:
        del data[self._at(data) :]

    def _drop(self, data: bytearray) -> None:
        start = self._at(data)
        del data[start : start + self._random.randrange(1, 9)]

    def _repeat(self, data: bytearray) -> None:
        start = self._at(data)
        piece = data[start : start + self._random.randrange(1, 40)]
        data[start:start] = piece * self._random.choice((1, 2, 50))

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(CORPUS)
        data[self._at(data) :] = other[self._random.randrange(len(other)) :]

    def _insert(self, data: bytearray) -> None:
        start = self._at(data)
        data[start:start] = self._random.choice(_TOKENS)
