"""The errors: they come back whole from another process."""

from __future__ import annotations

import copy
import pickle

import pytest

from chaosnb import errors

ERRORS = [
    errors.CredentialsError("INVALID_SIGNATURE", "no"),
    errors.DebugError("http://node", "no answer"),
    errors.DevnetError("the port is taken"),
    errors.ExportError("gaps", "the disk is full"),
    errors.IdentityError("no key"),
    errors.InsecureConnectionError("ws://node"),
    errors.LoadError("capture", "not there"),
    errors.MissingColumnsError(("height",), "block_proposal"),
    errors.MissingExtraError("format='xlsx'", extra="excel"),
    errors.RecordingDamagedError("run.chaos", "00000001.journal", 7, "cut"),
    errors.RecordingError("run.chaos", "not there"),
    errors.StreamClosedError("closed"),
    errors.TransportError("gone", code=1006, retry_after_s=2.0),
    errors.WaitTimeoutError("wait(events=5)", 2.0, 3, "live"),
]


def test_each_error_is_tried() -> None:
    """All that chaosnb can raise."""
    assert {type(error).__name__ for error in ERRORS} | {"ChaosnbError"} == {*errors.__all__}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_can_be_pickled_and_copied(error: errors.ChaosnbError) -> None:
    """With its text, its attributes and its notes, as a pool of processes hands it on."""
    error.add_note("in cell 7")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
