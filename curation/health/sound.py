"""Silence, clipping, loudness; sound that is like speech or like music."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from curation.config import HealthConfig
from curation.extractors.sound_character import CHARACTER_NAMES
from curation.extractors.sound_level import FLOOR_LUFS, LEVEL_NAMES
from curation.health.base import Check, Column, Inputs, named
from curation.health.scores import MUSIC, SPEECH, score


class SoundCheck(Check):
    """What is wrong with, or notable in, a clip's sound."""

    name: ClassVar[str] = "sound"
    needs: ClassVar[tuple[str, ...]] = ("sound-health",)
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "silent_share",
            "share",
            "Share of time (20 ms each) below -60 dBFS RMS.",
            "at most 0.003 on 6 made clips (AAC) with silences of known length",
        ),
        Column(
            "silent", "", "silent_share is at least the threshold.", "see silent_share", True, "health.silent_share"
        ),
        Column(
            "clipped_share",
            "share",
            "Share of samples of the mono mix at 16 kHz at full scale (at least 0.985).",
            "0.17 to 0.33 of the share before lossy coding (0.1 to 41 % clipped, AAC and Opus); 0.0000 where none was",
        ),
        Column(
            "clipped",
            "",
            "clipped_share is at least the threshold.",
            "of 8 levels: found from 1 % of samples clipped on, not at 0.1 %; never where none was clipped",
            True,
            "health.clipped_share",
        ),
        Column(
            "peak_dbfs",
            "dBFS",
            "The highest sample of the mono mix at 16 kHz.",
            "rough: peaks between samples are not seen",
        ),
        Column(
            "loudness_lufs",
            "LUFS",
            "Integrated loudness (ITU-R BS.1770-4) of the mono mix at 16 kHz as one channel: stereo lies 3 LU higher "
            "where both channels are alike, up to 6 where they differ.",
            "10 mono videos against ebur128: median 0.07 LU, at most 1.2 (nothing above 8 kHz is heard)",
        ),
        Column("quiet", "", "loudness_lufs is below the threshold.", "see loudness_lufs", True, "health.quiet_lufs"),
        Column(
            "speech_score",
            "0..1",
            "How much the sound is like speech: its pitch and its course, and the swell of syllables.",
            "AUC 0.98 for spoken digits of an unseen speaker against unseen esc-av sounds; 0.85 on 35 real videos",
        ),
        Column(
            "speech_like",
            "",
            "speech_score is at least the threshold.",
            "at 0.5: 0.93 of the digits found, 0.06 of the other sounds taken; real videos 4 of 5 and 0.20",
            True,
            "health.speech_score",
        ),
        Column(
            "music_score",
            "0..1",
            "How much the sound is like music: held tones and a pulse.",
            "rough: AUC 1.00 for made music against esc-av, but 0.83 on 35 real videos, 7 of them with music",
        ),
        Column(
            "music_like",
            "",
            "music_score is at least the threshold.",
            "rough: at 0.5, 2 of 7 real videos with music found, 0.04 of the others taken",
            True,
            "health.music_score",
        ),
    )

    def measure(self, inputs: Inputs, settings: HealthConfig) -> dict[str, np.ndarray]:
        """See `Check.measure`."""
        valid = inputs.valid("sound-health")
        level = named(inputs.values("sound-health", "level"), LEVEL_NAMES, valid)
        character = inputs.values("sound-health", "character")
        # Where nothing is heard between 100 and 3800 Hz, all of the character is zero: like neither.
        heard = valid & character.any(axis=1)
        speech, music = (
            np.where(valid, np.where(heard, score(model, character, CHARACTER_NAMES), 0.0), np.nan).astype(np.float32)
            for model in (SPEECH, MUSIC)
        )
        return {
            "silent_share": level["silent_share"],
            "silent": level["silent_share"] >= settings.silent_share,
            "clipped_share": level["clipped_share"],
            "clipped": level["clipped_share"] >= settings.clipped_share,
            "peak_dbfs": level["peak_dbfs"],
            "loudness_lufs": np.where(level["loudness_lufs"] <= FLOOR_LUFS, np.nan, level["loudness_lufs"]),
            "quiet": level["loudness_lufs"] < settings.quiet_lufs,
            "speech_score": speech,
            "speech_like": speech >= settings.speech_score,
            "music_score": music,
            "music_like": music >= settings.music_score,
        }
