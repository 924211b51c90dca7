"""Columns of text of any length: Arrow's plain strings end at 2 GiB, which the ids of eighty million clips are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import InputError
from curation.kernels.texts import hash_texts

PIECE = 1 << 22
"""Values that are taken at once."""


def whole(column: pa.ChunkedArray) -> pa.Array:
    """All chunks as one array. Raises `InputError` for more text than a plain array of Arrow holds."""
    try:
        return column.combine_chunks()
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{len(column):,} texts come to more than 2 GiB: rows cannot be matched by them.",
            hint="Bring them in in the order of the clips, without a table of clips.",
        ) from error


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


def first_rows(column: pa.ChunkedArray) -> np.ndarray:
    """For each value the first row that holds the same, int64 (n,); its own where it stands there first.

    Values are told apart by a hash, and only those that share one are compared.
    """
    hashes = np.concatenate([np.zeros(0, np.uint64), *map(_hashes, column.chunks)])
    rows = np.arange(len(hashes))
    ordered = np.sort(hashes)
    shared = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if len(shared):
        place = np.minimum(np.searchsorted(shared, hashes), len(shared) - 1)
        doubtful = np.flatnonzero(shared[place] == hashes)
        codes = codes_of(values_at(column, doubtful))
        first = np.empty(int(codes.max()) + 1, np.int64)
        first[codes[::-1]] = doubtful[::-1]  # the last to be written is the first row
        rows[doubtful] = first[codes]
    return rows


def _hashes(chunk: pa.Array) -> np.ndarray:
    texts = chunk.fill_null("None").cast(pa.large_string())
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return hash_texts(places, np.frombuffer(data if data is not None else b"", np.uint8))


def values_at(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """The column's values in some rows, int (m,), in their order, as plain strings."""
    whole = column.cast(pa.large_string()).combine_chunks()
    pieces = [whole.take(pa.array(rows[i : i + PIECE])).cast(pa.string()) for i in range(0, len(rows), PIECE)]
    return pa.chunked_array(pieces, pa.string())
