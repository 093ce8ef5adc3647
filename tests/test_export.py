"""Exports: what is written can be read back, says where it comes from, and holds no live formula."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.errors import ExportError
from chaosnb.ingest.session import Session
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import Agent, ConsensusDiscussion, Frame
from chaosnb.protocol.schema import TABLES
from chaosnb.protocol.signing import Identity
from chaosnb.store.export import DEFUSED, FORMATS, export_frames
from chaosnb.tables.capture import Capture

LEDGERS = {"gaps", "rejects", "incidents", "drift"}


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    """All tables with some hundred events of the devnet."""
    topics = ["blocks", "consensus", "network", "social"]
    with chaosnb.Devnet(seed=7, rate=400) as node, chaosnb.stream(topics, url=node.url) as s:
        s.wait(until=lambda s: all(len(f) for name, f in s.frames().items() if name != "error"), timeout=60)
    return s.frames()


def hostile_discussion() -> pd.DataFrame:
    texts = [
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
    said = [
        ConsensusDiscussion(
            "b", Agent("=cmd()", "lawful"), text, "neutral", ["=1", "x"], "2026-11-23T00:36:12.345Z"
        )
        for text in texts
    ]
    capture = Capture()
    session = Session(["consensus"], Identity.generate())
    capture.accept(session.feed([Frame(encode(event), 0) for event in said]))
    return capture.tables["consensus_discussion"].snapshot()


@pytest.mark.parametrize("format", ["parquet", "feather"])
def test_binary_formats_keep_every_value_and_dtype(
    frames: dict[str, pd.DataFrame], tmp_path: Path, format: str
) -> None:
    """What pandas reads back equals what was written; lists come back as lists of Python values."""
    export_frames(frames, tmp_path, format=format, source={})
    read = {"parquet": pd.read_parquet, "feather": pd.read_feather}[format]
    for name, frame in frames.items():
        back = read(tmp_path / f"{name}.{format}")
        assert list(back) == list(frame)
        if frame.empty:  # Arrow gives a category without values no type, so its dtype differs
            continue
        lists = [column for column in frame if isinstance(frame[column].dtype, pd.ArrowDtype)]
        pd.testing.assert_frame_equal(back.drop(columns=lists), frame.drop(columns=lists))
        for column in lists:
            assert [list(value) for value in back[column]] == frame[column].tolist()


def test_parquet_keeps_the_source_of_the_data(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    """The frame's attrs go along, so that simulated data is still called so."""
    export_frames(frames, tmp_path, format="parquet", source={})
    assert "simulated" in pd.read_parquet(tmp_path / "network_metrics.parquet").attrs["source"]


def test_jsonl_holds_one_event_a_line_with_lists_as_lists(
    frames: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    """Each line is a JSON object with the table's columns."""
    export_frames(frames, tmp_path, format="jsonl", source={})
    lines = (tmp_path / "block_proposal.jsonl").read_text().splitlines()
    assert len(lines) == len(frames["block_proposal"])
    first = json.loads(lines[0])
    assert list(first) == list(frames["block_proposal"])
    assert first["transactions"] == frames["block_proposal"]["transactions"].iloc[0]
    assert pd.Timestamp(first["timestamp"]) == frames["block_proposal"]["timestamp"].iloc[0]


def test_csv_holds_times_to_the_microsecond_and_lists_as_json(
    frames: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    """Pandas reads it back to the same values."""
    export_frames(frames, tmp_path, format="csv", source={})
    votes = frames["block_validation"]
    back = pd.read_csv(tmp_path / "block_validation.csv", parse_dates=["timestamp", "received_at"])
    assert list(back["received_at"]) == list(votes["received_at"])
    assert list(back["decision"]) == list(votes["decision"])
    blocks = pd.read_csv(tmp_path / "block_proposal.csv")
    assert json.loads(blocks["transactions"].iloc[0]) == frames["block_proposal"]["transactions"].iloc[0]


def test_no_text_in_csv_is_a_formula_and_none_is_changed_otherwise(tmp_path: Path) -> None:
    """A spreadsheet must not run what an agent said."""
    said = hostile_discussion()
    export_frames({"said": said}, tmp_path, format="csv", source={})
    with (tmp_path / "said.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["agent_id"] for row in rows} == {"'=cmd()"}
    assert [row["message"] for row in rows] == [
        *("'" + text for text in said["message"][:-3]),
        *said["message"][-3:],
    ]
    assert {row["meme_references"] for row in rows} == {'["=1", "x"]'}
    assert "formulas" in json.loads((tmp_path / "datapackage.json").read_text())["chaosnb"]


def test_defusing_can_be_switched_off(tmp_path: Path) -> None:
    """Then every text is in the file as the agent said it."""
    said = hostile_discussion()
    export_frames({"said": said}, tmp_path, format="csv", source={}, defuse_formulas=False)
    with (tmp_path / "said.csv").open(newline="") as file:
        assert [row["message"] for row in csv.DictReader(file)] == list(said["message"])
    assert "formulas" not in json.loads((tmp_path / "datapackage.json").read_text())["chaosnb"]


@given(st.lists(st.text(st.sampled_from("'=+-@ \t\r\n\0a\N{EM SPACE}"), max_size=5), min_size=1, max_size=20))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_defused_can_be_told_and_taken_back(tmp_path: Path, texts: list[str]) -> None:
    """One regular expression gives all texts back, also those that began with quotes before."""
    export_frames({"t": pd.DataFrame({"text": texts}, dtype="str")}, tmp_path, format="csv", source={})
    back = pd.read_csv(tmp_path / "t.csv", dtype="str", keep_default_na=False)
    assert [text.replace("\r\n", "\n") for text in texts] == [
        text.replace("\r\n", "\n") for text in back["text"].str.replace(DEFUSED, r"\1", regex=True)
    ]


def test_the_description_names_every_file_and_where_the_data_comes_from(tmp_path: Path) -> None:
    """datapackage.json has the columns with their meaning and units, and the ledgers go along."""
    with chaosnb.Devnet(rate=400) as node, chaosnb.stream("network", url=node.url) as s:
        s.wait(events=20, timeout=30)
        folder = s.export(tmp_path / "new" / "folder")
    package = json.loads((folder / "datapackage.json").read_text())
    names = {resource["name"] for resource in package["resources"]}
    assert names == set(s.frames()) | LEDGERS
    assert {path.name for path in folder.iterdir()} == {f"{name}.parquet" for name in names} | {
        "datapackage.json"
    }
    fields = {r["name"]: r["schema"]["fields"] for r in package["resources"] if "schema" in r}
    assert {"name": "tps", "unit": "1/s"}.items() <= fields["network_metrics"][2].items()
    assert package["chaosnb"]["simulated"] is True


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    """Nothing is written then."""
    with pytest.raises(ValueError, match="'parquet', 'csv', 'feather', 'jsonl'"):
        export_frames({}, tmp_path / "x", format="xls", source={})
    assert not (tmp_path / "x").exists()


def test_a_table_that_cannot_be_written_is_named_and_leaves_no_half_file(tmp_path: Path) -> None:
    """Feather cannot hold a column of mixed objects."""
    with pytest.raises(ExportError, match="'mixed'") as caught:
        export_frames(
            {"mixed": pd.DataFrame({"a": [1, "x", object()]})}, tmp_path, format="feather", source={}
        )
    assert caught.value.table == "mixed"
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_an_earlier_one_whole(tmp_path: Path) -> None:
    """Not one of its files is replaced, though the first table could be written."""
    export_frames({"a": pd.DataFrame({"x": [1]})}, tmp_path, format="feather", source={})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    frames = {"a": pd.DataFrame({"x": [2]}), "mixed": pd.DataFrame({"a": [1, "x", object()]})}
    with pytest.raises(ExportError, match="'mixed'"):
        export_frames(frames, tmp_path, format="feather", source={})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_one_clear_error_and_the_stream_goes_on(tmp_path: Path, format: str) -> None:
    """No file may grow beyond 2 kB in this process: it is told so, nothing is left, and later all works."""
    script = textwrap.dedent(
        """
        import os, resource, sys
        import chaosnb
        folder, format = sys.argv[1:]
        with chaosnb.Devnet(rate=400) as node, chaosnb.stream("network", url=node.url) as s:
            s.wait(events=100, timeout=30)
            most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, most[1]))
            try:
                s.export(folder, format=format)
            except chaosnb.ExportError as error:
                print(error)
            print(os.listdir(folder))
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
            s.wait(events=20, timeout=30)
            print(s.status.state, len(os.listdir(s.export(folder, format=format))))
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path / "out"), format],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    error, left, after = done.stdout.splitlines()
    assert "File too large; make room there, or export to a folder on another disk." in error
    assert "still in memory" in error
    assert left == "[]"
    assert after == f"live {len(TABLES) + len(LEDGERS) + 1}"


def test_a_folder_that_cannot_be_made_is_an_export_error(tmp_path: Path) -> None:
    """The error names the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="file"):
        export_frames({}, tmp_path / "file" / "below", format="csv", source={})


def test_a_new_export_replaces_an_earlier_one_whatever_its_format(tmp_path: Path) -> None:
    """No stale files stay beside the description; what is not of an export is left alone."""
    (tmp_path / "mine.parquet").write_text("not of an export")
    frames = {"a": pd.DataFrame({"x": [1]}), "b": pd.DataFrame({"x": [2]})}
    export_frames(frames, tmp_path, format="parquet", source={})
    export_frames({"a": frames["a"]}, tmp_path, format="csv", source={})
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "datapackage.json", "mine.parquet"}


def test_the_name_of_a_file_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    """An export is a folder; one table is pandas' business."""
    with pytest.raises(ValueError, match=r"to_csv"):
        export_frames({}, tmp_path / "votes.csv", format="csv", source={})
    assert list(tmp_path.iterdir()) == []


def test_a_large_export_has_a_progress_bar_unless_it_is_to_be_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It counts rows; a small one has none, and one that is over soon never shows it."""
    many = {"many": pd.DataFrame({"n": range(150_000)}), "few": pd.DataFrame({"n": range(10)})}
    export_frames(many, tmp_path / "soon", format="feather", source={})
    monkeypatch.setattr("chaosnb.store.export._SHOWN_AFTER_S", 0.0)
    export_frames({"few": many["few"]}, tmp_path / "few", format="feather", source={})
    export_frames(many, tmp_path / "quiet", format="feather", source={}, quiet=True)
    assert capsys.readouterr().err == ""
    export_frames(many, tmp_path / "told", format="feather", source={})
    shown = capsys.readouterr().err
    assert "150k/150k" in shown
    assert "rows/s" in shown
    assert len(pd.read_feather(tmp_path / "told" / "many.feather")) == 150_000
