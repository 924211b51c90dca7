"""The recipe of the demo: read from JSON, checked completely before anything is made.

In: a JSON file (assets/demo_recipe.json). Out: a `Recipe`. A range is [low, high]; each clip draws its own
number from it. Every fault is a `SettingError` that names the place in the file and what is allowed there.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.demo.forms import FORMS, LOOK_LIMITS, SOUND_LIMITS, Limits
from curation.errors import SettingError

Range = tuple[float, float]
Ranges = dict[str, Range]

RECIPE_FILE = Path(__file__).resolve().parents[2] / "assets" / "demo_recipe.json"
MAX_CLIPS = 10_000
_VERSION = 1
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")


@dataclass(frozen=True)
class Kind:
    """One kind of event; `weight` is its share of the clips, relative to the other kinds."""

    name: str
    form: str
    weight: float
    palettes: tuple[dict[str, str], ...]
    tempo: Ranges
    picture: Ranges
    sound: Ranges


@dataclass(frozen=True)
class Recipe:
    """Everything the demo is made from. Sizes in pixels, times in seconds, rates per second."""

    n_clips: int
    mismatched_share: float
    width: int
    height: int
    fps: int
    duration_s: Range
    sample_rate: int
    crf: int
    preset: str
    audio_bit_rate: int
    colour_jitter: float
    look: Ranges
    voice: Ranges
    kinds: tuple[Kind, ...]
    text: str  # the file as canonical JSON: what the demo's fingerprint is made of


class _Reader:
    """A JSON object at a known place in the file; every key must be read, none may be left."""

    def __init__(self, data: Any, place: str) -> None:
        if not isinstance(data, dict):
            raise _fault(place, "must be an object {...}", data)
        self.data, self.place = data, place

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def take(self, key: str) -> Any:
        if key not in self.data:
            raise SettingError(f"The demo recipe lacks {self.at(key)}.", hint="Add it, or restore the file.")
        return self.data[key]

    def only(self, *keys: str) -> None:
        unknown = sorted(set(self.data) - set(keys))
        if unknown:
            raise SettingError(
                f"The demo recipe has an unknown entry {self.at(unknown[0])}.",
                hint=f"Allowed here: {', '.join(keys)}.",
            )

    def number(self, key: str, low: float, high: float) -> float:
        value = self.take(key)
        if not _is_number(value) or not low <= value <= high:
            raise _fault(self.at(key), f"must be a number from {low:g} to {high:g}", value)
        return float(value)

    def whole(self, key: str, low: int, high: int) -> int:
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _fault(self.at(key), f"must be a whole number from {low} to {high}", value)
        return value

    def range(self, key: str, low: float, high: float) -> Range:
        value = self.take(key)
        if not isinstance(value, list) or len(value) != 2 or not all(_is_number(v) for v in value):
            raise _fault(self.at(key), "must be a range [low, high]", value)
        if not low <= value[0] <= value[1] <= high:
            raise _fault(self.at(key), f"must be a range [low, high] within {low:g} to {high:g}", value)
        return float(value[0]), float(value[1])

    def ranges(self, key: str, limits: Limits) -> Ranges:
        inner = _Reader(self.take(key), self.at(key))
        inner.only(*limits)
        return {name: inner.range(name, *limit) for name, limit in limits.items()}

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.take(key)
        if value not in allowed:
            raise _fault(self.at(key), f"must be one of {', '.join(allowed)}", value)
        return str(value)


def _fault(place: str, rule: str, value: Any) -> SettingError:
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return SettingError(f"The demo recipe's {place or 'content'} {rule}, not {shown}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _palettes(reader: _Reader, colours: tuple[str, ...]) -> tuple[dict[str, str], ...]:
    place, found = reader.at("palettes"), reader.take("palettes")
    if not isinstance(found, list) or not found:
        raise _fault(place, "must be a list of at least one palette", found)
    for i, palette in enumerate(found):
        inner = _Reader(palette, f"{place}[{i}]")
        inner.only(*colours)
        for name in colours:
            value = inner.take(name)
            if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
                raise _fault(inner.at(name), 'must be a colour like "#1f6f8b"', value)
    return tuple({name: palette[name] for name in colours} for palette in found)


def _kind(name: str, data: Any) -> Kind:
    reader = _Reader(data, f"kinds.{name}")
    reader.only("form", "weight", "palettes", "tempo", "picture", "sound")
    form_name = reader.choice("form", tuple(FORMS))
    form = FORMS[form_name]
    return Kind(
        name,
        form_name,
        reader.number("weight", 0.05, 20.0),
        _palettes(reader, form.colours),
        reader.ranges("tempo", form.tempo),
        reader.ranges("picture", form.picture),
        reader.ranges("sound", form.voice),
    )


def parse_recipe(data: Any) -> Recipe:
    """A checked `Recipe` from parsed JSON; raises `SettingError` at the first fault."""
    top = _Reader(data, "")
    top.only("version", "n_clips", "mismatched_share", "duration_s", "video", "audio", "look", "voice", "kinds")
    if top.take("version") != _VERSION:
        raise _fault("version", f"must be {_VERSION}", top.take("version"))
    video = _Reader(top.take("video"), "video")
    video.only("width", "height", "fps", "crf", "preset", "colour_jitter")
    audio = _Reader(top.take("audio"), "audio")
    audio.only("sample_rate", "bit_rate")
    kinds = _Reader(top.take("kinds"), "kinds")
    if len(kinds.data) < 3:  # with two, an odd number of strangers cannot be paired off
        raise _fault("kinds", "must name at least three kinds", sorted(kinds.data))
    width, height = video.whole("width", 64, 1280), video.whole("height", 48, 960)
    for key, value in (("width", width), ("height", height)):
        if value % 2:
            raise _fault(f"video.{key}", "must be even", value)
    rate = audio.whole("sample_rate", 16000, 48000)
    if rate not in (16000, 22050, 32000, 44100, 48000):
        raise _fault("audio.sample_rate", "must be 16000, 22050, 32000, 44100 or 48000", rate)
    return Recipe(
        n_clips=top.whole("n_clips", 1, MAX_CLIPS),
        mismatched_share=top.number("mismatched_share", 0.0, 0.9),
        width=width,
        height=height,
        fps=video.whole("fps", 4, 60),
        duration_s=top.range("duration_s", 0.5, 60.0),
        sample_rate=rate,
        crf=video.whole("crf", 0, 51),
        preset=video.choice("preset", _PRESETS),
        audio_bit_rate=audio.whole("bit_rate", 16000, 256000),
        colour_jitter=video.number("colour_jitter", 0.0, 0.3),
        look=top.ranges("look", LOOK_LIMITS),
        voice=top.ranges("voice", SOUND_LIMITS),
        kinds=tuple(_kind(name, kinds.data[name]) for name in kinds.data),
        text=json.dumps(data, sort_keys=True, separators=(",", ":")),
    )


def load_recipe(path: Path = RECIPE_FILE) -> Recipe:
    """The recipe in a JSON file; raises `SettingError` where it is missing, not JSON, or faulty."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(
            f"The demo recipe {path} cannot be read: {error.strerror or error}.",
            hint="Restore the file from the program's source.",
        ) from error
    except ValueError as error:
        raise SettingError(f"The demo recipe {path} is not valid JSON: {error}.") from error
    return parse_recipe(data)
