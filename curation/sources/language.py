"""The language of a title with its description: a text in, a two-letter code out, empty where it cannot be told.

By py3langid (n-grams, 97 languages). Made once a process: loading its model takes a moment.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from typing import Any

MAX_CHARACTERS = 2000
LEAST_PROBABILITY = 0.5  # a few words are often told wrong, and then with little confidence
# Addresses, mail, tags and digits tell no language
_NOISE = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|[#@]\w+|[\d_]+")


def detect(text: str) -> str:
    """Two-letter code of the language of the first 2,000 characters; empty where the odds are less than even."""
    text = _NOISE.sub(" ", text[:MAX_CHARACTERS]).strip()
    if not any(c.isalpha() for c in text):
        return ""
    code, probability = _identifier().classify(text)
    return str(code) if probability >= LEAST_PROBABILITY else ""


def detector_version() -> str:
    """What besides the text decides the answer, for fingerprints."""
    return f"py3langid {version('py3langid')}"


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    load = getattr(LanguageIdentifier, "from_model_file", None) or LanguageIdentifier.from_pickled_model
    return load(MODEL_FILE, norm_probs=True)
