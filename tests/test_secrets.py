"""The private key is nowhere: in no display, log, traceback, pickle, export or saved notebook."""

from __future__ import annotations

import asyncio
import base64
import copy
import logging
import os
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

import chaosnb
from chaosnb.endpoint import Endpoint
from chaosnb.ingest.connection import Connection
from chaosnb.ingest.session import Session
from chaosnb.ingest.transport import connect_websocket
from chaosnb.protocol.events import Frame
from chaosnb.protocol.signing import KEY_VARIABLE
from tests.kernel_runs import in_a_kernel, run_all
from tests.websocket_server import raw_node

LOGGERS = (
    *("", "asyncio", "websockets", "websockets.client", "picows"),
    *("chaosnb", "chaosnb.frames", "chaosnb.websocket", "chaosnb.picows"),
)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """A new private key, which stands in the environment."""
    key = os.urandom(32).hex()
    monkeypatch.setenv(KEY_VARIABLE, key)
    return key


def forms(key: str) -> Iterator[str]:
    """How the key could be written."""
    seed = bytes.fromhex(key)
    yield from (key, key.upper(), key[:-1], str(seed)[2:-1], str(list(seed))[1:-1], str(int(key, 16)))
    yield from (base64.b64encode(seed)[:-2].decode(), base64.urlsafe_b64encode(seed)[:-2].decode())


def leaks(key: str, *shown: object) -> list[str]:
    """What of this shows the key."""
    texts = [one if isinstance(one, str) else f"{one!r} {one!s} {one!a}" for one in shown]
    return [text for text in texts if any(form in text for form in forms(key))]


def with_locals(error: BaseException) -> str:
    """The traceback with the values of all locals, but those of the test's own frame."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    causes = [report]
    while causes:
        one = causes.pop()
        kept = [frame for frame in one.stack if frame.filename != __file__]
        one.stack = traceback.StackSummary.from_list(kept)
        causes += [inner for inner in (one.__cause__, one.__context__) if inner is not None]
    return "".join(report.format())


def everything(thing: object) -> Iterator[object]:
    """The thing and its public attributes, as they are shown in a terminal and in a notebook."""
    yield thing
    for name in dir(thing):
        if not name.startswith("_"):
            value = getattr(thing, name)
            yield value
            if hasattr(value, "_repr_html_"):
                yield value._repr_html_()


@pytest.mark.parametrize("transport", ["websockets", "picows"])
def test_no_display_log_or_export_of_a_stream_shows_the_key(
    key: str, transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything public of it, with every logger at DEBUG, against a node that it signs in to."""
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, logger=name or None)
    with (
        chaosnb.Devnet(rate=400) as node,
        chaosnb.stream(["network", "social"], url=node.url, transport=transport) as s,  # type: ignore[arg-type]
    ):
        s.wait(events=20, timeout=30)
        assert s.debug()["public_key"] == chaosnb.Identity(key).public_key_hex
        shown = [*everything(s), *everything(s.status), *s._repr_mimebundle_().values(), s.debug()]
        shown += [s.dashboard(), *s.frames().values()]
        for format in ("csv", "jsonl", "parquet", "feather", "xlsx", "duckdb"):
            s.export(tmp_path / format, format=format)
    shown += [record.getMessage() for record in caplog.records]
    shown += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*.*")]
    assert len(shown) > 100
    assert leaks(key, *shown) == []


def test_what_a_stream_is_made_of_shows_no_key(key: str) -> None:
    """Nor does it leave the process by a pickle or a copy."""
    endpoint = Endpoint("wss://node.example", None)
    session = Session(["network"], endpoint.identity)
    connection = Connection(url=endpoint.url, session=session)
    for part in (endpoint.identity, endpoint, session, connection):
        assert leaks(key, *everything(part), getattr(part, "__dict__", "")) == []
        with pytest.raises(TypeError, match=r"pickle"):
            pickle.dumps(part)
        with pytest.raises(TypeError, match=r"pickle"):
            copy.deepcopy(part)
    assert leaks(key, *session.greet(1_780_000_000_000_000_000)) == []
    assert key in leaks(key, key)


def test_a_node_that_sends_back_what_it_was_sent_learns_nothing(key: str) -> None:
    """What the stream sends is a reject then, with the public key and a signature, and no more."""
    session = Session(["network"], Endpoint("wss://node.example", None).identity)
    sent = session.greet(1_780_000_000_000_000_000)
    rejects = session.feed([Frame(message.encode(), 0) for message in sent]).rejects
    assert len(rejects) == 2
    assert chaosnb.Identity(key).public_key_hex in str(rejects)
    assert leaks(key, *rejects) == []


@pytest.mark.parametrize("cut", [1, 2])
def test_a_key_that_is_nearly_right_is_not_shown_either(
    key: str, cut: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of 64 digits 63 were pasted: the error's traceback with all locals does not hold them."""
    part = key[:-cut]
    monkeypatch.setenv(KEY_VARIABLE, part)
    file = tmp_path / "identity.key"
    file.write_text(part)
    file.chmod(0o600)

    def from_environment() -> object:
        return chaosnb.stream("network", url="ws://127.0.0.1:1")

    def from_file() -> object:
        return chaosnb.Identity.from_file(file)

    for make in (from_environment, from_file):
        with pytest.raises(chaosnb.ChaosnbError, match="64 hexadecimal digits") as caught:
            make()
        text = with_locals(caught.value)
        assert "signing.py" in text
        assert part not in text


def test_a_key_in_bytes_is_not_shown_either(key: str) -> None:
    """It is taken as text alone."""
    with pytest.raises(chaosnb.IdentityError, match="64 hexadecimal digits") as caught:
        chaosnb.Identity(bytes.fromhex(key))  # type: ignore[arg-type]
    assert leaks(key, with_locals(caught.value)) == []


def test_a_key_that_others_can_read_is_not_shown_as_well(key: str, tmp_path: Path) -> None:
    """The file is refused before it is read."""
    file = tmp_path / "identity.key"
    file.write_text(key)
    file.chmod(0o644)
    with pytest.raises(chaosnb.IdentityError, match="chmod 600") as caught:
        chaosnb.Identity.from_file(file)
    assert leaks(key, with_locals(caught.value)) == []


def test_no_traceback_of_a_stream_shows_the_key(key: str) -> None:
    """With the values of all locals: of a wait in vain, a wrong name, a closed stream, a dead thread."""
    failures: list[BaseException] = []

    async def broken(url: str) -> object:
        await asyncio.sleep(0)
        raise RuntimeError("out of order")

    def wrong(s: chaosnb.Stream) -> bool:
        raise ZeroDivisionError

    with chaosnb.Devnet(rate=400) as node, chaosnb.stream("network", url=node.url) as s:
        for call in (
            lambda: s.wait(until=lambda s: False, timeout=0.01),
            lambda: s.wait(until=wrong, timeout=5),
            lambda: s["bloks"],
            lambda: s.subscribe("bloks"),
            lambda: s.export("x.csv", format="xls"),
        ):
            with pytest.raises(Exception) as caught:
                call()
            failures.append(caught.value)
    with pytest.raises(chaosnb.StreamClosedError) as closed:
        s.wait(events=1)
    with (
        chaosnb.stream("network", url="wss://node.example", transport=broken) as dead,  # type: ignore[arg-type]
        pytest.raises(chaosnb.ChaosnbError) as died,
    ):
        dead.wait(events=1, timeout=5)
    texts = [with_locals(error) for error in (*failures, closed.value, died.value)]
    assert "out of order" in texts[-1]
    assert leaks(key, *texts) == []


@pytest.mark.parametrize("transport", ["websockets", "picows"])
@pytest.mark.parametrize(
    "location", ["/ws/v1?token=hunter2#x", "//hunter2@{host}/ws/v1", "//me:hunter2@{host}/ws/v1#x"]
)
def test_an_address_that_a_node_redirects_to_is_told_without_its_secrets(
    transport: str, location: str
) -> None:
    """The libraries' errors hold the whole of it, and stand in incidents and in what is printed."""
    asked: list[bytes] = []

    async def redirect(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = head.split(b"Host: ")[1].split(b"\r\n")[0].decode()
        asked.append(head)
        target = location.format(host=host)
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    async def test() -> None:
        async with raw_node(redirect) as url:
            with pytest.raises(chaosnb.ChaosnbError) as caught:
                await connect_websocket(url, name=transport)  # type: ignore[arg-type]
            assert "hunter2" not in f"{caught.value} {caught.value!r}"
            assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    asyncio.run(asyncio.wait_for(test(), 10))
    assert asked


@pytest.mark.parametrize(
    "proxy",
    ["ftp://me:hunter2@proxy", "http://hunter2@proxy", "http://me:hunter2@proxy/?q", "hunter2:x@proxy:80"],
)
def test_a_proxy_that_is_not_valid_is_told_without_its_secrets(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address comes from the environment, often with a password."""
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("wss_proxy", proxy)
    with pytest.raises(chaosnb.ChaosnbError, match="proxy") as caught:
        asyncio.run(asyncio.wait_for(connect_websocket("wss://node.example/ws/v1"), 10))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_stream_to_an_address_with_credentials_shows_none_of_them(
    key: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where nothing answers, and in whatever it says and writes about that."""
    url = "ws://me:hunter2@127.0.0.1:9/ws/v1?token=s3cret"
    with chaosnb.stream("network", url=url) as s:
        s.wait(until=lambda s: len(s.incidents) > 1, timeout=10)
        shown = [str(one) for one in (*everything(s), *everything(s.status), s.incidents.to_csv())]
        s.export(tmp_path / "all", format="jsonl")
    shown += [*capfd.readouterr(), *(path.read_text() for path in tmp_path.rglob("*.*"))]
    assert any("refused" in text for text in shown)
    assert [text for text in shown if "hunter2" in text or "s3cret" in text] == []


CELLS = [
    "%xmode Verbose\nimport chaosnb, os",
    's = chaosnb.stream(["network", "social"], url="devnet")\ns.wait(events=5, timeout=30)\ns',
    "s.wait(until=lambda s: 1 / 0, timeout=5)",
    's["bloks"]',
    "s.close()\ns.wait(events=1)",
    'chaosnb.stream("network", url="http://x")',
    "async def broken(url):\n    raise RuntimeError('out of order')\n"
    'chaosnb.stream("network", url="wss://x", transport=broken).wait(events=1, timeout=5)',
    # One digit of the key is lost on the way; what is left must not be shown.
    f'os.environ["{KEY_VARIABLE}"] = os.environ["{KEY_VARIABLE}"][:-1]',
    'chaosnb.stream("network", url="ws://127.0.0.1:1")',
]


@in_a_kernel
def test_no_crashed_cell_of_a_notebook_shows_the_key(key: str, tmp_path: Path) -> None:
    """In a real kernel with IPython's verbose tracebacks, which show the value of every name."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    outputs = run_all(notebook, tmp_path, allow_errors=True)
    errors = [output.ename for output in outputs if output.output_type == "error"]
    assert errors == [
        *("ZeroDivisionError", "KeyError", "StreamClosedError", "ValueError", "ChaosnbError", "IdentityError")
    ]
    saved = nbformat.writes(notebook)
    assert "(simulated)" in saved
    assert leaks(key, saved) == []
