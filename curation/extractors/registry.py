"""The list of extractors: a name in, an extractor out. Its module is imported when it is asked for.

Beside the listed names there is one for every model of the hub: `hub:<model id>`, see `curation.extractors.hub_name`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from curation.errors import SettingError
from curation.extractors import hub_name
from curation.extractors.base import Extractor

Factory = Callable[..., Extractor]

# What only extractors with weights of their own take.
_OF_WEIGHTS = ("weights_folder", "fetch")


def _sound(**options: Any) -> Extractor:
    from curation.extractors.audio import SoundExtractor

    return SoundExtractor(**_plain(options))


def _picture(**options: Any) -> Extractor:
    from curation.extractors.visual import PictureExtractor

    return PictureExtractor(**_plain(options))


def _vggish(**options: Any) -> Extractor:
    from curation.extractors.vggish import VGGishExtractor

    return VGGishExtractor(**options)


def _slowfast(**options: Any) -> Extractor:
    from curation.extractors.slowfast import SlowFastExtractor

    return SlowFastExtractor(**options)


def _slowfast_dense(**options: Any) -> Extractor:
    from curation.extractors.slowfast import SlowFastDenseExtractor

    return SlowFastDenseExtractor(**options)


def _sound_health(**options: Any) -> Extractor:
    from curation.extractors.health import SoundHealthExtractor

    return SoundHealthExtractor(**_plain(options))


def _picture_health(**options: Any) -> Extractor:
    from curation.extractors.health import PictureHealthExtractor

    return PictureHealthExtractor(**_plain(options))


def _sound_print(**options: Any) -> Extractor:
    from curation.extractors.prints import SoundPrintExtractor

    return SoundPrintExtractor(**_plain(options))


def _picture_print(**options: Any) -> Extractor:
    from curation.extractors.prints import PicturePrintExtractor

    return PicturePrintExtractor(**_plain(options))


def _sound_onsets(**options: Any) -> Extractor:
    from curation.extractors.onsets import SoundOnsetsExtractor

    return SoundOnsetsExtractor(**_plain(options))


def _picture_onsets(**options: Any) -> Extractor:
    from curation.extractors.onsets import PictureOnsetsExtractor

    return PictureOnsetsExtractor(**_plain(options))


def _picture_onsets_fine(**options: Any) -> Extractor:
    from curation.extractors.onsets import FinePictureOnsetsExtractor

    return FinePictureOnsetsExtractor(**_plain(options))


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in _OF_WEIGHTS}


_FACTORIES: dict[str, Factory] = {
    "sound": _sound,
    "picture": _picture,
    "vggish": _vggish,
    "slowfast": _slowfast,
    "slowfast-dense": _slowfast_dense,
    "sound-health": _sound_health,
    "picture-health": _picture_health,
    "sound-print": _sound_print,
    "picture-print": _picture_print,
    "sound-onsets": _sound_onsets,
    "picture-onsets": _picture_onsets,
    "picture-onsets-fine": _picture_onsets_fine,
}


def names() -> tuple[str, ...]:
    """Names of all listed extractors, built-in ones first."""
    return tuple(_FACTORIES)


def get(name: str, **options: Any) -> Extractor:
    """The extractor called `name`, made with `options` (weights, device; weights_folder and fetch, which only those
    with trained weights look at). Its own `name` is fit for a folder: `hub:` ones are shortened to such.

    Raises SettingError when no extractor has that name; the message lists the ones there are.
    """
    if name.startswith(hub_name.PREFIX):
        from curation.extractors.hub import HubExtractor

        return HubExtractor(hub_name.parse(name), **options)
    if name not in _FACTORIES:
        raise SettingError(
            f"No extractor is called {name!r}.",
            hint=f"Choose from: {', '.join(names())}, or {hub_name.PREFIX}<model id> for a model of the hub.",
        )
    return _FACTORIES[name](**options)


def folder_name(name: str) -> str:
    """The name under which features of the extractor `name` lie in a workspace, without making the extractor."""
    return hub_name.parse(name).slug if name.startswith(hub_name.PREFIX) else name
