"""Made tiny clips for tests: pictures and sounds of some kinds, easy to tell apart; nothing is decoded."""

from __future__ import annotations

import numpy as np

from curation.pretraining.dataset import TinyClips, TinyFormat

FORMAT = TinyFormat(frames=2, size_px=20, sound_frames=24)


def made_clips(n: int, kinds: int = 4, seed: int = 0, noise: float = 60.0) -> tuple[TinyClips, np.ndarray]:
    """Clips whose picture has the colour, and whose sound has the band, of their kind; and the kinds, int (n,)."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, kinds, n)
    colour = 80 + 150 * np.stack([kind & 1, kind >> 1 & 1, kind >> 2 & 1], axis=1)
    frames = colour[:, None, None, None] + rng.normal(0, noise, (n, FORMAT.frames, FORMAT.size_px, FORMAT.size_px, 3))
    sound = rng.normal(-2, 0.5, (n, FORMAT.sound_frames, 64))
    for i, k in enumerate(kind):
        sound[i, :, 8 * k : 8 * k + 6] += 3
    flags = np.ones((n, 2), np.uint8)
    return TinyClips(FORMAT, frames.clip(0, 255).astype(np.uint8), sound.astype(np.float16), flags), kind
