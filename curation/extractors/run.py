"""The sandbox task `features`: one file and its segments in, feature arrays of the asked extractors out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from curation.errors import MediaError
from curation.extractors import registry
from curation.extractors.base import Extractor, InputSpec
from curation.media.decode import DecodedClip, decode_clips

# Made once a process: a worker serves many files with the same few extractors.
_extractor = lru_cache(maxsize=16)(registry.get)


def extract_file(payload: dict[str, Any]) -> dict[str, Any]:
    """Features of the segments of one file; each segment is decoded once for all extractors with compatible
    inputs.

    payload: `path`; `segments`, a list of [start_s, end_s] in any order; `extractors`, a list of names.
    Returns `<extractor>/<layer>`: float16 (n_segments, dim) in the order of `segments`, zeros where not
    valid; `valid/<extractor>`: uint8 (n_segments,); `errors`: [index, code, message] for each segment that
    gave no clip.
    Raises SettingError for an unknown extractor or a segment that cannot be.
    """
    segments = [(float(start_s), float(end_s)) for start_s, end_s in payload["segments"]]
    extractors = [_extractor(name) for name in payload["extractors"]]
    result: dict[str, Any] = {}
    for extractor in extractors:
        for layer in extractor.layers:
            result[f"{extractor.name}/{layer.name}"] = np.zeros((len(segments), layer.dim), np.float16)
        result[f"valid/{extractor.name}"] = np.zeros(len(segments), np.uint8)
    errors: dict[int, list[Any]] = {}
    with _one_thread():
        for spec, members in passes(extractors):
            _run_pass(payload["path"], segments, spec, members, result, errors)
    result["errors"] = [errors[index] for index in sorted(errors)]
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


def _run_pass(
    path: str,
    segments: list[tuple[float, float]],
    spec: InputSpec,
    extractors: list[Extractor],
    result: dict[str, Any],
    errors: dict[int, list[Any]],
) -> None:
    """Decode all segments once and fill in the rows of these extractors."""
    modalities = {extractor.modality for extractor in extractors}
    order = sorted(range(len(segments)), key=segments.__getitem__)
    decoded = decode_clips(
        path,
        [segments[index] for index in order],
        want_video="visual" in modalities,
        want_audio="audio" in modalities,
        **spec.decode_options(),
    )
    batch_size = max(extractor.batch_size for extractor in extractors)
    waiting: list[tuple[int, DecodedClip]] = []
    for index, item in zip(order, decoded, strict=True):
        if isinstance(item, MediaError):
            errors.setdefault(index, [index, item.code, item.message])
            continue
        waiting.append((index, item))
        if len(waiting) >= batch_size:
            _fill(waiting, extractors, result)
            waiting = []
    _fill(waiting, extractors, result)


def _fill(batch: list[tuple[int, DecodedClip]], extractors: list[Extractor], result: dict[str, Any]) -> None:
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
    """torch with one thread: as many files are worked on at once as there are cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
