"""Faults as a pure state machine: what becomes of a model's events on one link, in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.devnet import Cut, Faults, Flood, Garbage, Model, Refuse, Stall
from chaosnb.devnet.emitter import Emitter
from chaosnb.devnet.injector import Action, FaultInjector
from chaosnb.devnet.noise import garbage
from chaosnb.devnet.outgoing import UNSENT, Outgoing
from chaosnb.devnet.refusals import Refusals
from chaosnb.protocol.codec import decode, encode
from chaosnb.protocol.events import EVENT_TYPES, Frame, NetworkMetrics, Reject, events_of
from chaosnb.protocol.iso8601 import parse_timestamps

SECOND = 1_000_000
EVERYTHING = events_of(["blocks", "consensus", "network", "social"])
SHARES = Faults(seed=3, drop=0.05, duplicate=0.1, reorder=0.1, delay=0.1, garbage=0.05, stall=0.1, flood=0.05,
                flood_events=7)  # fmt: skip


def play(
    faults: Faults,
    *,
    cuts_s: list[float] | None = None,
    connection: int = 1,
    until_s: float = 60.0,
    wanted: frozenset[str] = EVERYTHING,
    rate: float = 20.0,
) -> tuple[list[Action], list[Outgoing]]:
    """Return what a link does with a minute of events, handed over at these moments, and the events."""
    emitter = Emitter(Model(7, rate=rate), faults, traced=True)
    injector = FaultInjector(
        faults, connection=connection, since_us=emitter.now_us, origin_us=emitter.origin_us
    )
    injector.wanted = wanted
    actions: list[Action] = []
    emitted: list[Outgoing] = []
    for at_s in [*(cuts_s if cuts_s is not None else [i / 20 for i in range(int(until_s) * 20)]), until_s]:
        messages = emitter.step(int(at_s * SECOND), frozenset())
        emitted += messages
        actions += injector.inject(emitter.now_us, messages)
    return [*actions, *injector.release()], emitted


def fates(actions: list[Action]) -> Counter[str]:
    return Counter(action.fate for action in actions if isinstance(action, Outgoing))


def numbers(actions: list[Action]) -> list[int]:
    """The numbers of the events that go on the wire, in order."""
    return [a.number for a in actions if isinstance(a, Outgoing) and a.fate not in UNSENT]


def test_without_faults_everything_passes_as_it_is() -> None:
    """The machine itself changes nothing."""
    actions, emitted = play(Faults())
    assert actions == emitted
    assert len(emitted) > 1_000


def test_the_bytes_are_those_of_the_model() -> None:
    """Neither numbering nor faults change what the network says."""
    _, emitted = play(SHARES)
    assert [message.data for message in emitted] == [encode(e) for e in Model(7).step(60 * SECOND)]


def test_only_what_is_wanted_passes() -> None:
    """Other types are no business of the link."""
    actions, _ = play(Faults(garbage=0.5), wanted=frozenset({"agent_status"}))
    types = {action.event_type for action in actions if isinstance(action, Outgoing)}
    assert types == {"agent_status", "garbage"}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 20), max_size=40).map(sorted), st.integers(0, 5))
def test_the_same_seed_gives_the_same_actions_however_the_time_is_cut_up(
    cuts_s: list[float], seed: int
) -> None:
    """Byte for byte, and in the same order."""
    faults = Faults(
        seed=seed, drop=0.05, duplicate=0.1, reorder=0.1, delay=0.1, garbage=0.05, stall=0.2, stall_s=0.7,
        flood=0.05, flood_events=5, cut=0.02, skew_s=-3.2, drift=0.01,
        script=((5.0, Stall(2.0)), (6.5, Garbage(b"!")), (9.0, Flood(3))),
    )  # fmt: skip
    assert play(faults, cuts_s=cuts_s, until_s=20) == play(faults, until_s=20)


def test_even_a_cut_between_an_event_and_its_stamp_changes_nothing() -> None:
    """A stamp is cut to the millisecond, and so lies before the time that the last call came to."""
    faults = Faults(seed=1, duplicate=0.5, delay=0.3, max_delay_s=0.01)
    fine = [i * 0.000_13 for i in range(4_000)]
    assert play(faults, cuts_s=fine, until_s=0.55, rate=3_000.0) == play(
        faults, cuts_s=[], until_s=0.55, rate=3_000.0
    )


def test_another_seed_or_another_link_gives_other_faults() -> None:
    """The network's events stay the same."""
    one, emitted = play(SHARES)
    other, same = play(SHARES, connection=2)
    assert emitted == same
    assert one != other
    assert play(Faults(seed=4, drop=0.05))[0] != play(Faults(seed=5, drop=0.05))[0]


@pytest.mark.parametrize("name", ["drop", "duplicate", "reorder", "delay"])
def test_a_share_is_what_it_says(name: str) -> None:
    """About a fifth of the events meets a fault of a fifth, and no other fault comes along."""
    actions, emitted = play(Faults(seed=1, **{name: 0.2}))  # type: ignore[arg-type]
    fate = {"drop": "dropped", "duplicate": "duplicate", "reorder": "reordered", "delay": "delayed"}[name]
    count = fates(actions)
    assert count[fate] == pytest.approx(0.2 * len(emitted), rel=0.25)
    assert count["sent"] == len(emitted) - (0 if name == "duplicate" else count[fate])
    assert set(count) == {"sent", fate}


def test_one_fault_more_leaves_the_draws_of_the_others() -> None:
    """A scenario can be refined without becoming another one."""
    alone = [
        a.number for a in play(Faults(seed=1, drop=0.1))[0] if isinstance(a, Outgoing) and a.fate == "dropped"
    ]
    among = [
        a.number
        for a in play(Faults(seed=1, drop=0.1, delay=0.3, stall=0.1))[0]
        if isinstance(a, Outgoing) and a.fate == "dropped"
    ]
    assert alone == among


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1_000), st.floats(0.05, 3.0), st.floats(0, 0.5), st.floats(0, 0.5))
def test_lateness_has_its_bound(seed: int, max_delay_s: float, delay: float, reorder: float) -> None:
    """When something comes, what came before it is ahead of it by `max_delay_s` at most; nothing is lost."""
    faults = Faults(seed=seed, delay=delay, reorder=reorder, duplicate=0.1, max_delay_s=max_delay_s)
    actions, emitted = play(faults, until_s=30)
    newest_us = 0
    for action in actions:
        assert isinstance(action, Outgoing)
        newest_us = max(newest_us, action.time_us)
        assert newest_us - action.time_us <= max_delay_s * SECOND + 1
    assert {*numbers(actions)} == {message.number for message in emitted}


def test_what_is_reordered_is_overtaken_by_one_to_three() -> None:
    """Where nothing else is out of order, the distance tells."""
    order = numbers(play(Faults(seed=1, reorder=0.02, max_delay_s=60.0))[0])
    late = [place for place in range(1, len(order)) if order[place] < order[place - 1]]
    assert len(late) > 10
    moved = [sum(number > order[place] for number in order[:place]) for place in late]
    assert {*moved} == {1, 2, 3}


def test_a_copy_is_the_same_bytes_and_comes_after_the_event() -> None:
    """Within `max_delay_s`."""
    actions, emitted = play(Faults(duplicate=1.0, max_delay_s=0.4))
    seen: dict[int, bytes] = {}
    for action in actions:
        assert isinstance(action, Outgoing)
        if action.fate == "duplicate":
            assert seen[action.number] == action.wire
        else:
            seen[action.number] = action.wire
    assert len(actions) == 2 * len(emitted)


def test_a_stall_holds_everything_back_and_loses_nothing() -> None:
    """Nothing between 10 s and 13 s, then all of it at once and in order."""
    faults = Faults(script=((10.0, Stall(3.0)),))
    emitter = Emitter(Model(7), faults, traced=True)
    injector = FaultInjector(faults, since_us=emitter.origin_us)
    injector.wanted = EVERYTHING
    came: dict[float, list[Action]] = {}
    for tick in range(1, 200):
        messages = emitter.step(tick * SECOND // 10, frozenset())
        came[tick / 10] = injector.inject(emitter.now_us, messages)
    assert not any(came[at] for at in came if 10.0 < at < 13.0)
    assert len(came[13.0]) + len(came[13.1]) > 40
    order = [number for at in came for number in numbers(came[at])]
    assert order == list(range(len(order)))


def test_stalls_that_overlap_end_with_the_last() -> None:
    """A short one within a long one changes nothing."""
    long = Faults(script=((10.0, Stall(3.0)),))
    both = Faults(script=((10.0, Stall(3.0)), (11.0, Stall(0.5))))
    cuts_s = [i / 10 for i in range(200)]
    assert _times(long, cuts_s) == _times(both, cuts_s)
    longer = Faults(script=((10.0, Stall(3.0)), (11.0, Stall(4.0))))
    assert not any(10.0 < at_s < 15.0 for at_s in _times(longer, cuts_s))


def _times(faults: Faults, calls_s: list[float]) -> list[float]:
    """When each message goes out."""
    emitter = Emitter(Model(7), faults, traced=True)
    injector = FaultInjector(faults, since_us=emitter.origin_us)
    injector.wanted = EVERYTHING
    times_s: list[float] = []
    for at_s in calls_s:
        messages = emitter.step(int(at_s * SECOND), frozenset())
        times_s += [at_s] * len(injector.inject(emitter.now_us, messages))
    return times_s


def test_what_a_stall_holds_back_is_lost_by_a_cut() -> None:
    """All that came after the stall began."""
    actions, emitted = play(Faults(script=((10.0, Stall(5.0)), (12.0, Cut(1001)))))
    stalled = [m.number for m in emitted if 10 * SECOND <= m.time_us - Model(7).start_us < 12 * SECOND]
    assert [a.number for a in actions if isinstance(a, Outgoing) and a.fate == "lost"] == stalled
    assert stalled


def test_a_cut_ends_the_link_and_what_was_held_back_is_lost() -> None:
    """Lost and sent make up all that the link was offered."""
    faults = Faults(seed=1, delay=0.5, max_delay_s=2.0, script=((10.0, Cut(1012)),))
    actions, emitted = play(faults)
    place = actions.index(Cut(1012))
    assert fates(actions[:place])["lost"] == 0
    assert {*fates(actions[place + 1 :])} == {"lost"}
    offered = [message.number for message in emitted if message.time_us < emitted[0].time_us + 10 * SECOND]
    assert sorted(a.number for a in actions if isinstance(a, Outgoing)) == offered


def test_cuts_come_at_their_rate_and_in_their_kinds() -> None:
    """Times between are exponential: mean 5 s, and one e-th of them longer than that."""
    faults = Faults(seed=2, cut=0.2, cuts=("reset", "half-open", 1001))
    times_s, kinds = [], Counter[object]()
    for connection in range(1, 801):
        injector = FaultInjector(faults, connection=connection)
        at_s = 0
        while not (actions := injector.inject(at_s * SECOND, ())):
            at_s += 1
        times_s.append(at_s)
        kinds[next(a.how for a in actions if isinstance(a, Cut))] += 1
    assert sum(times_s) / 800 == pytest.approx(5.5, rel=0.1)
    assert sum(time_s > 5 for time_s in times_s) / 800 == pytest.approx(0.368, abs=0.06)
    assert {*kinds} == {"reset", "half-open", 1001}
    assert min(kinds.values()) > 200


def test_a_flood_is_of_different_events_that_can_be_read() -> None:
    """Of whatever type the client has asked for."""
    for topic in ("blocks", "consensus", "network", "social", "memes"):
        wanted = events_of([topic])
        actions, _ = play(Faults(script=((1.0, Flood(50)),)), wanted=wanted, until_s=2.0)
        flood = [a for a in actions if isinstance(a, Outgoing) and a.fate == "flood"]
        events = [decode(Frame(message.data, 0)) for message in flood]
        assert {type(event) for event in events} <= {EVENT_TYPES[name] for name in wanted - {"error"}}
        assert len({message.wire for message in flood}) == 50


def test_no_client_can_read_garbage() -> None:
    """Every kind is a reject, so that their number is known."""
    rng, sample = random.Random(1), encode(NetworkMetrics(5, 1.0, 4, 2, 7, "2026-11-23T00:36:12.345Z"))
    kinds = {garbage(rng, sample) for _ in range(400)}
    assert len(kinds) > 50
    for bad in kinds:
        result = decode(Frame(bad.data, 0))
        if not isinstance(result, Reject):
            # What decodes has no time that can be read, which the session rejects.
            (time_us,) = parse_timestamps([result.timestamp]).tolist()  # type: ignore[union-attr]
            assert time_us < 0
        if not bad.binary:
            bad.data.decode()


def test_skew_and_drift_shift_the_stamps_and_nothing_else() -> None:
    """Two seconds ahead, and one second in ten more."""
    straight = play(Faults())[1]
    shifted = play(Faults(skew_s=2.0, drift=0.1))[1]
    start_us = Model(7).start_us
    assert [m.event_type for m in shifted] == [m.event_type for m in straight]
    for before, after in zip(straight, shifted, strict=True):
        elapsed_us = before.time_us - start_us
        assert after.time_us == pytest.approx(before.time_us + 2 * SECOND + 0.1 * elapsed_us, abs=1_000)
        stamp = decode(Frame(after.data, 0)).timestamp  # type: ignore[union-attr]
        assert parse_timestamps([stamp]).tolist() == [after.time_us]


def test_a_replay_gives_the_last_seconds_again() -> None:
    """Of the types that are wanted, and not more than what happened lately."""
    emitter = Emitter(Model(7), Faults(replay_s=5.0), traced=True)
    emitted = [m for tick in range(1, 31) for m in emitter.step(tick * SECOND, frozenset())]
    replayed = emitter.replay(frozenset({"block_validation"}))
    since_us = emitter.now_us - 5 * SECOND
    assert [message.wire for message in replayed] == [
        m.wire for m in emitted if m.event_type == "block_validation" and m.time_us >= since_us
    ]
    assert {message.fate for message in replayed} == {"replayed"}


def test_refusals_by_script_begin_with_the_first_attempt_and_last_in_real_time() -> None:
    """Event time may stand still while nobody is connected, so that it cannot end them."""
    refusals = Refusals(Faults(script=((10.0, Refuse(3.0, None)),)))
    assert refusals.check(5.0, 9 * SECOND) is None
    assert refusals.check(100.0, 11 * SECOND) == Refuse(3.0, None)
    assert refusals.check(102.9, 11 * SECOND) == Refuse(3.0, None)
    assert refusals.check(103.1, 11 * SECOND) is None


def test_refusals_by_chance_are_seeded() -> None:
    """About a third of the attempts, the same ones every time."""

    def run(seed: int) -> list[bool]:
        refusals = Refusals(Faults(seed=seed, refuse=0.33))
        return [refusals.check(0.0, 0) is not None for _ in range(600)]

    assert run(1) == run(1) != run(2)
    assert sum(run(1)) == pytest.approx(200, abs=45)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"drop": 1.5}, "drop is 1.5"),
        ({"delay": -0.1}, "delay is -0.1"),
        ({"refuse": float("nan")}, "refuse is nan"),
        ({"cut": float("inf")}, "cut is inf"),
        ({"max_delay_s": -1.0}, "max_delay_s is -1"),
        ({"drift": -2.0}, "drift is -2.0"),
        ({"skew_s": float("nan")}, "skew_s is nan"),
        ({"cuts": ()}, "'half-open' or a close code"),
        ({"cuts": ("rest",)}, "'rest' is no way to cut"),
        ({"cuts": (999,)}, "1000 to 4999"),
        ({"script": ((-1.0, Stall(1.0)),)}, "a time in script"),
    ],
)
def test_faults_out_of_bounds_are_named(wrong: dict[str, Any], message: str) -> None:
    """The message says which."""
    with pytest.raises(ValueError, match=message):
        Faults(**wrong)


def test_a_script_of_something_else_is_a_type_error() -> None:
    """With the kinds that there are."""
    with pytest.raises(TypeError, match="Cut, Stall, Flood, Garbage and Refuse"):
        Faults(script=((1.0, "cut"),))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda: Cut("half"), lambda: Stall(-1), lambda: Refuse(1, 200)])
def test_a_single_fault_is_checked_too(make: Any) -> None:
    """Since it may be given to a running node."""
    with pytest.raises(ValueError):
        make()


def test_faults_are_read_from_text() -> None:
    """The command line has nothing else."""
    assert Faults.parse("seed=3, drop=0.5,cuts=half-open+1001+reset,flood_events=5") == Faults(
        seed=3, drop=0.5, cuts=("half-open", 1001, "reset"), flood_events=5
    )
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize(
    ("text", "message"),
    [("dorp=1", "drop=, duplicate="), ("drop", "is not one of"), ("drop=much", "'much' is not a number"),
     ("script=1", "is not one of"), ("cuts=rest", "no way to cut"), ("drop=2", "from 0 to 1")],
)  # fmt: skip
def test_text_that_is_no_faults_is_refused(text: str, message: str) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match=message):
        Faults.parse(text)
