"""Near-duplicates between what is trained on and what is tested on: tiny clips in, pairs that look or sound alike out.

Pictures as 10 x 10 grey thumbnails, sounds as 24 x 16 log-mel maps, each centred and of length 1; alike where the
cosine is at least 0.98.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.pretraining.dataset import TinyClips

LEAST_COSINE = 0.98
LISTED_MAX = 10_000
_BLOCK = 2048
_THUMB, _MAP = 10, (24, 16)


@dataclass(frozen=True)
class Overlap:
    """`picture`, `sound` int64 (m, 2): rows of the one and of the other set that look, or sound, alike (at most 10,000
    listed); `alike` bool (n,): clips of the first set that are like any of the other in either.
    """

    picture: np.ndarray
    sound: np.ndarray
    alike: np.ndarray


def overlap(
    clips: TinyClips,
    rows: np.ndarray,
    others: TinyClips,
    other_rows: np.ndarray,
    *,
    least: float = LEAST_COSINE,
    sees: str = "both",
) -> Overlap:
    """Clips `rows` of the one that are near-duplicates of clips `other_rows` of the other; `sees`: picture, sound or
    both, what is looked at.
    """
    alike = np.zeros(len(rows), bool)
    found = []
    for prints, there, skipped in ((picture_prints, "seen", "sound"), (sound_prints, "heard", "picture")):
        if sees == skipped:
            found.append(np.zeros((0, 2), np.int64))
            continue
        mine, theirs = rows[getattr(clips, there)[rows]], other_rows[getattr(others, there)[other_rows]]
        pairs = _alike(prints(clips, mine), prints(others, theirs), least)
        alike |= np.isin(rows, mine[pairs[:, 0]])
        found.append(np.stack([mine[pairs[:, 0]], theirs[pairs[:, 1]]], axis=1)[:LISTED_MAX])
    return Overlap(found[0], found[1], alike)


def picture_prints(clips: TinyClips, rows: np.ndarray) -> np.ndarray:
    """Float32 (n, 100): the mean of a clip's pictures; even ones are zeros and like nothing."""
    out = np.zeros((len(rows), _THUMB * _THUMB), np.float32)
    size = clips.format.size_px
    edges = np.linspace(0, size, _THUMB + 1).astype(int)[:-1]
    for start in range(0, len(rows), _BLOCK):
        grey = clips.frames[rows[start : start + _BLOCK]].mean(axis=(1, 4), dtype=np.float32)
        small = np.add.reduceat(np.add.reduceat(grey, edges, axis=1), edges, axis=2)
        out[start : start + _BLOCK] = small.reshape(len(grey), -1)
    return _unit(out, 0.02 * 255 * (size / _THUMB) ** 2)


def sound_prints(clips: TinyClips, rows: np.ndarray) -> np.ndarray:
    """Float32 (n, 384): log-mel in 24 spans and 16 bands; even ones (silence) are zeros and like nothing."""
    out = np.zeros((len(rows), _MAP[0] * _MAP[1]), np.float32)
    spans, bands = (np.linspace(0, n, k + 1).astype(int)[:-1] for n, k in zip(clips.sound.shape[1:], _MAP))
    for start in range(0, len(rows), _BLOCK):
        sound = clips.sound[rows[start : start + _BLOCK]].astype(np.float32)
        small = np.add.reduceat(np.add.reduceat(sound, spans, axis=1), bands, axis=2)
        out[start : start + _BLOCK] = small.reshape(len(sound), -1)
    return _unit(out, 0.1 * sound_cell(clips))


def sound_cell(clips: TinyClips) -> float:
    """Values that are summed in one place of a sound's print."""
    return clips.sound.shape[1] * clips.sound.shape[2] / (_MAP[0] * _MAP[1])


def _unit(values: np.ndarray, least_deviation: float) -> np.ndarray:
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    even = length < least_deviation * np.sqrt(values.shape[1])
    return np.where(even, 0, centred / np.maximum(length, 1e-9)).astype(np.float32)


def _alike(a: np.ndarray, b: np.ndarray, least: float) -> np.ndarray:
    """Index pairs int64 (m, 2) with a cosine of at least `least`; block by block. A row of `a` is listed with its best
    only where it has more than 16.
    """
    found: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
    for i in range(0, len(a), _BLOCK):
        for j in range(0, len(b), _BLOCK):
            cosine = a[i : i + _BLOCK] @ b[j : j + _BLOCK].T
            hits = np.argwhere(cosine >= least)
            if len(hits) > 16 * _BLOCK:
                best = cosine.argmax(axis=1)
                mine = np.flatnonzero(cosine[np.arange(len(best)), best] >= least)
                hits = np.stack([mine, best[mine]], axis=1)
            found.append(hits + [i, j])
    return np.concatenate(found)
