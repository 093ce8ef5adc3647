"""Bytes an event takes, over the whole mix, in chaosnb's tables, as a list of dicts, and in Perspective.

Each is measured in a fresh process, as the growth of its resident memory once everything is in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from report import arguments, markdown, publish, verdict
from workload import flat_row, in_fresh_process, messages_file, resident_bytes

from chaosnb.ingest.session import Session
from chaosnb.protocol.events import TOPICS, Frame
from chaosnb.protocol.schema import TABLES
from chaosnb.protocol.signing import Identity
from chaosnb.tables.capture import Capture

_BATCH = 500


def in_tables(count: int) -> tuple[object, int]:
    """Return a capture of the events, and the bytes that it counts itself."""
    session, capture = Session(TOPICS, Identity.generate()), Capture()
    now_ns = 1_767_225_600_000_000_000
    with messages_file(count).open("rb") as lines:
        waiting: list[Frame] = []
        for number, line in enumerate(lines):
            waiting.append(Frame(line.rstrip(), now_ns + number * 1_000))
            if len(waiting) == _BATCH:
                capture.accept(session.feed(waiting))
                waiting = []
        if waiting:
            capture.accept(session.feed(waiting))
    return capture, int(capture.memory()["bytes"].sum())


def in_dicts(count: int) -> tuple[object, int]:
    """Return the messages as a list of dicts."""
    with messages_file(count).open("rb") as lines:
        return [json.loads(line) for line in lines], 0


def in_perspective(count: int) -> tuple[object, int]:
    """Return Perspective tables of the events."""
    from perspective import Server

    server = Server()
    client = server.new_local_client()
    types = {"time": "datetime", "integer": "integer", "number": "float"}
    tables = {
        schema.name: client.table(
            {column.name: types.get(column.kind, "string") for column in schema.columns if column.path}
        )
        for schema in TABLES.values()
    }
    with messages_file(count).open("rb") as lines:
        waiting: dict[str, list[dict[str, Any]]] = {}
        for number, line in enumerate(lines, start=1):
            message = json.loads(line)
            row = {
                name: json.dumps(value) if isinstance(value, list) else value
                for name, value in flat_row(message).items()
            }
            waiting.setdefault(message["type"], []).append(row)
            if number % _BATCH == 0 or number == count:
                for name, rows in waiting.items():
                    tables[name].update(rows)
                waiting = {}
    if sum(table.size() for table in tables.values()) != count:
        raise SystemExit("Perspective has not all events")
    return (server, client, tables), 0


_HOLDERS: dict[str, Callable[[int], tuple[object, int]]] = {
    "dicts": in_dicts,
    "tables": in_tables,
    "perspective": in_perspective,
}


def _measure(name: str, count: int) -> None:
    _HOLDERS[name](1_000)  # whatever is loaded or cached once
    before = resident_bytes()
    held, counted = _HOLDERS[name](count)
    after = resident_bytes()
    del held
    print(json.dumps({"resident": after - before, "counted": counted}))


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    count = 5_000 if options.quick else options.events
    for size in (1_000, count):
        messages_file(size)
    found = {}
    for name in _HOLDERS:
        if name == "perspective" and not _has_perspective():
            continue
        found[name] = in_fresh_process("bench_memory.py", "--measure", name, count)
    wire = messages_file(count).stat().st_size
    dicts = found["dicts"]["resident"]
    rows = [["the messages as they came", f"{wire / count:.0f}", f"1/{dicts / wire:.1f}", ""]]
    labels = {
        "dicts": "list of dicts (json.loads)",
        "tables": "chaosnb's tables",
        "perspective": "perspective-python",
    }
    for name, result in found.items():
        share = dicts / max(result["resident"], 1)
        target = verdict(1 / share, 1 / 8, at_most=True) if name == "tables" else ""
        rows.append([labels[name], f"{result['resident'] / count:.0f}", f"1/{share:.1f}", target])
    counted = found["tables"]["counted"]
    rows.append(["chaosnb's tables, as `memory` counts them", f"{counted / count:.0f}", "", ""])
    table = markdown(["kept as", "bytes/event", "share of dicts", "target"], rows)
    publish("bench_memory", f"{count:,} events, each in a fresh process.\n\n{table}", options)


def _has_perspective() -> bool:
    try:
        import perspective  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _measure(sys.argv[2], int(sys.argv[3]))
    else:
        _main()
