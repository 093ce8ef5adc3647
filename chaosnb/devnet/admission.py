"""Who may come in: the signature, its freshness and its single use."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import nacl.exceptions
import nacl.signing

from chaosnb.protocol.iso8601 import INVALID_TIMESTAMP, parse_timestamps
from chaosnb.protocol.signing import auth_text

__all__ = ["Admission", "Refusal"]

_FRESH_US: Final = 5 * 60 * 1_000_000
_REMEMBERED: Final = 10_000
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}", re.ASCII)


class Refusal(Exception):  # noqa: N818 - it is sent as the protocol's error, not raised to users
    """Why a message is refused, as one of the protocol's error codes."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class Admission:
    """Checks `auth` messages.

    Parameters
    ----------
    clock_us : callable
        Returns the time in microseconds since the epoch.
    refuse : frozenset of str
        Public keys that are turned away.
    """

    def __init__(self, clock_us: Callable[[], int], refuse: frozenset[str]) -> None:
        self._clock_us = clock_us
        self._refuse = refuse
        # Keyed by what was signed: another signature of the same text is a replay as well.
        self._used: dict[tuple[str, str], int] = {}

    def check(self, message: dict[str, Any]) -> str:
        """Return the public key of a good `auth` message.

        Raises
        ------
        Refusal
            If it is malformed, wrongly signed, older or newer than five minutes, or was used before.
        """
        key, timestamp, signature = (message.get(name) for name in ("public_key", "timestamp", "signature"))
        if not (isinstance(key, str) and isinstance(timestamp, str) and isinstance(signature, str)):
            raise Refusal("INVALID_REQUEST", "auth needs public_key, timestamp and signature as text")
        if not _KEY.fullmatch(key):
            raise Refusal("INVALID_AGENT", "public_key is not 64 lower-case hex digits")
        if key in self._refuse:
            raise Refusal("INVALID_AGENT", "this agent is not known here", public_key=key)
        if not _SIGNATURE.fullmatch(signature):
            raise Refusal("INVALID_SIGNATURE", "signature is not 128 lower-case hex digits")
        (signed_us,) = parse_timestamps([timestamp]).tolist()
        now_us = self._clock_us()
        if signed_us == INVALID_TIMESTAMP or abs(now_us - signed_us) > _FRESH_US:
            raise Refusal("INVALID_SIGNATURE", "timestamp is not within five minutes of this node's clock")
        try:
            text = auth_text(key, timestamp).encode()
            nacl.signing.VerifyKey(bytes.fromhex(key)).verify(text, bytes.fromhex(signature))
        except (nacl.exceptions.CryptoError, UnicodeEncodeError):
            raise Refusal("INVALID_SIGNATURE", "the signature does not fit") from None
        self._use(key, timestamp, signed_us, now_us)
        return key

    def _use(self, key: str, timestamp: str, signed_us: int, now_us: int) -> None:
        if (key, timestamp) in self._used:
            raise Refusal("INVALID_SIGNATURE", "this signature was used before")
        if len(self._used) >= _REMEMBERED:
            self._used = {use: at for use, at in self._used.items() if abs(now_us - at) <= _FRESH_US}
            # Forgetting a signature that is still fresh would let it in again.
            if len(self._used) >= _REMEMBERED:
                raise Refusal("RATE_LIMITED", "too many agents came in lately")
        self._used[key, timestamp] = signed_us
