"""Reading a node's HTTP interface, signed: the debug endpoint of a connection."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from chaosnb.errors import DebugError
from chaosnb.ingest.address import check_secure, http_base, is_loopback, shown_url
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.signing import Identity, http_headers

__all__ = ["read_debug"]

_MOST_BYTES: Final = 2**20


def read_debug(
    url: str, connection_id: str, identity: Identity, now_ns: int, *, allow_insecure: bool = False
) -> dict[str, Any]:
    """Return what the node knows of a WebSocket connection.

    Parameters
    ----------
    url : str
        The node's WebSocket address.
    connection_id : str
        As the node gave it when it acknowledged the connection.
    identity : Identity
        Signs the request.
    now_ns : int
        Nanoseconds since the epoch.
    allow_insecure : bool
        Whether the signed request may go over plain HTTP to another machine.

    Raises
    ------
    InsecureConnectionError
        If it would, and may not.
    DebugError
        If there is no answer, or not the one expected.
    """
    address = f"{http_base(url)}/debug/ws/{quote(connection_id, safe='')}"
    check_secure(address, allow_insecure=allow_insecure)
    headers = http_headers(identity, "GET", urlsplit(address).path, None, format_timestamp(now_ns // 1_000))
    opener = urllib.request.build_opener(
        _NoRedirect, *([urllib.request.ProxyHandler({})] if is_loopback(address) else [])
    )
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=10) as response:
            answer = msgspec.json.decode(response.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            raise DebugError(shown_url(address), f"HTTP status {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        raise DebugError(shown_url(address), str(getattr(error, "reason", error))) from error
    except msgspec.DecodeError as error:
        raise DebugError(shown_url(address), f"the answer is no JSON: {error}") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
        raise DebugError(shown_url(address), f"the answer holds no data: {ascii(answer)[:200]}")
    data: dict[str, Any] = answer["data"]
    return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Signed headers must not follow a redirect to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing."""
