"""Copies: clips with the same sound, the same picture, or both; and one sound under many pictures."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import numpy as np

from curation.config import HealthConfig
from curation.health.base import Check, Column, Inputs
from curation.kernels.duplicates import Groups, Rule, both, duplicate_groups, sources_with_other_pictures


def _signs(*ranges: tuple[int, int]) -> int:
    return sum(1 << i for begin, end in ranges for i in range(begin, end))


# Which signs of one slot must agree for two clips to be compared; long enough that chance agreement stays rare among
# 1e8 slots. Sound: parts of the spectrum, so that damage to one part leaves the other ones. Pictures: every three of
# five parts, because a wave that is nearly nought may have the wrong sign in all slots.
SOUND_MASKS = (_signs((0, 26)), _signs((5, 31)), _signs((0, 13), (18, 31)))
_PARTS = [sum(1 << i for i in range(part, 63, 5)) for part in range(5)]
PICTURE_MASKS = tuple(sum(parts) for parts in combinations(_PARTS, 3))
SHIFT_S = 1.0
SOUND_SLOTS_A_SECOND, PICTURE_SLOTS_A_SECOND = 8, 4
MIN_SOUND_SLOTS, MIN_PICTURE_SLOTS = 6, 2


def sound_groups(slots: np.ndarray, max_distance: float) -> Groups:
    """Groups of prints of sound, uint8 (n, 4 S) as `sound-print` makes them."""
    rule = Rule(SOUND_MASKS, max_distance, round(SHIFT_S * SOUND_SLOTS_A_SECOND), MIN_SOUND_SLOTS)
    return duplicate_groups(slots.view("<u4"), rule)


def picture_groups(slots: np.ndarray, change: np.ndarray, max_distance: float, max_change: float) -> Groups:
    """Groups of prints of pictures, uint8 (n, 8 S) and (n, 4 S) as `picture-print` makes them."""
    shift = round(SHIFT_S * PICTURE_SLOTS_A_SECOND)
    rule = Rule(PICTURE_MASKS, max_distance, shift, MIN_PICTURE_SLOTS, max_change)
    return duplicate_groups(slots.view("<u8"), rule, change.view("<u4"))


class DuplicatesCheck(Check):
    """Groups of copies. Silence, black and pictures without detail are copies of nothing."""

    name: ClassVar[str] = "duplicates"
    needs: ClassVar[tuple[str, ...]] = ("sound-print", "picture-print")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "duplicate_sound",
            "group",
            "Number of the group of clips with the same sound (whatever gain, coding, or up to 1 s of shift), "
            "-1 = none.",
            "3 copies each of 53 real videos (gain, 0.5 s trimmed, re-encoded): precision 1.00, recall 0.92 of pairs",
        ),
        Column(
            "duplicate_picture",
            "group",
            "Number of the group of clips with the same picture (whatever size, coding, or up to 1 s of shift), "
            "-1 = none.",
            "3 copies each of 53 real videos (scaled, 0.5 s trimmed, re-encoded): precision 1.00, recall 0.99 of pairs",
        ),
        Column(
            "duplicate",
            "group",
            "Number of the group of clips with the same sound and the same picture, -1 = none.",
            "the same copies: precision 1.00, recall 0.92 of pairs",
        ),
        Column(
            "shared_sound_track",
            "sources",
            "How many other sources have a clip with this sound and another picture.",
            "see duplicate_sound",
        ),
        Column(
            "shared_sound",
            "",
            "shared_sound_track is at least the threshold.",
            "see duplicate_sound",
            True,
            "health.shared_sources",
        ),
    )

    def measure(self, inputs: Inputs, settings: HealthConfig) -> dict[str, np.ndarray]:
        """See `Check.measure`; groups are int64."""
        heard, seen = inputs.valid("sound-print"), inputs.valid("picture-print")
        sound = sound_groups(inputs.values("sound-print", "slots"), settings.sound_distance)
        picture = picture_groups(
            inputs.values("picture-print", "slots"),
            inputs.values("picture-print", "change"),
            settings.picture_distance,
            settings.change_distance,
        )
        for name, crowded in (("sound", sound.crowded), ("picture", picture.crowded)):
            if crowded:
                inputs.note(
                    f"{crowded} moments of {name} are alike in so many clips that there each was compared with its "
                    "nearest two only: some copies may be missing"
                )
        shared = sources_with_other_pictures(sound.group, picture.group, inputs.source, seen)
        return {
            "duplicate_sound": sound.group,
            "duplicate_picture": picture.group,
            "duplicate": both(sound.group, picture.group),
            "shared_sound_track": np.where(heard & seen, shared, np.nan).astype(np.float32),
            "shared_sound": heard & seen & (shared >= settings.shared_sources),
        }
