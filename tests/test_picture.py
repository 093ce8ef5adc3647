"""The still picture of figures: where things are in it, and that no data breaks it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.figures import FIGURES
from chaosnb.figures.specs import reputation
from chaosnb.figures.style import label
from chaosnb.ingest.gaps import Gap
from chaosnb.notebook.picture import picture, picture_html
from chaosnb.tables.ledgers import gap_frame

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>\"'&\x00\u202e\ud800"
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=64)


def line(x: list[Any], y: list[Any], **more: Any) -> dict[str, Any]:
    return {"type": "scatter", "name": "a", "x": x, "y": y, "line": {"color": "#0072B2"}, **more}


def drawn(*traces: dict[str, Any], **layout: Any) -> ET.Element:
    return ET.fromstring(picture({"one": {"data": list(traces), "layout": layout}}))


def words(svg: ET.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def paths(svg: ET.Element, kind: str) -> list[list[tuple[int, int]]]:
    """The points of each path within the axes, in tenths of a pixel."""
    found = []
    for path in svg.findall(f".//{SVG}g[@transform='scale(.1)']/{SVG}path[@{kind}]"):
        at, points = (0, 0), []
        for letter, numbers in re.findall(r"([Mlhv])([-\d ]+)", path.get("d", "")):
            values = [int(number) for number in numbers.split()]
            dx, dy = {"h": (values[0], 0), "v": (0, values[0])}.get(letter) or values
            at = (dx, dy) if letter == "M" else (at[0] + dx, at[1] + dy)
            points.append(at)
        found.append(points)
    return found


def columns(name: str, rows: int) -> dict[str, Any]:
    names = {
        "tps": ["reported", "observed"],
        "decisions": ["approve", "reject", "other", "approval_rate"],
        "sentiment": ["positive", "neutral", "negative", "other", "sentiment_index"],
        "reputation": ["score"],
    }[name]
    time = np.datetime64("2026-01-01", "us") + np.arange(rows) * np.timedelta64(2, "s")
    more = {"agent_id": np.array([HOSTILE] * rows)} if name == "reputation" else {}
    return {"time": time, **{column: np.arange(rows, dtype=float) for column in names}, **more}


def test_four_plots_are_one_picture_of_text_and_shapes() -> None:
    """Titles, axes with units, names, source and gaps; hostile text is text."""
    start_us = 1_767_225_600_000_000
    gaps = gap_frame([Gap(start_us, start_us + 4_000_000, "stale", ("blocks",), "possible")])
    specs = {name: FIGURES[name](columns(name, 20), gaps=gaps) for name in FIGURES}
    svg = ET.fromstring(picture(specs, "from &lt;here&gt;"))
    assert {element.tag.removeprefix(SVG) for element in svg.iter()} == {"svg", "g", "path", "rect", "text"}
    said = words(svg)
    assert said[0] == "from <here>"
    titles = {"Transactions", "Decisions on blocks", "Sentiment of discussions", "Reputation: top movers"}
    assert titles <= set(said)
    assert {"approve", "95 % interval", "may be missing", "transactions per second", "time (UTC)"} <= set(
        said
    )
    assert any(word.startswith("<script>alert") for word in said)
    assert {"2026-01-01", "00:00:10"} <= set(said)
    assert len(list(svg.iter(f"{SVG}rect"))) == 4


def test_a_dashboard_of_ten_minutes_is_small() -> None:
    """Eight plots of 300 buckets stay far below what a notebook may hold."""
    noise = np.random.default_rng(1)
    specs = {}
    for name in FIGURES:
        found = columns(name, 300)
        specs[name] = FIGURES[name](
            {k: v if k in ("time", "agent_id") else noise.random(300) for k, v in found.items()}
        )
    both = {**specs, **{f"{name} again": spec for name, spec in specs.items()}}
    assert len(picture_html(both)) < 200_000


def test_lines_are_where_their_numbers_are_and_have_holes() -> None:
    """From left to right, larger is higher; the line ends at what is missing and begins behind it."""
    (path,) = paths(drawn(line([0, 1, 2], [0, 1, 3])), "stroke")
    (x0, y0), (x1, y1), (x2, y2) = path
    assert x1 - x0 == pytest.approx(x2 - x1, abs=1)
    assert y0 - y1 == pytest.approx((y1 - y2) / 2, abs=1)
    assert y0 > y1
    whole = drawn(line([0, 1, 2, 3, 4], [0, 1, None, 3, 4]))
    (path,) = whole.findall(f".//{SVG}g[@transform='scale(.1)']/{SVG}path")
    assert path.get("d", "").count("M") == 2
    joined = drawn(line([0, 1, 2, 3, 4], [0, 1, None, 3, 4], connectgaps=True))
    assert len(paths(joined, "stroke")[0]) == 4


def test_steps_stand_on_each_other() -> None:
    """What one covers ends where the next begins."""
    look = {"stackgroup": "steps", "fillcolor": "rgba(0, 0, 0, 0.4)", "line": {"shape": "hv", "width": 0}}
    lower, upper = paths(
        drawn(line([0, 1, 2], [1, 2, 2], **look), line([0, 1, 2], [1, 1, 1], **look)), "fill"
    )
    assert lower[:4] == upper[:3:-1]
    assert len({x for x, _ in lower}) == 3
    heights = [y for _, y in upper[:4]]
    assert heights[0] == heights[1] > heights[2] == heights[3]


def test_bars_lie_behind_each_other_on_each_side_of_zero() -> None:
    """What adds goes on to the right, what takes away to the left; each row has its name and words."""

    def bar(length: float, **more: Any) -> dict[str, Any]:
        return {
            "type": "bar",
            "orientation": "h",
            "x": [length],
            "y": [0],
            "marker": {"color": "red"},
            **more,
        }

    rows = {"tickvals": [0], "ticktext": ["one<br>row"]}
    svg = drawn(bar(3), bar(-1), bar(2, text=["so much"]), yaxis=rows, margin={"l": 90})
    first, back, second = ([x for x, _ in path] for path in paths(svg, "fill"))
    assert max(first) == min(second)
    assert max(back) == min(first)
    assert max(second) - min(second) == pytest.approx((max(first) - min(first)) * 2 / 3, abs=2)
    assert {"one row", "so much"} <= set(words(svg))


def test_marks_have_no_line_and_intervals_reach_around_them() -> None:
    """A share and its interval, at its place."""
    reach = {"array": [1.0, 0.5], "arrayminus": [0.5, 1.0]}
    marks = line([1, 2], [0, 1], mode="markers", error_x=reach, marker={"color": "blue"})
    dots, ends = paths(drawn(marks, xaxis={"range": [0, 4]}), "stroke")
    assert len(dots) == 4
    (left, _), (right, _) = ends[:2]
    assert left < dots[0][0] < right
    assert right - dots[0][0] == pytest.approx(2 * (dots[0][0] - left), abs=2)


def test_marks_with_a_rim_are_seen_on_any_ground() -> None:
    """Black ones too, over bars as on a dark page."""
    rimmed = {"color": "black", "line": {"color": "white", "width": 1}}
    svg = drawn(line([1, 2], [0, 1], mode="markers", marker=rimmed))
    found = svg.findall(f".//{SVG}path[@stroke-linecap]")
    assert [(path.get("stroke"), path.get("stroke-width")) for path in found] == [
        ("white", "100"),
        ("black", "70"),
    ]


def test_what_is_no_line_is_named_and_left_out() -> None:
    """A title says what is missing."""
    svg = drawn({"type": "heatmap", "z": [[1]]}, title={"text": "A map"})
    assert words(svg)[1:] == ["A map", "not drawn in the still picture"]


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_yet_is_said(name: str) -> None:
    """A plot without data has no numbers at its axes."""
    found = picture({name: FIGURES[name](columns(name, 0))})
    said = words(ET.fromstring(found))
    assert "waiting for data" in said
    # The second axis has fixed ends.
    assert not {"0.2", "0.4"} & set(said)
    assert not any(re.match(r"\d\d:\d\d", word) for word in said)


def test_the_image_needs_no_trust_and_says_what_it_shows() -> None:
    """One element without handlers; its data is the picture."""
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    spec = reputation(columns("reputation", 3), agents=[HOSTILE])
    spec["layout"]["title"]["text"] = label(HOSTILE)
    Reader().feed(picture_html({"one": spec}, "&quot;here&quot; onload=x"))
    ((tag, attributes),) = seen
    assert tag == "img"
    assert sorted(attributes) == ["alt", "src", "style"]
    assert str(attributes["alt"]).startswith('"here" onload=x: <script>alert')
    image = str(attributes["src"]).removeprefix("data:image/svg+xml;base64,")
    assert ET.fromstring(b64decode(image)).tag == f"{SVG}svg"


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), st.booleans(), st.sampled_from(["hv", "linear"]))
def test_no_numbers_break_it(points: list[tuple[float, float]], dated: bool, shape: str) -> None:
    """Whatever comes, it is well-formed, and each place in it is a number."""
    x, y = [x for x, _ in points], [y for _, y in points]
    look = {"line": {"shape": shape, "color": "rgba(1, 2, 3, 0.5)"}, "mode": "lines+markers"}
    stacked = line(x, y, **look, stackgroup="a", fillcolor="#123456")
    svg = drawn(
        line(x, y, **look),
        line(x, y, **look, yaxis="y2", fill="tonexty", fillcolor="red"),
        stacked,
        xaxis={"type": "date"} if dated else {},
        yaxis2={"range": [0, 100], "tickvals": [0, 50]},
    )
    rows = [*range(len(points))]
    bars = {"type": "bar", "orientation": "h", "x": x, "y": rows}
    lying = drawn(bars, bars, line(x, rows, mode="markers", error_x={"array": y, "arrayminus": y}))
    for element in (*svg.iter(), *lying.iter()):
        for value in element.attrib.values():
            assert not re.search("nan|inf", value)
