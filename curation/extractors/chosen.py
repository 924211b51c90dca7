"""The settings' lists of names in, the extractors that they mean out, and which of them one pass can serve early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.errors import SettingError
from curation.extractors import registry
from curation.extractors.base import Extractor
from curation.extractors.network import NetworkExtractor
from curation.extractors.run import passes
from curation.media.decode import DECODING_VERSION
from curation.media.survey import ClipFormat


def chosen(features: str, measures: str, **options: Any) -> dict[str, Extractor]:
    """Extractors by their names as they are spelled: those of features, then those of measures, each once.

    features, measures: names separated by commas. options: as for `registry.get`.
    Raises SettingError for one that is unknown or stands in the other one's list.
    """
    found: dict[str, Extractor] = {}
    for kind, listed in (("features", features), ("measures", measures)):
        for name in dict.fromkeys(name for name in listed.split(",") if name):
            extractor = registry.get(name, **options)
            if extractor.kind != kind:
                right = "features.extractors" if kind == "measures" else "features.measures"
                raise SettingError(f"{name} gives no {kind}.", hint=f"It belongs in {right}.")
            found[name] = extractor
    return found


def numbers_of(extractor: Extractor) -> dict[str, Any]:
    """What the stored numbers depend on beside the clip: the extractor, and how clips are decoded."""
    return {**extractor.fingerprint(), "decoding": DECODING_VERSION}


def early_ones(extractors: Mapping[str, Extractor], clip_s: float) -> dict[str, Extractor]:
    """Those that the search for shots can serve, by spelled name: without trained weights, of one decoding, and with
    clips of this length on the file's grid of frames. Where several decodings are asked for, the one for most."""
    built_in = {name: e for name, e in extractors.items() if not isinstance(e, NetworkExtractor)}
    groups = [
        (spec, members)
        for spec, members in passes(list(built_in.values()))
        if ClipFormat(**spec.decode_options()).fits(clip_s)
    ]
    _, served = max(groups, key=lambda group: len(group[1]), default=(None, []))
    return {name: extractor for name, extractor in built_in.items() if extractor in served}
