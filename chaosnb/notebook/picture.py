"""Several figures as one still picture, in SVG: what a saved notebook keeps of a dashboard.

A plotly figure would do in JupyterLab alone, whose plotly extension adds half a megabyte of PNG to each one
that it shows; nbconvert and nbviewer show none. This is a tenth of that, and all of them show it.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chaosnb.notebook.axes import Axis, axis_of, clock, number_ticks, time_ticks
from chaosnb.text import printable

__all__ = ["picture", "picture_html"]

Spec = Mapping[str, Any]
Floats = NDArray[np.float64]

_WIDTH: Final = 590
_HEIGHT: Final = 330
_HEAD: Final = 30
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 24, 58, 48
_SECOND, _NAMES = 66, 140
# A picture does not know on what ground it will stand: these can be read on white and on black.
_INK: Final = "#777777"
_GRID: Final = 'stroke="#808080" stroke-opacity="0.35"'
# The same for a line over steps and a band.
_OVER: Final = "#3399e0"
_DASHES: Final = {"dot": "20 30", "dash": "80 50", "dashdot": "80 30 20 30"}
_RGBA: Final = re.compile(r"rgba\((.*?),\s*([\d.]+)\)")
_MOST: Final = 1e300
_LETTER_PX, _SWATCH_PX = 5.6, 26
_ROOM: Final = 1.25


def picture_html(specs: Mapping[str, Spec], source: str = "") -> str:
    """Return `picture` as an HTML image, which needs no trust: its SVG can neither run nor fetch anything."""
    image = b64encode(picture(specs, source).encode()).decode()
    named = ", ".join(_plain(spec["layout"].get("title", {}).get("text", "")) for spec in specs.values())
    words = html.escape(f"{_plain(source)}: {named}")
    return f'<img style="width:100%" alt="{words}" src="data:image/svg+xml;base64,{image}">'


def picture(specs: Mapping[str, Spec], source: str = "") -> str:
    """Draw figure specifications as one SVG with two columns.

    Parameters
    ----------
    specs : mapping of str to mapping
        Specifications of lines, bands, steps, marks and lying bars, with numbers at both axes and at most two
        y axes each, as `chaosnb.figures` makes them for live plots. Of any other the picture says that it is
        not drawn.
    source : str
        Where the data comes from, to stand above them.

    Returns
    -------
    str

    Examples
    --------
    >>> line = {"type": "scatter", "name": "a", "x": [0, 1000], "y": [1, 2], "line": {"color": "red"}}
    >>> svg = picture({"a": {"data": [line], "layout": {"title": {"text": "A &lt;b&gt;"}}}})
    >>> "A &lt;b&gt;" in svg, "<path" in svg
    (True, True)
    """
    rows = -(-len(specs) // 2)
    parts = [_text(source, _LEFT, 20, size=11)]
    for place, spec in enumerate(specs.values()):
        at = f"translate({place % 2 * _WIDTH} {_HEAD + place // 2 * _HEIGHT})"
        parts += [f'<g transform="{at}">', *_panel(spec), "</g>"]
    size = f"{2 * _WIDTH} {_HEAD + rows * _HEIGHT}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" fill="none" stroke="none"'
    return f'{head} font-family="Helvetica, Arial, sans-serif">{"".join(parts)}</svg>'


def _panel(spec: Spec) -> list[str]:
    layout = spec["layout"]
    beside = layout.get("legend", {}).get("orientation", "v") != "h" and "legend" in layout
    second = "yaxis2" in layout
    right = _WIDTH - (_NAMES if beside else _SECOND if second else _RIGHT)
    left = layout.get("margin", {}).get("l", 0) if "ticktext" in layout.get("yaxis", {}) else _LEFT
    top, bottom = _TOP - 20 * beside, _HEIGHT - _BOTTOM
    title = _text(layout.get("title", {}).get("text", ""), 8, 20, size=14)
    try:
        traces = [_Trace.of(trace) for trace in spec["data"]]
    except (KeyError, TypeError, ValueError):
        middle = _text("not drawn in the still picture", _WIDTH / 2, _HEIGHT / 2, anchor="middle")
        return [title, middle]
    _stack(traces)
    x_look, y_look = layout.get("xaxis", {}), layout.get("yaxis", {})
    lying = [trace.start for trace in traces if trace.is_bar]
    # Behind their ends, words need room.
    lying += [trace.x * _ROOM for trace in traces if "text" in trace.look and trace.is_bar]
    x = axis_of([*(trace.x for trace in traces), *lying], x_look, left, right, tight=not lying)
    y = axis_of([e for t in traces if not t.second for e in (t.y, t.base)], y_look, bottom, top)
    parts = [title, *_x_axis(x, x_look, top, bottom), *_y_axis(y, y_look, x, left=True)]
    axes = {False: y, True: y}
    if second:
        look = layout["yaxis2"]
        axes[True] = axis_of([trace.y for trace in traces if trace.second], look, bottom, top)
        parts += _y_axis(axes[True], look, x, left=False)
    parts.append('<g transform="scale(.1)">')
    before = None
    for trace in traces:
        parts += trace.draw(x, axes[trace.second], before)
        before = trace
    parts += ["</g>", *_bands(layout.get("shapes", []), x, top, bottom)]
    for trace in traces:
        parts += trace.words(x, y)
    parts += _notes(layout.get("annotations", []), x, (top, bottom))
    parts += _legend([*traces, *layout.get("shapes", [])], right, top, beside=beside)
    return parts


@dataclass(slots=True)
class _Trace:
    x: Floats
    y: Floats
    base: Floats
    start: Floats
    look: Spec

    @classmethod
    def of(cls, trace: Spec) -> _Trace:
        if trace.get("type", "scatter") != "scatter" and trace.get("orientation") != "h":
            raise ValueError(trace["type"])
        x, y = (_numbers_of(trace[key]) for key in ("x", "y"))
        return cls(x, y, np.zeros(0), np.zeros(len(x)), trace)

    @property
    def is_bar(self) -> bool:
        return bool(self.look.get("type") == "bar")

    @property
    def second(self) -> bool:
        return bool(self.look.get("yaxis") == "y2")

    @property
    def color(self) -> str:
        mark = self.look.get("marker", {}).get("color", _INK)
        line = str(self.look.get("line", {}).get("color", mark if isinstance(mark, str) else _INK))
        # What is black or white would be lost on some ground.
        line = _INK if line == "black" else line
        # A line over steps; bands have a colour that can be seen through.
        return _OVER if self.second and line.startswith("#") else line

    def draw(self, x: Axis, y: Axis, before: _Trace | None) -> list[str]:
        if self.is_bar:
            return self._bars(x, y)
        line = self.look.get("line", {})
        mode = self.look.get("mode", "lines")
        stepped = line.get("shape") == "hv"
        at = _vertices(x(self.x), y(self.y), stepped=stepped)
        parts = []
        under = None
        if len(self.base):
            under = _vertices(x(self.x), y(self.base), stepped=stepped)
        elif self.look.get("fill") == "tonexty" and before is not None:
            under = _vertices(x(before.x), y(before.y), stepped=stepped)
        if under is not None and len(at):
            path = _path(np.concatenate([at, under[::-1]]))
            parts.append(f'<path {_paint("fill", str(self.look.get("fillcolor", self.color)))} d="{path}z"/>')
        known = np.asarray(np.isfinite(at).all(axis=1))
        if (width := line.get("width", 2)) and "lines" in mode:
            dash = _DASHES.get(line.get("dash", ""))
            how = f'stroke-width="{10 * width}" stroke-linejoin="round"' + (
                f' stroke-dasharray="{dash}"' if dash else ""
            )
            runs = [at[known]] if self.look.get("connectgaps") else _runs(at, known)
            path = "".join(_path(run) for run in runs if len(run) > 1)
            if path:
                parts.append(f'<path {_paint("stroke", self.color)} {how} d="{path}"/>')
        if "markers" in mode:
            dots = "".join(f"M{a} {b}h0" for a, b in np.rint(at[known] * 10).astype(np.int64).tolist())
            size = 40 if "lines" in mode else 70
            parts += [
                f'<path {_paint("stroke", color)} stroke-width="{width}" stroke-linecap="round" d="{dots}"/>'
                for color, width in self._rings(size)
            ]
        if reach := self.look.get("error_x"):
            ends = (self.x - _numbers_of(reach["arrayminus"]), self.x + _numbers_of(reach["array"]))
            spans = [np.column_stack([x(end), y(self.y)]) for end in ends]
            path = "".join(_path(np.stack(pair)) for pair in zip(*spans, strict=True))
            parts.append(f'<path {_paint("stroke", self.color)} stroke-width="20" d="{path}"/>')
        return parts

    def _rings(self, size: int) -> list[tuple[str, int]]:
        mark = self.look.get("marker", {})
        rim = mark.get("line", {}).get("color")
        # With a rim it needs no ground to stand out from, whatever its colour.
        return (
            [(self.color, size)]
            if rim is None
            else [(str(rim), size + 30), (str(mark.get("color", _INK)), size)]
        )

    def _bars(self, x: Axis, y: Axis) -> list[str]:
        colors = self.look.get("marker", {}).get("color", _INK)
        each = colors if isinstance(colors, list) else [self.color] * len(self.x)
        parts = []
        for start, end, row, color in zip(self.start, self.x, self.y, each, strict=True):
            corners = zip(x([start, end, end, start]), y([row - 0.35] * 2 + [row + 0.35] * 2), strict=True)
            parts.append(f'<path {_paint("fill", str(color))} d="{_path(np.array([*corners]))}z"/>')
        return parts

    def words(self, x: Axis, y: Axis) -> list[str]:
        if not self.is_bar or "text" not in self.look:
            return []
        places = zip(self.look["text"], x(self.x).tolist(), y(self.y).tolist(), strict=True)
        return [_text(text, across + 4, down + 4) for text, across, down in places]


def _stack(traces: Iterable[_Trace]) -> None:
    height: Floats | None = None
    ends: dict[tuple[float, bool], float] = {}
    for trace in traces:
        if trace.is_bar:
            for place, row in enumerate(trace.y.tolist()):
                side = (row, bool(trace.x[place] < 0))
                trace.start[place] = ends.get(side, 0.0)
                trace.x[place] = ends[side] = trace.start[place] + np.nan_to_num(trace.x[place])
        if trace.look.get("stackgroup"):
            trace.base = np.zeros(len(trace.y)) if height is None else height
            trace.y = height = trace.base + np.nan_to_num(trace.y)


def _x_axis(x: Axis, look: Spec, top: float, bottom: float) -> list[str]:
    parts = []
    dated = look.get("type") == "date"
    shown_day = ""
    for tick in time_ticks(x) if dated else number_ticks(x):
        at = float(x(tick))
        parts.append(f'<path {_GRID} d="M{at:.1f} {top}V{bottom}"/>')
        if look.get("showticklabels", True):
            day, word = clock(tick, x.high - x.low) if dated else ("", f"{tick:,.6g}")
            parts.append(_text(word, at, bottom + 14, anchor="middle"))
            if day != shown_day:
                parts.append(_text(day, at, bottom + 27, anchor="middle"))
            shown_day = day
    name = look.get("title", {}).get("text", "")
    return [*parts, _text(name, (x.start + x.end) / 2, bottom + 40, anchor="middle")]


def _y_axis(y: Axis, look: Spec, x: Axis, *, left: bool) -> list[str]:
    parts = []
    ticks = look.get("tickvals") or number_ticks(y)
    for tick, word in zip(ticks, look.get("ticktext") or [f"{tick:,.6g}" for tick in ticks], strict=True):
        at = float(y(tick))
        if left:
            parts.append(f'<path {_GRID} d="M{x.start} {at:.1f}H{x.end}"/>')
        if look.get("showticklabels", True):
            edge, anchor = (x.start - 6, "end") if left else (x.end + 6, "start")
            parts.append(_text(word, edge, at + 4, anchor=anchor))
    name, middle = look.get("title", {}).get("text", ""), (y.start + y.end) / 2
    along = x.start - 42 if left else x.end + 46
    turned = f'transform="rotate({-90 if left else 90} {along} {middle})"'
    return [*parts, _text(name, along, middle, anchor="middle", more=turned)]


def _bands(shapes: Iterable[Spec], x: Axis, top: float, bottom: float) -> list[str]:
    parts = []
    for shape in shapes:
        left, right = (float(x(shape[key])) for key in ("x0", "x1"))
        edge = shape.get("line", {})
        dash = ' stroke-dasharray="2 3"' if edge.get("dash") == "dot" else ""
        line = f'{_paint("stroke", edge.get("color", _INK))} stroke-width="{edge.get("width", 1)}"{dash}'
        box = f'x="{left:.1f}" y="{top}" width="{max(right - left, 0.5):.1f}" height="{bottom - top}"'
        parts.append(f"<rect {box} {_paint('fill', shape.get('fillcolor', _INK))} {line}/>")
    return parts


def _notes(notes: Iterable[Spec], x: Axis, span: tuple[float, float]) -> list[str]:
    top, bottom = span
    parts = []
    for note in notes:
        on_axis = note.get("xref") == "x"
        across = float(x(note["x"])) if on_axis else x.start + note["x"] * (x.end - x.start)
        down = bottom - note["y"] * (bottom - top) + (9 if note.get("yanchor") == "top" else 4)
        size = note.get("font", {}).get("size", 12)
        parts.append(_text(note["text"], across, down, anchor="middle", size=size))
    return parts


def _legend(owners: Iterable[_Trace | Spec], right: float, top: float, *, beside: bool) -> list[str]:
    entries = []
    for owner in owners:
        look = owner.look if isinstance(owner, _Trace) else owner
        if not look.get("showlegend", True) or not look.get("name"):
            continue
        filled = "fillcolor" in look
        filled = filled or look.get("type") == "bar"
        color = look.get("fillcolor") or (owner.color if isinstance(owner, _Trace) else _INK)
        dash = _DASHES.get(look.get("line", {}).get("dash", ""))
        stroke = 'stroke-width="8"' if filled else 'stroke-width="2"'
        if dash and not filled:
            stroke += f' stroke-dasharray="{" ".join(str(int(part) / 10) for part in dash.split())}"'
        entries.append((str(look["name"]), f"{_paint('stroke', str(color))} {stroke}"))
    parts = []
    widths = [_SWATCH_PX + _LETTER_PX * len(_plain(name)) for name, _ in entries]
    across, down = (right + 8, top + 6) if beside else (max(right - sum(widths), 8), top - 10)
    for (name, stroke), width in zip(entries, widths, strict=True):
        parts += [f'<path {stroke} d="M{across:.0f} {down}h14"/>', _text(name, across + 18, down + 4)]
        across, down = (across, down + 15) if beside else (across + width, down)
    return parts


def _numbers_of(values: Any) -> Floats:
    return np.clip(np.array(values, dtype=np.float64), -_MOST, _MOST)


def _vertices(x: Floats, y: Floats, *, stepped: bool) -> Floats:
    if stepped:
        x, y = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]
    return np.column_stack([x, y])


def _runs(at: Floats, known: NDArray[np.bool_]) -> list[Floats]:
    edges = np.flatnonzero(known[1:] != known[:-1]) + 1
    return [run for run in np.split(at, edges) if len(run) and np.isfinite(run).all()]


def _path(at: Floats) -> str:
    # Whole tenths of a pixel, from point to point: the fewest digits.
    whole = np.rint(at[np.isfinite(at).all(axis=1)] * 10).astype(np.int64)
    if not len(whole):
        return ""
    steps = np.diff(whole, axis=0).tolist()
    words = [f"h{dx}" if not dy else f"v{dy}" if not dx else f"l{dx} {dy}" for dx, dy in steps if dx or dy]
    return f"M{whole[0][0]} {whole[0][1]}{''.join(words)}"


def _paint(kind: str, color: str) -> str:
    if found := _RGBA.fullmatch(color):
        return f'{kind}="rgb({found[1]})" {kind}-opacity="{found[2]}"'
    return f'{kind}="{html.escape(color)}"'


def _text(text: str, x: float, y: float, *, size: float = 11, anchor: str = "start", more: str = "") -> str:
    words = html.escape(_plain(text))
    where = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {where} fill="{_INK}" {more}>{words}</text>'


def _plain(text: str) -> str:
    # Labels stand in plotly's pseudo-HTML, with entities for what is foreign.
    return printable(html.unescape(text.replace("<br>", " ")))
