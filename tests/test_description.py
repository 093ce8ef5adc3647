"""What stands beside the tables: true, complete, and valid to the tools of those who read it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import chaosnb
from chaosnb.ingest.intake import Incident
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.ledgers import LEDGERS
from tests.captures import FORMATS, Held
from tests.event_strategies import START_US

AUTHORS = ("Ada Lovelace", 'R. "Bobby" {Tables} & Söhne')


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export of the same stream in every format, and of one that got nothing."""
    folder = tmp_path_factory.mktemp("exports")
    with (
        chaosnb.Devnet(seed=7, rate=400) as node,
        chaosnb.stream(["blocks", "consensus", "network", "social"], url=node.url) as s,
    ):
        s.wait(events=200, timeout=60)
        node.garbage(b"{")
        node.cut()
        s.wait(until=lambda s: len(s.gaps) > 0 and s.status.state == "live", timeout=60)
    for format in FORMATS:
        s.export(folder / format, format=format, authors=AUTHORS, license="CC-BY-4.0")
        nothing = Held(incidents=[Incident(START_US * 1_000, "reconnecting", "refused", "429", 1.0)])
        nothing.export(folder / f"no-{format}", format=format)
    return folder


def description(folder: Path) -> dict:  # type: ignore[type-arg]
    found = json.loads((folder / "datapackage.json").read_text())
    assert isinstance(found, dict)
    return found


FRICTIONLESS = """
import json, pathlib, sys
from frictionless import Package
reports = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/datapackage.json")):
    report = Package(str(path)).validate()
    tasks = {task.name: [task.type, task.stats.get("rows"), task.warnings] for task in report.tasks}
    errors = [error.message for task in report.tasks for error in task.errors]
    errors += [error.message for error in report.errors]
    reports[path.parent.name] = [report.valid, errors, report.warnings, tasks]
print(json.dumps(reports))
"""


def test_frictionless_finds_every_package_valid(exports: Path) -> None:
    """No error, no warning; the tables in text form are read, and their rows are as many as is said."""
    done = subprocess.run(
        [sys.executable, "-c", FRICTIONLESS, str(exports)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)
    assert set(reports) == {*FORMATS, *(f"no-{format}" for format in FORMATS)}
    for name, (valid, errors, warnings, tasks) in reports.items():
        assert (valid, errors, warnings) == (True, [], []), name
        assert not any(warnings for _, _, warnings in tasks.values())
    rows = {name: table["rows"] for name, table in description(exports / "csv")["chaosnb"]["tables"].items()}
    assert {name: rows or 0 for name, (_, rows, _) in reports["csv"][3].items()} == rows
    assert {kind for kind, _, _ in reports["csv"][3].values()} == {"table"}
    assert reports["jsonl"][3]["block_validation"][:2] == ["table", rows["block_validation"]]


# One of its libraries aborted once as the interpreter ended, when all was found and said.
CROISSANT = """
import json, os, pathlib, sys
import mlcroissant
found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/croissant.json")):
    dataset = mlcroissant.Dataset(str(path))
    rows = {each.id: len(list(dataset.records(each.id))) for each in dataset.metadata.record_sets}
    found[path.parent.name] = [rows, sorted(dataset.metadata.ctx.issues.warnings)]
print(json.dumps(found), flush=True)
os._exit(0)
"""


def test_mlcroissant_finds_every_description_valid_and_reads_each_record_by_it(exports: Path) -> None:
    """No error, no warning: what `mlcroissant validate` does, in one process for all."""
    done = subprocess.run(
        [sys.executable, "-c", CROISSANT, str(exports)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    tables = description(exports / "csv")["chaosnb"]["tables"]
    rows = {name: table["rows"] for name, table in tables.items() if table["rows"]}
    assert rows.keys() >= {"block_proposal", "alliance_update", "gaps", "rejects"}
    expected = {format: rows if format in ("csv", "jsonl", "parquet") else {} for format in FORMATS}
    only_incident = {name: {"incidents": 1} if found else {} for name, found in expected.items()}
    expected |= {f"no-{name}": found for name, found in only_incident.items()}
    assert json.loads(done.stdout) == {name: [rows, []] for name, rows in expected.items()}


@pytest.mark.parametrize("format", FORMATS)
def test_each_file_is_listed_with_its_size_and_checksum(exports: Path, format: str) -> None:
    """In both descriptions, and nothing else lies in the folder."""
    package = description(exports / format)
    croissant = json.loads((exports / format / "croissant.json").read_text())
    listed = {r["path"]: (r["bytes"], r["hash"]) for r in package["resources"]}
    assert listed == {
        f["contentUrl"]: (int(f["contentSize"].removesuffix(" B")), f"sha256:{f['sha256']}")
        for f in croissant["distribution"]
    }
    beside = {"datapackage.json", "croissant.json", "CITATION.cff"}
    assert {path.name for path in (exports / format).iterdir()} == listed.keys() | beside
    for name, (size, checksum) in listed.items():
        data = (exports / format / name).read_bytes()
        assert (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}") == (size, checksum)


def test_the_description_tells_columns_units_source_window_counts_and_versions(exports: Path) -> None:
    """All that an analysis needs to know, in one file."""
    package = description(exports / "csv")
    fields = {r["name"]: {f["name"]: f for f in r["schema"]["fields"]} for r in package["resources"]}
    assert fields.keys() == TABLES.keys() | LEDGERS.keys()
    for name, schema in {**TABLES, **LEDGERS}.items():
        assert list(fields[name]) == [column.name for column in schema.columns]
        assert all(field["description"] for field in fields[name].values())
    assert fields["network_metrics"]["tps"]["unit"] == "1/s"
    assert fields["block_proposal"]["transactions"]["type"] == "array"
    database = description(exports / "duckdb")["chaosnb"]["tables"]
    assert {name: {f["name"]: f for f in database[name]["schema"]["fields"]} for name in database} == fields
    about = package["chaosnb"]
    assert about["simulated"] is True
    assert about["source"].startswith("ws://127.0.0.1:")
    assert about["topics"] == ["blocks", "consensus", "network", "social"]
    assert about["received"][0] < about["received"][1]
    assert about["happened"][0] <= about["happened"][1]
    assert about["counts"]["events"] == sum(about["tables"][name]["rows"] for name in TABLES)
    assert about["counts"]["rejected"] == about["tables"]["rejects"]["rows"]
    assert about["tables"]["gaps"]["rows"] > 0
    assert about["versions"].keys() == {"chaosnb", "python", "pandas", "pyarrow"}
    assert package["licenses"] == [{"name": "CC-BY-4.0"}]
    assert [author["title"] for author in package["contributors"]] == list(AUTHORS)


def test_the_checksum_is_of_the_data_and_not_of_its_form(exports: Path) -> None:
    """The same in every format; another as soon as anything differs."""
    checksums = {description(exports / format)["chaosnb"]["checksum"] for format in FORMATS}
    assert len(checksums) == 1
    other = Held().export(exports / "other" / "one")
    assert description(other)["chaosnb"]["checksum"] not in checksums


def test_the_citation_file_is_what_others_read(exports: Path) -> None:
    """YAML by the Citation File Format 1.2.0, however strange the authors' names."""
    found = yaml.safe_load((exports / "csv" / "CITATION.cff").read_text(encoding="utf-8"))
    assert (found["cff-version"], found["type"]) == ("1.2.0", "dataset")
    assert found["authors"] == [{"name": name} for name in AUTHORS]
    assert found["license"] == "CC-BY-4.0"
    assert found["identifiers"][0]["value"] == description(exports / "csv")["chaosnb"]["checksum"]
    assert "simulated" in found["title"]
    unnamed = yaml.safe_load((exports / "no-csv" / "CITATION.cff").read_text(encoding="utf-8"))
    assert unnamed["authors"] == [{"name": "Agents of a simulated ChaosChain node"}]
    assert "license" not in unnamed


def test_cite_prints_words_and_bibtex_with_the_checksum_of_the_export(
    exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a stream and of what was read back; either alone, too."""
    package = chaosnb.load(exports / "csv")
    package.cite()
    words, bibtex = capsys.readouterr().out.strip().split("\n\n")
    assert words.startswith('Ada Lovelace; R. "Bobby" {Tables} & Söhne (20')
    assert words.endswith(f"SHA-256: {package.checksum}.")
    assert bibtex.startswith(f"@misc{{chaosnb-{package.checksum[:12]},\n  title = {{{{ChaosChain events")
    assert r'author = {{Ada Lovelace} and {R. "Bobby" \{Tables\} \& Söhne}}' in bibtex
    assert bibtex.count("{") - bibtex.count("\\{") == bibtex.count("}") - bibtex.count("\\}")
    assert "Simulated data" in bibtex
    package.cite("text", title="My title", authors="Me")
    assert capsys.readouterr().out.startswith("Me (20")
    package.cite("bibtex")
    assert capsys.readouterr().out.strip() == bibtex
    with pytest.raises(ValueError, match="'text' and 'bibtex'"):
        package.cite("mla")  # type: ignore[arg-type]


def test_a_title_and_authors_go_from_an_export_to_the_next(tmp_path: Path) -> None:
    """Unless others are given."""
    held = Held()
    first = chaosnb.load(held.export(tmp_path / "first", title="T", authors="A", license="https://l.example"))
    second = description(first.export(tmp_path / "second"))
    assert (second["title"], second["contributors"][0]["title"]) == ("T", "A")
    assert second["licenses"] == [{"path": "https://l.example"}]
    assert description(first.export(tmp_path / "third", title="U"))["title"] == "U"


def test_the_checksum_is_as_its_definition_says() -> None:
    """Computed anew for one small table, by the words of `chaosnb.store.checksum`."""
    import pyarrow as pa

    from chaosnb.store.checksum import Checksum

    def number(value: int) -> bytes:
        return value.to_bytes(8, "little", signed=True)

    table = pa.table({"n": pa.array([5, None, -1]), "t": ["é", None, ""], "l": [["a", "bc"], [], None]})
    data = number(1) + b"x"
    data += number(1) + b"n" + b"\1\0\1" + number(5) + number(0) + number(-1)
    data += number(1) + b"t" + b"\1\0\1" + number(2) + number(0) + number(0) + "é".encode()
    data += number(1) + b"l" + b"\1\1\0" + number(2) + number(0) + number(0)
    data += b"\1\1" + number(1) + number(2) + b"abc"
    checksum = Checksum()
    checksum.add("x", table)
    assert checksum.hex == hashlib.sha256(data).hexdigest()
    pieces = Checksum()
    pieces.add("x", pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert pieces.hex == checksum.hex
