"""Every error that chaosnb raises on its own account.

::

    ChaosnbError
    ├── CredentialsError      the node refused the identity; the stream has ended
    ├── IdentityError         a key could not be read, or others can read it
    ├── StreamClosedError     the stream was closed before the call
    ├── WaitTimeoutError      what was waited for did not come in time (also a TimeoutError)
    ├── TransportError        the link to the node could not be made, or broke
    ├── InsecureConnectionError  the way to the node is not encrypted, and nothing was sent
    ├── DebugError            the node's debug endpoint did not answer as it should
    ├── DevnetError           a node on this machine could not be started
    ├── MissingExtraError     an optional package is needed that is not installed
    ├── MissingColumnsError   a frame lacks columns that an analysis needs (also a ValueError)
    ├── ExportError           a table could not be written
    ├── LoadError             an export could not be read back
    └── RecordingError        a recording could not be made or read
        └── RecordingDamagedError  what stands in a recording is not what was written

Misuse by the caller is a plain `ValueError` or `TypeError` that lists the valid choices. The words of a node
or a server stand in a message with their unprintable characters escaped, and cut.
"""

from chaosnb.text import printable

__all__ = [
    "ChaosnbError",
    "CredentialsError",
    "DebugError",
    "DevnetError",
    "ExportError",
    "IdentityError",
    "InsecureConnectionError",
    "LoadError",
    "MissingColumnsError",
    "MissingExtraError",
    "RecordingDamagedError",
    "RecordingError",
    "StreamClosedError",
    "TransportError",
    "WaitTimeoutError",
]


_MOST_WORDS = 500


class ChaosnbError(Exception):
    """Base of all errors raised by chaosnb."""

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle would call `__init__` with the text alone, and so break the pool of processes it came from.
        return _again, (type(self), *self.args), self.__dict__


class CredentialsError(ChaosnbError):
    """The node refused the identity, so trying again with it is of no use.

    Attributes
    ----------
    code : str
        The node's error code, such as ``INVALID_SIGNATURE``.
    message : str
        The node's own words.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(
            f"the node refused this identity: {printable(code, _MOST_WORDS)}: "
            f"{printable(message, _MOST_WORDS)}. The stream has ended. Check the key "
            "(CHAOSNB_PRIVATE_KEY, or identity= in Python) and this machine's clock (a signature older than "
            "five minutes is refused), then begin anew."
        )


class IdentityError(ChaosnbError):
    """A private key could not be used; the text never holds the key."""


class StreamClosedError(ChaosnbError):
    """The stream is closed; its tables can still be read."""


class TransportError(ChaosnbError):
    """The link to the node could not be made, or broke; a stream tries again by itself.

    Attributes
    ----------
    reason : str
        What happened; fit to be shown.
    code : int or None
        The WebSocket close code, where there was one.
    status : int or None
        The HTTP status that answered the handshake, where it was not the one that opens a link.
    retry_after_s : float or None
        How many seconds the node asked to wait before the next try.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: int | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.reason = printable(reason, _MOST_WORDS)
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(self.reason if code is None else f"{self.reason} (close code {code})")


class InsecureConnectionError(ChaosnbError):
    """The way to the node is not encrypted, so that others could read along; nothing was sent.

    Attributes
    ----------
    url : str
        The address, without what may be secret in it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"{url} is not encrypted: whoever is on the way could read the data and use your signed "
            "authentication. Use wss://, or say allow_insecure=True where you trust the network."
        )


class WaitTimeoutError(ChaosnbError, TimeoutError):
    """What `Stream.wait` waited for did not come in time.

    Attributes
    ----------
    timeout_s : float
        How long it waited, in seconds.
    events : int
        How many events came meanwhile.
    """

    def __init__(self, what: str, timeout_s: float, events: int, state: str) -> None:
        self.timeout_s = timeout_s
        self.events = events
        super().__init__(
            f"{what} did not happen within {timeout_s:g} s ({events} events came meanwhile, the stream is "
            f"{state}). Wait longer with timeout=, or look at s.status and s.incidents."
        )


class DebugError(ChaosnbError):
    """The node's debug endpoint could not be read.

    Attributes
    ----------
    url : str
        The address that was asked.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(f"{url}: {printable(reason, _MOST_WORDS)}")


class DevnetError(ChaosnbError):
    """The simulated node, or one that serves a recording, could not be started."""


class MissingExtraError(ChaosnbError):
    """An optional package is needed that is not installed.

    Attributes
    ----------
    extra : str
        The extra of chaosnb that brings it.
    command : str
        The command that installs it.
    """

    def __init__(self, what: str, *, extra: str) -> None:
        self.extra = extra
        self.command = f'pip install "chaosnb[{extra}]"'
        super().__init__(f"{what} needs a package that is not installed. Install it with: {self.command}")


class MissingColumnsError(ChaosnbError, ValueError):
    """A frame lacks columns that an analysis needs.

    Attributes
    ----------
    columns : tuple of str
        Those that it lacks.
    table : str or None
        The table that has them; None where every table has.
    """

    def __init__(self, columns: tuple[str, ...], table: str | None, looks_like: str | None = None) -> None:
        self.columns = columns
        self.table = table
        seems = f"; it looks like the table {looks_like}" if looks_like else ""
        kind, it = ("column", "it") if len(columns) == 1 else ("columns", "them")
        where = f"The table {table} has {it}, as s.{table}" if table else f"Every table has {it}"
        super().__init__(f"the frame has no {kind} {', '.join(columns)}{seems}. {where}")


class ExportError(ChaosnbError):
    """A table could not be written; nothing was left half-written in its place.

    Attributes
    ----------
    table : str
        The table that failed, or the folder.
    reason : str
        What happened, and what to do.
    """

    def __init__(self, table: str, reason: str) -> None:
        self.table = table
        self.reason = reason
        super().__init__(
            f"{table!r} could not be exported: {reason}. Nothing half-written is left, and what was to be "
            "exported is as it was."
        )


class LoadError(ChaosnbError):
    """An export could not be read back.

    Attributes
    ----------
    path : str
        The folder, or the file in it.
    reason : str
        What happened, and what to do.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = printable(reason, _MOST_WORDS)
        super().__init__(f"{printable(path, _MOST_WORDS)}: {self.reason}")


class RecordingError(ChaosnbError):
    """A recording could not be made or read.

    Attributes
    ----------
    path : str
        The recording.
    reason : str
        What happened, and what to do.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = printable(reason, _MOST_WORDS)
        super().__init__(f"{printable(path, _MOST_WORDS)}: {self.reason}")


class RecordingDamagedError(RecordingError):
    """What stands in a recording is not what was written there; what comes before the place is whole.

    Attributes
    ----------
    segment : str
        The file within the recording.
    offset : int
        The byte at which the first record that is not whole begins; in a compressed file, after expansion.
    """

    def __init__(self, path: str, segment: str, offset: int, what: str) -> None:
        self.segment = segment
        self.offset = offset
        super().__init__(
            path,
            f"damaged at byte {offset:,} of {segment}: {what}. All before is whole. Restore the file from a "
            "copy; or `python -m chaosnb repair` keeps what is whole, and notes what is not",
        )


def _again(kind: type[ChaosnbError], *told: object) -> ChaosnbError:
    error = kind.__new__(kind)
    error.args = told
    return error
