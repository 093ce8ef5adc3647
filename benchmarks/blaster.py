"""A WebSocket server that is never the bottleneck: after a real handshake it writes ready-made frames.

Run as a program it serves one connection after the other on a loopback port, which it prints. It answers
anything with one ``connected`` message, and sends all frames when a line comes on its standard input; it
ends when that is closed. `Blaster` runs it in a process of its own.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import sys
import threading
from pathlib import Path

from websockets.http11 import Request
from websockets.server import ServerProtocol

_HELLO = b'{"type":"connected","data":{"connection_id":"benchmark"}}'


class Blaster:
    """The server in its own process.

    Parameters
    ----------
    messages : Path
        The messages to send, a line each.
    """

    def __init__(self, messages: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(messages)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def fire(self) -> None:
        """Send everything to the client that is connected."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def __enter__(self) -> Blaster:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()


def framed(message: bytes) -> bytes:
    """Return a message as one unmasked text frame."""
    size = len(message)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + message
    if size < 2**16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + message
    return b"\x81\x7f" + size.to_bytes(8, "big") + message


def _serve(listener: socket.socket, content: bytes, orders: queue.SimpleQueue[str]) -> None:
    while True:
        link, _ = listener.accept()
        with link, contextlib.suppress(OSError):
            _serve_one(link, content, orders)


def _serve_one(link: socket.socket, content: bytes, orders: queue.SimpleQueue[str]) -> None:
    protocol = ServerProtocol()
    while True:
        data = link.recv(65_536)
        if not data:
            return
        protocol.receive_data(data)
        requests = [event for event in protocol.events_received() if isinstance(event, Request)]
        if requests:
            protocol.send_response(protocol.accept(requests[0]))
            link.sendall(b"".join(protocol.data_to_send()) + framed(_HELLO))
            break
    writing = threading.Lock()
    reader = threading.Thread(target=_answer, args=(link, protocol, writing), daemon=True)
    reader.start()
    orders.get()
    with writing:
        link.sendall(content)
    reader.join()


def _answer(link: socket.socket, protocol: ServerProtocol, writing: threading.Lock) -> None:
    """Answer pings and the close, and pass over what the client says."""
    with contextlib.suppress(OSError):
        while data := link.recv(65_536):
            protocol.receive_data(data)
            protocol.events_received()
            with writing:
                link.sendall(b"".join(protocol.data_to_send()))
            if protocol.close_expected():
                link.shutdown(socket.SHUT_RDWR)


def _main() -> None:
    content = b"".join(map(framed, Path(sys.argv[1]).read_bytes().splitlines()))
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, content, orders), daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:
            orders.put(line)


if __name__ == "__main__":
    _main()
