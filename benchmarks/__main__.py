"""Run every benchmark and write its table into this folder's README: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Run the benchmarks one after the other, each in a process of its own."""
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"== {script.name}", flush=True)
        subprocess.run([sys.executable, str(script), "--write", *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
