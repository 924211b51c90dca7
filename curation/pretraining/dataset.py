"""Clips made tiny, so that a network trains on them from scratch: decoded clips in, two arrays for all clips out.

A clip is a few small square pictures and one log-mel spectrogram. They are decoded once, kept in a folder as plain
arrays of a known size, and mapped, not read, when training begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.atomic import read_json, write_json
from curation.errors import InputError, SettingError
from curation.extractors.vggish_frontend import N_BANDS, SAMPLE_RATE_HZ, WINDOW, log_mel
from curation.media.decode import DecodedClip

CACHE_BYTES_MAX = 16 << 30
HOP_S = 0.01
ARRAYS = ("frames", "sound", "flags")


@dataclass(frozen=True)
class TinyFormat:
    """What is kept of a clip: `frames` pictures of `size_px` x `size_px`, evenly spread, and `sound_frames` columns of
    64 log-mel bands, each the mean of `sound_pool` steps of 10 ms.
    """

    frames: int = 2
    size_px: int = 40
    sound_frames: int = 96
    sound_pool: int = 1

    def __post_init__(self) -> None:
        bounds = {"frames": (1, 64), "size_px": (16, 256), "sound_frames": (16, 2048), "sound_pool": (1, 64)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise SettingError(f"{name}={getattr(self, name)} is out of range.", hint=f"Allowed: {low} to {high}.")

    @property
    def clip_bytes(self) -> int:
        """What one clip takes."""
        return self.frames * self.size_px**2 * 3 + self.sound_frames * N_BANDS * 2 + 2

    def check_room(self, n_clips: int) -> None:
        """Raises `InputError` where so many clips are more than the cache may hold."""
        if n_clips * self.clip_bytes > CACHE_BYTES_MAX:
            raise InputError(
                f"{n_clips:,} tiny clips would take {n_clips * self.clip_bytes / 2**30:.1f} GiB, more than the "
                f"{CACHE_BYTES_MAX >> 30} GiB set aside.",
                hint="Take fewer or smaller frames, or fewer clips.",
            )

    @classmethod
    def for_clips_of(cls, duration_s: float, *, frames: int = 4, size_px: int = 40) -> TinyFormat:
        """About one spectrogram for clips of this length, seconds."""
        return cls(frames, size_px, 96, int(min(64, max(1, round(duration_s / HOP_S / 96)))))


@dataclass(frozen=True)
class TinyClips:
    """N clips. `frames` uint8 (N, T, S, S, 3) RGB; `sound` float16 (N, F, 64), log-mel; `flags` uint8 (N, 2): whether
    there is a picture, and a sound. What is not there is zeros.
    """

    format: TinyFormat
    frames: np.ndarray
    sound: np.ndarray
    flags: np.ndarray

    def __post_init__(self) -> None:
        f, n = self.format, len(self.flags)
        wanted = ((n, f.frames, f.size_px, f.size_px, 3), (n, f.sound_frames, N_BANDS), (n, 2))
        found = (self.frames.shape, self.sound.shape, self.flags.shape)
        if found != wanted:
            raise InputError(f"Tiny clips of shapes {found} do not fit their format, which wants {wanted}.")

    def __len__(self) -> int:
        return len(self.flags)

    @property
    def seen(self) -> np.ndarray:
        """Bool (N,): clips with a picture."""
        return self.flags[:, 0] > 0

    @property
    def heard(self) -> np.ndarray:
        """Bool (N,): clips with a sound."""
        return self.flags[:, 1] > 0


def tiny_pictures(clip: DecodedClip, form: TinyFormat) -> np.ndarray:
    """The middle squares of a clip's pictures, uint8 (T, S, S, 3); the last one is repeated where there are too few."""
    from PIL import Image

    found = clip.frames[np.minimum(np.arange(form.frames), len(clip.frames) - 1)]
    height, width = found.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = found[:, top : top + side, left : left + side]
    if side == form.size_px:
        return square
    size = (form.size_px, form.size_px)
    return np.stack([np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX)) for picture in square])


def tiny_sound(samples: np.ndarray, form: TinyFormat) -> np.ndarray:
    """Mono samples (S,) at 16 kHz, S >= 1, to float16 (F, 64): the middle of a long sound, a short one over again."""
    steps = log_mel(np.pad(samples.astype(np.float64), (0, max(0, WINDOW - len(samples)))))
    whole = len(steps) // form.sound_pool * form.sound_pool
    if whole:
        steps = steps[:whole].reshape(-1, form.sound_pool, N_BANDS).mean(axis=1)
    first = max(0, len(steps) - form.sound_frames) // 2
    return steps[(first + np.arange(form.sound_frames)) % len(steps)].astype(np.float16)


def tiny(decoded: Sequence[DecodedClip | Any], form: TinyFormat) -> TinyClips:
    """Clips in memory; whatever is no `DecodedClip` (an error, None) has neither picture nor sound."""
    made = empty(len(decoded), form)
    for i, clip in enumerate(decoded):
        if not isinstance(clip, DecodedClip):
            continue
        if len(clip.frames):
            made.frames[i], made.flags[i, 0] = tiny_pictures(clip, form), 1
        if len(clip.audio):
            made.sound[i], made.flags[i, 1] = tiny_sound(clip.audio, form), 1
    return made


def empty(n_clips: int, form: TinyFormat) -> TinyClips:
    """Room for so many clips, without picture and sound."""
    return TinyClips(
        form,
        np.zeros((n_clips, form.frames, form.size_px, form.size_px, 3), np.uint8),
        np.zeros((n_clips, form.sound_frames, N_BANDS), np.float16),
        np.zeros((n_clips, 2), np.uint8),
    )


def decode_options(form: TinyFormat) -> dict[str, Any]:
    """What `decode_clips` is asked for."""
    return {"max_frames": form.frames, "frame_size": form.size_px, "sample_rate_hz": SAMPLE_RATE_HZ}


def describe(folder: Path, form: TinyFormat, facts: dict[str, Any]) -> None:
    """Say what a folder's arrays are; written last, so that a folder without it is unfinished."""
    write_json(folder / "clips.json", {"format": asdict(form), **facts})


def open_clips(folder: Path) -> TinyClips | None:
    """The clips kept in a folder, mapped; None where it is unfinished."""
    if not (folder / "clips.json").is_file():
        return None
    form = TinyFormat(**read_json(folder / "clips.json")["format"])
    return TinyClips(form, *(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS))


def joined(parts: Sequence[TinyClips]) -> TinyClips:
    """Clips of several sets of one format, one after another."""
    forms = {part.format for part in parts}
    if len(forms) != 1:
        raise InputError(f"Tiny clips of {len(forms)} formats cannot be put together.", hint="Decode them alike.")
    arrays = (np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS)
    return TinyClips(parts[0].format, *arrays)
