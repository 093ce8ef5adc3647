"""Where a node is: its WebSocket address checked and completed, its HTTP address, and how to show it."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

__all__ = ["DEFAULT_URL", "check_url", "http_base", "shown_url"]

DEFAULT_URL = "ws://localhost:3000/ws/v1"
_WEBSOCKET_PATH = "/ws/v1"


def check_url(url: str) -> str:
    """Return a WebSocket URL, with the protocol's path where it has none.

    Raises
    ------
    ValueError
        If it is no WebSocket URL.

    Examples
    --------
    >>> check_url("ws://node.example:3000")
    'ws://node.example:3000/ws/v1'
    """
    parts = _split(url)
    if parts is None or parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(
            f"{shown_url(url)!r} is no node's address; use 'ws://host:port/ws/v1', 'wss://…', or 'devnet' "
            "for a simulated node in this process"
        )
    return urlunsplit(parts._replace(path=parts.path if parts.path.strip("/") else _WEBSOCKET_PATH))


def http_base(url: str) -> str:
    """Return the base URL of the node's HTTP interface, which has the same host and port.

    Examples
    --------
    >>> http_base("wss://node.example/ws/v1")
    'https://node.example/api/v1'
    """
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit(("https" if parts.scheme == "wss" else "http", netloc, "/api/v1", "", ""))


def shown_url(url: str) -> str:
    """Return the URL without what may be secret in it: user, password, query and fragment.

    Examples
    --------
    >>> shown_url("wss://me:secret@node.example/ws/v1?token=secret")
    'wss://node.example/ws/v1'
    """
    parts = _split(url)
    if parts is None:
        return "(unreadable)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
