"""One clip of the demo: its pictures, its samples, and both as an MP4.

In: the recipe and a `ClipPlan`. Out: `pictures` uint8 (frames, height, width, 3), `samples` float32 (n,) mono
in -1..1, `encode` the bytes of a file with H.264 and AAC. Equal plans give equal bytes: one thread, `mbtree`
off, no dates.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from curation.demo.canvas import Colour, colour
from curation.demo.forms import FORMS
from curation.demo.plan import ClipPlan
from curation.demo.recipe import Kind, Ranges, Recipe
from curation.demo.sounds import finish
from curation.demo.stage import Look, render
from curation.demo.timelines import Numbers

_AAC_BLOCK = 1024  # samples a packet


@dataclass(frozen=True)
class RenderedClip:
    """What is seen and heard, before compression."""

    pictures: list[NDArray[np.uint8]]
    samples: NDArray[np.float32]


def _draw(rng: np.random.Generator, ranges: Ranges) -> Numbers:
    return {name: float(rng.uniform(low, high)) for name, (low, high) in ranges.items()}


def _colours(rng: np.random.Generator, kind: Kind, jitter: float) -> dict[str, Colour]:
    """A palette of the kind, all its colours shifted much alike (warmer, cooler, lighter, darker)."""
    palette = kind.palettes[int(rng.integers(len(kind.palettes)))]
    shift = 1.0 + jitter * rng.uniform(-1.0, 1.0, 3)
    own = {name: 1.0 + 0.5 * jitter * rng.uniform(-1.0, 1.0, 3) for name in palette}
    return {
        name: np.clip(colour(text) * shift * own[name], 0.0, 1.0).astype(np.float32) for name, text in palette.items()
    }


def render_clip(recipe: Recipe, plan: ClipPlan) -> RenderedClip:
    """Draw and synthesize one clip.

    Where picture and sound belong together both follow one timeline; a stranger's sound follows a timeline of
    its own kind, of the same length.
    """
    rhythm, look_rng, sound_rng, stranger = plan.streams()
    seen, heard = recipe.kinds[plan.seen], recipe.kinds[plan.heard]
    n_frames = round(rhythm.uniform(*recipe.duration_s) * recipe.fps)
    duration_s = n_frames / recipe.fps
    form, voice = FORMS[seen.form], FORMS[heard.form]
    line = form.timeline(rhythm, _draw(rhythm, seen.tempo), duration_s)
    heard_line = line if plan.matches else voice.timeline(stranger, _draw(stranger, heard.tempo), duration_s)

    numbers = _draw(look_rng, recipe.look) | _draw(look_rng, seen.picture)
    palette = _colours(look_rng, seen, recipe.colour_jitter)
    look = Look(palette, numbers, line, look_rng, recipe.width, recipe.height)
    pictures = list(render(form.build(look), look, n_frames, recipe.fps))

    level = _draw(sound_rng, recipe.voice)
    dry = voice.sound(heard_line, _draw(sound_rng, heard.sound), sound_rng, recipe.sample_rate)
    return RenderedClip(pictures, finish(dry, sound_rng, recipe.sample_rate, level["noise_db"], level["peak"]))


def _mux_pictures(
    container: av.container.OutputContainer,
    stream: av.video.stream.VideoStream,
    pictures: Iterable[NDArray[np.uint8]],
) -> None:
    for i, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts = i
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _mux_samples(
    container: av.container.OutputContainer,
    stream: av.audio.stream.AudioStream,
    samples: NDArray[np.float32],
    rate: int,
) -> None:
    for start in range(0, len(samples), _AAC_BLOCK):
        block = np.ascontiguousarray(samples[None, start : start + _AAC_BLOCK])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def encode_clip(recipe: Recipe, clip: RenderedClip) -> bytes:
    """The clip as an MP4 that a browser plays: H.264 yuv420p and mono AAC."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream(
            "libx264",
            rate=recipe.fps,
            options={
                "crf": str(recipe.crf),
                "preset": recipe.preset,
                "x264-params": "mbtree=0:threads=1",
                "flags": "+bitexact",
            },
        )
        video.width, video.height, video.pix_fmt = recipe.width, recipe.height, "yuv420p"
        video.codec_context.gop_size = 2 * recipe.fps
        video.codec_context.time_base = Fraction(1, recipe.fps)
        audio = container.add_stream("aac", rate=recipe.sample_rate, layout="mono", options={"flags": "+bitexact"})
        audio.bit_rate = recipe.audio_bit_rate
        _mux_pictures(container, video, clip.pictures)
        _mux_samples(container, audio, clip.samples, recipe.sample_rate)
    return buffer.getvalue()
