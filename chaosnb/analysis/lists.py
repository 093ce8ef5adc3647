"""Lists within a column, such as an alliance's members, as flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chaosnb.analysis.columns import listed

__all__ = ["flat_records", "flat_texts"]

Integers = npt.NDArray[Any]


def flat_texts(column: pd.Series) -> tuple[Integers, Integers, pd.Index]:
    """Return what stands in lists of text one after the other: the place of its row, a code, and all labels.

    Examples
    --------
    >>> rows, codes, labels = flat_texts(pd.Series([["a", "b"], [], ["a"]]))
    >>> rows.tolist(), codes.tolist(), labels.tolist()
    ([0, 0, 2], [0, 1, 0], ['a', 'b'])
    """
    rows, items = _flat(column)
    codes, labels = _coded(items)
    return rows, codes.astype(np.int64), pd.Index(pd.array(labels, dtype="str"))


def flat_records(column: pd.Series, *fields: str) -> tuple[Integers, list[pd.Categorical]]:
    """Return the fields of records in lists, one after the other: the place of the row, then each field.

    Fields are categories in order of their text; what is missing is empty text.

    Raises
    ------
    ValueError
        If a record lacks a field.

    Examples
    --------
    >>> rows, (ids,) = flat_records(pd.Series([[{"id": "a", "role": "leader"}], []]), "id")
    >>> rows.tolist(), ids.tolist()
    ([0], ['a'])
    """
    rows, items = _flat(column)
    if not len(items):
        return rows, [pd.Categorical([], categories=pd.Index([], dtype="str")) for _ in fields]
    present = items.type.names if pa.types.is_struct(items.type) else []
    lacking = [field for field in fields if field not in present]
    if lacking:
        raise ValueError(f"the column {column.name} holds no records with {', '.join(lacking)}")
    return rows, [_labels(pc.struct_field(items, field)) for field in fields]


def _flat(column: pd.Series) -> tuple[Integers, Any]:
    lists = pa.Table.from_pandas(pd.DataFrame({"lists": listed(column)}), preserve_index=False)["lists"]
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy()
    # Chunk by chunk: to make one of them would be to copy all that stands in the lists.
    places = np.arange(len(lists), dtype=np.int32 if len(lists) < 2**31 else np.int64)
    return np.repeat(places, lengths), pc.list_flatten(lists)


def _labels(values: Any) -> pd.Categorical:
    codes, labels = _coded(values)
    names, place = np.unique(np.array(labels.to_pylist(), dtype=object), return_inverse=True)
    narrow = place.astype(np.min_scalar_type(-len(names) - 1))
    return pd.Categorical.from_codes(narrow[codes], categories=pd.Index(names, dtype="str"))


def _coded(values: Any) -> tuple[npt.NDArray[np.int32], Any]:
    """Return the codes of chunks of text, and their labels in Arrow; what is missing is empty text."""
    text = values if pa.types.is_string(values.type) else pc.cast(values, pa.large_string())
    known = (text.fill_null("") if text.null_count else text).dictionary_encode().unify_dictionaries()
    if not known.num_chunks:
        return np.zeros(0, np.int32), pa.array([], pa.large_string())
    codes = np.concatenate([part.indices.to_numpy() for part in known.chunks])
    return codes, known.chunk(0).dictionary.cast(pa.large_string())
