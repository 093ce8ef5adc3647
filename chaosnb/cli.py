"""The command line: ``python -m chaosnb devnet``."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence

from chaosnb import __version__
from chaosnb.errors import ChaosnbError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="chaosnb", description="The notebook toolkit for ChaosChain.")
    parser.add_argument("--version", action="version", version=f"chaosnb {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    devnet = commands.add_parser("devnet", help="run a simulated node until interrupted")
    devnet.add_argument("--host", default="127.0.0.1", help="loopback address (default: %(default)s)")
    devnet.add_argument("--port", type=int, default=3000, help="0 takes a free one (default: %(default)s)")
    devnet.add_argument(
        "--seed", type=int, default=7, help="the same seed gives the same events (default: %(default)s)"
    )
    devnet.add_argument("--rate", type=float, default=20.0, help="events a second (default: %(default)s)")
    devnet.add_argument("--agents", type=int, default=24, help="validators, 4 to 100 (default: %(default)s)")
    devnet.add_argument(
        "--faults",
        default="",
        help="what goes wrong, such as drop=0.01,cut=0.1,cuts=reset+1012 (default: nothing)",
    )
    options = parser.parse_args(arguments)
    try:
        _run_devnet(options)
    except (ValueError, ChaosnbError) as error:
        parser.exit(2, f"chaosnb: {error}\n")


def _run_devnet(options: argparse.Namespace) -> None:
    from chaosnb.devnet import Devnet

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Devnet(
        seed=options.seed,
        rate=options.rate,
        agents=options.agents,
        host=options.host,
        port=options.port,
        faults=options.faults or None,
        record=False,
    ) as node:
        print(f"simulated ChaosChain node at {node.url} (seed {options.seed}); Ctrl-C ends it", flush=True)
        while not stopped.wait(0.2):
            pass
