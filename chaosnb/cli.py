"""The command line: ``python -m chaosnb COMMAND``, of which `main` has the list."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

from chaosnb import __version__
from chaosnb.errors import ChaosnbError, RecordingDamagedError, RecordingError
from chaosnb.notebook.progress import bar_in_terminal
from chaosnb.protocol.events import TOPICS
from chaosnb.store.formats import FORMATS, require
from chaosnb.store.moments import microseconds
from chaosnb.store.segments import expanded_bytes, said, segments
from chaosnb.tables.retention import Retention, parse_retention

__all__ = ["main"]

# As a shell has it of a process that a signal ends: SIGINT, SIGPIPE, SIGTERM.
_INTERRUPTED: Final = 130
_UNREAD: Final = 141
_TERMINATED: Final = 143
_NO_PROGRESS: Final = "show no progress"
_QUIET: Final = f"{_NO_PROGRESS}, and say nothing unless something is wrong"


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
        nargs="+",
        default=[],
        help="what goes wrong, such as drop=0.01,cut=0.1,cuts=reset+1012 (default: nothing)",
    )
    devnet.set_defaults(run=_run_devnet)
    _add_record(commands.add_parser("record", help="record what a node sends, until interrupted"))
    serve = commands.add_parser("serve", help="be a node that sends what was recorded, until interrupted")
    serve.add_argument("recording", type=Path)
    serve.add_argument("--port", type=int, default=3000, help="0 takes a free one (default: %(default)s)")
    serve.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        help='how many times as fast as it came, or "max" (default: %(default)s)',
    )
    serve.set_defaults(run=_run_serve)
    for name, run, help in (
        ("info", _run_info, "say what is in a recording"),
        ("verify", _run_verify, "read all of a recording; the exit code is 1 if it is damaged"),
        ("repair", _run_repair, "copy what is whole of a recording that is damaged"),
    ):
        command = commands.add_parser(name, help=help)
        command.add_argument("recording", type=Path)
        command.add_argument("--quiet", action="store_true", help=_QUIET if name != "info" else _NO_PROGRESS)
        command.set_defaults(run=run)
    command.add_argument(
        "-o", "--output", type=Path, help="the copy (default: run.mended.chaos of run.chaos)"
    )
    _add_splicing(commands)
    _add_export(commands.add_parser("export", help="write the tables of a recording into a folder"))
    options = parser.parse_args(arguments)
    try:
        with _told_to_end():
            options.run(options)
            sys.stdout.flush()
    except (ValueError, ChaosnbError) as error:
        parser.exit(2, f"chaosnb: {_with_options(str(error), options)}\n")
    except KeyboardInterrupt:
        parser.exit(_INTERRUPTED, "chaosnb: interrupted\n")
    except BrokenPipeError:
        # Whoever read along, as `head` does, has had enough; nor must Python complain when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        parser.exit(_UNREAD)
    except OSError as error:
        parser.exit(2, f"chaosnb: {said(error)}\n")


def _with_options(text: str, options: argparse.Namespace) -> str:
    """Return an error's text with each argument of Python, as in port=0, as this command's option.

    Examples
    --------
    >>> options = argparse.Namespace(allow_insecure=False, port=3000)
    >>> _with_options("say allow_insecure=True (port=0 finds a free one)", options)
    'say --allow-insecure (--port 0 finds a free one)'
    """

    def option(match: re.Match[str]) -> str:
        name = "--" + match[1].replace("_", "-")
        return name if match[2] == "True" else f"{name} {match[2]}".rstrip()

    return re.sub(rf"(?<![^\s(])({'|'.join(vars(options))})=(?!,)(True\b|[\w'\"]*)", option, text)


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Have SIGTERM end a command as an error would, so that it leaves nothing unfinished."""

    def end(*_: object) -> None:
        raise SystemExit(_TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield  # where Python lets nobody set it
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _on_end(stop: Callable[[], object]) -> None:
    """Have Ctrl-C, SIGTERM, and the end of a terminal that is not to be outlived, call a function."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and not (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, lambda *_: stop())


def _say(line: str, *, end: str = "\n", file: TextIO | None = None) -> None:
    """Print a line of what goes on for long; where nobody can read it, that is no reason to end it."""
    with suppress(OSError):
        print(line, end=end, file=file, flush=True)


def _add_record(record: argparse.ArgumentParser) -> None:
    record.add_argument(
        "url", nargs="?", help='the node, or "devnet" (default: $CHAOSNB_URL, else this machine\'s port 3000)'
    )
    record.add_argument("-o", "--output", required=True, help="the recording, such as run.chaos")
    record.add_argument(
        "--topics", nargs="+", default=[], help=f"with blanks or commas between (default: {' '.join(TOPICS)})"
    )
    record.add_argument(
        "--max-size",
        type=_size,
        help="remove the oldest segments beyond this size, such as 10GB",
    )
    record.add_argument(
        "--max-age",
        type=_age,
        help="remove segments older than this, such as 12h or 7d",
    )
    record.add_argument("--allow-insecure", action="store_true", help="use plain ws:// to another machine")
    record.add_argument("--quiet", action="store_true", help="say nothing of how it goes")
    record.set_defaults(run=_run_record)


def _add_splicing(commands: Any) -> None:
    cut = commands.add_parser("cut", help="copy a span of a recording into a new one")
    cut.add_argument("recording", type=Path)
    _add_span(cut)
    cut.add_argument("-o", "--output", type=Path, required=True, help="the part, such as part.chaos")
    cut.add_argument("--quiet", action="store_true", help=_QUIET)
    cut.set_defaults(run=_run_cut)
    merge = commands.add_parser(
        "merge", help="copy recordings of one node into a new one, the earliest first"
    )
    merge.add_argument("recordings", type=Path, nargs="+")
    merge.add_argument("-o", "--output", type=Path, required=True, help="the new one, such as all.chaos")
    merge.add_argument("--quiet", action="store_true", help=_QUIET)
    merge.set_defaults(run=_run_merge)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("recording", type=Path)
    export.add_argument("-o", "--output", type=Path, required=True, help="the folder")
    export.add_argument(
        "--format", default="parquet", help=f"one of {', '.join(FORMATS)} (default: %(default)s)"
    )
    _add_span(export)
    export.add_argument("--title", help="what it is called when it is cited")
    export.add_argument("--author", action="append", default=[], help="who made it; may be given repeatedly")
    export.add_argument("--license", help="an SPDX name such as CC-BY-4.0, or an address")
    export.add_argument("--quiet", action="store_true", help=_QUIET)
    export.set_defaults(run=_run_export)


def _add_span(command: argparse.ArgumentParser) -> None:
    command.add_argument("--start", help="from this time of arrival on, such as 2026-11-23T00:36:12Z")
    command.add_argument("--end", help="up to this time of arrival, which is excluded")


def _nanoseconds(name: str, text: str | None) -> int | None:
    return None if text is None else microseconds(name, text) * 1_000


def _speed(text: str) -> float | None:
    from chaosnb.playback import check_speed

    try:
        return None if text == "max" else check_speed(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no speed such as 1 or 10, or "max"') from None


def _size(text: str) -> int:
    size = _limit(text).bytes
    if size is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 500MB or 10GB")
    return size


def _age(text: str) -> float:
    age_s = _limit(text).age_s
    if age_s is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 12h or 7d")
    return age_s


def _limit(text: str) -> Retention:
    try:
        return parse_retention(text)
    except ValueError:
        return Retention()


def _told(
    options: argparse.Namespace, folders: Sequence[Path], *, times: int = 1
) -> AbstractContextManager[Callable[[int], object]]:
    """Give what counts the bytes of recordings that have been read, so many times."""
    total = sum(expanded_bytes(path) for folder in folders for path in segments(folder).values())
    return bar_in_terminal(options.command, times * total, quiet=options.quiet)


def _run_record(options: argparse.Namespace) -> None:
    from chaosnb.recording import record_until

    is_terminal = sys.stderr.isatty()
    topics, url = ",".join(options.topics).replace(",", " ").split(), options.url
    if topics and url is None and (":" in topics[-1] or topics[-1] == "devnet"):
        url = topics.pop()  # since nothing but words parts the one from the other

    def report(line: str) -> None:
        if not options.quiet:
            # In a terminal the line stays where it is; in a log file it is one of many.
            _say(f"\r{line}\x1b[K" if is_terminal else line, end="" if is_terminal else "\n", file=sys.stderr)

    async def record() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        _on_end(lambda: loop.call_soon_threadsafe(stop.set))
        await record_until(
            stop,
            topics or TOPICS,
            options.output,
            url=url,
            allow_insecure=options.allow_insecure,
            max_bytes=options.max_size,
            max_age_s=options.max_age,
            report=report,
            every_s=1.0 if is_terminal else 10.0,
        )

    asyncio.run(record())
    if is_terminal and not options.quiet:
        _say("", file=sys.stderr)


def _run_serve(options: argparse.Namespace) -> None:
    from chaosnb.serving import ServedRecording

    serving = ServedRecording(options.recording, port=options.port, speed=options.speed, report=_say)
    stopped = threading.Event()
    _on_end(stopped.set)
    with serving:
        _say(f"{options.recording} is served at {serving.url}, from the first client on; Ctrl-C ends it")
        while not stopped.wait(0.2):
            if serving.failure is not None:
                raise serving.failure


def _run_cut(options: argparse.Namespace) -> None:
    from chaosnb.store.splicing import cut

    start_ns, end_ns = _nanoseconds("start", options.start), _nanoseconds("end", options.end)
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ValueError(f"start={options.start!r} is not before end={options.end!r}")
    with _told(options, [options.recording], times=2) as advance:
        spliced = cut(options.recording, options.output, start_ns=start_ns, end_ns=end_ns, advance=advance)
    if not options.quiet:
        print(f"{options.output} has {spliced.text()}")


def _run_merge(options: argparse.Namespace) -> None:
    from chaosnb.store.splicing import merge

    with _told(options, options.recordings, times=2) as advance:
        spliced = merge(options.recordings, options.output, advance=advance)
    if not options.quiet:
        print(f"{options.output} has {spliced.text()}")


def _run_export(options: argparse.Namespace) -> None:
    from chaosnb.opening import replay
    from chaosnb.store.export import check_folder

    # Before a long recording is read in vain.
    check_folder(options.output, require(options.format))
    again = replay(options.recording, start=options.start, end=options.end, quiet=options.quiet)
    if (options.start or options.end) and not again.status.events + again.status.rejects:
        raise RecordingError(
            str(options.recording), "nothing arrived in that span; `python -m chaosnb info` says when it did"
        )
    folder = again.export(
        options.output,
        options.format,
        title=options.title,
        authors=options.author,
        license=options.license,
        quiet=options.quiet,
    )
    if not options.quiet:
        print(f"{again.status.events:,} events of {again.source} are in {folder}; cite them as\n")
        again.cite(title=options.title, authors=options.author)


def _run_info(options: argparse.Namespace) -> None:
    from chaosnb.store.inspection import inspect

    with _told(options, [options.recording]) as advance:
        summary = inspect(options.recording, advance=advance)
    print(summary.text())


def _run_verify(options: argparse.Namespace) -> None:
    from chaosnb.store.inspection import inspect

    try:
        with _told(options, [options.recording]) as advance:
            summary = inspect(options.recording, advance=advance)
        if summary.damage is not None:
            raise summary.damage
    except RecordingDamagedError as damage:
        raise SystemExit(f"chaosnb: {damage}") from None
    torn = f"; {summary.torn_bytes:,} bytes at its end are no whole record" if summary.torn_bytes else ""
    if not options.quiet:
        print(
            f"{options.recording} is whole: {summary.frames:,} messages in {summary.records:,} records{torn}"
        )


def _run_repair(options: argparse.Namespace) -> None:
    from chaosnb.store.inspection import mend

    # A dot, or two, is no name.
    named = options.recording if options.recording.name.strip(".") else options.recording.resolve()
    target = options.output or named.with_name(f"{named.name.removesuffix('.chaos')}.mended.chaos")
    with _told(options, [options.recording]) as advance:
        mended = mend(options.recording, target, advance=advance)
    if options.quiet:
        return
    for place in mended.places:
        print(f"damaged at {place}")
    print(f"{target} has {mended.kept:,} records; {mended.lost:,} {'is' if mended.lost == 1 else 'are'} lost")


def _run_devnet(options: argparse.Namespace) -> None:
    from chaosnb.devnet import Devnet

    stopped = threading.Event()
    _on_end(stopped.set)
    with Devnet(
        seed=options.seed,
        rate=options.rate,
        agents=options.agents,
        host=options.host,
        port=options.port,
        faults=",".join(options.faults) or None,
        record=False,
    ) as node:
        _say(f"simulated ChaosChain node at {node.url} (seed {options.seed}); Ctrl-C ends it")
        while not stopped.wait(0.2):
            pass
