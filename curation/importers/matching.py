"""Which row of a table made elsewhere means which clip: names (and starts) of rows and clips in, a match out.

A row names its clip by clip id, by root-relative or absolute path, by file name, by its stem, by YouTube id or URL, by
video id or by source; with a start it names the clip of that file that begins there, within half a second.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import InputError
from curation.records import shown_path
from curation.strings import whole
from curation.workspace import Workspace

START_TOLERANCE_S = 0.5
EXAMPLES = 5
UNMATCHED, AMBIGUOUS = -1, -2
KEY_COLUMNS = ("clip_id", "path", "file", "filename", "file_name", "url", "youtube_id", "ytid", "video_id", "id",
               "name", "video", "clip")  # fmt: skip
START_COLUMNS = ("start_s", "start", "start_time", "start_seconds")
END_COLUMNS = ("end_s", "end", "end_time", "end_seconds")

_ONE_FILE = ("file name", "stem")  # several files of one such name cannot be told apart
_YOUTUBE_URL = (
    r"^(?:https?://)?(?:www\.|m\.|music\.)?(?:youtu\.be/|youtube(?:-nocookie)?\.com/"
    r"(?:watch/?\?(?:[^#]*&)?v=|embed/|shorts/|live/|v/))(?P<id>[A-Za-z0-9_-]{11})(?:[^A-Za-z0-9_-].*)?$"
)
_YOUTUBE_NAME = r"^(?P<id>[A-Za-z0-9_-]{11})(?:_(?P<start>\d{1,7}))?$"
_MS_BITS = 35  # 397 days


@dataclass(frozen=True)
class Keys:
    """What the rows of a table call their clips: `names` text, null for none; `start_s` float64, NaN for none."""

    names: pa.Array
    start_s: np.ndarray | None = None


@dataclass(frozen=True)
class Match:
    """A row and a clip belong together where their keys are equal and not negative.

    `kind`: how rows name clips, for people. `row_key` int64 (rows,): -1 where no clip has that name, -2 where several
    files do. `clip_key` int64 (clips,): -1 where no row can mean it. `labels`: what each row calls its clip.
    """

    kind: str
    row_key: np.ndarray
    clip_key: np.ndarray
    labels: pa.Array
    clip_ids: pa.Array = field(repr=False)

    @cached_property
    def row_of_clip(self) -> np.ndarray:
        """int64 (clips,): the first row that means the clip, -1 for none."""
        first = np.full(self._n_keys, -1, np.int64)
        good = np.flatnonzero(self.row_key >= 0)[::-1]
        first[self.row_key[good]] = good
        return np.where(self.clip_key >= 0, first[self.clip_key], -1)

    @cached_property
    def matched(self) -> np.ndarray:
        """bool (rows,): the row means a clip."""
        named = np.zeros(self._n_keys, bool)
        named[self.clip_key[self.clip_key >= 0]] = True
        return (self.row_key >= 0) & named[self.row_key]

    @cached_property
    def repeated(self) -> np.ndarray:
        """bool (rows,): an earlier row means the same clip."""
        first = np.zeros(len(self.row_key), bool)
        first[self.row_of_clip[self.row_of_clip >= 0]] = True
        return self.matched & ~first

    @property
    def ambiguous(self) -> np.ndarray:
        """bool (rows,): several files have this name."""
        return self.row_key == AMBIGUOUS

    def facts(self) -> dict[str, Any]:
        """For reports. `unmatched_rows` counts ambiguous rows too; `unmatched_examples` does not show them."""
        without = np.flatnonzero(self.row_of_clip < 0)
        notices = []
        if self.ambiguous.any():
            labels = self._labels(self.ambiguous)
            notices.append(
                f"{int(self.ambiguous.sum())} rows name by {self.kind} what several files are called and were left "
                f"out, for example {labels[0]!r}: use paths below the media folder."
            )
        return {
            "matched_by": self.kind,
            "rows": len(self.row_key),
            "matched_rows": int(self.matched.sum()),
            "unmatched_rows": int((~self.matched).sum()),
            "unmatched_examples": self._labels(~self.matched & ~self.ambiguous),
            "ambiguous_rows": int(self.ambiguous.sum()),
            "ambiguous_examples": self._labels(self.ambiguous),
            "repeated_rows": int(self.repeated.sum()),
            "repeated_examples": self._labels(self.repeated),
            "clips": len(self.clip_key),
            "clips_without_row": len(without),
            "clips_without_row_examples": self.clip_ids.take(pa.array(without[:EXAMPLES])).to_pylist(),
            "notices": notices,
        }

    @property
    def _n_keys(self) -> int:
        """Length of a table of keys; -1 and -2 point behind the last."""
        return int(max(self.row_key.max(initial=-1), self.clip_key.max(initial=-1))) + 3

    def _labels(self, rows: np.ndarray) -> list[str]:
        distinct = pc.unique(self.labels.take(pa.array(np.flatnonzero(rows)[: 200 * EXAMPLES])))
        return [value or "" for value in distinct[:EXAMPLES].to_pylist()]


def match_rows(workspace: Workspace, alternatives: Sequence[Keys], what: str, otherwise: Sequence[Keys] = ()) -> Match:
    """The way of naming clips that most rows fit: each of `alternatives` (of the same rows) is tried with every kind.

    `otherwise`: what is tried when no row fits any of them (names without starts fit more rows, and mean less).
    Raises `InputError`, with examples of both sides, when no row names a clip. `what` names the rows in messages.
    """
    clips = workspace.table("clips", ["clip_id", "path", "video_id", "source", "start_s"])
    best: tuple[int, Match] | None = None
    for group in (alternatives, otherwise):
        for match in (match for keys in group for match in _matches(workspace, keys, clips)):
            count = int((match.row_key != UNMATCHED).sum())
            if count and (best is None or count > best[0]):
                best = count, match
            if count == len(match.row_key):
                break
        if best is not None:
            return best[1]
    raise _nothing_found(alternatives[0].names, clips, what)


def find_column(columns: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first of `wanted` that a table has, whatever its case; None without one."""
    lower = {name.strip().lower(): name for name in reversed(columns)}
    return next((lower[name] for name in wanted if name in lower), None)


def numbers_of(column: pa.Array | pa.ChunkedArray, what: str) -> np.ndarray:
    """Seconds as float64 (n,), NaN for nothing. Raises `InputError` for what is no number, or is infinite."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    try:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{what} is not a number everywhere ({str(error)[:200]}).") from error
    if np.isinf(values).any():
        raise InputError(f"{what} has an infinite value in row {int(np.flatnonzero(np.isinf(values))[0]) + 1}.")
    return np.asarray(values, np.float64)


def _nothing_found(names: pa.Array, clips: pa.Table, what: str) -> InputError:
    named = pc.drop_null(pc.unique(names))
    shown = ", ".join(repr(value) for value in named[:3].to_pylist()) or "nothing"
    clip = clips.slice(0, 1).to_pylist()[0] if clips.num_rows else {}
    return InputError(
        f"No row of {what} names a clip of this workspace: its keys are {shown[:300]} ..., the clips are "
        f"{clip.get('clip_id', '')!r} ({clip.get('path', '')!r}) ...",
        hint="Choose as key the column with clip ids, paths below the media folder, file names or their stems; or "
        f"one with URLs or YouTube ids and the column of starts (within {START_TOLERANCE_S} s of the clips').",
    )


def _matches(workspace: Workspace, keys: Keys, clips: pa.Table) -> Iterator[Match]:
    paths = whole(clips["path"])
    below = _without_roots(keys.names, workspace.roots)
    for kind, names, starts in _kinds(clips):
        rows = _youtube_ids(keys.names)[0] if kind == "YouTube id" else below
        if keys.start_s is None:
            found = _by_name(kind, rows, names, paths)
        else:
            found = _by_start(kind, rows, keys.start_s, names, starts, paths)
        yield Match(*found, keys.names, whole(clips["clip_id"]))


def _kinds(clips: pa.Table) -> Iterator[tuple[str, pa.Array, np.ndarray]]:
    """Each way to name clips: what it is called, the clips' names, and where they start in what bears that name."""
    start_s = clips["start_s"].to_numpy()
    yield "clip id", whole(clips["clip_id"]), start_s
    known = _known(clips["path"])  # imported clips may have no path: no name, no match
    yield "path", known, start_s
    file_names = pc.replace_substring_regex(known, r"(?s)^.*/", "")
    yield "file name", file_names, start_s
    stems = pc.replace_substring_regex(file_names, r"(?s)(.)\.[^.]*$", r"\1")
    yield "stem", stems, start_s
    source = _known(clips["source"])
    ids, cut_s = _youtube_ids(stems)
    of_source = pc.is_null(ids).to_numpy(zero_copy_only=False)
    ids = pc.coalesce(ids, _youtube_ids(source)[0])
    # A file <id>_<second>.mp4 is a piece of its video: what starts in it starts that much later in the video. Its
    # name has lost the fraction, so half a second stands for it.
    inside = ~of_source & (cut_s >= 0) & ~(start_s >= cut_s - 1)
    yield "YouTube id", ids, np.where(inside, np.nan_to_num(start_s) + cut_s + 0.5, start_s)
    video_ids = _known(clips["video_id"])
    yield "video id", video_ids, start_s
    # A start counts in a file: what is cut from files of this workspace may have a source of many (a title, a channel).
    yield "source", source, np.where(pc.is_null(video_ids).to_numpy(zero_copy_only=False), start_s, np.nan)


def _by_name(kind: str, rows: pa.Array, names: pa.Array, paths: pa.Array) -> tuple[str, np.ndarray, np.ndarray]:
    distinct = rows.dictionary_encode()
    row_key = _int64(distinct.indices)
    clip_key = _int64(pc.index_in(names, distinct.dictionary, skip_nulls=True))
    named = np.zeros(len(distinct.dictionary) + 1, bool)
    named[clip_key[clip_key >= 0]] = True
    row_key = np.where(named[row_key], row_key, UNMATCHED)
    if kind in _ONE_FILE:
        several = np.zeros(len(named), bool)
        several[_int64(pc.index_in(_ambiguous(names, paths), distinct.dictionary))] = True
        several[-1] = False
        row_key = np.where(several[row_key], AMBIGUOUS, row_key)
        clip_key = np.where(several[clip_key], UNMATCHED, clip_key)
    return kind, row_key, clip_key


def _by_start(
    kind: str, rows: pa.Array, row_s: np.ndarray, names: pa.Array, clip_s: np.ndarray, paths: pa.Array
) -> tuple[str, np.ndarray, np.ndarray]:
    """The clip of that name whose start is nearest, within the tolerance; each clip's key is its own row."""
    distinct = names.dictionary_encode().dictionary
    row_code, clip_code = (_int64(pc.index_in(side, distinct, skip_nulls=True)) for side in (rows, names))
    clip_at, row_at = _places(clip_code, clip_s), _places(row_code, row_s)
    order = np.argsort(clip_at, kind="stable")
    placed = clip_at[order]
    row_key = np.full(len(row_at), UNMATCHED, np.int64)
    clip_key = np.where(clip_at >= 0, np.arange(len(clip_at)), UNMATCHED)
    if len(placed):
        after = np.searchsorted(placed, row_at)
        limit = round(START_TOLERANCE_S * 1000)
        nearest = np.full(len(row_at), limit + 1, np.int64)
        for side in (np.maximum(after - 1, 0), np.minimum(after, len(placed) - 1)):
            same = (row_at >= 0) & (clip_code[order[side]] == row_code) & (placed[side] >= 0)
            away = np.where(same, np.abs(placed[side] - row_at), limit + 1)
            better = away < nearest
            row_key, nearest = np.where(better, order[side], row_key), np.where(better, away, nearest)
    # Two clips that begin at the very same place of what bears this name: neither can be meant alone.
    twins = np.zeros(len(clip_at) + 1, bool)
    doubled = np.flatnonzero((placed[1:] == placed[:-1]) & (placed[1:] >= 0))
    twins[order[doubled]] = twins[order[doubled + 1]] = True
    if kind in _ONE_FILE:
        twins[:-1] |= pc.is_in(names, _ambiguous(names, paths)).to_numpy(zero_copy_only=False)
    twins[-1] = False
    row_key = np.where(twins[row_key], AMBIGUOUS, row_key)
    return kind, row_key, np.where(twins[clip_key], UNMATCHED, clip_key)


def _places(code: np.ndarray, start_s: np.ndarray) -> np.ndarray:
    """int64 (n,): name and start (to the millisecond) as one rising number, -1 without one."""
    known = (code >= 0) & (start_s >= 0) & (start_s < 2 ** (_MS_BITS - 1) / 1000)
    return np.where(known, (code << _MS_BITS) + np.rint(np.where(known, start_s, 0) * 1000).astype(np.int64), -1)


def _ambiguous(names: pa.Array, paths: pa.Array) -> pa.Array:
    """Names that several files have: none of them can be meant."""
    pairs = pa.table({"name": names, "path": paths}).group_by(["name", "path"]).aggregate([])
    counts = pairs.group_by("name").aggregate([("path", "count")])
    several = counts.filter(pc.and_(pc.greater(counts["path_count"], 1), pc.is_valid(counts["name"])))
    return several["name"].combine_chunks()


def _youtube_ids(names: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """YouTube ids in URLs and in names `<id>` or `<id>_<second>`, null without; and those seconds, NaN without."""
    bare = pc.extract_regex(names, _YOUTUBE_NAME)
    url = pc.extract_regex(names, _YOUTUBE_URL)
    seconds = _known(pc.struct_field(bare, "start")).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return pc.coalesce(pc.struct_field(url, "id"), pc.struct_field(bare, "id")), seconds


def _known(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(texts, pa.ChunkedArray):
        texts = whole(texts)
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _without_roots(keys: pa.Array, roots: list[str]) -> pa.Array:
    """Absolute paths below a media root, and paths that begin with ./, as root-relative ones."""
    for root in [*(shown_path(os.fsencode(root)).rstrip("/") + "/" for root in roots), "./"]:
        keys = pc.if_else(pc.starts_with(keys, root), pc.utf8_slice_codeunits(keys, start=len(root)), keys)
    return keys


def _int64(values: pa.Array) -> np.ndarray:
    """Indices as int64, -1 for null."""
    return pc.fill_null(values, -1).to_numpy(zero_copy_only=False).astype(np.int64)
