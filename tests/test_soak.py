"""The soak starts, compares and ends; and it finds what it is there to find."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chaosnb
from soak.comparison import Comparison
from soak.failing import Truth
from soak.memory import Memory
from soak.rows import EVENT_TABLES, kept_rows

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("flags", [["--seconds", "2"], ["--no-faults", "--seconds", "4", "--rate", "4000"]])
def test_a_short_run_finds_nothing_wrong(flags: list[str]) -> None:
    """`make soak` does the same for ten minutes."""
    done = subprocess.run(
        [sys.executable, "-m", "soak", "--seed", "1", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no row unexplained" in done.stdout
    if "--no-faults" not in flags:
        assert " 0 rows compared" not in done.stdout.splitlines()[-2]


class Answers:
    """A node's answers that were written down."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def ask(self, *question: Any) -> Truth:
        return self._truth


def test_every_kind_of_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, made up, and missing amid a link; what only a link's end lacks is explained."""
    monkeypatch.setattr("soak.comparison.SETTLED_S", 0.0)
    with chaosnb.stream(["network", "social"], url="devnet") as s:
        s.wait(events=10, timeout=30)
    frames = {name: s[name] for name in EVENT_TABLES}
    rows = sorted((name, *row) for name, kept in kept_rows(frames).items() for row in kept)
    for truth, wrong in [
        (Truth(set(rows), [], 1), 0),
        (Truth({*rows[:-2]}, [[*rows[-2:], ("error", 5, "lost")]], 1), 0),
        (Truth({*rows, ("error", 5, "")}, [], 1), 1),
        (Truth({*rows[1:]}, [], 1), 1),
        (Truth({*rows[:-2]}, [[rows[-2], ("error", 5, "lost"), rows[-1]]], 1), 1),
    ]:
        comparison = Comparison(s, Answers(truth), since_us=0)  # type: ignore[arg-type]
        comparison.step()
        assert comparison.compared == len(rows)
        assert comparison.unexplained == wrong


def test_memory_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, measured from the end of the warm-up."""
    for sizes, wrong in [([100, 200, 205, 206, 205], 0), ([100, 200, 205, 220, 230], 1), ([100], 1)]:
        memory = Memory(warm_up_s=1.0, limit=1.05)
        for second, size in enumerate(sizes):
            monkeypatch.setattr("soak.memory.resident_bytes", lambda size=size: size * 10**6)
            memory.note(second)
        assert len(memory.wrong()) == wrong
