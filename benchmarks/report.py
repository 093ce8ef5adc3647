"""Tables of figures: printed, and kept in the folder's README, where each benchmark owns one section."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import chaosnb

README = Path(__file__).with_name("README.md")
_PACKAGES = (
    "numpy",
    "pandas",
    "pyarrow",
    "msgspec",
    "websockets",
    "picows",
    "streamz",
    "perspective-python",
)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run of seconds, whose figures mean nothing"
    )
    parser.add_argument("--write", action="store_true", help="write the table into benchmarks/README.md too")
    return parser


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    widths = [max(len(row[place]) for row in [columns, *rows]) for place in range(len(columns))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return "\n".join([line(columns), line(rule), *map(line, rows)])


def publish(name: str, text: str, options: argparse.Namespace) -> None:
    """Print a benchmark's result, and write it into the README if that was asked for."""
    print(text, flush=True)
    if options.write and options.quick:
        raise SystemExit("a quick run is not written to the README: its figures mean nothing")
    if options.write:
        content = README.read_text()
        for section, body in (("machine", _machine()), (name, text)):
            begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
            pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
            if not pattern.search(content):
                raise SystemExit(f"{README} has no section {begin}")
            content = pattern.sub(lambda _, new=f"{begin}\n{body}\n{end}": new, content)
        README.write_text(content)


def verdict(value: float, target: float, *, at_most: bool = False) -> str:
    """Return a target with whether it is met."""
    met = value <= target if at_most else value >= target
    return f"{'≤' if at_most else '≥'} {target:g}: {'met' if met else 'missed'}"


def additions_ms() -> float:
    """Return the CPU milliseconds of a million additions in plain Python: how fast the machine is now."""
    start = time.thread_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return (time.thread_time() - start) * 1e3


def pace(taken_ms: Sequence[float]) -> str:
    """Say how fast the machine was, as `additions_ms` found it several times."""
    middle, least, most = statistics.median(taken_ms), min(taken_ms), max(taken_ms)
    return f"A million additions in plain Python took {middle:.0f} ms meanwhile ({least:.0f} to {most:.0f})."


def _machine() -> str:
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    versions.insert(0, f"chaosnb {chaosnb.__version__}")
    cores = os.cpu_count()
    return (
        f"Measured on {cores} cores of {_cpu_model()}, {platform.system()}, Python "
        f"{platform.python_version()}; {', '.join(versions)}."
    )


def _cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
