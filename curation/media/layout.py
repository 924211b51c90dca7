"""The cuts of one video in, the spans of its clips out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.media.shots import Shots, anneals
from curation.media.signature import most_different, span_signatures

SHORT_FACTOR = 1.1  # a video up to this many clip lengths long is one clip, without a search for shots

Span = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """How clips are laid over a video; the fields are those of the settings of the same names."""

    clip_s: float = 10.0
    mode: str = "shots"
    hop_s: float = 0.0
    max_clips: int = 3
    choice: str = "different"
    threshold: float = 0.0
    anneal: float = 1.0  # 1: the cuts are taken as they are


def lay_out(duration_s: float, shots: Shots | None, layout: Layout) -> list[Span]:
    """Clip spans (start, end) in seconds, in order, for one video.

    A video up to 1.1 clip lengths is one clip: all of it, or its central `clip_s`. `windows`: one after another, a rest
    shorter than a clip is left out. `shots`: the central piece of each shot of at least `clip_s`; where there is none,
    the central piece of the video. Of more than `max_clips`, those that look most different are kept, or, where
    `choice` is `even`, there are no signatures, or in `windows`, as many evenly.

    `anneal` above 1 is the rule of ACAV100M (section 3): the threshold rises by that factor up to 100, until there are
    `max_clips` shots that are long enough (1 where that is 0). Where there are never so many, the lowest threshold that
    gives the most counts.
    """
    clip_s = layout.clip_s
    if duration_s <= SHORT_FACTOR * clip_s:
        return [_central(0.0, duration_s, clip_s)]
    if layout.mode == "windows":
        hop_s = layout.hop_s or clip_s
        count = int(np.floor((duration_s - clip_s) / hop_s + 1e-6)) + 1
        spans = [_rounded(i * hop_s, i * hop_s + clip_s) for i in range(count)]
        return _evenly(spans, layout.max_clips)
    spans = _long_shots(duration_s, shots, layout) or [_central(0.0, duration_s, clip_s)]
    if layout.choice == "even" or shots is None or not len(shots.signatures):
        return _evenly(spans, layout.max_clips)
    if layout.max_clips and len(spans) > layout.max_clips:
        points = span_signatures(shots.signatures, shots.step_s, spans)
        spans = [spans[row] for row in most_different(points, layout.max_clips)]
    return spans


def _long_shots(duration_s: float, shots: Shots | None, layout: Layout) -> list[Span]:
    """The central pieces of the shots that are long enough."""
    if shots is None:
        return []
    best: list[Span] = []
    for threshold in anneals(layout.threshold, layout.anneal):
        cuts_s = shots.cuts_s if layout.anneal <= 1 else shots.cuts_s[shots.scores >= threshold]
        edges = [0.0, *cuts_s[(cuts_s > 0) & (cuts_s < duration_s)].tolist(), duration_s]
        spans = [_central(a, b, layout.clip_s) for a, b in zip(edges, edges[1:]) if b - a >= layout.clip_s]
        best = spans if len(spans) > len(best) else best
        if len(best) >= max(layout.max_clips, 1) or not len(cuts_s):
            break
    return best


def _evenly(spans: Sequence[Span], count: int) -> list[Span]:
    if not count or len(spans) <= count:
        return list(spans)
    # Centres of equal slices, so that three of many lie early, in the middle and late.
    at = (np.arange(count) + 0.5) * len(spans) / count
    return [spans[int(i)] for i in at]


def _central(start_s: float, end_s: float, clip_s: float) -> Span:
    if end_s - start_s <= clip_s:
        return _rounded(start_s, end_s)
    middle = (start_s + end_s) / 2
    return _rounded(middle - clip_s / 2, middle + clip_s / 2)


def _rounded(start_s: float, end_s: float) -> Span:
    return round(start_s, 3), round(end_s, 3)
