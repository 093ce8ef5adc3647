"""Deltas: what the page makes of them is, bit for bit, what the kernel has."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chaosnb.notebook.delta import PLACE, Delta, Packed, diff, pack, unpack
from tests.plot_page import Parts, applied, same, sent

Floats = NDArray[np.float64]
NUMBERS = st.floats(width=64, allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, math.nan])
ARRAYS = st.lists(NUMBERS, max_size=4).map(lambda values: np.array(values, float))
# Few keys and values, so that two figures have something in common.
JSON = st.recursive(
    st.sampled_from([None, "a", "b", 2, 3.5]) | ARRAYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TRACES = st.fixed_dictionaries(
    {},
    optional={
        "uid": st.sampled_from("uv"),
        "name": st.sampled_from("mn"),
        "x": ARRAYS,
        "y": ARRAYS,
        "a": JSON,
    },
)
SPECS = st.fixed_dictionaries({"data": st.lists(TRACES, max_size=4)}, optional={"layout": JSON, "b": JSON})


def figure(*traces: tuple[Any, ...]) -> Packed:
    return pack(
        {
            "data": [
                {"type": "scatter", "x": x, "y": y, "text": [f"{value:.1f}" for value in y]}
                for x, y in traces
            ],
            "layout": {"title": {"text": "t"}},
        }
    )


def follows(states: list[Packed]) -> None:
    """Check that the deltas between them lead from each to the next, and from nothing to the first."""
    page: Parts = []
    for old, new in pairwise([None, *states]):
        delta = diff(old, new)
        page = applied(page, sent(delta), delta.values)
        assert same(page, new)
        assert not diff(new, new)


@st.composite
def moving(draw: st.DrawFn) -> list[tuple[Floats, Floats]]:
    """A time series as a plot has it: it loses values at its head, gains some, and one may change."""
    size = draw(st.integers(0, 20))
    x = np.arange(size, dtype=float)
    y = np.array(draw(st.lists(NUMBERS, min_size=size, max_size=size)))
    states = [(x, y)]
    for _ in range(draw(st.integers(1, 5))):
        drop, more = draw(st.integers(0, 6)), draw(st.integers(0, 6))
        start = x[-1] + 1 if len(x) else 0.0
        if len(x) and draw(st.booleans()):
            x = np.concatenate([[x[0] + 0.5], x[1:]])
        x = np.concatenate([x, start + np.arange(more)])[drop:]
        y = np.concatenate([y, draw(st.lists(NUMBERS, min_size=more, max_size=more))])[drop:]
        if len(y) and draw(st.booleans()):
            y = y.copy()
            y[draw(st.integers(0, len(y) - 1))] = draw(NUMBERS)
        states.append((x, y))
    return states


@given(moving(), moving())
def test_merged_deltas_give_the_newest_arrays_of_moving_series(
    a: list[tuple[Floats, Floats]], b: list[tuple[Floats, Floats]]
) -> None:
    """Frame after frame, for two traces at once, NaN and −0.0 included."""
    follows([figure(*pair) for pair in zip(a, b, strict=False)])


@given(st.lists(st.tuples(st.lists(NUMBERS, max_size=12), st.lists(NUMBERS, max_size=12)), min_size=2))
def test_merged_deltas_give_the_newest_arrays_of_any_series(states: list[tuple[Any, Any]]) -> None:
    """The law needs no order in `x`, and no two arrays of the same length."""
    follows([figure((np.array(x, float), np.array(y, float))) for x, y in states])


@given(st.lists(SPECS, min_size=2, max_size=5))
def test_merged_deltas_give_the_newest_of_any_figures(specs: list[dict[str, Any]]) -> None:
    """Traces come, go and change places; layouts gain, lose and change anything at any depth."""
    follows([pack(spec) for spec in specs])


def test_a_moving_window_costs_only_its_new_values() -> None:
    """Of 1000 values that move on by two, two are sent for each array."""
    x = np.arange(1002.0)
    y = np.sin(x)
    delta = diff(figure((x[:1000], y[:1000])), figure((x[2:], y[2:])))
    assert delta.ops == [(1, 0, 0, 2, 998, 2), (1, 1, 0, 2, 998, 2)]
    assert len(delta.values) == 4 * 8
    assert delta.patches == [[[1, "text"], 2, 998, [], [f"{value:.1f}" for value in y[1000:]]]]


def test_a_value_carried_along_to_the_window_s_beginning_costs_only_itself() -> None:
    """A line's first value is the one held when the window began, and moves with it."""
    x, y = np.arange(1000.0) * 2, np.sin(np.arange(1000.0))
    old = figure((np.concatenate([[0.5], x[1:]]), y))
    new = figure((np.concatenate([[2.5], x[2:], [2000.0]]), np.concatenate([y[1:], [7.0]])))
    delta = diff(old, new)
    assert delta.ops == [(1, 0, 1, 2, 998, 1), (1, 1, 1, 2, 998, 1)]
    assert np.frombuffer(delta.values).tolist() == [2.5, 2000.0, y[1], 7.0]
    assert delta.patches == [[[1, "text"], 2, 998, [f"{y[1]:.1f}"], ["7.0"]]]


def test_an_unchanged_figure_costs_nothing() -> None:
    """Not even where values are not numbers."""
    series = (np.arange(3.0), np.array([math.nan, -0.0, math.inf]))
    assert diff(figure(series), figure(series)) == Delta()


def test_the_sign_of_zero_is_a_change() -> None:
    """Bits are compared, not values."""
    x = np.arange(2.0)
    delta = diff(figure((x, np.array([1.0, 0.0]))), figure((x, np.array([1.0, -0.0]))))
    assert delta.ops == [(1, 1, 0, 0, 1, 1)]


def test_only_what_differs_in_the_structure_is_sent() -> None:
    """A shape that grows costs one number, a new line itself, and the others' values stay."""
    x = np.arange(300.0)
    lines = {name: {"name": name, "x": x, "y": np.sin(x)} for name in "abcd"}
    shapes = [{"x0": 1.0, "x1": 2.0}, {"x0": 5.0, "x1": 6.0}]
    old = pack({"data": [lines["a"], lines["b"], lines["c"]], "layout": {"shapes": shapes}})
    grown = [shapes[0], {"x0": 5.0, "x1": 7.0}]
    new = pack({"data": [lines["b"], lines["d"], lines["c"]], "layout": {"shapes": grown}})
    delta = diff(old, new)
    assert delta.order == [0, 2, -1, 3]
    assert delta.patches == [[[0, "layout", "shapes", 1, "x1"], 7.0], [[2], new.parts[2].structure]]
    assert [op[0] for op in delta.ops] == [2, 2]
    assert diff(old, pack({"data": list(lines.values())[:3]})).patches == [[[0, "layout", "shapes"]]]


def test_arrays_are_copied_and_become_float64() -> None:
    """What the caller does with an array later does not change what was packed."""
    y = np.array([1, 2], dtype=np.int32)
    packed = pack({"data": [{"y": y, "z": np.array([True, False])}]})
    y[0] = 9
    arrays = packed.parts[1].arrays
    assert [array.tolist() for array in arrays] == [[1.0, 2.0], [1.0, 0.0]]
    assert {array.dtype for array in arrays} == {np.dtype("<f8")}
    assert diff(None, packed).values == np.array([1.0, 2.0, 1.0, 0.0]).tobytes()


def test_only_number_arrays_are_taken_out() -> None:
    """Texts, matrices and numpy scalars are JSON; arrays inside of nested parts are found."""
    spec = {
        "data": [{"text": np.array(["a", "b"]), "z": np.eye(2), "marker": {"size": np.arange(2.0)}}],
        "layout": {"width": np.int64(3), "shapes": ({"x0": np.float64(0.5), "x1": math.nan},)},
    }
    assert [part.structure for part in pack(spec).parts] == [
        {"layout": {"width": 3, "shapes": [{"x0": 0.5, "x1": None}]}},
        {"text": ["a", "b"], "z": [[1.0, 0.0], [0.0, 1.0]], "marker": {"size": {PLACE: 0}}},
    ]


@given(st.lists(NUMBERS))
def test_unpacked_numbers_are_those_packed(numbers: list[float]) -> None:
    """To six digits if they are small, whole if they are large; what is not finite becomes null."""
    found = unpack(pack({"data": [{"y": np.array(numbers, float)}]}))["data"][0]["y"]
    assert len(found) == len(numbers)
    for value, number in zip(found, numbers, strict=True):
        if math.isfinite(number):
            assert math.isclose(value, number, rel_tol=1e-5)
        else:
            assert value is None


def test_an_unpacked_figure_is_one_for_plotly() -> None:
    """It has all that was packed, in lists."""
    found = unpack(figure((np.array([1.0, 2.0]), np.array([0.5, math.nan]))))
    texts = ["0.5", "nan"]
    assert found["data"] == [{"type": "scatter", "x": [1, 2], "y": [0.5, None], "text": texts}]
    assert go.Figure(found, skip_invalid=False).layout.title.text == "t"
