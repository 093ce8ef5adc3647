"""Threads and waiting: loops in threads, nested loops in cells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading

import pytest

import chaosnb
from chaosnb.runtime import LoopThread, wait_until


async def forty_two() -> int:
    await asyncio.sleep(0)
    return 42


def test_a_coroutine_runs_where_no_loop_is() -> None:
    """As asyncio.run would."""
    assert chaosnb.run(forty_two()) == 42


def test_a_coroutine_runs_within_a_running_loop_as_in_a_cell() -> None:
    """nest-asyncio changes asyncio for good, so this runs in a process of its own."""
    script = textwrap.dedent(
        """
        import asyncio, sys, chaosnb
        assert not any(name.startswith("nest_asyncio") for name in sys.modules)
        async def inner():
            await asyncio.sleep(0.001)
            return 42
        async def cell():
            return chaosnb.run(inner())
        print(asyncio.run(cell()))
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("42\n", "")


def test_an_error_within_the_coroutine_comes_out() -> None:
    """It is the caller's to handle."""

    async def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        chaosnb.run(broken())


def test_stopping_cancels_what_runs_and_waits_for_the_thread() -> None:
    """What is cancelled may clean up."""
    thread = LoopThread("test")
    started, cleaned = threading.Event(), threading.Event()

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    future = thread.submit(forever())
    assert started.wait(5)
    thread.stop()
    assert cleaned.is_set()
    assert future.cancelled()
    thread.stop()
    assert "test" not in {running.name for running in threading.enumerate()}


def test_waiting_ends_with_the_condition_or_with_the_time() -> None:
    """True for the condition, False for the time; a condition that holds already does not wait."""
    wake = threading.Event()
    assert wait_until(lambda: True, wake, 0)
    assert not wait_until(lambda: False, wake, 0.01)
    asked = []

    def third_time() -> bool:
        asked.append(1)
        wake.set()
        return len(asked) == 3

    assert wait_until(third_time, wake, 5)
