"""Spans of files into tiny clips, in processes that may die: spans in, a folder of arrays out, decoded once.

Parts of 512 spans are kept, so a second run goes on where the first was stopped. At most `KEPT` folders stay.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.atomic import new_array, read_json, replacing
from curation.errors import InputError, MediaError
from curation.media.decode import DECODING_VERSION, decode_clips
from curation.media.probe import probe
from curation.media.sandbox import Sandbox
from curation.pretraining.dataset import (
    ARRAYS,
    TinyClips,
    TinyFormat,
    decode_options,
    describe,
    empty,
    open_clips,
    tiny,
)
from curation.progress import Progress
from curation.workspace import fingerprint_of

VERSION = 1  # raised when the same spans give other numbers
PART = 512
KEPT = 4
WHOLE_S = 10.0  # of a file without a span: its middle, at most so long
TIME_LIMIT_S = 60.0
MEMORY_LIMIT_MB = 2048


@dataclass(frozen=True)
class Span:
    """A piece of a file, seconds; `end_s` NaN: the whole file, or its middle 10 s."""

    path: str
    start_s: float = 0.0
    end_s: float = math.nan


def decode_file(payload: dict[str, Any]) -> dict[str, Any]:
    """Worker's task. payload: `path`, `segments` [[start_s, end_s]] sorted, `format`: fields of `TinyFormat`.

    Returns `frames`, `sound`, `flags` of the segments in order, and the codes of those that could not be decoded.
    """
    form = TinyFormat(**payload["format"])
    segments = [(float(a), float(b)) for a, b in payload["segments"]]
    if any(math.isnan(b) for _, b in segments):
        whole = _middle(payload["path"])
        segments = [whole if math.isnan(b) else (a, b) for a, b in segments]
    decoded = list(decode_clips(payload["path"], segments, **decode_options(form)))
    made = tiny(decoded, form)
    codes = [item.code for item in decoded if isinstance(item, MediaError)]
    return {name: getattr(made, name) for name in ARRAYS} | {"codes": codes}


def _middle(path: str) -> tuple[float, float]:
    length = float(probe(path).get("duration_s") or 0.0)
    if length <= WHOLE_S:
        return 0.0, length if length > 0 else WHOLE_S
    return (length - WHOLE_S) / 2, (length + WHOLE_S) / 2


def decode(
    spans: Sequence[Span], form: TinyFormat, base: Path, progress: Progress, *, workers: int = 0, what: str = "clips"
) -> TinyClips:
    """Tiny clips of all spans in order, in a folder under `base` named by what they are; taken from there if it is.

    A file that cannot be read costs its clips alone: they have neither picture nor sound. Raises `InputError` when
    there are none, or more than the cache holds.
    """
    if not spans:
        raise InputError("There are no clips to decode.")
    form.check_room(len(spans))
    folder = base / fingerprint_of(_identity(spans, form))[:16]
    kept = open_clips(folder)
    if kept is not None:
        os.utime(folder)
        return kept
    groups = _groups(spans)
    parts = list(_parts(groups))
    progress.start("decode", len(spans), what)
    with Sandbox(workers or max(1, len(os.sched_getaffinity(0))), TIME_LIMIT_S, MEMORY_LIMIT_MB) as sandbox:
        for k, part in enumerate(parts):
            rows = sum(len(group) for group in part)
            file = folder / f"part-{k:06d}.npz"
            if file.is_file():
                progress.advance(rows, finished_before=True)
            else:
                _make_part(file, part, spans, form, sandbox, progress)
    clips = _join(folder, len(parts), len(spans), form)
    _forget_old(base, folder)
    return clips


def _make_part(
    file: Path, part: list[list[int]], spans: Sequence[Span], form: TinyFormat, sandbox: Sandbox, progress: Progress
) -> None:  # fmt: skip
    payloads = [
        {
            "path": spans[group[0]].path,
            "segments": [[spans[i].start_s, spans[i].end_s] for i in group],
            "format": asdict(form),
            "_rows": group,
        }
        for group in part
    ]
    rows = np.array([i for group in part for i in group], np.int64)
    made, place = empty(len(rows), form), {int(row): k for k, row in enumerate(rows)}
    failures: Counter[str] = Counter()
    for outcome in sandbox.imap("tiny", payloads):
        progress.check_cancelled()
        at = [place[i] for i in outcome.payload["_rows"]]
        if outcome.value is None:
            failures[outcome.error.code if outcome.error else "internal"] += len(at)
        else:
            for name in ARRAYS:
                getattr(made, name)[at] = outcome.value[name]
            failures.update(outcome.value["codes"])
        progress.advance(len(at))
    with replacing(file) as temporary, temporary.open("wb") as handle:
        arrays = {name: getattr(made, name) for name in ARRAYS}
        np.savez(handle, rows=rows, failures=np.array(json.dumps(failures)), **arrays)  # type: ignore[arg-type]


def _join(folder: Path, n_parts: int, n_clips: int, form: TinyFormat) -> TinyClips:
    """Parts into arrays of all clips; a part in memory at a time."""
    model = empty(0, form)
    failures: Counter[str] = Counter()
    for name in ARRAYS:
        like = getattr(model, name)
        with replacing(folder / f"{name}.npy") as temporary:
            out = new_array(temporary, like.dtype, (n_clips, *like.shape[1:]))
            for k in range(n_parts):
                with np.load(folder / f"part-{k:06d}.npz", allow_pickle=False) as part:
                    out[part["rows"]] = part[name]
                    if name == ARRAYS[0]:
                        failures.update(json.loads(str(part["failures"])))
            out.flush()
            del out
    describe(folder, form, {"clips": n_clips, "failures": dict(failures)})
    for k in range(n_parts):
        (folder / f"part-{k:06d}.npz").unlink(missing_ok=True)
    clips = open_clips(folder)
    assert clips is not None
    return clips


def _identity(spans: Sequence[Span], form: TinyFormat) -> dict[str, Any]:
    files = sorted({span.path for span in spans})
    return {
        "version": [VERSION, DECODING_VERSION],
        "format": asdict(form),
        "spans": [[span.path, repr(span.start_s), repr(span.end_s)] for span in spans],
        "files": [_stamp(path) for path in files],
    }


def _stamp(path: str) -> list[int]:
    try:
        found = os.stat(path)  # noqa: PTH116  (Path would not keep odd bytes)
    except OSError:
        return [-1, -1]
    return [found.st_size, found.st_mtime_ns]


def _groups(spans: Sequence[Span]) -> list[list[int]]:
    """Rows of each file, by their start."""
    found: dict[str, list[int]] = {}
    for i, span in enumerate(spans):
        found.setdefault(span.path, []).append(i)
    return [sorted(rows, key=lambda i: (spans[i].start_s, spans[i].end_s)) for rows in found.values()]


def _parts(groups: list[list[int]]) -> Iterator[list[list[int]]]:
    part: list[list[int]] = []
    for group in groups:
        for first in range(0, len(group), PART):  # a file with very many clips is read in several goes
            part.append(group[first : first + PART])
            if sum(map(len, part)) >= PART:
                yield part
                part = []
    if part:
        yield part


def _forget_old(base: Path, newest: Path) -> None:
    folders = sorted((p for p in base.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for old in [p for p in folders if p != newest][: max(0, len(folders) - KEPT)]:
        shutil.rmtree(old, ignore_errors=True)


def failures_of(folder: Path) -> dict[str, int]:
    """Clips of a finished folder that could not be decoded, by code."""
    return dict(read_json(folder / "clips.json").get("failures", {}))
