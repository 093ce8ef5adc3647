"""Whether this process is a Jupyter kernel; and making one ready for its first plot.

Imported wherever a stream is opened, so it loads nothing itself.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module

__all__ = ["has_kernel", "warm_up"]


def has_kernel() -> bool:
    """Tell whether this process is a Jupyter kernel, so that a widget can be shown.

    Returns
    -------
    bool

    Examples
    --------
    >>> has_kernel()
    False
    """
    # What is not loaded cannot be running.
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def warm_up(sleep: Callable[[float], None] = time.sleep) -> threading.Thread | None:
    """Load in a thread what the first dashboard needs, here and in the page, while the stream connects.

    Parameters
    ----------
    sleep : callable
        Waits for so many seconds.

    Returns
    -------
    threading.Thread or None
        The thread, None where there is no kernel.

    Examples
    --------
    >>> warm_up() is None
    True
    """
    if not has_kernel():
        return None
    thread = threading.Thread(target=_load, args=(sleep,), name="chaosnb-warm-up", daemon=True)
    thread.start()
    return thread


def _load(sleep: Callable[[float], None]) -> None:
    import_module("chaosnb.notebook.ahead").send_ahead(sleep=sleep)
