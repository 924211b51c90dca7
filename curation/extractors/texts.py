"""The sandbox task that reads words: texts in, their vectors in the space of a model's layer `joint` out."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.errors import InputError
from curation.extractors import registry
from curation.extractors.chosen import numbers_of
from curation.extractors.hub import HubExtractor

TEXTS_PER_CALL = 32


def embed_texts(payload: dict[str, Any]) -> dict[str, Any]:
    """Vectors of texts.

    payload: `extractor`, a name as the settings spell it (`hub:...`); `options` (weights_folder, device); `texts`.
    Nothing is fetched. Returns `vectors` float32 (n, dim) of length 1, and `numbers`: what the extractor's own numbers
    depend on, to be held against the features that the vectors are compared with.
    Raises InputError for a model without a text side, MissingWeightsError, MissingPackageError.
    """
    extractor = registry.get(str(payload["extractor"]), **{"fetch": False, **payload.get("options", {})})
    if not isinstance(extractor, HubExtractor):
        raise InputError(f"{payload['extractor']} reads no words.", hint="Models of the hub with a text side do.")
    texts = [str(text) for text in payload["texts"]]
    pieces = [extractor.text_embeddings(texts[i : i + TEXTS_PER_CALL]) for i in range(0, len(texts), TEXTS_PER_CALL)]
    vectors = np.concatenate(pieces) if pieces else extractor.text_embeddings([])
    return {"vectors": vectors, "numbers": numbers_of(extractor)}
