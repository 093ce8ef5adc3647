"""Any frame in, the same kind out: what lets a statistic be written once, in Narwhals, for many engines.

A function takes its frames with `take`, works on Narwhals' lazy frames, and gives its result back with
`give`. Between the two it keeps to what every engine can: it counts `flag` columns, never booleans; groups by
columns that stand there already, with plain aggregations of columns; orders windows by name; leaves rounding
and pivots to its caller. What is left for numpy is small by then, and comes through `fetch`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, TypeVar, cast

import narwhals.stable.v2 as nw
import pandas as pd
import pyarrow as pa

from chaosnb.amounts import amount
from chaosnb.analysis.columns import check_columns, kind_needed, list_type, not_lists, not_numbers
from chaosnb.analysis.natives import (
    LISTS,
    NUMBERS,
    from_arrow,
    from_pandas,
    given_lazily,
    times_of,
    with_numpy,
)

__all__ = [
    "Frame",
    "Lazy",
    "bucket",
    "bucket_us",
    "coded",
    "count",
    "fetch",
    "flag",
    "give",
    "joinable",
    "take",
    "to_pandas",
]

Frame = TypeVar("Frame")
"""A frame of any kind that Narwhals knows, such as of pandas, Polars, pyarrow or DuckDB."""

Lazy = nw.LazyFrame[Any]


_ZERO: Final = nw.lit(0, nw.Int64)
_ONE: Final = nw.lit(1, nw.Int64)


def take(
    frame: Any,
    table: str,
    *names: str,
    optional: Collection[str] = (),
    whole: bool = False,
    beside: Any = None,
) -> Lazy:
    """Return the named columns of a frame as a lazy frame, ready to be counted.

    Parameters
    ----------
    frame : pandas, Polars, pyarrow or DuckDB frame, or any other that Narwhals knows
    table : str
        The table that has these columns, as the error names it.
    *names : str
        Columns of that table, or of none. ``timestamp`` comes as `t_us`, in microseconds since 1970
        (UTC), without the rows that have no time; a frame that has a column `t_us` gives that one.
    optional : collection of str
        Further columns, which come where the frame has them.
    whole : bool
        Whether all columns of the frame come, `timestamp` too.
    beside : frame, optional
        Another frame, which it will be joined with. None: it stands alone.

    Returns
    -------
    narwhals.LazyFrame
        Labels are text, but in pandas, where categories stay what they are.

    Raises
    ------
    TypeError
        If it is no such frame, or of another kind than the one beside it.
    MissingColumnsError
        If it lacks a column.
    ValueError
        If `timestamp` is not made of times, a column of lists not of lists, or one of numbers of text.

    Examples
    --------
    >>> time = pd.to_datetime(["1970-01-01 00:00:01", None])
    >>> votes = pd.DataFrame({"timestamp": time, "decision": "reject"})
    >>> take(votes, "block_validation", "timestamp", "decision").collect().to_dict(as_series=False)
    {'decision': ['reject'], 't_us': [1000000]}
    """
    try:
        known = nw.from_native(frame)
    except TypeError:
        raise kind_needed(frame, table) from None
    if beside is not None and known.implementation != nw.from_native(beside).implementation:
        raise TypeError(
            f"frames that go together must be of one kind, not {type(beside).__module__.partition('.')[0]} "
            f"and {type(frame).__module__.partition('.')[0]}: turn one into the other first"
        )
    schema = known.collect_schema()
    ready = "t_us" in schema.names()
    names = (*dict.fromkeys([*names, *(name for name in optional if name in schema.names())]),)
    check_columns(schema.names(), table, *[name for name in names if not (ready and name == "timestamp")])
    timed = "timestamp" in names
    rest = schema.names() if whole else [name for name in names if name != "timestamp"]
    rest += ["t_us"] * (timed and ready and "t_us" not in rest)
    for name in NUMBERS.intersection(names):
        # Of an empty column, or one of which nothing is known, pandas cannot tell what it is made of.
        of_text = isinstance(schema[name], nw.String)
        if of_text and not (isinstance(frame, pd.DataFrame) and frame[name].isna().all()):
            raise not_numbers(name)
    if isinstance(frame, pa.Table):
        needed = dict.fromkeys([*rest, *["timestamp"] * (timed and not ready)])
        # What pandas once wrote of its own lists into the metadata it cannot read back.
        frame = frame.select([*needed]).to_pandas(types_mapper=list_type, ignore_metadata=True)
    if isinstance(frame, pd.DataFrame):
        return from_pandas(frame, rest, {*names}, timed and not ready)
    for name in LISTS.intersection(names):
        if not isinstance(schema[name], nw.List | nw.Array):
            raise not_lists(name)
    if not timed:
        return _plain(known.lazy(), rest)
    if ready:
        return _plain(known.lazy(), rest).filter(~nw.col("t_us").is_null())
    if not isinstance(schema["timestamp"], nw.Datetime):
        raise ValueError(
            f"the column timestamp is not made of times but of {schema['timestamp']}: read it as a time "
            "stamp in UTC, or add a column t_us with integers, microseconds since 1970"
        )
    if known.implementation.is_duckdb():
        lazy = nw.from_native(frame.project("*, epoch_us(timestamp) as t_us")).lazy()
    else:
        lazy = known.lazy().with_columns(t_us=nw.col("timestamp").dt.timestamp("us"))
    return _plain(lazy, [*rest, "t_us"]).filter(~nw.col("t_us").is_null())


def give(result: Lazy | pd.DataFrame, like: Frame, *, times: Collection[str] = ("time",)) -> Frame:
    """Return a result as a frame of the same kind as `like`.

    Parameters
    ----------
    result : narwhals.LazyFrame or pandas.DataFrame
        Made of what `take` gave, or small and made of what `fetch` gave.
    like : frame
        The frame that was asked about. What is lazy there is lazy here; pandas' ``attrs`` go on, so that
        a result still says where it comes from.
    times : collection of str
        Columns of microseconds since 1970, which become times in UTC, where there are such.

    Returns
    -------
    frame
        What is unknown is null, in pandas NaN or NaT.

    Raises
    ------
    TypeError
        If the result is small, and chaosnb does not know how to make such a frame.

    Examples
    --------
    >>> give(pd.DataFrame({"time": [0]}), pa.table({"a": [1]})).schema.field("time").type
    TimestampType(timestamp[us, tz=UTC])
    """
    of: Any = like
    if not isinstance(result, pd.DataFrame):
        whole = _with_integers(result)
        if not isinstance(of, pd.DataFrame | pa.Table):
            return cast(Frame, given_lazily(whole, of, times))
        result = whole.collect().to_pandas()
    columns = with_numpy(result)
    for name in times:
        if name in columns.columns:
            columns[name] = times_of(columns[name])
    if isinstance(of, pd.DataFrame):
        columns.attrs = dict(of.attrs)
        return cast(Frame, columns)
    table = pa.Table.from_pandas(columns, preserve_index=False).replace_schema_metadata(None)
    return cast(Frame, table if isinstance(of, pa.Table) else from_arrow(table, of))


def coded(lazy: Lazy, *names: str) -> Lazy:
    """Return the same with these columns of text as categories in pandas, which groups by them many times.

    Examples
    --------
    >>> votes = take(pd.DataFrame({"decision": ["reject", "approve"]}), "block_validation", "decision")
    >>> fetch(coded(votes, "decision"))["decision"].cat.codes.tolist()
    [0, 1]
    """
    if not lazy.implementation.is_pandas():
        return lazy
    rows: pd.DataFrame = lazy.collect().to_native()
    columns: dict[str, Any] = {}
    for name in names:
        if not isinstance(rows[name].dtype, pd.CategoricalDtype):
            codes, labels = pd.factorize(rows[name])
            columns[name] = pd.Categorical.from_codes(codes, categories=labels)
    return nw.from_native(rows.assign(**columns)).lazy()


def fetch(lazy: Lazy) -> pd.DataFrame:
    """Return what a lazy frame holds as a pandas DataFrame, for numpy.

    Examples
    --------
    >>> fetch(take(pa.table({"decision": ["reject"]}), "block_validation", "decision"))["decision"].tolist()
    ['reject']
    """
    whole = _with_integers(lazy)
    here = whole.implementation.is_pandas()
    return with_numpy((whole.collect() if here else whole.collect("pyarrow")).to_pandas())


def joinable(small: pd.DataFrame, lazy: Lazy) -> Lazy:
    """Return a small DataFrame as a lazy frame that can be joined with one that `take` gave.

    Examples
    --------
    >>> votes = take(pa.table({"decision": ["reject", "approve"]}), "block_validation", "decision")
    >>> chosen = joinable(pd.DataFrame({"decision": ["approve"]}), votes)
    >>> fetch(votes.join(chosen, on="decision", how="anti"))["decision"].tolist()
    ['reject']
    """
    native: Any = lazy.to_native()
    return cast(Lazy, nw.from_native(give(small, native, times=())).lazy())


def to_pandas(frame: Any) -> pd.DataFrame:
    """Return a frame of any kind as a pandas DataFrame, such as a small result that is to be drawn.

    Examples
    --------
    >>> to_pandas(pa.table({"votes": [3]}))["votes"].tolist()
    [3]
    """
    return frame if isinstance(frame, pd.DataFrame) else fetch(nw.from_native(frame).lazy())


def bucket(every_s: float) -> nw.Expr:
    """Return the start of the bucket that `t_us` falls in; buckets begin at multiples of their width.

    Parameters
    ----------
    every_s : float
        The width in seconds, down to microseconds.

    Raises
    ------
    ValueError
        If it is not a length of time.

    Examples
    --------
    >>> rows = take(pd.DataFrame({"t_us": [2_500_000]}), "block_validation", "timestamp")
    >>> fetch(rows.select(time=bucket(2)))["time"].tolist()
    [2000000]
    """
    width_us = bucket_us(every_s)
    return nw.col("t_us") // width_us * width_us


def bucket_us(every_s: float) -> int:
    """Return the width of a bucket in microseconds.

    Raises
    ------
    ValueError
        If it is not a length of time.

    Examples
    --------
    >>> bucket_us(4.1)
    4100000
    """
    if not 1e-6 <= amount(every_s) < 1e12:
        raise ValueError(f"every_s={every_s!r} is not possible: choose more than 0 seconds")
    return round(every_s * 1e6)


def flag(condition: nw.Expr) -> nw.Expr:
    """Return 1 where a condition holds and 0 where it does not, or is unknown: what `sum` can count.

    Examples
    --------
    >>> votes = take(pd.DataFrame({"decision": ["reject", None]}), "block_validation", "decision")
    >>> fetch(votes.select(rejects=flag(nw.col("decision") == "reject")))["rejects"].tolist()
    [1, 0]
    """
    return nw.when(condition).then(_ONE).otherwise(_ZERO)


def count(lazy: Lazy, by: Sequence[str], *sums: str) -> Lazy:
    """Return a row for each group, with the sums of these columns in it; labels are text then.

    Parameters
    ----------
    lazy : narwhals.LazyFrame
    by : sequence of str
        Columns to group by. Of text, what is missing is empty text.
    *sums : str
        Columns to sum.

    Returns
    -------
    narwhals.LazyFrame

    Examples
    --------
    >>> votes = take(pd.DataFrame({"decision": ["reject", None]}), "block_validation", "decision")
    >>> counted = count(votes.with_columns(votes=nw.lit(1)), ["decision"], "votes")
    >>> fetch(counted.sort("decision")).to_dict("list")
    {'decision': ['', 'reject'], 'votes': [1, 1]}
    """
    counted = lazy.group_by(*by).agg(*[nw.col(name).sum() for name in sums])
    schema = counted.collect_schema()
    texts = [
        name for name in by if isinstance(schema[name], nw.String | nw.Categorical | nw.Enum | nw.Object)
    ]
    named = [nw.col(name).cast(nw.String()).fill_null("") for name in texts]
    return _with_integers(counted.with_columns(*named) if named else counted)


def _plain(lazy: Lazy, names: list[str]) -> Lazy:
    schema = lazy.collect_schema()
    coded = [name for name in names if isinstance(schema[name], nw.Categorical | nw.Enum)]
    return lazy.select(*[nw.col(name).cast(nw.String()) if name in coded else nw.col(name) for name in names])


def _with_integers(lazy: Lazy) -> Lazy:
    # Engines sum to 128 bits or to decimals, and count unsigned: results are to be equal.
    schema = lazy.collect_schema()
    other = [
        name for name, kind in schema.items() if (kind.is_integer() and kind != nw.Int64) or kind.is_decimal()
    ]
    return lazy.with_columns(*[nw.col(name).cast(nw.Int64()) for name in other]) if other else lazy
