"""Identities and signatures: the Ed25519 key of an agent, its `auth` message and its HTTP headers.

The private key never leaves the `Identity`: its repr shows the public key alone, and it cannot be pickled.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import nacl.signing
import platformdirs

from chaosnb.errors import IdentityError

__all__ = ["KEY_VARIABLE", "Identity", "auth_message", "auth_text", "http_headers"]

KEY_VARIABLE: Final = "CHAOSNB_PRIVATE_KEY"
_SEED_BYTES: Final = 32
_SHOWN_DIGITS: Final = 12
_DIGITS: Final = f"{2 * _SEED_BYTES} hexadecimal digits"


class Identity:
    """An agent's Ed25519 key pair.

    Make one with `generate`, `from_env` or `from_file`.

    Examples
    --------
    >>> identity = Identity.generate()
    >>> len(identity.public_key_hex)
    64
    >>> "private" in repr(identity)
    False
    """

    __slots__ = ("_signing_key",)

    def __init__(self, private_key_hex: str) -> None:
        seed = _seed(private_key_hex)
        # Here and below: verbose tracebacks show all locals, and a wrong key may be nearly right.
        del private_key_hex
        if seed is None:
            del self  # which is not yet what could be shown
            raise IdentityError(f"a private key is {_DIGITS}")
        self._signing_key = nacl.signing.SigningKey(seed)

    @classmethod
    def generate(cls) -> Identity:
        """Return a new random identity, which lives as long as the process."""
        return cls(nacl.signing.SigningKey.generate().encode().hex())

    @classmethod
    def from_env(cls, variable: str = KEY_VARIABLE) -> Identity:
        """Return the identity whose private key stands in an environment variable as 64 hex digits.

        Raises
        ------
        IdentityError
            If the variable is not set or holds no key.
        """
        text = os.environ.get(variable)
        if not text:
            raise IdentityError(f"the environment variable {variable} is not set; it takes {_DIGITS}")
        found = cls._of(text)
        del text
        if found is None:
            raise IdentityError(f"{variable}: a private key is {_DIGITS}")
        return found

    @classmethod
    def from_file(cls, path: str | os.PathLike[str] | None = None) -> Identity:
        """Return the identity kept in a file, which is made if it does not exist.

        Parameters
        ----------
        path : path, optional
            None: ``identity.key`` in the user's configuration folder for chaosnb.

        Raises
        ------
        IdentityError
            If others than the owner can read the file, or it cannot be made or read, or holds no key.
        """
        file = (
            Path(path).expanduser()
            if path is not None
            else platformdirs.user_config_path("chaosnb") / "identity.key"
        )
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return cls._read(file)
        except OSError as error:
            raise IdentityError(f"no private key can be made in {file}: {error.strerror}") from None
        with os.fdopen(descriptor, "w") as stream:
            stream.write(nacl.signing.SigningKey.generate().encode().hex() + "\n")
        return cls._read(file)

    @property
    def public_key_hex(self) -> str:
        """The public key as 64 lower-case hex digits."""
        return self._signing_key.verify_key.encode().hex()

    def sign(self, text: str) -> str:
        """Return the signature of the text's UTF-8 bytes as 128 lower-case hex digits."""
        return self._signing_key.sign(text.encode()).signature.hex()

    def __repr__(self) -> str:
        return f"Identity(public key {self.public_key_hex[:_SHOWN_DIGITS]}…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.public_key_hex == other.public_key_hex

    def __hash__(self) -> int:
        return hash(self.public_key_hex)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "an Identity cannot be pickled or copied, so that the private key stays in this process"
        )

    @classmethod
    def _read(cls, file: Path) -> Identity:
        try:
            mode = file.stat().st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise IdentityError(f"others can read {file}; run: chmod 600 {file}")
            content = file.read_bytes()
        except OSError as error:
            raise IdentityError(f"the private key in {file} cannot be read: {error.strerror}") from None
        found = cls._of(content.decode("ascii", "replace"))
        del content
        if found is None:
            raise IdentityError(
                f"{file} does not hold a private key ({_DIGITS}); mend it, or move it away to have a new one "
                "made"
            )
        return found

    @classmethod
    def _of(cls, text: str) -> Identity | None:
        key = text.strip()
        return cls(key) if _seed(key) is not None else None


def _seed(text: str) -> bytes | None:
    try:
        seed = bytes.fromhex(text)
    except (TypeError, ValueError):  # a key in bytes must not stand in a traceback either
        return None
    return seed if len(seed) == _SEED_BYTES else None


def auth_text(public_key_hex: str, timestamp: str) -> str:
    """Return the text that an `auth` message signs.

    Examples
    --------
    >>> auth_text("ab12", "2026-11-23T00:36:12.345Z")
    'auth:ab12:2026-11-23T00:36:12.345Z'
    """
    return f"auth:{public_key_hex}:{timestamp}"


def auth_message(identity: Identity, timestamp: str) -> str:
    """Return the JSON text of the `auth` message, signed for this time stamp."""
    key = identity.public_key_hex
    signature = identity.sign(auth_text(key, timestamp))
    message = {"type": "auth", "public_key": key, "timestamp": timestamp, "signature": signature}
    return msgspec.json.encode(message).decode()


def http_headers(identity: Identity, method: str, path: str, body: object, timestamp: str) -> dict[str, str]:
    """Return the headers that sign an HTTP request to a node.

    Parameters
    ----------
    identity : Identity
    method : str
        Such as ``GET``.
    path : str
        Such as ``/api/v1/network/state``.
    body : object
        What is sent as JSON; None where there is none.
    timestamp : str
        ISO 8601 text.
    """
    text = msgspec.json.encode(
        {"method": method, "path": path, "body": body, "timestamp": timestamp}
    ).decode()
    return {
        "X-Agent-Public-Key": identity.public_key_hex,
        "X-Agent-Signature": identity.sign(text),
        "X-Timestamp": timestamp,
    }
