"""Nodes in processes of their own, so that the memory measured is the client's alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Orders", "Remote"]

Orders = Connection
"""Where a node reads what it is asked, and answers."""


class Remote:
    """A node in another process.

    Parameters
    ----------
    serve : callable
        Runs there: sends its URL, then answers every question until there are no more.
    arguments
        For `serve`, after its `Orders`.
    """

    def __init__(self, serve: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._questions, there = context.Pipe()
        self._process = context.Process(target=serve, args=(there, *arguments), daemon=True)
        self._process.start()
        there.close()
        self.url: str = self._questions.recv()

    def ask(self, *question: object) -> Any:
        """Return the node's answer."""
        self._questions.send(question)
        return self._questions.recv()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._questions.close()
        self._process.join(10)
        self._process.kill()
