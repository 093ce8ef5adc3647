"""Confidence intervals of shares: known values, and what must hold for any counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.analysis.intervals import wilson_interval

trials = st.integers(1, 10**9)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_newcombe_published(successes: int, n: int, low: float, high: float) -> None:
    """Method 3 in table I of Newcombe (1998), Statistics in Medicine 17, 857–872."""
    ends = wilson_interval(successes, n)
    assert [round(float(end), 4) for end in ends] == [low, high]


@settings(deadline=None)
@given(trials.flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.999))
def test_an_interval_holds_the_share_and_mirrors_its_opposite(
    counts: tuple[int, int], confidence: float
) -> None:
    """It lies within 0 and 1, and that of the failures is the same from the other side."""
    successes, n = counts
    low, high = wilson_interval(successes, n, confidence)
    assert 0 <= low <= successes / n <= high <= 1
    other_low, other_high = wilson_interval(n - successes, n, confidence)
    np.testing.assert_allclose([1 - other_high, 1 - other_low], [low, high], atol=1e-9)


def test_more_trials_or_less_confidence_narrow_it() -> None:
    """As evidence grows, less is possible."""
    low, high = wilson_interval([5, 50, 500], [10, 100, 1000])
    assert np.all(np.diff(high - low) < 0)
    wide, narrow = (np.subtract(*wilson_interval(5, 10, c)) for c in (0.99, 0.5))
    assert wide < narrow < 0


def test_without_trials_nothing_is_known() -> None:
    """NaN, and no warning."""
    low, high = wilson_interval([0, 1], [0, 1])
    assert np.isnan([low[0], high[0]]).all()
    assert not np.isnan([low[1], high[1]]).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((2, 1), "between 0 and trials"), ((-1, 1), "between 0 and trials"), ((1, 1, 1.0), "confidence=1.0")],
)
def test_what_is_not_possible_is_refused(arguments: tuple[float, ...], words: str) -> None:
    """The error says which argument."""
    with pytest.raises(ValueError, match=words):
        wilson_interval(*arguments)
