"""Live ChaosChain events as pandas DataFrames, plots and citable exports in a notebook.

>>> import chaosnb
>>> with chaosnb.stream(["blocks", "network"], url="devnet") as s:
...     s.wait(events=10, timeout=30)
...     s.network_metrics.columns.tolist()[:3]
['timestamp', 'block_height', 'tps']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from chaosnb.errors import (
    ChaosnbError,
    CredentialsError,
    DebugError,
    DevnetError,
    ExportError,
    IdentityError,
    InsecureConnectionError,
    LoadError,
    MissingColumnsError,
    MissingExtraError,
    RecordingDamagedError,
    RecordingError,
    StreamClosedError,
    TransportError,
    WaitTimeoutError,
)
from chaosnb.ingest.status import Status
from chaosnb.iterator import connect
from chaosnb.live import Stream
from chaosnb.opening import follow, replay, stream
from chaosnb.playback import ReplayStream
from chaosnb.protocol.signing import Identity
from chaosnb.runtime import run
from chaosnb.store.package import load
from chaosnb.text import no_such_name

if TYPE_CHECKING:
    from chaosnb import analysis, figures
    from chaosnb.devnet import Devnet
    from chaosnb.reporting import report

__version__ = "0.1.0.dev0"

__all__ = [
    "ChaosnbError",
    "CredentialsError",
    "DebugError",
    "Devnet",
    "DevnetError",
    "ExportError",
    "Identity",
    "IdentityError",
    "InsecureConnectionError",
    "LoadError",
    "MissingColumnsError",
    "MissingExtraError",
    "RecordingDamagedError",
    "RecordingError",
    "ReplayStream",
    "Status",
    "Stream",
    "StreamClosedError",
    "TransportError",
    "WaitTimeoutError",
    "__version__",
    "analysis",
    "connect",
    "figures",
    "follow",
    "load",
    "replay",
    "report",
    "run",
    "stream",
]

# Loaded at first use, so that `import chaosnb` stays quick.
_LAZY = {
    "Devnet": ("chaosnb.devnet", "Devnet"),
    "analysis": ("chaosnb.analysis", None),
    "figures": ("chaosnb.figures", None),
    "report": ("chaosnb.reporting", "report"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(no_such_name("chaosnb", name, __all__))
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
