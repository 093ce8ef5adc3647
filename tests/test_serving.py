"""A recording that is served as a node: any client of the protocol gets from it what was recorded."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nacl.signing
import pandas as pd
import pytest
from websockets.sync.client import connect

import chaosnb
from chaosnb.cli import main
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.schema import TABLES
from chaosnb.serving import ServedRecording
from chaosnb.store.segments import open_segment, segment_path, segments
from tests.faulty_network import FaultyNetwork, run_virtually
from tests.recorded_run import TOPICS, listen

# When and as which message it came is of each run its own.
ARRIVAL = ["received_at", "seq"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, chaosnb.ReplayStream]]:
    """A recording of a node that repeats and garbles, and its replay."""
    folder = tmp_path_factory.mktemp("served") / "run.chaos"
    faults = "seed=5,garbage=0.05,duplicate=0.05,reorder=0.1"
    with (
        chaosnb.Devnet(seed=7, rate=400, faults=faults) as node,
        chaosnb.stream(TOPICS, url=node.url, record=folder) as s,
    ):
        s.wait(events=400, timeout=30)
        node.garbage(b'{"type": "\xff"}', binary=True)
        s.wait(until=lambda s: s.rejects["reason"].str.startswith("not UTF-8").any(), timeout=30)
    with chaosnb.replay(folder) as r:
        yield folder, r


def ask(url: str, *topics: str) -> Iterator[str | bytes]:
    """Sign in as a client in any language would, and give what comes."""
    key = nacl.signing.SigningKey.generate()
    public, stamp = key.verify_key.encode().hex(), format_timestamp(time.time_ns() // 1_000)
    signature = key.sign(f"auth:{public}:{stamp}".encode()).signature.hex()
    with connect(url, close_timeout=0.5) as link:
        auth = {"type": "auth", "public_key": public, "timestamp": stamp, "signature": signature}
        link.send(json.dumps(auth))
        yield link.recv(timeout=10)
        link.send(json.dumps({"type": "subscribe", "topics": topics}))
        while True:
            yield link.recv(timeout=10)


def test_a_stream_from_a_served_recording_has_the_same_tables(
    recorded: tuple[Path, chaosnb.ReplayStream],
) -> None:
    """Events, rejects, drift and duplicates, in their order."""
    folder, r = recorded
    expected = r.status
    with ServedRecording(folder, speed=None) as served, chaosnb.stream(TOPICS, url=served.url) as s:
        s.wait(until=lambda s: s.status.events >= expected.events, timeout=30)
        assert served.ended.wait(10)
        s.wait(until=lambda s: s.status.rejects >= expected.rejects, timeout=30)
        for name in TABLES:
            pd.testing.assert_frame_equal(s[name].drop(columns=ARRIVAL), r[name].drop(columns=ARRIVAL))
        for name in ("reason", "raw"):
            assert s.rejects[name].tolist() == r.rejects[name].tolist()
        pd.testing.assert_frame_equal(s.drift, r.drift)
        assert s.status.duplicates == expected.duplicates > 0
        assert s.simulated
    assert expected.rejects > 5
    assert len(r.block_validation) > 50


def test_any_client_gets_the_events_of_its_topics_byte_for_byte(
    recorded: tuple[Path, chaosnb.ReplayStream],
) -> None:
    """After the node's own answers, which say that this is a recording."""
    folder, r = recorded
    said: list[str] = []
    with ServedRecording(folder, speed=None, report=said.append) as served:
        answers = ask(served.url, "network")
        auth = json.loads(next(answers))
        assert (auth["type"], auth["simulated"], auth["recording"]) == ("auth_success", True, "run.chaos")
        assert json.loads(next(answers)) == {"type": "subscribed", "topics": ["network"]}
        wanted = len(r.agent_status) + len(r.network_metrics)
        types = []
        while sum(kind is not None for kind in types) < wanted:
            message = next(answers)
            found = re.match(
                rb'\{"type":"(agent_status|network_metrics)"',
                bytes(message, "utf-8") if isinstance(message, str) else message,
            )
            types.append(found[1] if found else None)
        assert served.ended.wait(10)
        assert said[0] == "a client has subscribed, and run.chaos begins"
        assert re.fullmatch(r"run\.chaos is at its end; [\d,]+ messages were sent", said[1])


def test_it_comes_at_its_pace_and_who_comes_later_gets_the_rest(
    recorded: tuple[Path, chaosnb.ReplayStream],
) -> None:
    """As from any node."""
    folder, r = recorded
    span_s = (
        r.block_validation["received_at"].max() - r.block_validation["received_at"].min()
    ).total_seconds()
    with ServedRecording(folder, speed=2) as served:
        begun_s = time.monotonic()
        with chaosnb.stream(TOPICS, url=served.url) as first:
            first.wait(until=lambda s: s.status.events >= 100, timeout=30)
            with chaosnb.stream(TOPICS, url=served.url) as second:
                assert served.ended.wait(30)
                took_s = time.monotonic() - begun_s
                first.wait(until=lambda s: s.status.events >= r.status.events, timeout=10)
                second.wait(until=lambda s: len(s.network_metrics) > 0, timeout=10)
                assert second.status.events < r.status.events
    assert span_s / 2 < took_s < span_s / 2 + 5


def test_what_cannot_be_served_says_why(recorded: tuple[Path, chaosnb.ReplayStream], tmp_path: Path) -> None:
    """No recording, one that is damaged on its way, and an address that others can reach."""
    with pytest.raises(chaosnb.RecordingError, match="no such recording"):
        ServedRecording(tmp_path / "none")
    with pytest.raises(ValueError, match="not loopback"):
        ServedRecording(recorded[0], host="0.0.0.0")
    folder = tmp_path / "run.chaos"
    run_virtually(listen(folder, FaultyNetwork(rate=40, duration_s=20), segment_bytes=20_000))
    path = segments(folder)[2]
    data = bytearray(open_segment(path, 0).read(2**20))
    data[-50] ^= 1
    segment_path(folder, 2).write_bytes(data)
    path.unlink()
    with ServedRecording(folder, speed=None) as served, chaosnb.stream(TOPICS, url=served.url) as s:
        assert served.ended.wait(10)
        s.wait(until=lambda s: s.status.events > 10, timeout=10)
        assert isinstance(served.failure, chaosnb.RecordingDamagedError)


def test_the_serve_command_serves_until_it_is_told_to_stop(
    recorded: tuple[Path, chaosnb.ReplayStream], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where, and does not begin with what is damaged."""
    folder, _ = recorded
    command = [sys.executable, "-m", "chaosnb", "serve", "--port", "0", "--speed", "max"]
    with subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = re.search(r"ws://[^\s,]+", process.stdout.readline())
        assert url
        with chaosnb.stream("network", url=url.group()) as s:
            s.wait(until=lambda s: s.status.events > 5, timeout=30)
        assert "begins" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    copy = tmp_path / "run.chaos"
    copy.mkdir()
    for path in segments(folder).values():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        (copy / path.name).write_bytes(data)
    with pytest.raises(SystemExit):
        main(["serve", str(copy)])
    assert "damaged at byte" in capsys.readouterr().err


def test_a_port_that_cannot_be_is_said_of_the_node_whatever_it_serves(
    recorded: tuple[Path, chaosnb.ReplayStream], capsys: pytest.CaptureFixture[str]
) -> None:
    """What serves a recording is no simulation."""
    with pytest.raises(SystemExit):
        main(["serve", str(recorded[0]), "--port", "70000"])
    said = capsys.readouterr().err
    assert said.startswith("chaosnb: the node cannot listen on 127.0.0.1:70000: ")
    assert "simulated" not in said


@pytest.mark.parametrize("wrong", ["fast", "0", "nan"])
def test_the_serve_command_refuses_a_speed_that_is_none(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what would be one."""
    with pytest.raises(SystemExit):
        main(["serve", "run.chaos", "--speed", wrong])
    assert "is no speed such as 1 or 10" in capsys.readouterr().err
