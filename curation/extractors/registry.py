"""The list of extractors: a name in, an extractor out. Its module is imported when it is asked for.

Beside the listed names there is one for every model of the hub: `hub:<model id>`, see `curation.extractors.hub_name`.
"""

from __future__ import annotations

import importlib
from typing import Any

from curation.errors import SettingError
from curation.extractors import hub_name
from curation.extractors.base import Extractor
from curation.extractors.network import NetworkExtractor

# name -> "module:class", imported when it is asked for
_CLASSES = {
    "sound": "audio:SoundExtractor",
    "picture": "visual:PictureExtractor",
    "vggish": "vggish:VGGishExtractor",
    "slowfast": "slowfast:SlowFastExtractor",
    "slowfast-dense": "slowfast:SlowFastDenseExtractor",
    "sound-health": "health:SoundHealthExtractor",
    "picture-health": "health:PictureHealthExtractor",
    "sound-print": "prints:SoundPrintExtractor",
    "picture-print": "prints:PicturePrintExtractor",
    "sound-onsets": "onsets:SoundOnsetsExtractor",
    "picture-onsets": "onsets:PictureOnsetsExtractor",
    "picture-onsets-fine": "onsets:FinePictureOnsetsExtractor",
}
# What only extractors with weights of their own take
_OF_WEIGHTS = ("weights_folder", "fetch")


def names() -> tuple[str, ...]:
    """Names of all listed extractors, built-in ones first."""
    return tuple(_CLASSES)


def get(name: str, **options: Any) -> Extractor:
    """The extractor called `name`, made with `options` (weights, device; weights_folder and fetch, which only those
    with trained weights look at). Its own `name` is fit for a folder: `hub:` ones are shortened to such.

    Raises SettingError when no extractor has that name; the message lists the ones there are.
    """
    if name.startswith(hub_name.PREFIX):
        from curation.extractors.hub import HubExtractor

        return HubExtractor(hub_name.parse(name), **options)
    if name not in _CLASSES:
        raise SettingError(
            f"No extractor is called {name!r}.",
            hint=f"Choose from: {', '.join(names())}, or {hub_name.PREFIX}<model id> for a model of the hub.",
        )
    module, _, listed = _CLASSES[name].partition(":")
    kind: type[Extractor] = getattr(importlib.import_module(f"curation.extractors.{module}"), listed)
    if not issubclass(kind, NetworkExtractor):
        options = {key: value for key, value in options.items() if key not in _OF_WEIGHTS}
    return kind(**options)


def folder_name(name: str) -> str:
    """The name under which features of the extractor `name` lie in a workspace, without making the extractor."""
    return hub_name.parse(name).slug if name.startswith(hub_name.PREFIX) else name
