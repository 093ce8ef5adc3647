"""Exports read back: the same tables, ledgers and aggregates, whatever the format."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.errors import LoadError, MissingExtraError
from chaosnb.ingest.intake import Incident
from chaosnb.protocol.events import Agent, BlockValidation
from chaosnb.tables.aggregates import AGGREGATES
from tests.captures import FORMATS, Held, assert_same, files
from tests.event_strategies import START_US, any_events, texts, unlike

TOPICS = ("blocks", "consensus", "network", "social", "memes")
FAULTS = "seed=4,drop=0.05,duplicate=0.02,reorder=0.05,garbage=0.05,cut=0.02"

incidents = st.builds(
    Incident,
    st.integers(START_US, START_US + 10**7).map(lambda us: us * 1_000),
    st.sampled_from(["live", "reconnecting"]),
    texts,
    st.none() | texts,
    st.none() | st.floats(0, 100),
)


@pytest.fixture(scope="module")
def stream() -> chaosnb.Stream:
    """A closed stream of a node that fails."""
    with (
        chaosnb.Devnet(seed=7, rate=300, faults=FAULTS) as node,
        chaosnb.stream(TOPICS, url=node.url, lateness=0.1) as s,
    ):
        s.wait(until=lambda s: s.status.events > 1_500 and len(s.gaps) and len(s.rejects), timeout=60)
        # Not all that is asked is whole, and not nothing, which chance may bring about for a while.
        s.wait(until=lambda s: len({s.complete(*span) for span in spans(s)}) == 2, timeout=60)
    return s


def spans(s: chaosnb.Stream) -> list[tuple[pd.Timestamp, pd.Timestamp, str | None]]:
    """Some spans of a stream's time, of all topics and of one."""
    times = s.network_metrics["timestamp"].iloc[::9]
    return [(a, b, t) for a in times for b in times if a <= b for t in (None, "blocks", "memes")]


@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_comes_back_from_any_format(stream: chaosnb.Stream, tmp_path: Path, format: str) -> None:
    """Tables, ledgers, aggregates, personalities and what is complete."""
    package = chaosnb.load(stream.export(tmp_path / "capture", format=format))
    assert_same(stream, package)
    for name in AGGREGATES:
        for chosen in ({}, {"personalities": "chaotic"}):
            pd.testing.assert_frame_equal(
                package.aggregate(name, None, **chosen), stream.aggregate(name, None, **chosen)
            )
    assert package.personalities == stream.personalities
    assert package.memory["rows"].tolist() == stream.memory["rows"].tolist()
    assert repr(package).startswith("<Package capture of ws://127.0.0.1")
    answers = [stream.complete(*span) for span in spans(stream)]
    assert answers == [package.complete(*span) for span in spans(stream)]
    assert len(set(answers)) == 2


@pytest.mark.parametrize("format", FORMATS)
@given(
    events=st.lists(any_events, max_size=25).map(unlike),
    garbage=st.lists(st.binary(max_size=9)),
    told=st.lists(incidents, max_size=3),
)
@settings(deadline=None, max_examples=10)
def test_whatever_was_said_comes_back_to_the_letter(format: str, events, garbage, told) -> None:  # type: ignore[no-untyped-def]
    """Text, numbers and times of every kind, from any format; one checksum for all of them."""
    held = Held(events, garbage=garbage, incidents=told)
    with tempfile.TemporaryDirectory() as folder:
        package = chaosnb.load(held.export(f"{folder}/one", format=format))
        assert_same(held, package)


@pytest.mark.parametrize("format", ["parquet", "feather", "csv", "jsonl"])
def test_the_same_data_gives_the_same_bytes(stream: chaosnb.Stream, tmp_path: Path, format: str) -> None:
    """Exported twice, and exported again after it was read back."""
    first = files(stream.export(tmp_path / "first", format=format))
    assert files(stream.export(tmp_path / "second", format=format)) == first
    package = chaosnb.load(tmp_path / "first")
    assert files(package.export(tmp_path / "third", format=format)) == first


def test_a_replay_exports_the_bytes_of_the_live_stream(tmp_path: Path) -> None:
    """But for the name of the recording, which it says it is of."""
    with (
        chaosnb.Devnet(seed=7, rate=300) as node,
        chaosnb.stream(TOPICS, url=node.url, record=tmp_path / "run.chaos") as live,
    ):
        live.wait(events=300, timeout=30)
    again = chaosnb.replay(tmp_path / "run.chaos", quiet=True)
    one, other = (files(s.export(tmp_path / name, format="csv")) for s, name in ((live, "a"), (again, "b")))
    assert one.keys() == other.keys()
    differing = {name for name in one if one[name] != other[name]}
    assert differing == {"datapackage.json", "croissant.json", "CITATION.cff"}
    assert chaosnb.load(tmp_path / "a").checksum == chaosnb.load(tmp_path / "b").checksum


def test_what_is_read_back_is_the_readers_to_change_and_changes_no_file(
    stream: chaosnb.Stream, tmp_path: Path
) -> None:
    """Each access gives the data as it is in the files."""
    package = chaosnb.load(stream.export(tmp_path / "capture"))
    before = files(package.folder)
    metrics = package.network_metrics
    metrics.loc[:, "tps"] = -1.0
    assert (package.network_metrics["tps"] >= 0).all()
    assert files(package.folder) == before


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    """One byte, a file cut short, and one that is gone."""
    folder = Held().export(tmp_path / "capture", format="csv")
    path = folder / "gaps.csv"
    data = path.read_bytes()
    for wrong in (data.replace(b"start", b"stort"), data[:-1]):
        path.write_bytes(wrong)
        with pytest.raises(LoadError, match=r"gaps\.csv: it is not the file that was exported") as caught:
            chaosnb.load(folder)
        assert caught.value.path == str(path)
    path.unlink()
    with pytest.raises(LoadError, match=r"gaps\.csv: it cannot be read: No such file"):
        chaosnb.load(folder)


def test_what_is_no_export_is_said_to_be_none(tmp_path: Path) -> None:
    """A folder without a description, somebody else's, one of a newer chaosnb, and one with a table less."""
    for none in (tmp_path, f"{tmp_path}/a\0b", f"{tmp_path}/{'long' * 100}"):
        with pytest.raises(LoadError, match=r"load\(\) takes a folder that export\(\) made"):
            chaosnb.load(none)
    description = tmp_path / "datapackage.json"
    for text in ("{", "[]", '{"resources": []}'):
        description.write_text(text)
        with pytest.raises(LoadError, match="no description of an export of chaosnb"):
            chaosnb.load(tmp_path)
    whole = json.loads((Held().export(tmp_path / "capture") / "datapackage.json").read_text())
    for change, words in (
        ({"form": "chaosnb-export-2"}, "newer chaosnb"),
        ({"format": "arff"}, "newer chaosnb"),
        ({"tables": {}}, "tables are missing in it: agent_status"),
        ({"newest_s": 10**30}, "no description of an export of chaosnb"),
    ):
        description.write_text(json.dumps({**whole, "chaosnb": {**whole["chaosnb"], **change}}))
        with pytest.raises(LoadError, match=words):
            chaosnb.load(tmp_path)


def test_a_recording_and_an_export_are_told_apart(tmp_path: Path) -> None:
    """Whoever takes one for the other is told what reads it."""
    with chaosnb.stream("network", url="devnet", record=tmp_path / "run.chaos") as s:
        s.wait(events=3, timeout=30)
    with pytest.raises(LoadError, match=r"this is a recording, which chaosnb\.replay\(\) reads"):
        chaosnb.load(tmp_path / "run.chaos")
    folder = Held().export(tmp_path / "capture")
    with pytest.raises(chaosnb.RecordingError, match=r"an export, which chaosnb\.load\(\) reads"):
        chaosnb.replay(folder)


def test_a_file_with_another_content_than_described_is_an_error(tmp_path: Path) -> None:
    """Even where its checksum is that of the description."""
    folder = Held().export(tmp_path / "capture", format="jsonl")
    description = json.loads((folder / "datapackage.json").read_text())
    (folder / "gaps.jsonl").write_text('{"start": "yesterday"}\n')
    for resource in description["resources"]:
        data = (folder / resource["path"]).read_bytes()
        resource |= {"bytes": len(data), "hash": f"sha256:{hashlib.sha256(data).hexdigest()}"}
    (folder / "datapackage.json").write_text(json.dumps(description))
    with pytest.raises(LoadError, match=r"gaps\.jsonl: it cannot be read: "):
        chaosnb.load(folder)


def votes() -> Held:
    """Votes of two agents."""
    stamp = "2026-11-23T00:36:12.345Z"
    return Held(
        BlockValidation(f"{place}", Agent(name, "chaotic"), "approve", "why", stamp)
        for place, name in enumerate(["alice", "bob"])
    )


@pytest.mark.parametrize("what", ["file", "categories", "checksum"])
def test_tables_that_are_not_those_of_the_checksum_are_an_error(tmp_path: Path, what: str) -> None:
    """Where the description names the changed file no more, was changed itself, or says another checksum."""
    folder = votes().export(tmp_path / "capture", format="csv")
    description = json.loads((folder / "datapackage.json").read_text())
    if what == "file":
        path = folder / "block_validation.csv"
        path.write_text(path.read_text().replace("approve", "reject"))
        description["resources"] = [r for r in description["resources"] if r["name"] != "block_validation"]
    elif what == "categories":
        about = description["chaosnb"]["tables"]["block_validation"]
        about["categories"] = {name: ["mallory"] for name in about["categories"]}
    else:
        description["chaosnb"]["checksum"] = f"sha256:{64 * '0'}"
    (folder / "datapackage.json").write_text(json.dumps(description))
    with pytest.raises(LoadError, match="its tables are not what was exported"):
        chaosnb.load(folder)


def test_a_database_of_somebody_else_reads_no_other_file(tmp_path: Path) -> None:
    """Such as by a view in the place of a table."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = Held().export(tmp_path / "capture", format="duckdb")
    with duckdb.connect(str(folder / "chaosnb.duckdb")) as database:
        database.execute("ALTER TABLE drift RENAME TO others")
        database.execute(
            "CREATE VIEW drift AS SELECT content AS drift, 1 AS count, 1 AS rowid "
            f"FROM read_text('{tmp_path / 'secret.txt'}')"
        )
    description = json.loads((folder / "datapackage.json").read_text())
    data = (folder / "chaosnb.duckdb").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    description["resources"][0] |= {"bytes": len(data), "hash": f"sha256:{digest}"}
    (folder / "datapackage.json").write_text(json.dumps(description))
    with pytest.raises(LoadError, match="Permission"):
        chaosnb.load(folder)


def test_a_description_of_somebody_else_has_no_other_file_removed(tmp_path: Path) -> None:
    """When the folder is exported to again; nor does it name what is no file."""
    folder = Held().export(tmp_path / "capture", format="csv")
    (folder / "thesis.tex").write_text("mine")
    description = json.loads((folder / "datapackage.json").read_text())
    first = description["resources"][0]
    description["resources"] += [{**first, "path": path} for path in ("thesis.tex", "..", "", "a\0b")]
    (folder / "datapackage.json").write_text(json.dumps(description))
    Held().export(folder, format="jsonl")
    assert (folder / "thesis.tex").read_text() == "mine"
    assert not (folder / "gaps.csv").exists()
    assert_same(Held(), chaosnb.load(folder))


@pytest.mark.parametrize(
    ("format", "package", "extra"), [("duckdb", "duckdb", "archive"), ("xlsx", "xlsxwriter", "excel")]
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, package: str, extra: str
) -> None:
    """Before anything is written; and when a database is to be read without DuckDB."""
    folder = Held().export(tmp_path / "capture", format=format)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf'pip install "chaosnb\[{extra}\]"'):
        Held().export(tmp_path / "none", format=format)
    assert not (tmp_path / "none").exists()
    if format == "duckdb":
        with pytest.raises(MissingExtraError, match=r'pip install "chaosnb\[archive\]"'):
            chaosnb.load(folder)
    else:
        assert_same(Held(), chaosnb.load(folder))


KILLED = """
import os, sys
import chaosnb
left = int(sys.argv[3])
def hook(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left < 0:
            os._exit(9)
package = chaosnb.load(sys.argv[1])
sys.addaudithook(hook)
package.export(sys.argv[2], format="jsonl")
"""


@pytest.mark.parametrize("renamings", [0, 1, 7, 16])
def test_a_killed_export_leaves_all_or_nothing(tmp_path: Path, renamings: int) -> None:
    """Killed before the files take their places, there is the old export, or none; amid that, the new one."""
    old, new = Held(), Held(garbage=[b"{new"])
    source = new.export(tmp_path / "source")
    old.export(tmp_path / "replaced", format="csv")
    (tmp_path / "replaced" / "mine.txt").write_text("mine")
    for name in ("made", "replaced"):
        command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / name), str(renamings)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert done.returncode == (9 if renamings == 0 or name == "replaced" else 0), done.stderr
    if renamings:
        assert_same(new, chaosnb.load(tmp_path / "made"))
        assert_same(new, chaosnb.load(tmp_path / "replaced"))
    else:
        assert not (tmp_path / "made").exists()
        assert_same(old, chaosnb.load(tmp_path / "replaced"))
    # The next one leaves nothing of the killed one behind.
    for name in ("made", "replaced"):
        new.export(tmp_path / name, format="jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "made", "replaced"}
    left = {path.name for path in (tmp_path / "replaced").iterdir()}
    assert left == {"mine.txt", *(path.name for path in (tmp_path / "made").iterdir())}
