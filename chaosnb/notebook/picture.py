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

from chaosnb.text import printable

__all__ = ["picture", "picture_html"]

Spec = Mapping[str, Any]
Floats = NDArray[np.float64]

_WIDTH: Final = 590
_HEIGHT: Final = 330
_HEAD: Final = 30
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 24, 58, 48
_SECOND, _NAMES = 66, 128
# A picture does not know on what ground it will stand: these can be read on white and on black.
_INK: Final = "#777777"
_GRID: Final = 'stroke="#808080" stroke-opacity="0.35"'
# The same for a line over steps and a band.
_OVER: Final = "#3399e0"
_DASHES: Final = {"dot": "20 30", "dash": "80 50", "dashdot": "80 30 20 30"}
_RGBA: Final = re.compile(r"rgba\((.*?),\s*([\d.]+)\)")
_MOST: Final = 1e300
_LETTER_PX, _SWATCH_PX = 5.6, 26
_SECOND_MS, _MINUTE_MS, _HOUR_MS, _DAY_MS = 1_000.0, 60_000.0, 3_600_000.0, 86_400_000.0
_STEPS_MS: Final = (
    *(count * _SECOND_MS for count in (1, 2, 5, 10, 15, 30)),
    *(count * _MINUTE_MS for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR_MS for count in (1, 2, 3, 6, 12)),
    *(count * _DAY_MS for count in (1, 2, 7, 14, 30, 90, 365, 3650, 36500)),
)
_TICKS: Final = 6


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
        Specifications of lines, bands and steps, with numbers at both axes and at most two y axes each, as
        `chaosnb.figures` makes them for live plots. Of any other trace the picture says that it is not drawn.
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


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, values: Any) -> Floats:
        share = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        # What is beyond an axis is drawn at its end.
        return np.asarray(self.start + np.clip(share, 0, 1) * (self.end - self.start))


def _panel(spec: Spec) -> list[str]:
    layout = spec["layout"]
    beside = layout.get("legend", {}).get("orientation", "v") != "h" and "legend" in layout
    second = "yaxis2" in layout
    right = _WIDTH - (_NAMES if beside else _SECOND if second else _RIGHT)
    top, bottom = _TOP - 20 * beside, _HEIGHT - _BOTTOM
    title = _text(layout.get("title", {}).get("text", ""), 8, 20, size=14)
    try:
        traces = [_Trace.of(trace) for trace in spec["data"]]
    except (KeyError, TypeError, ValueError):
        middle = _text("not drawn in the still picture", _WIDTH / 2, _HEIGHT / 2, anchor="middle")
        return [title, middle]
    _stack(traces)
    x_look, y_look = layout.get("xaxis", {}), layout.get("yaxis", {})
    x = _axis([trace.x for trace in traces], x_look, _LEFT, right, tight=True)
    y = _axis([e for t in traces if not t.second for e in (t.y, t.base)], y_look, bottom, top)
    parts = [title, *_x_axis(x, x_look, top, bottom), *_y_axis(y, y_look, x, left=True)]
    axes = {False: y, True: y}
    if second:
        look = layout["yaxis2"]
        axes[True] = _axis([trace.y for trace in traces if trace.second], look, bottom, top)
        parts += _y_axis(axes[True], look, x, left=False)
    parts.append('<g transform="scale(.1)">')
    before = None
    for trace in traces:
        parts += trace.draw(x, axes[trace.second], before)
        before = trace
    parts += ["</g>", *_bands(layout.get("shapes", []), x, top, bottom)]
    parts += _notes(layout.get("annotations", []), x, (top, bottom))
    parts += _legend([*traces, *layout.get("shapes", [])], right, top, beside=beside)
    return parts


@dataclass(slots=True)
class _Trace:
    x: Floats
    y: Floats
    base: Floats
    look: Spec

    @classmethod
    def of(cls, trace: Spec) -> _Trace:
        if trace.get("type", "scatter") != "scatter":
            raise ValueError(trace["type"])
        x, y = (np.clip(np.array(trace[key], dtype=np.float64), -_MOST, _MOST) for key in ("x", "y"))
        return cls(x, y, np.zeros(0), trace)

    @property
    def second(self) -> bool:
        return bool(self.look.get("yaxis") == "y2")

    @property
    def color(self) -> str:
        line = str(self.look.get("line", {}).get("color", _INK))
        # A line over steps; bands have a colour that can be seen through.
        return _OVER if self.second and line.startswith("#") else line

    def draw(self, x: _Axis, y: _Axis, before: _Trace | None) -> list[str]:
        line = self.look.get("line", {})
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
        if width := line.get("width", 2):
            dash = _DASHES.get(line.get("dash", ""))
            how = f'stroke-width="{10 * width}" stroke-linejoin="round"' + (
                f' stroke-dasharray="{dash}"' if dash else ""
            )
            runs = [at[known]] if self.look.get("connectgaps") else _runs(at, known)
            path = "".join(_path(run) for run in runs if len(run) > 1)
            if path:
                parts.append(f'<path {_paint("stroke", self.color)} {how} d="{path}"/>')
        if "markers" in self.look.get("mode", ""):
            dots = "".join(f"M{a} {b}h0" for a, b in np.rint(at[known] * 10).astype(np.int64).tolist())
            how = 'stroke-width="40" stroke-linecap="round"'
            parts.append(f'<path {_paint("stroke", self.color)} {how} d="{dots}"/>')
        return parts


def _stack(traces: Iterable[_Trace]) -> None:
    height: Floats | None = None
    for trace in traces:
        if trace.look.get("stackgroup"):
            trace.base = np.zeros(len(trace.y)) if height is None else height
            trace.y = height = trace.base + np.nan_to_num(trace.y)


def _axis(values: list[Floats], look: Spec, start: float, end: float, *, tight: bool = False) -> _Axis:
    if "range" in look:
        low, high = map(float, look["range"])
        return _Axis(low, high, start, end)
    every = np.concatenate([*values, np.zeros(0)])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    if low == high:
        # So much that a difference is left, whatever the number.
        room = max(abs(low) / 1e9, 500.0) if tight else max(abs(low) / 10, 1.0)
        low, high = low - room, high + room
    room = 0.0 if tight else (high - low) * 0.05
    from_zero = look.get("rangemode") == "tozero" or (len(every) and every.min() >= 0 and low - room < 0)
    return _Axis(min(0.0, low) if from_zero else low - room, high + room, start, end)


def _x_axis(x: _Axis, look: Spec, top: float, bottom: float) -> list[str]:
    parts = []
    dated = look.get("type") == "date"
    shown_day = ""
    for tick in _times(x) if dated else _numbers(x):
        at = float(x(tick))
        parts.append(f'<path {_GRID} d="M{at:.1f} {top}V{bottom}"/>')
        if look.get("showticklabels", True):
            day, clock = _clock(tick, x.high - x.low) if dated else ("", f"{tick:,.6g}")
            parts.append(_text(clock, at, bottom + 14, anchor="middle"))
            if day != shown_day:
                parts.append(_text(day, at, bottom + 27, anchor="middle"))
            shown_day = day
    name = look.get("title", {}).get("text", "")
    return [*parts, _text(name, (x.start + x.end) / 2, bottom + 40, anchor="middle")]


def _y_axis(y: _Axis, look: Spec, x: _Axis, *, left: bool) -> list[str]:
    parts = []
    for tick in look.get("tickvals") or _numbers(y):
        at = float(y(tick))
        if left:
            parts.append(f'<path {_GRID} d="M{x.start} {at:.1f}H{x.end}"/>')
        if look.get("showticklabels", True):
            edge, anchor = (x.start - 6, "end") if left else (x.end + 6, "start")
            parts.append(_text(f"{tick:,.6g}", edge, at + 4, anchor=anchor))
    name, middle = look.get("title", {}).get("text", ""), (y.start + y.end) / 2
    along = x.start - 42 if left else x.end + 46
    turned = f'transform="rotate({-90 if left else 90} {along} {middle})"'
    return [*parts, _text(name, along, middle, anchor="middle", more=turned)]


def _numbers(axis: _Axis) -> list[float]:
    span = axis.high - axis.low
    rough = span / (_TICKS - 1)
    if not np.isfinite(rough) or rough <= 0:
        return []
    unit = 10.0 ** np.floor(np.log10(rough))
    step = next((unit * count for count in (1, 2, 5) if unit * count >= rough), unit * 10)
    first = np.ceil(axis.low / step)
    return [
        float(step * (first + count)) for count in range(2 * _TICKS) if step * (first + count) <= axis.high
    ]


def _times(axis: _Axis) -> list[float]:
    span = axis.high - axis.low
    step = next((step for step in _STEPS_MS if span / step <= _TICKS), None)
    if step is None:
        return []
    first = np.ceil(axis.low / step)
    return [
        float(step * (first + count)) for count in range(_TICKS + 1) if step * (first + count) <= axis.high
    ]


def _clock(time_ms: float, span_ms: float) -> tuple[str, str]:
    day, _, clock = str(np.datetime64(int(time_ms), "ms")).partition("T")
    if span_ms > _TICKS * _DAY_MS:
        return "", day
    return day, clock[: 5 if span_ms > _TICKS * _MINUTE_MS / 2 else 8]


def _bands(shapes: Iterable[Spec], x: _Axis, top: float, bottom: float) -> list[str]:
    parts = []
    for shape in shapes:
        left, right = (float(x(shape[key])) for key in ("x0", "x1"))
        edge = shape.get("line", {})
        dash = ' stroke-dasharray="2 3"' if edge.get("dash") == "dot" else ""
        line = f'{_paint("stroke", edge.get("color", _INK))} stroke-width="{edge.get("width", 1)}"{dash}'
        box = f'x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{bottom - top}"'
        parts.append(f"<rect {box} {_paint('fill', shape.get('fillcolor', _INK))} {line}/>")
    return parts


def _notes(notes: Iterable[Spec], x: _Axis, span: tuple[float, float]) -> list[str]:
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
        color = look["fillcolor"] if filled else owner.color if isinstance(owner, _Trace) else _INK
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
