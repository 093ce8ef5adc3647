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


def flat_texts(column: pd.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], pd.Index]:
    """Return what stands in lists of text one after the other: the place of its row, a code, and all labels.

    Examples
    --------
    >>> rows, codes, labels = flat_texts(pd.Series([["a", "b"], [], ["a"]]))
    >>> rows.tolist(), codes.tolist(), labels.tolist()
    ([0, 0, 2], [0, 1, 0], ['a', 'b'])
    """
    rows, items = _flat(column)
    known = pc.fill_null(pc.cast(items, pa.large_string()), "").dictionary_encode()
    return rows, known.indices.to_numpy().astype(np.int64), pd.Index(known.dictionary, dtype="str")


def flat_records(
    column: pd.Series, *fields: str
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.object_]]]:
    """Return the fields of records in lists, one after the other: the place of the row, then each field.

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
        return rows, [np.zeros(0, object) for _ in fields]
    present = items.type.names if pa.types.is_struct(items.type) else []
    lacking = [field for field in fields if field not in present]
    if lacking:
        raise ValueError(f"the column {column.name} holds no records with {', '.join(lacking)}")
    return rows, [_texts(pc.struct_field(items, field)) for field in fields]


def _flat(column: pd.Series) -> tuple[npt.NDArray[np.int64], Any]:
    lists = pa.Table.from_pandas(pd.DataFrame({"lists": listed(column)}), preserve_index=False)["lists"]
    whole = lists.combine_chunks()
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    return pc.list_parent_indices(whole).to_numpy().astype(np.int64), pc.list_flatten(whole)


def _texts(values: Any) -> npt.NDArray[np.object_]:
    texts = pc.fill_null(pc.cast(values, pa.large_string()), "")
    return np.asarray(texts.to_numpy(zero_copy_only=False), dtype=object)
