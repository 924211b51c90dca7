"""Marked sets of clips: row numbers go in, a short token for the address comes out, and the other way round.

A set is kept under `<workspace>/marks/`, so that a link to it opens in another session too. The token says what is in
the set and of which table of clips: equal sets share one file, and a set of an older table is not found any more. At
most `KEPT` sets stay, those used last; none takes more than an eighth of a byte for each clip of the workspace, or four
bytes for each marked one, whichever is less.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np

from curation.atomic import write_array
from curation.workspace import Workspace
from explorer.kept_files import forget_old

KEPT = 50
_TOKEN = re.compile(r"[0-9a-f]{20}")


def save(ws: Workspace, rows: np.ndarray) -> str:
    """Keep a set of rows (integer (m,), in any order, repeats allowed) and return its token, 20 characters of 0-9a-f.

    Raises `WorkspaceError` where the workspace cannot be written.
    """
    found = _sorted_once(np.asarray(rows, np.int64))
    packed = _packed(found)
    token = _clips_hash(ws) + blake2b(packed.dtype.str.encode() + packed.tobytes(), digest_size=6).hexdigest()
    path = _path(ws, token)
    if path.is_file():
        with suppress(OSError):  # used again: only for how long it stays
            os.utime(path)
    else:
        write_array(path, packed)
        forget_old(path.parent, KEPT)
    return token


def rows(ws: Workspace, token: str) -> np.ndarray | None:
    """Rows int64 (m,), sorted, of the set called `token`; None where there is none of the present table of clips."""
    if not _TOKEN.fullmatch(token) or not token.startswith(_clips_hash(ws)):
        return None
    try:
        packed = np.load(_path(ws, token), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    found = np.flatnonzero(np.unpackbits(packed)) if packed.dtype == np.uint8 else packed.astype(np.int64)
    inside = found.ndim == 1 and (not len(found) or (found[0] >= 0 and found[-1] < ws.n_rows("clips")))
    return found if inside else None


def _sorted_once(rows: np.ndarray) -> np.ndarray:
    """`rows`, ascending and each once. (`np.unique` takes forty times as long: it hashes before it sorts.)"""
    if not (np.diff(rows) > 0).all():
        rows = np.sort(rows)
        rows = rows[np.diff(rows, prepend=-1) > 0]
    return rows


def _packed(found: np.ndarray) -> np.ndarray:
    """The rows as int32, or as one bit for each row up to the last (uint8), whichever is smaller."""
    if not len(found) or 4 * len(found) <= int(found[-1]) // 8 + 1:
        return found.astype(np.int32)
    held = np.zeros(int(found[-1]) + 1, bool)
    held[found] = True
    return np.packbits(held)


def _clips_hash(ws: Workspace) -> str:
    return blake2b((ws.fingerprint("clips") or "").encode(), digest_size=4).hexdigest()


def _path(ws: Workspace, token: str) -> Path:
    return ws.path / "marks" / f"{token}.npy"
