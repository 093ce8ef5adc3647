"""The command line."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import chaosnb
from chaosnb.cli import main


def test_the_devnet_command_serves_a_node_until_it_is_told_to_stop() -> None:
    """A stream of another process reads from it, and SIGTERM ends it cleanly."""
    command = [
        sys.executable,
        "-m",
        "chaosnb",
        "devnet",
        "--port",
        "0",
        "--rate",
        "400",
        "--faults",
        "drop=0.1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        match = re.search(r"ws://\S+", process.stdout.readline())
        assert match
        with chaosnb.stream("network", url=match.group().rstrip(";")) as s:
            s.wait(events=5, timeout=30)
            assert s.status.simulated
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_taken_port_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for what the user can mend."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit) as caught:
            main(["devnet", "--port", str(taken.getsockname()[1])])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("chaosnb: ")
    assert error.count("\n") == 1


def test_wrong_faults_are_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are."""
    with pytest.raises(SystemExit) as caught:
        main(["devnet", "--port", "0", "--faults", "dorp=0.1"])
    assert caught.value.code == 2
    assert "drop=" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints it."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"chaosnb {chaosnb.__version__}\n"


def test_the_package_is_marked_as_typed() -> None:
    """Type checkers of users see the annotations."""
    assert (Path(chaosnb.__file__).parent / "py.typed").exists()
