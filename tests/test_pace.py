"""How fast it goes: the node's limit on messages, and what silence of a feed is suspicious."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.ingest.pace import SendPace, Silence


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5), st.none() | st.floats(0, 100)), max_size=300))
def test_no_minute_ever_holds_more_than_a_hundred_messages(
    steps: list[tuple[float, int, float | None]],
) -> None:
    """Whatever is sent when, and what the node asks for."""
    pace, now_s, held_until_s = SendPace(), 0.0, 0.0
    sent: list[float] = []
    for pause_s, count, hold_s in steps:
        now_s += pause_s / 50
        if hold_s is not None:
            held_until_s = max(held_until_s, now_s + hold_s)
            pace.hold(now_s + hold_s)
        now_s += pace.wait_s(now_s, count)
        assert now_s >= held_until_s - 1e-6
        assert pace.wait_s(now_s, count) < 1e-6
        for _ in range(count):
            pace.note(now_s)
            sent.append(now_s)
    assert all(late - early > 60 for early, late in zip(sent, sent[100:], strict=False))


def test_it_does_not_wait_without_need() -> None:
    """A hundred at once, then one for each that is a minute old."""
    pace = SendPace()
    for _ in range(100):
        assert pace.wait_s(5.0) == 0
        pace.note(5.0)
    assert pace.wait_s(5.0) == 61
    assert pace.wait_s(66.0, 100) == 0


def feed(silence: Silence, gaps_s: list[float], start_s: float = 0.0) -> float:
    """Let frames come with these silences between them; returns how often one was suspicious."""
    now_s, suspicious = start_s, 0
    for gap_s in gaps_s:
        suspicious += gap_s >= silence.bound_s
        now_s += gap_s
        silence.note(now_s, gap_s)
    return suspicious


def poisson(per_s: float, count: int, seed: int) -> list[float]:
    """Silences of a feed without rhythm."""
    rng = random.Random(seed)
    return [rng.expovariate(per_s) for _ in range(count)]


BURSTS = ([0.001] * 300 + [15.0]) * 30
BLOCKS = ([0.001] * 300 + [60.0]) * 30


@pytest.mark.parametrize(
    "gaps_s",
    [
        pytest.param([60.0] * 100, id="an event a minute"),
        pytest.param(BURSTS, id="bursts every 15 s"),
        pytest.param(BLOCKS, id="bursts every minute"),
        pytest.param([0.01] * 20_000, id="a hundred a second"),
        pytest.param(([0.01] * 3_000 + [12.0]) * 5, id="a quick feed that hesitates"),
        pytest.param(poisson(0.1, 3_000, 1), id="one in ten seconds at random"),
    ],
)
def test_no_silence_of_a_usual_feed_is_suspicious(gaps_s: list[float]) -> None:
    """Be it quick or slow, even or in bursts, from the first minute on."""
    assert feed(Silence(), gaps_s) == 0


def test_a_slow_feed_without_rhythm_is_suspected_a_few_times_in_a_thousand() -> None:
    """One a minute at random: three in a hundred silences last longer than 200 s."""
    assert feed(Silence(), poisson(1 / 60, 1_000, 2)) <= 3


def test_a_quick_feed_is_suspected_soon_and_a_slow_one_late() -> None:
    """Half a minute for what speaks all the time, five minutes for an event a minute."""
    quick, slow = Silence(), Silence()
    feed(quick, [0.01] * 10_000)
    feed(slow, [60.0] * 20)
    assert (quick.bound_s, quick.drop_s) == (30, 60)
    assert (slow.bound_s, slow.drop_s) == (300, 600)


def test_one_long_silence_does_not_change_what_is_usual() -> None:
    """A node that hung for an hour is suspected as soon the next time."""
    silence = Silence()
    feed(silence, [0.01] * 20_000 + [3_600.0] + [0.01] * 20_000)
    assert silence.bound_s == 30


def test_a_feed_slower_than_was_thought_is_learned_over_the_links_given_up_for_it() -> None:
    """An event every twenty minutes ends in one link that stays, not in new ones for ever."""
    silence = Silence()
    now_s, drops = 0.0, []
    for _ in range(30):
        silent_s = linked_s = 0.0
        dropped = 0
        while silent_s < 1_200:
            part_s = min(1_200 - silent_s, silence.drop_s - linked_s)
            silent_s += part_s
            now_s += part_s
            linked_s += part_s
            if silent_s < 1_200:
                silence.lose(linked_s)
                dropped, linked_s = dropped + 1, 0.0
        silence.note(now_s, linked_s)
        drops.append(dropped)
    assert max(drops) <= 4
    assert sum(drops[2:]) == 0


def test_the_time_between_links_is_no_silence_of_the_feed() -> None:
    """A node that was away for long does not seem to be slow afterwards."""
    silence = Silence()
    feed(silence, [0.01] * 10_000)
    silence.lose(50.0)
    silence.lose(None)
    silence.note(1e6, 0.5)
    feed(silence, [0.01] * 10_000, 1e6)
    assert silence.bound_s == 30


def test_a_fixed_bound_stays() -> None:
    """What the caller says counts, whatever the feed does."""
    silence = Silence(2.5)
    feed(silence, [60.0] * 20)
    silence.lose(1_000.0)
    assert (silence.bound_s, silence.drop_s) == (2.5, 5.0)
    assert Silence(float("inf")).bound_s == float("inf")


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "30", True])
def test_a_wrong_bound_is_refused(wrong: object) -> None:
    """With what may be given."""
    with pytest.raises(ValueError, match="stale_after must be a positive number of seconds, or None"):
        Silence(wrong)  # type: ignore[arg-type]
