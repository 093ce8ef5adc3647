"""A short run of the fuzzer, and what its long runs found."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.__main__ import fuzz
from fuzz.laws import check_decode
from fuzz.mutations import CORPUS, Mutator


def test_a_short_run_breaks_no_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`make fuzz` does the same with a million inputs, and another seed each time."""
    fuzz(2_000, 7, tmp_path)
    assert "2,000 inputs" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_messages() -> None:
    """What a run reports can be had again by its seed, and hardly two messages are the same."""
    first, again, other = Mutator(3), Mutator(3), Mutator(4)
    made = [first.next() for _ in range(500)]
    assert made == [again.next() for _ in range(500)]
    assert made != [other.next() for _ in range(500)]
    assert len({*made}) > 350
    assert {*made} & {*CORPUS}


@pytest.mark.parametrize("message", CORPUS)
def test_what_the_fuzzer_starts_from_is_fine(message: bytes) -> None:
    """No law is broken by a message as a node sends it."""
    check_decode(message)
