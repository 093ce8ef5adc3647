"""What IPython shows of a node's data: tables that cannot steer a terminal, and a status in one line.

In a notebook the page escapes them. Outside IPython, and by `print`, pandas writes text as it was sent.
"""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd

from chaosnb.ingest.status import Status
from chaosnb.notebook.display import status_html, status_text
from chaosnb.text import printable

__all__ = ["guard_terminal"]


def guard_terminal() -> None:
    """Have IPython's plain text of such tables escape what cannot be printed, and a `Status` fit in a line.

    Does nothing outside IPython, nor where the user has set a printer for DataFrames.

    Examples
    --------
    >>> guard_terminal()
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return
    formatter = shell.display_formatter.formatters["text/plain"]
    for kind in (pd.DataFrame, pd.Series):
        if kind not in formatter.type_printers:
            formatter.for_type(kind, _show)
    formatter.for_type(Status, lambda status, printer, _cycle: printer.text(status_text(status)))
    shell.display_formatter.formatters["text/html"].for_type(Status, status_html)


def _show(values: Any, printer: Any, cycle: bool) -> None:
    text = repr(values)
    if "source" in values.attrs:
        text = "\n".join(map(printable, text.split("\n")))
    printer.text(text)
