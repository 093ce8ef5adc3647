"""Run a notebook from top to bottom in a kernel of its own, which leaves nothing in the user's home."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

Test = TypeVar("Test", bound=Callable[..., None])


def in_a_kernel(test: Test) -> Test:
    """Let a test start a kernel: jupyter_client's loop does so in ways that its dependencies warn about."""
    warnings = (
        *("DeprecationWarning", "ResourceWarning"),
        "pytest.PytestUnraisableExceptionWarning",
    )
    marked: Test = pytest.mark.filterwarnings(*(f"ignore::{name}" for name in warnings))(test)
    return marked


def run_all(notebook: NotebookNode, folder: Path, **options: Any) -> list[NotebookNode]:
    """Run a notebook in a folder; return what its cells show, and leave it in the notebook."""
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}, **options)
    client.execute(env={**os.environ, "IPYTHONDIR": str(folder / "ipython")})
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]
