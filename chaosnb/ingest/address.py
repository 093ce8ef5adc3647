"""Where a node is: its WebSocket address checked and completed, its HTTP address, and where not to go."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from chaosnb.errors import InsecureConnectionError, TransportError

__all__ = [
    "DEFAULT_URL",
    "check_redirect",
    "check_secure",
    "check_url",
    "http_base",
    "is_loopback",
    "shown_url",
]

DEFAULT_URL = "ws://localhost:3000/ws/v1"
_WEBSOCKET_PATH = "/ws/v1"
_SHOWN = 200


def check_url(url: str) -> str:
    """Return a WebSocket URL, with the protocol's path where it has none.

    Raises
    ------
    ValueError
        If it is no WebSocket URL, has a fragment, or a user without a password.

    Examples
    --------
    >>> check_url("ws://node.example:3000")
    'ws://node.example:3000/ws/v1'
    """
    parts = _split(url)
    if parts is None:
        # Not shown: what cannot be read may hold a password anywhere.
        raise ValueError(
            "the node's address cannot be read: is its port a number from 0 to 65535, and an IPv6 address in "
            "brackets? Use 'ws://host:port/ws/v1', 'wss://…', or 'devnet' for a simulated node in this "
            "process"
        )
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(
            f"{shown_url(url)!r} is no node's address; use 'ws://host:port/ws/v1', 'wss://…', or 'devnet' "
            "for a simulated node in this process"
        )
    if parts.fragment:
        raise ValueError(
            f"{shown_url(url)!r} is followed by '#…', which no node's address has; write a '#' within a "
            "password or a token as '%23'"
        )
    if parts.username is not None and parts.password is None:
        raise ValueError(
            f"the address of {shown_url(url)!r} has a user without a password; give both, as in "
            "'wss://user:password@host/ws/v1', or neither"
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
    # An "@" further on is the end of a user or password that was not escaped.
    if parts is None or "@" in parts.path + parts.fragment:
        return "(unreadable)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_loopback(url: str) -> bool:
    """Return whether the URL leads to this machine.

    Examples
    --------
    >>> is_loopback("ws://[::1]:3000/"), is_loopback("ws://localhost.example")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_secure(url: str, *, allow_insecure: bool) -> None:
    """Raise unless what is sent to this URL is encrypted, stays on this machine, or need not be safe.

    Raises
    ------
    InsecureConnectionError
    """
    if urlsplit(url).scheme in ("ws", "http") and not allow_insecure and not is_loopback(url):
        raise InsecureConnectionError(shown_url(url))


def check_redirect(url: str, location: str) -> str:
    """Return where the answer to `url` redirects to, if it is the same host and port, or TLS on that host.

    Raises
    ------
    TransportError
        If it is another host or port, or not encrypted as before: what is sent there is signed, and meant for
        nobody else.
    """
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    old, new, shown = urlsplit(url), _split(target), shown_url(target)[:_SHOWN]
    if new is None or new.scheme not in ("ws", "wss") or not new.hostname:
        raise TransportError(f"the node redirects to {shown!r}, which is no node's address")
    to_tls = old.scheme == "ws" and new.scheme == "wss"
    from_tls = old.scheme == "wss" and new.scheme == "ws"
    if from_tls or new.hostname != old.hostname or not (to_tls or _port(new) == _port(old)):
        raise TransportError(
            f"the node redirects to {shown!r}, "
            f"{'which is not encrypted' if from_tls else 'another host or port'}, and credentials do not "
            "follow it there; if that is right, use that address"
        )
    return target


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "wss" else 80)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
