"""The benchmarks start and end: a smoke run of the one that needs neither peers nor sockets."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "bench_snapshots.py"


def test_a_quick_run_prints_its_table() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "chaosnb: append + snapshot" in done.stdout
