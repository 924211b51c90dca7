"""Columns of text of any length: Arrow's plain strings end at 2 GiB, which the ids of eighty million clips are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PIECE = 1 << 22
"""Values that are taken at once."""


def codes_of(column: pa.ChunkedArray) -> np.ndarray:
    """A number for each value, int64 (n,): its place among the column's different values, sorted by their text.

    A missing value counts as the text `None`.
    """
    if not len(column):
        return np.zeros(0, np.int64)
    # Each chunk by itself first: of the texts only the different ones are held twice
    encoded = pa.chunked_array([_encoded(chunk) for chunk in column.chunks]).unify_dictionaries()
    order = pc.array_sort_indices(encoded.chunk(0).dictionary).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return np.concatenate([place[chunk.indices.to_numpy()] for chunk in encoded.chunks])


def _encoded(chunk: pa.Array) -> pa.DictionaryArray:
    found = chunk.fill_null("None").dictionary_encode()
    return pa.DictionaryArray.from_arrays(found.indices, found.dictionary.cast(pa.large_string()))


def compact(codes: np.ndarray) -> np.ndarray:
    """Codes int64 (n,), from zero on, without the numbers that none of them has; in the same order."""
    used = np.zeros(int(codes.max(initial=-1)) + 1, bool)
    used[codes] = True
    return (np.cumsum(used) - 1)[codes]


def values_at(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """The column's values in some rows, int (m,), in their order, as plain strings."""
    whole = column.cast(pa.large_string()).combine_chunks()
    pieces = [whole.take(pa.array(rows[i : i + PIECE])).cast(pa.string()) for i in range(0, len(rows), PIECE)]
    return pa.chunked_array(pieces, pa.string())
