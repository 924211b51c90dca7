"""Design tokens: what comes out is every colour the explorer uses, once. Goes in: nothing.

`.streamlit/config.toml` holds the same values for the interface (a test compares them), `charts` reads them for
figures, and the components receive the scales with their data. Two hues carry meaning everywhere: amber is sound,
teal is picture. Streamlit's named colours are bound to them, so `:orange-badge[...]` in Markdown is a sound badge and
`:green-badge[...]` a picture badge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScaleName = Literal["count", "diverging"]
Modality = Literal["audio", "visual"]

MODALITY_COLOR_NAME: dict[str, str] = {"audio": "orange", "visual": "green"}
"""Streamlit's colour name of each modality, for badges and coloured Markdown."""

OKABE_ITO: tuple[str, ...] = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Seven categories that stay apart for colour-blind readers (Okabe and Ito, 2008, without black)."""

CIVIDIS: tuple[str, ...] = (
    "#00224E", "#123570", "#3B496C", "#575D6D", "#707173",
    "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838",
)  # fmt: skip
"""Ten even stops of cividis, dark to bright (Nunez, Anderton and Renslow, 2018)."""

_CIVIDIS_ON_LIGHT: tuple[str, ...] = ("#FBF6DC", "#EFE3A0", *CIVIDIS[-2::-1])


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one appearance, as #RRGGBB. `*_ink` is for text and thin lines, `*_fill` for areas."""

    background: str
    surface: str
    text: str
    muted: str
    border: str
    grid: str
    primary: str
    audio_ink: str
    audio_fill: str
    audio_surface: str
    visual_ink: str
    visual_fill: str
    visual_surface: str
    unselected: str
    diverging: tuple[str, ...]


LIGHT = Palette(
    background="#FFFFFF",
    surface="#F3F5F8",
    text="#1A2330",
    muted="#596474",
    border="#D9DFE6",
    grid="#E9EDF1",
    primary="#0B67A8",
    audio_ink="#965700",
    audio_fill="#D98B06",
    audio_surface="#FDF1DC",
    visual_ink="#0A6F69",
    visual_fill="#12988F",
    visual_surface="#DDF3F1",
    unselected="#AEB6C1",
    diverging=("#08488E", "#4A90CB", "#C4DDF0", "#F7F7F7", "#FBD9B5", "#E58A35", "#9C4200"),
)
DARK = Palette(
    background="#11161D",
    surface="#1A212B",
    text="#E7EBF1",
    muted="#9AA6B6",
    border="#303A47",
    grid="#242C37",
    primary="#2A7DBB",
    audio_ink="#F4B545",
    audio_fill="#E8A62B",
    audio_surface="#3A2C11",
    visual_ink="#4CCDC0",
    visual_fill="#2FB3A7",
    visual_surface="#0F3532",
    unselected="#5C6777",
    # Around zero the cells sink into the page instead of glowing white: the ends are what should be seen.
    diverging=("#A5D6FF", "#4C97D8", "#264A6E", "#1D2530", "#6E3F17", "#D97F31", "#FFC78F"),
)


def palette(dark: bool) -> Palette:
    """The colours of the dark or the light appearance."""
    return DARK if dark else LIGHT


def scale_stops(name: ScaleName, dark: bool) -> tuple[str, ...]:
    """Evenly spaced stops of a colour scale, lowest value first.

    "count" is cividis turned so that more always stands further from the page: towards navy on light, towards yellow
    on dark; on light its loud yellow end is paled, so that single clips stay quiet. "diverging" is blue, neutral,
    orange, centred on zero.
    """
    if name == "diverging":
        return palette(dark).diverging
    if name == "count":
        return CIVIDIS if dark else _CIVIDIS_ON_LIGHT
    raise ValueError(f"unknown colour scale {name!r}; allowed: 'count', 'diverging'")


def modality_ink(modality: Modality, dark: bool) -> str:
    """Text and line colour of a modality: amber for "audio", teal for "visual"."""
    colours = palette(dark)
    return colours.audio_ink if modality == "audio" else colours.visual_ink


def category_colors(n: int, dark: bool) -> list[str]:
    """Colours for n categories; from the eighth on they are the grey of "other"."""
    grey = palette(dark).unselected
    return [OKABE_ITO[i] if i < len(OKABE_ITO) else grey for i in range(n)]
