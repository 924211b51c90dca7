"""The list of extractors: a name in, an extractor out. Its module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from curation.errors import SettingError
from curation.extractors.base import Extractor

Factory = Callable[..., Extractor]


def _sound(**options: Any) -> Extractor:
    from curation.extractors.audio import SoundExtractor

    return SoundExtractor(**options)


def _picture(**options: Any) -> Extractor:
    from curation.extractors.visual import PictureExtractor

    return PictureExtractor(**options)


_FACTORIES: dict[str, Factory] = {"sound": _sound, "picture": _picture}


def names() -> tuple[str, ...]:
    """Names of all known extractors, built-in ones first."""
    return tuple(_FACTORIES)


def get(name: str, **options: Any) -> Extractor:
    """The extractor called `name`, made with `options` (weights, device).

    Raises SettingError when no extractor has that name; the message lists the ones there are.
    """
    if name not in _FACTORIES:
        raise SettingError(f"No extractor is called {name!r}.", hint=f"Choose from: {', '.join(names())}.")
    return _FACTORIES[name](**options)
