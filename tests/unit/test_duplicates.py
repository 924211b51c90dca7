"""Prints of copies, groups of copies against a plain comparison of all pairs, and sounds shared by sources."""

from __future__ import annotations

import numpy as np
import pytest

from curation.config import HealthConfig
from curation.extractors import registry
from curation.health.duplicates import DuplicatesCheck, picture_groups, sound_groups
from curation.kernels.duplicates import HALF_SLACK, Rule, both, duplicate_groups, sources_with_other_pictures
from curation.media.decode import DecodedClip

RATE_HZ = 16_000
TOP = np.uint32(1 << 31)
ANY = (1 << 26) - 1


def babble(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Noise in bands that come and go."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    out = np.zeros(n)
    for hz in np.geomspace(220, 3200, 14):
        swell = np.interp(t, np.arange(0, seconds + 0.3, 0.3), rng.uniform(0, 1, len(np.arange(0, seconds + 0.3, 0.3))))
        out += swell**2 * np.sin(2 * np.pi * hz * t * (1 + 0.02 * rng.normal()) + rng.uniform(0, 6))
    return (0.05 * out + 0.002 * rng.normal(size=n)).astype(np.float32)


def scene(seed: int, n: int = 64, size: tuple[int, int] = (112, 150)) -> np.ndarray:
    """Blobs that drift over a ground; the same seed and another size: the same scene."""
    rng = np.random.default_rng(seed)
    ground, blobs = rng.uniform(0.2, 0.8, (4, 5)), rng.uniform(0, 1, (3, 5))
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    y, x = (y + 0.5) / size[0], (x + 0.5) / size[1]
    waves = sum(ground[i, j] * np.cos(np.pi * (i * y + j * x)) for i in range(4) for j in range(5)) / 4
    frames = np.empty((n, *size), np.float32)
    for k in range(n):
        frames[k] = waves
        for a, b, speed, phase, depth in blobs:
            at_x, at_y = 0.5 + 0.4 * np.sin(speed * k / 4 + 6 * phase), 0.2 + 0.6 * b
            frames[k] += (depth - 0.5) * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 0.01) + 0 * a
    frames = np.clip(110 + 90 * frames, 0, 255).astype(np.uint8)
    return np.repeat(frames[..., None], 3, axis=3)


def printed(sounds: list[np.ndarray], pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    clips = [
        DecodedClip(frames, (np.arange(len(frames)) + 0.5) / 8, 8.0, samples, RATE_HZ, 8.0)
        for samples, frames in zip(sounds, pictures)
    ]
    heard = registry.get("sound-print").extract(clips).values
    seen = registry.get("picture-print").extract(clips).values
    return heard["slots"], seen["slots"], seen["change"]


def damaged(samples: np.ndarray, seed: int) -> np.ndarray:
    """A third as loud, 0.5 s later, with noise."""
    cut = 0.3 * samples[RATE_HZ // 2 :]
    return (cut + np.random.default_rng(seed).normal(0, 0.001, cut.size)).astype(np.float32)


def test_copies_are_found_and_other_clips_are_not() -> None:
    originals, scenes = [babble(i) for i in range(6)], [scene(i) for i in range(6)]
    copies = [damaged(sound, i) for i, sound in enumerate(originals)]
    rng = np.random.default_rng(0)
    smaller = [
        np.clip(scene(i, size=(72, 96))[4:].astype(int) + rng.integers(-6, 7, (60, 72, 96, 1)), 0, 255).astype(np.uint8)
        for i in range(6)
    ]
    heard, seen, change = printed(originals + copies, scenes + smaller)
    assert sound_groups(heard, 0.2).group.tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert picture_groups(seen, change, 0.18, 0.3).group.tolist() == [0, 1, 2, 3, 4, 5] * 2


def test_silence_black_and_plain_pictures_are_copies_of_nothing() -> None:
    black, grey = np.zeros((64, 112, 150, 3), np.uint8), np.full((64, 112, 150, 3), 120, np.uint8)
    dither = np.random.default_rng(0).choice([0, 1 / 32768], 8 * RATE_HZ).astype(np.float32)
    silence = np.zeros(8 * RATE_HZ, np.float32)
    heard, seen, change = printed([silence, silence, dither, dither], [black, black, grey, grey])
    assert not heard.any() and not seen.any()
    assert sound_groups(heard, 0.2).group.tolist() == [-1] * 4
    assert picture_groups(seen, change, 0.18, 0.3).group.tolist() == [-1] * 4


def test_one_ground_with_another_motion_is_no_copy() -> None:
    first, second = scene(1), scene(1)[::-1]
    _, seen, change = printed([babble(0), babble(1)], [first, np.ascontiguousarray(second)])
    assert picture_groups(seen, change, 0.4, 1.0).group.tolist() == [0, 0]
    assert picture_groups(seen, change, 0.4, 0.3).group.tolist() == [-1, -1]


def test_a_long_sound_is_known_by_its_begin_and_end() -> None:
    long = babble(3, 24.0)
    other_end = np.concatenate([long[: 12 * RATE_HZ], babble(4, 12.0)])
    frames = [scene(0, 8)] * 3
    heard, *_ = printed([long, damaged(long, 0), other_end], frames)
    assert sound_groups(heard, 0.2).group.tolist() == [0, 0, -1]


def plain_distance(a: np.ndarray, b: np.ndarray, rule: Rule) -> float:
    """Slow twin of the kernel's distance, without a second print."""
    half = len(a) // 2
    total = common = worst = 0.0
    for part in (slice(0, half), slice(half, None)):
        x, y = a[part], b[part]
        found = []
        for shift in range(-rule.max_shift, rule.max_shift + 1):
            pairs = [(x[i], y[i + shift]) for i in range(half) if 0 <= i + shift < half]
            pairs = [(p, q) for p, q in pairs if p and q]
            wrong = sum(bin(int(p) ^ int(q)).count("1") for p, q in pairs)
            found.append((wrong / (31 * len(pairs)) if pairs else 2.0, len(pairs)))
        most = max(n for _, n in found)
        best = min(
            ((share, n) for share, n in found if n and 2 * n >= most), default=(2.0, 0), key=lambda item: item[0]
        )
        total, common = total + best[0] * best[1], common + best[1]
        worst = max(worst, best[0]) if best[1] >= rule.min_slots else worst
    if common < rule.min_slots or 2 * common < max((a > 0).sum(), (b > 0).sum()):
        return 1.0
    return max(total / common, worst / HALF_SLACK)


def made_prints(n: int, seed: int) -> np.ndarray:
    """Half of them copies with up to 15 % of the signs wrong and up to 3 slots late, some with gaps."""
    rng = np.random.default_rng(seed)
    slots = rng.integers(0, 1 << 31, (n, 20), dtype=np.uint32) | TOP
    for row in range(n // 2, n):
        shift = int(rng.integers(0, 4))
        wrong = (rng.random((20, 31)) < rng.uniform(0, 0.15)) @ (1 << np.arange(31))
        slots[row] = 0
        slots[row, : 20 - shift] = (slots[row - n // 2] ^ wrong.astype(np.uint32))[shift:]
    slots[rng.random(slots.shape) < 0.05] = 0
    slots[::17] = 0
    return slots


@pytest.mark.parametrize("seed", range(3))
def test_groups_are_the_components_of_all_close_pairs(seed: int) -> None:
    slots = made_prints(60, seed)
    rule = Rule(tuple(0x3FF << k for k in range(0, 21, 4)), 0.2, 4, 5)
    parent = list(range(60))
    for a in range(60):
        for b in range(a):
            if plain_distance(slots[a], slots[b], rule) <= 0.2:
                old, new = sorted((parent[a], parent[b]), reverse=True)
                parent = [new if p == old else p for p in parent]
    names: dict[int, int] = {}
    expected = [names.setdefault(p, len(names)) if parent.count(p) > 1 else -1 for p in parent]
    assert duplicate_groups(slots, rule).group.tolist() == expected
    assert len(names) > 10


def test_many_equal_prints_are_one_group_and_crowds_are_counted() -> None:
    rng = np.random.default_rng(0)
    slots = rng.integers(0, 1 << 31, (900, 20), dtype=np.uint32) | TOP
    slots[:400] = slots[0]
    slots[400:, 7] = TOP | 5  # a moment that all others share, and nothing else
    found = duplicate_groups(slots, Rule((ANY,), 0.1, 4, 5))
    assert found.group.tolist() == [0] * 400 + [-1] * 500
    assert found.crowded == 1 and found.n_groups == 1
    assert duplicate_groups(slots[:0], Rule((ANY,), 0.1, 4, 5)).group.shape == (0,)
    with pytest.raises(ValueError, match="129"):
        duplicate_groups(np.zeros((1, 129), np.uint32), Rule((ANY,), 0.1, 4, 5))


def test_both_is_the_meet_of_two_groupings() -> None:
    first = np.array([1, 0, 0, 1, 1, -1, 0, 2])
    second = np.array([3, 3, -1, 3, 4, 4, 3, 5])
    assert both(first, second).tolist() == [0, 1, -1, 0, -1, -1, 1, -1]
    assert both(np.full(3, -1), np.zeros(3, np.int64)).tolist() == [-1] * 3


def test_sources_with_other_pictures_against_a_plain_count() -> None:
    rng = np.random.default_rng(0)
    sound, picture = rng.integers(-1, 6, 200), rng.integers(-1, 4, 200)
    source, seen = rng.integers(0, 9, 200), rng.random(200) < 0.9
    expected = [
        len(
            {
                source[j]
                for j in range(200)
                if seen[i] and seen[j] and sound[i] >= 0 and sound[i] == sound[j]
                and source[i] != source[j] and (picture[j] != picture[i] or picture[i] < 0)
            }
        )
        for i in range(200)
    ]  # fmt: skip
    assert sources_with_other_pictures(sound, picture, source, seen).tolist() == expected and max(expected) > 3


class Three:
    """Two sources with one sound under two pictures, and a copy of the first."""

    def __init__(self) -> None:
        sounds, scenes = [babble(0), babble(0), babble(0)], [scene(0), scene(5), scene(0)]
        heard, seen, change = printed(sounds, scenes)
        self.layers = {("sound-print", "slots"): heard, ("picture-print", "slots"): seen}
        self.layers["picture-print", "change"] = change
        self.n_clips, self.duration_s = 3, np.full(3, 8.0)
        self.source, self.video_index = np.array([0, 1, 2]), np.arange(3)
        self.notes: list[str] = []

    def values(self, extractor: str, layer: str) -> np.ndarray:
        return self.layers[extractor, layer]

    def valid(self, extractor: str) -> np.ndarray:
        return np.ones(3, bool)

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_check_gives_groups_and_shared_sounds() -> None:
    found = DuplicatesCheck().measure(Three(), HealthConfig())
    assert found["duplicate_sound"].tolist() == [0, 0, 0]
    assert found["duplicate_picture"].tolist() == found["duplicate"].tolist() == [0, -1, 0]
    assert found["shared_sound_track"].tolist() == [1, 2, 1] and found["shared_sound"].all()
    assert not DuplicatesCheck().measure(Three(), HealthConfig(shared_sources=2))["shared_sound"][0]
