"""The two ends of a stream, from arguments and environment: the node to connect to, and who connects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from chaosnb.ingest.address import DEFAULT_URL, check_secure, check_url, shown_url
from chaosnb.ingest.http_api import read_debug
from chaosnb.protocol.signing import KEY_VARIABLE, Identity

if TYPE_CHECKING:
    from chaosnb.devnet import Devnet

__all__ = ["URL_VARIABLE", "Endpoint"]

URL_VARIABLE: Final = "CHAOSNB_URL"
_DEVNET: Final = "devnet"


class Endpoint:
    """A node's address and the identity to use there; `close` ends the node if it was started for this.

    Parameters
    ----------
    url : str or None
        A WebSocket address, or ``"devnet"``, which starts a simulated node in this process. None: what the
        environment variable CHAOSNB_URL says, else ``ws://localhost:3000/ws/v1``.
    identity : Identity or None
        None: the key in the environment variable CHAOSNB_PRIVATE_KEY, else a new one.
    allow_insecure : bool
        Whether authentication may go unencrypted to another machine.

    Raises
    ------
    TypeError, ValueError
        If the URL is no WebSocket address, or the identity none.
    InsecureConnectionError
        If authentication would go unencrypted to another machine, and may not.

    Examples
    --------
    >>> Endpoint("wss://node.example:3000", None).url
    'wss://node.example:3000/ws/v1'
    """

    def __init__(self, url: str | None, identity: Identity | None, *, allow_insecure: bool = False) -> None:
        if url is not None and not isinstance(url, str):
            raise TypeError(f"url must be text such as 'ws://host:3000/ws/v1' or 'devnet', not {url!r}")
        if identity is not None and not isinstance(identity, Identity):
            raise TypeError(
                f"identity must be a chaosnb.Identity, not a {type(identity).__name__}; put the private key "
                f"into the environment variable {KEY_VARIABLE}, or use chaosnb.Identity.from_file()"
            )
        wanted = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        self._devnet: Devnet | None = None
        # On a line of its own: IPython's verbose traceback shows the whole environment where a line names it.
        has_key = bool(os.environ.get(KEY_VARIABLE))
        if identity is None:
            identity = Identity.from_env() if has_key else Identity.generate()
        self.identity = identity
        self.allow_insecure = allow_insecure
        if wanted != _DEVNET:
            self.url = check_url(wanted)
            check_secure(self.url, allow_insecure=allow_insecure)
            return
        from chaosnb.devnet import Devnet

        self._devnet = Devnet()
        self._devnet.start()
        self.url = self._devnet.url

    @property
    def shown_url(self) -> str:
        """The address without what may be secret in it."""
        return shown_url(self.url)

    @property
    def simulated(self) -> bool:
        """Whether the node was started for this; one elsewhere says of itself that it is simulated."""
        return self._devnet is not None

    @property
    def recording(self) -> None:
        """None: a node's events are live."""

    def debug(self, connection_id: str, now_ns: int) -> dict[str, Any]:
        """Return what the node knows of a connection, asked at a time in nanoseconds since the epoch.

        Raises
        ------
        DebugError
            If its debug endpoint does not answer.
        """
        return read_debug(self.url, connection_id, self.identity, now_ns, allow_insecure=self.allow_insecure)

    def close(self) -> None:
        """End the node if it was started for this; calling it again does nothing."""
        if self._devnet is not None:
            self._devnet.close()
