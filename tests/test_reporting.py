"""The report: quality first, whole in itself, and text of agents only text."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest

import chaosnb
from chaosnb.devnet.model import Model
from chaosnb.protocol import events as ev
from tests.captures import Held
from tests.figure_texts import HOSTILE
from tests.kernel_runs import in_a_kernel, run_all

MADE_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEADINGS = [
    "How far the data can be trusted",
    "Blocks and transactions",
    "Votes",
    "Consensus",
    "What drives votes",
    "Discussion",
    "Alliances",
    "Memes",
    "Reputation",
    "Availability",
]


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text outside of scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & {*self._open}:
            self.text += data

    def titles(self, tag: str) -> list[str]:
        return re.findall(rf"<{tag}>(.*?)</{tag}>", self.source.split("<body>")[1])


def log(seconds: float = 120.0) -> list[ev.Event]:
    """The events of a simulated network."""
    return Model(7).step(int(seconds * 1e6))


def test_quality_comes_first_and_every_subject_has_its_figures(tmp_path: Path) -> None:
    """With numbers that are those of the capture."""
    held = Held(log(), garbage=[b"<b>garbage</b>"])
    page = Page(chaosnb.report(held, tmp_path / "report.html", fresh_s=0.35, made_at=MADE_AT))
    assert page.titles("h2") == HEADINGS
    figures = [a["id"] for _, a in page.elements if "plotly" in (a.get("class") or "")]
    assert figures == [f"figure-{number}" for number in range(1, len(figures) + 1)]
    assert len(figures) >= 24
    assert "made 2026-01-01 12:00:00.000 UTC" in page.text
    assert "Something is missing, or may be" in page.text
    assert f"{held.counts.events:,}" in page.text
    assert "disconnected" in page.text
    assert "<b>garbage</b>" in page.text
    assert "simulated" in page.text


def test_the_page_needs_nothing_else_and_holds_plotly_once(tmp_path: Path) -> None:
    """No element loads anything, and the policy forbids it; links open on a click only."""
    page = Page(chaosnb.report(Held(log()), tmp_path / "report.html"))
    loading = [one for one in page.elements if {"src", "srcset", "data", "action", "background"} & {*one[1]}]
    assert not loading
    assert not {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed", "base", "form"}
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert page.source.count("plotly.js v") == 1
    assert all(attributes.get("rel") for tag, attributes in page.elements if tag == "a")


def test_it_can_be_printed(tmp_path: Path) -> None:
    """There are margins, headings stay with what they head, and a table's own is repeated on each sheet."""
    page = Page(chaosnb.report(Held(log()), tmp_path / "report.html"))
    _, _, printed = page.source.partition("@page { margin: 12mm; }\n@media print {")
    assert "h2, h3 { break-after: avoid; }" in printed[:300]
    tags = [tag for tag, _ in page.elements]
    assert 0 < tags.count("table") == tags.count("thead") == tags.count("tbody")


def test_it_is_dark_where_the_reader_likes_that_but_not_in_print(tmp_path: Path) -> None:
    """Only rules for a screen ask for it; figures, which are drawn on white, get cards."""
    page = Page(chaosnb.report(Held(log(40)), tmp_path / "report.html"))
    conditions = re.findall(r"@media ([^{]*)\{", page.source.partition("</style>")[0])
    assert conditions == ["screen and (prefers-color-scheme: dark) ", "print "]
    _, _, dark = page.source.partition("(prefers-color-scheme: dark) {")
    assert re.search(r"body \{ color: #ddd; background: #181818; \}", dark[:400])
    assert re.search(r"figure \{ background: #fff;", dark[:400])


def test_text_of_agents_is_only_text(tmp_path: Path) -> None:
    """In tables, cards, figures and the page's own words: the page has no element that is not ours."""
    hostile = [_hostile(event) for event in log(40)]
    plain = Page(chaosnb.report(Held(log(40)), tmp_path / "plain.html"))
    held = Held(hostile, garbage=[HOSTILE.encode()])
    page = Page(chaosnb.report(held, tmp_path / "hostile.html", title=HOSTILE))
    assert "img src=x" in page.text
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements}
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    body = page.source.split("<body>")[1]
    assert "<img" not in body
    assert "javascript:" not in " ".join(a.get("href") or "" for _, a in page.elements)
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in body


def test_without_events_it_says_so(tmp_path: Path) -> None:
    """A page nevertheless."""
    page = Page(chaosnb.report(Held(), tmp_path / "report.html"))
    assert "There are no events." in page.text
    assert page.titles("h2") == HEADINGS


def test_one_topic_alone_makes_a_report(tmp_path: Path) -> None:
    """What is not there is empty."""
    everything = log(30)
    for kind in (ev.BlockValidation, ev.ConsensusDiscussion):
        only = [event for event in everything if type(event) is kind]
        page = Page(chaosnb.report(Held(only), tmp_path / "report.html", fresh_s=1.0))
        assert page.titles("h2") == HEADINGS


def test_the_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """Errors say what to do; nothing half-written is left."""
    target = tmp_path / "new folder" / "report.html"
    assert chaosnb.report(Held(), target, made_at=MADE_AT) == target
    before = target.stat().st_ino
    chaosnb.report(Held(), target, made_at=MADE_AT)
    assert target.stat().st_ino != before
    with pytest.raises(ValueError, match=r"such as 'report\.html'"):
        chaosnb.report(Held(), tmp_path)
    with pytest.raises(ValueError, match=r"'report\.pdf' is not the name of a page"):
        chaosnb.report(Held(), "report.pdf")
    with pytest.raises(TypeError, match="takes a stream"):
        chaosnb.report([1], target)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"made_at is a datetime.*not 'now'"):
        chaosnb.report(Held(), target, made_at="now")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="title is text, and not None"):
        chaosnb.report(Held(), target, title=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fresh_s='30s' is not possible"):
        chaosnb.report(Held(), target, fresh_s="30s")  # type: ignore[arg-type]
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(chaosnb.ExportError, match="could not be exported"):
        chaosnb.report(Held(), tmp_path / "file.txt" / "report.html")
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


@in_a_kernel
def test_the_notebook_runs_on_its_export_and_shows_what_the_page_shows(tmp_path: Path) -> None:
    """In the same order, with the same figures and numbers; text of agents is only text in it, too."""
    held = Held([_hostile(event) for event in log(40)], garbage=[HOSTILE.encode()])
    options: dict[str, Any] = {"title": HOSTILE, "fresh_s": 0.35, "made_at": MADE_AT}
    page = Page(chaosnb.report(held, tmp_path / "report.html", **options))
    path = chaosnb.report(held, tmp_path / "report.ipynb", **options)
    written = nbformat.read(path, as_version=4)
    nbformat.validate(written)
    words = "\n".join(cell.source for cell in written.cells if cell.cell_type == "markdown")
    assert re.findall(r"^## (.*)$", words, re.MULTILINE) == HEADINGS
    assert not {*"<>[]()`$\\"} & {*words.splitlines()[0]}
    assert (tmp_path / "report_capture" / "datapackage.json").exists()
    outputs = run_all(written, tmp_path)
    assert {output.output_type for output in outputs} == {"display_data", "execute_result"}
    drawn = [one.data["application/vnd.plotly.v1+json"] for one in outputs if "plotly" in str([*one.data])]
    shown = "".join(one.data.get("text/html", "") for one in outputs if "plotly" not in str([*one.data]))
    assert len(drawn) == len([1 for _, a in page.elements if "plotly" in (a.get("class") or "")])
    assert f"{held.counts.events:,}" in shown
    assert "Something is missing, or may be" in shown
    assert "&lt;img src=x" in shown
    assert "<img src=x" not in shown
    assert "<img src=x" not in json.dumps(drawn)


def test_a_notebook_on_an_export_loads_that_one_and_no_other(tmp_path: Path) -> None:
    """From wherever it stands; and it refuses data that it was not made of."""
    capture = chaosnb.load(Held(log(30)).export(tmp_path / "data" / "mine", quiet=True))
    path = chaosnb.report(capture, tmp_path / "papers" / "report.ipynb")
    first = next(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    assert "chaosnb.load('../data/mine')" in first
    assert [one.name for one in path.parent.iterdir()] == ["report.ipynb"]
    code = first.replace("../data/mine", str(tmp_path / "data" / "mine"))
    exec(code, {})
    Held(log(20)).export(tmp_path / "data" / "mine", quiet=True)
    with pytest.raises(AssertionError, match="not the data that the report was made of"):
        exec(code, {})


def _hostile(event: ev.Event) -> ev.Event:
    """The same event with hostile text wherever an agent can put text."""
    plain = msgspec.to_builtins(event)
    return msgspec.convert(_spoilt(plain), type(event))


def _spoilt(value: object, name: str = "") -> object:
    if isinstance(value, dict):
        return {key: _spoilt(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_spoilt(item, name) for item in value]
    if isinstance(value, str) and name not in ("timestamp", "decision", "sentiment", "status", "duration"):
        return f"{HOSTILE}{value}"
    return value
