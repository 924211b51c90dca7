"""The sandbox tasks that measure: a file (or a few) in, feature arrays of the asked extractors out.

`features`: of given segments. `survey`: of the clips that the same decoding finds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from curation.errors import MediaError
from curation.extractors import registry
from curation.extractors.ahead import Ahead
from curation.extractors.base import Extractor, InputSpec
from curation.extractors.network import NetworkExtractor
from curation.media.decode import DecodedClip, decode_clips
from curation.media.layout import Layout
from curation.media.survey import ClipFormat, survey

# Made once a process: a worker serves many files with the same few extractors.
_extractor = lru_cache(maxsize=16)(registry.get)


def extract_file(payload: dict[str, Any]) -> dict[str, Any]:
    """Features of the segments of one file, or of several; each segment is decoded once for all extractors with
    compatible inputs.

    payload: `path`; `segments`, a list of [start_s, end_s] in any order; `extractors`, a list of names; `options`, if
    any, for all of them (weights_folder, device). Instead of `path` and `segments` a list `files` of such: their
    segments one file after another. Nothing is fetched here: see `Extractor.prepare`.
    For trained networks clips are decoded ahead, a bounded number, while others are computed.
    Returns `<extractor>/<layer>`: (n_segments, dim) of the layer's dtype in the order of `segments`, zeros where not
    valid; `valid/<extractor>`: uint8 (n_segments,); `errors`: [index, code, message] for each segment that
    gave no clip.
    Raises SettingError for an unknown extractor or a segment that cannot be.
    """
    files = payload.get("files") or [payload]
    extractors = _made(payload)
    result = _empty(extractors, sum(len(file["segments"]) for file in files))
    errors: dict[int, list[Any]] = {}
    with _one_thread():
        for spec, members in passes(extractors):
            decoded = _decoded(files, spec, {extractor.modality for extractor in members})
            if any(isinstance(extractor, NetworkExtractor) for extractor in members):
                with Ahead(decoded, max(extractor.batch_size for extractor in members)) as clips:
                    _extract(clips, members, result, errors)
            else:
                _extract(decoded, members, result, errors)
    return result | {"errors": [errors[index] for index in sorted(errors)]}


def _decoded(
    files: Sequence[dict[str, Any]], spec: InputSpec, modalities: set[str]
) -> Iterator[tuple[int, DecodedClip | MediaError]]:
    """(row, clip) of all segments, file by file; where a file has none, its error for each."""
    first = 0
    for file in files:
        segments = [(float(start_s), float(end_s)) for start_s, end_s in file["segments"]]
        order = sorted(range(len(segments)), key=segments.__getitem__)
        decoded = decode_clips(
            file["path"],
            [segments[index] for index in order],
            want_video="visual" in modalities,
            want_audio="audio" in modalities,
            **spec.decode_options(),
        )
        yield from zip((first + index for index in order), decoded, strict=True)
        first += len(segments)


def survey_file(payload: dict[str, Any]) -> dict[str, Any]:
    """Shots of one file, and features of the clips that they give, from one decoding.

    payload: `path`; `duration_s`; `detector`; `layout`, the fields of `Layout`; `extractors` and `options` as for
    `extract_file`, all served by one decoding.
    Returns the fields of `Shots`; `spans`, [start_s, end_s] of each clip; `features`, what `extract_file` returns of
    these spans, or None where the file was too large to keep.
    Raises MediaError where there are no shots, SettingError for an unknown extractor.
    """
    extractors = _made(payload)
    ((spec, _),) = passes(extractors)
    form = ClipFormat(**spec.decode_options())
    found = survey(payload["path"], payload["duration_s"], payload["detector"], Layout(**payload["layout"]), form)
    result: dict[str, Any] = {**vars(found.shots), "spans": found.spans, "features": None}
    if found.clips is not None:
        features = _empty(extractors, len(found.spans))
        errors: dict[int, list[Any]] = {}
        with _one_thread():
            _extract(enumerate(found.clips), extractors, features, errors)
        result["features"] = features | {"errors": [errors[index] for index in sorted(errors)]}
    return result


def _made(payload: dict[str, Any]) -> list[Extractor]:
    options = {"fetch": False, **payload.get("options", {})}
    return [_extractor(name, **options) for name in payload["extractors"]]


def _empty(extractors: Sequence[Extractor], n_clips: int) -> dict[str, Any]:
    """The arrays that `_extract` fills in."""
    result: dict[str, Any] = {}
    for extractor in extractors:
        for layer in extractor.layers:
            result[f"{extractor.name}/{layer.name}"] = np.zeros((n_clips, layer.dim), layer.dtype)
        result[f"valid/{extractor.name}"] = np.zeros(n_clips, np.uint8)
    return result


def passes(extractors: Sequence[Extractor]) -> list[tuple[InputSpec, list[Extractor]]]:
    """Groups of extractors that one decoding serves, with the input of each; their order is kept."""
    groups: list[tuple[InputSpec, list[Extractor]]] = []
    for extractor in extractors:
        for i, (spec, members) in enumerate(groups):
            if spec.compatible(extractor.input):
                groups[i] = (spec.merged(extractor.input), [*members, extractor])
                break
        else:
            groups.append((extractor.input, [extractor]))
    return groups


def _extract(
    decoded: Iterable[tuple[int, DecodedClip | MediaError]],
    extractors: Sequence[Extractor],
    result: dict[str, Any],
    errors: dict[int, list[Any]],
) -> None:
    """Fill in the rows of these extractors, from (row, clip)."""
    batch_size = max(extractor.batch_size for extractor in extractors)
    waiting: list[tuple[int, DecodedClip]] = []
    for index, item in decoded:
        if isinstance(item, MediaError):
            errors.setdefault(index, [index, item.code, item.message])
            continue
        waiting.append((index, item))
        if len(waiting) >= batch_size:
            _fill(waiting, extractors, result)
            waiting = []
    _fill(waiting, extractors, result)


def _fill(batch: list[tuple[int, DecodedClip]], extractors: Sequence[Extractor], result: dict[str, Any]) -> None:
    if not batch:
        return
    rows = np.array([index for index, _ in batch])
    for extractor in extractors:
        extraction = extractor.extract([clip for _, clip in batch])
        for layer, values in extraction.values.items():
            result[f"{extractor.name}/{layer}"][rows] = values
        result[f"valid/{extractor.name}"][rows] = extraction.valid


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch, where it is used, with one thread: as many files are worked on at once as there are cores."""
    torch = sys.modules.get("torch")  # in a worker that loads it later, the environment says so
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
