"""Paths: what is no path, or is not there, is told in words that help."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chaosnb
from chaosnb.errors import LoadError, RecordingError
from chaosnb.store.paths import path_of


@pytest.mark.parametrize("read", [chaosnb.load, chaosnb.replay, chaosnb.follow])
def test_what_is_no_path_is_refused(read: Callable[[Any], object]) -> None:
    """In one line, with an example."""
    with pytest.raises(TypeError, match=r"is a path such as 'run\.chaos', and not None"):
        read(None)


def test_what_is_misspelt_is_answered_with_what_is_there(tmp_path: Path) -> None:
    """A recording or an export that lies beside it."""
    (tmp_path / "run.chaos").mkdir()
    with pytest.raises(RecordingError, match=r"no such recording \(did you mean 'run\.chaos'\?\)"):
        chaosnb.replay(tmp_path / "rnu.chaos")
    with pytest.raises(LoadError, match=r"did you mean 'run\.chaos'\?"):
        chaosnb.load(tmp_path / "rnu.chaos")
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="this is a file, and a recording is a folder"):
        chaosnb.replay(tmp_path / "file")


def test_what_is_there_is_not_called_misspelt(tmp_path: Path) -> None:
    """A folder of anything else, and a file of an export, whose folder is named."""
    with pytest.raises(LoadError, match="a folder that export") as caught:
        chaosnb.load(tmp_path)
    assert "did you mean" not in str(caught.value)
    (tmp_path / "datapackage.json").write_text("{}")
    with pytest.raises(LoadError) as caught:
        chaosnb.load(tmp_path / "datapackage.json")
    assert f"load() takes the folder, which is {str(tmp_path)!r}" in str(caught.value)
    (tmp_path / "datapackage.json").unlink()
    with pytest.raises(RecordingError, match="holds no recording; give the name that it was recorded as"):
        chaosnb.replay(tmp_path)


def test_the_home_of_nobody_is_a_name_like_any_other() -> None:
    """No error of Python's own comes of it."""
    assert path_of("folder", "~nobody-of-this-name/run") == Path("~nobody-of-this-name/run")
