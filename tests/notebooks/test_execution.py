"""Every notebook runs top to bottom on the simulated node, and leaves little behind."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests.kernel_runs import in_a_kernel, run_all

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@in_a_kernel
def test_it_runs_without_an_error(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell fails, the export is there, and so is a verdict on each hypothesis."""
    monkeypatch.setenv("CHAOSNB_URL", "devnet")
    notebook = nbformat.read(path, as_version=4)
    outputs = run_all(notebook, tmp_path)
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    text = "\n".join(output.data.get("text/plain", "") for output in outputs if "data" in output)
    assert "(simulated)" in text
    assert "'datapackage.json'" in text
    _, _, hypotheses = notebook.cells[0].source.partition("**Hypotheses**")
    for number in re.findall(r"^(\d+)\. ", hypotheses, re.MULTILINE):
        assert re.search(rf"\b{number}\. .* (not )?(shown|contradicted) ", text), f"no verdict on {number}"
    assert (tmp_path / "capture" / "block_validation.parquet").stat().st_size > 0
    nbformat.write(notebook, tmp_path / "executed.ipynb")
    assert (tmp_path / "executed.ipynb").stat().st_size < 300_000


@in_a_kernel
def test_the_research_comes_out_the_same_from_its_recording(tmp_path: Path) -> None:
    """In a second run, and for a reader who names the recording, to whom the agents' truth is not known."""
    (path,) = (path for path in NOTEBOOKS if path.stem == "03_consensus_research")
    told = []
    for setting in ("CAPTURE = None", "CAPTURE = None", 'CAPTURE = "research.chaos"'):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = cell.source.replace("CAPTURE = None", setting).replace("minutes=15", "minutes=3")
        outputs = run_all(notebook, tmp_path)
        told.append([output.data.get("text/plain") for output in outputs if "data" in output])
    first, again, named = told
    assert again == first
    (truth,) = (text for text in first if text and "truth" in text)
    assert named == [text for text in first if text != truth]


def test_there_are_notebooks() -> None:
    """A wrong path must not let the tests above vanish."""
    names = {path.stem for path in NOTEBOOKS}
    assert names >= {"01_live_stream", "02_dataframes", "03_consensus_research", "04_record_replay_export"}
