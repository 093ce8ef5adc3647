"""The command line."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
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


def test_the_record_command_records_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """A notebook follows it meanwhile; SIGTERM ends it cleanly, with all that came on disk."""
    folder = tmp_path / "run.chaos"
    with chaosnb.Devnet(seed=7, rate=400) as node:
        command = [sys.executable, "-m", "chaosnb", "record", node.url, "-o", str(folder)]
        command += ["--topics", "network,blocks"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            deadline = time.monotonic() + 60
            while not folder.exists() or not any(folder.iterdir()):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            with chaosnb.follow(folder, quiet=True) as s:
                s.wait(events=50, timeout=60)
                assert s.topics == ("network", "blocks")
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read().splitlines()
            assert process.wait(10) == 0
    again = chaosnb.replay(folder)
    assert again.status.events >= 50
    assert again.incidents["state"].iloc[-1] == "closed"
    assert said[0].startswith(node.url)
    assert said[-1].startswith("recorded ")
    assert said[-1].endswith(f" messages in {folder}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["devnet", "--topics", "bloks"], "the topics are 'blocks'"),
        (["devnet", "--topics", "blocks", "consenus"], "'consenus' (did you mean 'consensus'?)"),
        (["--topics", "blocks", "ftp://node"], "is no node's address"),
        (["ftp://node"], "is no node's address"),
        (["ws://example.org"], "Use wss://, or say --allow-insecure where you trust"),
        (["devnet", "--max-size", "7d"], "no size"),
        (["devnet", "--max-age", "much"], "no age"),
        (["ws://127.0.0.1:9", "-o", "README.md"], "there is a file of that name"),
    ],
)
def test_what_cannot_be_recorded_is_said_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong topics, addresses, limits and names; no traceback."""
    with pytest.raises(SystemExit) as caught:
        main(["record", "-o", str(tmp_path / "run.chaos"), *arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not (tmp_path / "run.chaos").exists()


def test_a_recorder_whose_words_nobody_can_read_records_on(tmp_path: Path) -> None:
    """Where they go to a disk that is full, of all places."""
    folder = tmp_path / "run.chaos"
    command = [sys.executable, "-m", "chaosnb", "record", "-o", str(folder), "--topics", " network, blocks"]
    with (
        chaosnb.Devnet(seed=7, rate=400) as node,
        Path("/dev/full").open("w") as full,
        subprocess.Popen([*command, node.url], stderr=full) as process,
    ):
        deadline = time.monotonic() + 60
        while not folder.exists() or not any(folder.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with chaosnb.follow(folder, quiet=True) as s:
            s.wait(events=20, timeout=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert chaosnb.replay(folder, quiet=True).incidents["state"].iloc[-1] == "closed"


def test_a_recorder_says_in_the_end_what_it_could_not_record(tmp_path: Path) -> None:
    """The disk was full; with room again, nothing else in a log would tell."""
    folder = tmp_path / "run.chaos"
    command = [sys.executable, "-m", "chaosnb", "record", "-o", str(folder), "--topics", "network"]
    with (
        chaosnb.Devnet(seed=7, rate=400) as node,
        subprocess.Popen([*command, node.url], stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while not (folder / "00000001.journal").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8_000, 8_000))
        while (folder / "00000001.journal").stat().st_size < 7_000:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read().splitlines()
    assert re.fullmatch(
        r"recorded [1-9]\d* messages in .*run.chaos; [1-9]\d* could not be recorded", said[-1]
    )


TOLD_TO_END = """
import os, signal, sys
from chaosnb.cli import main

def hook(event, arguments):
    if event == "os.rename" and numbers:
        os.kill(os.getpid(), numbers.pop())

run, folder = sys.argv[1:]
numbers = []
sys.addaudithook(hook)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for command in (["cut", run, "-o", f"{folder}/part"], ["export", run, "--quiet", "-o", f"{folder}/x"]):
        numbers.append(number)
        try:
            main(command)
        except SystemExit as ended:
            print(ended.code, os.listdir(folder))
"""


def test_a_command_that_is_told_to_end_leaves_nothing_and_says_so_in_a_line(tmp_path: Path) -> None:
    """By Ctrl-C or SIGTERM, in the moment before what it made gets its name."""
    (tmp_path / "made").mkdir()
    with chaosnb.stream("network", url="devnet", record=tmp_path / "run.chaos") as s:
        s.wait(events=3, timeout=30)
    command = [sys.executable, "-c", TOLD_TO_END, str(tmp_path / "run.chaos"), str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["130 []", "130 []", "143 []", "143 []"]
    assert done.stderr == "chaosnb: interrupted\n" * 2


def test_who_reads_no_further_gets_no_traceback(tmp_path: Path) -> None:
    """As `head` does; a disk that is full is said in a line."""
    with chaosnb.stream("network", url="devnet", record=tmp_path / "run.chaos") as s:
        s.wait(events=3, timeout=30)
    command = [sys.executable, "-m", "chaosnb", "info", str(tmp_path / "run.chaos")]
    read, write = os.pipe()
    os.close(read)
    for target, code, words in ((write, 141, ""), (os.open("/dev/full", os.O_WRONLY), 2, "No space left")):
        done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, text=True, check=False)
        os.close(target)
        assert done.returncode == code
        assert words in done.stderr
        assert done.stderr.count("\n") == bool(words)


def test_an_export_into_a_place_that_is_none_reads_nothing_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be said before a long recording is read, is; here it is not even there."""
    (tmp_path / "croissant.json").write_text("mine")
    for folder, words in (
        (tmp_path, "there is a croissant.json in it"),
        (tmp_path / "x.csv", "looks like a file"),
    ):
        with pytest.raises(SystemExit):
            main(["export", str(tmp_path / "none.chaos"), "-o", str(folder)])
        assert words in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("devnet --port 99999", "(--port 0 finds a free one)"),
        ("devnet --port 0 --host example.org", "--host 'example.org' is not loopback"),
        ("export {run} -o x.csv", "the format by --format. For"),
        ("export {run} -o x --license mine/yours", "--license 'mine/yours' is neither"),
        ("export {run} -o x --start noon", "--start 'noon' is not a time"),
        (
            "cut {run} -o x --start 2026-01-02 --end 2026-01-01",
            "--start '2026-01-02' is not before --end",
        ),
    ],
)
def test_an_error_names_the_options_of_its_command(
    command: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And not the arguments that they are in Python."""
    monkeypatch.chdir(tmp_path)
    with chaosnb.stream("network", url="devnet", record="run.chaos") as s:
        s.wait(events=3, timeout=30)
    with pytest.raises(SystemExit) as caught:
        main(command.format(run="run.chaos").split())
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"run.chaos"}


@pytest.mark.parametrize(
    ("written", "topics"),
    [
        (["--topics", "network", "blocks", "devnet"], ("network", "blocks")),
        (["devnet", "--topics", "network, blocks"], ("network", "blocks")),
        (["devnet", "--topics", "network,", "blocks"], ("network", "blocks")),
        (["--topics", "network", "--quiet", "devnet"], ("network",)),
        (["devnet"], ("blocks", "consensus", "network", "social", "memes")),
    ],
)
def test_topics_have_blanks_or_commas_between(
    written: list[str], topics: tuple[str, ...], tmp_path: Path
) -> None:
    """And the node before or behind them."""
    folder = tmp_path / "run.chaos"
    command = [sys.executable, "-m", "chaosnb", "record", "-o", str(folder), *written]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (folder / "00000001.journal").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert chaosnb.replay(folder, quiet=True).topics == topics


def test_wrong_faults_are_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are."""
    with pytest.raises(SystemExit) as caught:
        main(["devnet", "--port", "0", "--faults", "drop=0.1", "dorp=0.1"])
    assert caught.value.code == 2
    assert "'dorp=0.1' is not one of seed=, drop=" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints it."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"chaosnb {chaosnb.__version__}\n"


def test_the_package_is_marked_as_typed() -> None:
    """Type checkers of users see the annotations."""
    assert (Path(chaosnb.__file__).parent / "py.typed").exists()
