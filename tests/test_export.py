"""Exports: what is written can be read by others, comes whole or not at all, and holds no live formula."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.errors import ExportError
from chaosnb.protocol.events import Agent, ConsensusDiscussion
from chaosnb.protocol.schema import TABLES
from chaosnb.store.formulas import DEFUSED
from chaosnb.tables.ledgers import LEDGERS
from tests.captures import FORMATS, Held, files
from tests.event_strategies import START_US, events

BESIDE = {"CITATION.cff", "croissant.json", "datapackage.json"}
HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\N{EM SPACE}=1",
    "\N{ZERO WIDTH NO-BREAK SPACE}@x",
    "\N{FULLWIDTH EQUALS SIGN}1",
    "'=1",
    "plain",
    'say "hi", ok',
    "zwölf 🦄",
]


@pytest.fixture(scope="module")
def stream() -> chaosnb.Stream:
    """Some hundred events of the devnet, of every type but errors."""
    topics = ["blocks", "consensus", "network", "social"]
    with chaosnb.Devnet(seed=7, rate=400) as node, chaosnb.stream(topics, url=node.url) as s:
        s.wait(until=lambda s: all(len(f) for name, f in s.frames().items() if name != "error"), timeout=60)
    return s


def said(texts: list[str]) -> Held:
    """What agents say who try to get a formula into a spreadsheet."""
    agent = Agent("=cmd()", "lawful")
    stamp = "2026-11-23T00:36:12.345Z"
    return Held(
        ConsensusDiscussion(f"block {place}", agent, text, "neutral", ("=1", "x"), stamp)
        for place, text in enumerate(texts)
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("format", ["parquet", "feather"])
def test_pandas_alone_reads_binary_formats_with_every_value_and_dtype(
    stream: chaosnb.Stream, tmp_path: Path, format: str
) -> None:
    """But for lists, which come back as lists of Python values, and where the data comes from goes along."""
    stream.export(tmp_path, format=format)
    read = {"parquet": pd.read_parquet, "feather": pd.read_feather}[format]
    for name, frame in stream.frames().items():
        back = read(tmp_path / f"{name}.{format}")
        assert list(back) == list(frame)
        assert back.attrs["source"] == stream.source
        lists = [column for column in frame if isinstance(frame[column].dtype, pd.ArrowDtype)]
        # Arrow gives a category without values no type, so its dtype differs.
        pd.testing.assert_frame_equal(
            back.drop(columns=lists), frame.drop(columns=lists), check_categorical=len(frame) > 0
        )
        for column in lists:
            assert [list(value) for value in back[column]] == frame[column].tolist()


def test_jsonl_holds_one_event_a_line_with_lists_as_lists(stream: chaosnb.Stream, tmp_path: Path) -> None:
    """Each line is a JSON object with the table's columns."""
    stream.export(tmp_path, format="jsonl")
    blocks = stream.block_proposal
    lines = (tmp_path / "block_proposal.jsonl").read_text().splitlines()
    assert len(lines) == len(blocks)
    first = json.loads(lines[0])
    assert list(first) == list(blocks)
    assert first["transactions"] == blocks["transactions"].iloc[0]
    assert pd.Timestamp(first["timestamp"]) == blocks["timestamp"].iloc[0]


def test_csv_holds_times_to_the_microsecond_and_lists_as_json(stream: chaosnb.Stream, tmp_path: Path) -> None:
    """Pandas reads it back to the same values."""
    stream.export(tmp_path, format="csv")
    votes = stream.block_validation
    back = pd.read_csv(tmp_path / "block_validation.csv", parse_dates=["timestamp", "received_at"])
    assert list(back["received_at"]) == list(votes["received_at"])
    assert list(back["decision"]) == list(votes["decision"])
    blocks = pd.read_csv(tmp_path / "block_proposal.csv")
    assert json.loads(blocks["transactions"].iloc[0]) == stream.block_proposal["transactions"].iloc[0]


def test_excel_has_numbers_and_dates_and_long_text_goes_on_in_a_sheet_of_its_own(tmp_path: Path) -> None:
    """Read by another library; what a cell would round is text."""
    from python_calamine import CalamineWorkbook

    def sheet(table: str, name: str = "data") -> list[list[object]]:
        return CalamineWorkbook.from_path(tmp_path / f"{table}.xlsx").get_sheet_by_name(name).to_python()

    long = "=long" * 9_000
    held = Held(
        [
            chaosnb.protocol.events.NetworkMetrics(2**53 + 1, 0.1, 1, 2, -3, "2026-11-23T00:36:12.345Z"),
            ConsensusDiscussion("b", Agent("a", "lawful"), long, "neutral", (), "1899-11-23T00:36:12.345Z"),
        ]
    )
    held.export(tmp_path, format="xlsx")
    head, row = sheet("network_metrics")
    assert head == list(held.network_metrics.columns)
    assert row[1:6] == [str(2**53 + 1), 0.1, 1, 2, -3]
    assert row[0] == pd.Timestamp("2026-11-23T00:36:12.345")
    _, row = sheet("consensus_discussion")
    _, *more = sheet("consensus_discussion", "continued")
    assert row[0] == "1899-11-23T00:36:12.345000Z"
    assert str(row[4]) + "".join(str(text) for _, _, text in more) == long
    assert {(number, column) for number, column, _ in more} == {(1, "message")}


def test_duckdb_is_one_database_that_says_what_its_columns_are(
    stream: chaosnb.Stream, tmp_path: Path
) -> None:
    """Tables can be joined at once."""
    import duckdb

    stream.export(tmp_path / "capture", format="duckdb")
    assert {path.name for path in (tmp_path / "capture").iterdir()} == {"chaosnb.duckdb", *BESIDE}
    with duckdb.connect(str(tmp_path / "capture" / "chaosnb.duckdb"), read_only=True) as database:
        joined = database.sql(
            "SELECT count(*) FROM block_validation v JOIN block_proposal p ON v.block_hash = p.block_hash"
        ).fetchall()
        comments = database.sql("SELECT column_name, comment FROM duckdb_columns()").fetchall()
    expected = stream.block_validation.merge(stream.block_proposal, on="block_hash")
    assert joined == [(len(expected),)]
    assert ("tps", "transactions a second, as the network reports them (1/s)") in comments


def test_no_text_in_csv_is_a_formula_and_none_is_changed_otherwise(tmp_path: Path) -> None:
    """A spreadsheet must not run what an agent said."""
    said(HOSTILE).export(tmp_path, format="csv")
    rows = read_csv(tmp_path / "consensus_discussion.csv")
    assert {row["agent_id"] for row in rows} == {"'=cmd()"}
    assert [row["message"] for row in rows] == [*("'" + text for text in HOSTILE[:-3]), *HOSTILE[-3:]]
    assert {row["meme_references"] for row in rows} == {'["=1","x"]'}
    about = json.loads((tmp_path / "datapackage.json").read_text())["chaosnb"]
    assert about["formulas"] == "defused by a leading '"


def test_defusing_can_be_switched_off(tmp_path: Path) -> None:
    """Then every text is in the file as the agent said it."""
    said(HOSTILE).export(tmp_path, format="csv", defuse_formulas=False)
    assert [row["message"] for row in read_csv(tmp_path / "consensus_discussion.csv")] == HOSTILE
    about = json.loads((tmp_path / "datapackage.json").read_text())["chaosnb"]
    assert about["formulas"] == "as they are"
    assert chaosnb.load(tmp_path).consensus_discussion["message"].tolist() == HOSTILE


@given(st.lists(st.text(st.sampled_from("'=+-@ \t\r\n\0a\N{EM SPACE}"), max_size=5), min_size=1, max_size=20))
@settings(deadline=None, max_examples=20)
def test_what_was_defused_can_be_told_and_taken_back(texts: list[str]) -> None:
    """One regular expression gives all texts back, also those that began with quotes before."""
    with tempfile.TemporaryDirectory() as folder:
        said(texts).export(folder, format="csv")
        back = pd.read_csv(f"{folder}/consensus_discussion.csv", dtype="str", keep_default_na=False)
    assert back["message"].str.replace(DEFUSED, r"\1", regex=True).tolist() == texts


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    """Nothing is written then."""
    with pytest.raises(ValueError, match="'parquet', 'feather', 'csv', 'jsonl', 'xlsx', 'duckdb'"):
        Held().export(tmp_path / "x", format="xls")
    assert not (tmp_path / "x").exists()


def test_a_failed_export_names_its_table_and_leaves_an_earlier_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one file is replaced, though some tables could be written; and nothing half-written is left."""
    Held().export(tmp_path / "capture", format="feather")
    before = files(tmp_path / "capture")
    monkeypatch.setattr("chaosnb.store.workbook._EXACT", "not a number")
    for folder in ("capture", "new"):
        with pytest.raises(
            ExportError, match="'consensus_discussion' could not be exported: TypeError"
        ) as caught:
            said(HOSTILE[:1]).export(tmp_path / folder, format="xlsx")
        assert caught.value.table == "consensus_discussion"
    assert files(tmp_path / "capture") == before
    assert [path.name for path in tmp_path.iterdir()] == ["capture"]


def test_more_rows_than_a_worksheet_holds_are_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written."""
    from chaosnb.store.formats import FORMATS

    monkeypatch.setitem(FORMATS, "xlsx", FORMATS["xlsx"]._replace(most_rows=2))
    with pytest.raises(ExportError, match=r"its 3 rows are more than the 2 .*parquet or csv"):
        said(HOSTILE[:3]).export(tmp_path / "capture", format="xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_the_stream_goes_on(tmp_path: Path) -> None:
    """No file may grow beyond 2 kB in this process: it is told so, nothing is left, and later all works."""
    script = textwrap.dedent(
        """
        import os, resource, sys
        import chaosnb
        home, *formats = sys.argv[1:]
        with chaosnb.Devnet(rate=400) as node, chaosnb.stream("network", url=node.url) as s:
            s.wait(events=100, timeout=30)
            most = resource.getrlimit(resource.RLIMIT_FSIZE)
            for format in formats:
                resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, most[1]))
                try:
                    s.export(f"{home}/{format}", format=format)
                except chaosnb.ExportError as error:
                    print(error, os.listdir(home))
                resource.setrlimit(resource.RLIMIT_FSIZE, most)
            s.wait(events=20, timeout=30)
            for format in formats:
                package = chaosnb.load(s.export(f"{home}/{format}", format=format))
                print(s.status.state, package.source == s.source)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path), *FORMATS],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[len(FORMATS) :] == ["live True"] * len(FORMATS)
    for line in lines[: len(FORMATS)]:
        assert "File too large; make room there, or export to a folder on another disk." in line
        assert line.endswith("what was to be exported is as it was. []")


def test_a_folder_that_cannot_be_made_is_an_export_error(tmp_path: Path) -> None:
    """The error names the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="file"):
        Held().export(tmp_path / "file" / "below", format="csv")
    with pytest.raises(ExportError, match="File name too long"):
        Held().export(tmp_path / ("long" * 100), format="csv")


def test_a_new_export_replaces_an_earlier_one_whatever_its_format(tmp_path: Path) -> None:
    """No stale files stay beside the description; what is not of an export is left alone."""
    Held().export(tmp_path / "capture", format="parquet")
    (tmp_path / "capture" / "mine.parquet").write_text("not of an export")
    Held().export(tmp_path / "capture", format="csv")
    names = {f"{name}.csv" for name in (*TABLES, *LEDGERS)}
    assert {path.name for path in (tmp_path / "capture").iterdir()} == {*names, "mine.parquet", *BESIDE}


@pytest.mark.parametrize("name", ["CITATION.cff", "croissant.json", "gaps.csv", "datapackage.json"])
def test_a_file_of_somebody_elses_is_never_replaced(tmp_path: Path, name: str) -> None:
    """A folder that is no export, in which a file has a name that one would take."""
    (tmp_path / name).write_text("{}")
    with pytest.raises(ExportError, match=f"there is a {name} in it that is not of an export"):
        Held().export(tmp_path, format="csv")
    assert files(tmp_path) == {name: b"{}"}


def test_a_list_of_formats_is_answered_with_the_formats(tmp_path: Path) -> None:
    """Each takes an export of its own."""
    with pytest.raises(ValueError, match=r"unknown format \['csv'\]; the formats are 'parquet'"):
        Held().export(tmp_path / "capture", format=["csv"])  # type: ignore[arg-type]


def test_a_recording_is_no_folder_to_export_into(tmp_path: Path) -> None:
    """It stays as it is."""
    folder = tmp_path / "run.chaos"
    with chaosnb.stream("network", url="devnet", record=folder) as s:
        s.wait(events=3, timeout=30)
        with pytest.raises(ExportError, match=r"this folder is a recording.*choose another folder"):
            s.export(folder)
    assert {path.suffix for path in folder.iterdir()} == {".journal"}


@pytest.mark.parametrize("wrong", [{"title": 5}, {"license": 5}, {"authors": [5]}, {"authors": 5}])
def test_credits_are_text(tmp_path: Path, wrong: dict[str, object]) -> None:
    """Anything else is refused by its name, before anything is written."""
    with pytest.raises(TypeError, match=next(iter(wrong))):
        Held().export(tmp_path / "capture", **wrong)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"license='free for all' is neither an SPDX name such as 'CC-BY-4\.0'"
    ):
        Held().export(tmp_path / "capture", license="free for all")
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_file_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    """An export is a folder; one table is pandas' business."""
    with pytest.raises(ValueError, match=r"to_csv"):
        Held().export(tmp_path / "votes.csv", format="csv")
    assert list(tmp_path.iterdir()) == []


def test_a_long_export_has_a_progress_bar_unless_it_is_to_be_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It counts rows; one that is over soon never shows it. Reading back is the same."""
    held = said(HOSTILE)
    chaosnb.load(held.export(tmp_path / "soon"))
    monkeypatch.setattr("chaosnb.store.export._SHOWN_AFTER_S", 0.0)
    chaosnb.load(held.export(tmp_path / "quiet", quiet=True), quiet=True)
    assert capsys.readouterr().err == ""
    folder = held.export(tmp_path / "told")
    shown = capsys.readouterr().err
    assert "export: 100%" in shown
    assert "16.0/16.0" in shown
    chaosnb.load(folder)
    assert "load: 100%" in capsys.readouterr().err


def test_every_value_of_excel_is_what_was_written_however_exact(tmp_path: Path) -> None:
    """Seventeen digits, and times to the microsecond."""
    held = Held(
        chaosnb.protocol.events.NetworkMetrics(place, place / 3, 1, 2, 3, stamp)
        for place, stamp in enumerate(
            f"{year}-03-07T23:59:59.{place:06}Z"
            for place, year in enumerate([1, 1600, 1900, 1970, *range(2020, 2090), 5000, 9999], 123_456)
        )
    )
    back = chaosnb.load(held.export(tmp_path / "capture", format="xlsx")).network_metrics
    pd.testing.assert_frame_equal(back, held.network_metrics, check_exact=True)


@given(st.lists(events("network_metrics"), max_size=3))
@settings(deadline=None, max_examples=5)
def test_the_window_is_that_of_what_came(found: list[chaosnb.protocol.events.NetworkMetrics]) -> None:
    """From the first arrival to the last; none where nothing came."""
    with tempfile.TemporaryDirectory() as folder:
        held = Held(found)
        held.export(f"{folder}/capture", format="jsonl")
        about = json.loads(Path(folder, "capture", "datapackage.json").read_text())["chaosnb"]
    assert (about["received"] is None) == (len(held.network_metrics) == 0)
    if about["received"] is not None:
        assert pd.Timestamp(about["received"][0]).value // 10**6 == START_US // 1_000
