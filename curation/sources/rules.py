"""The reference's metadata filter: what a video's metadata say and the settings in; why it is dropped, and its
language, out (ACAV100M, arXiv 2101.10803, section 3; the words of the lists are this project's own).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from curation.config import FilterConfig
from curation.sources.language import detect

KEYWORD_SETTINGS = ("drop_artist", "drop_animation", "drop_gaming", "drop_tutorial", "drop_official")
SETTINGS = frozenset(
    ("metadata_min_duration_s", "metadata_max_duration_s", "languages", "drop_categories")
    + (*KEYWORD_SETTINGS, "keywords_in")
)


@dataclass(frozen=True)
class Verdict:
    """Why a video is dropped (code and sentence, empty where it goes on) and its language (empty: not told)."""

    code: str
    message: str
    language: str


class MetadataRules:
    """The settings, made ready for many videos."""

    def __init__(self, settings: FilterConfig, detect: Callable[[str], str] = detect) -> None:
        self._settings = settings
        self._detect = detect
        self._languages = frozenset(settings.languages.split(",")) if settings.languages else frozenset()
        self._categories = frozenset(_listed(settings.drop_categories))
        self._words = {
            name.removeprefix("drop_"): _pattern(getattr(settings, name))
            for name in KEYWORD_SETTINGS
            if _listed(getattr(settings, name))
        }

    def judge(
        self, title: str | None, description: str | None, category: str | None, duration_s: float | None
    ) -> Verdict:
        """The first reason against a video: duration, category, keywords, language. What is unknown speaks for none."""
        text = f"{title or ''} {description or ''}"
        language = self._detect(text) if self._languages else ""
        code, message = self._reason(title or "", text, category or "", duration_s)
        if not code and language and language not in self._languages:
            code, message = "language", f"title and description seem to be in {language!r}"
        return Verdict(code, message, language)

    def _reason(self, title: str, text: str, category: str, duration_s: float | None) -> tuple[str, str]:
        low, high = self._settings.metadata_min_duration_s, self._settings.metadata_max_duration_s
        if duration_s is not None and duration_s < low:
            return "metadata_too_short", f"{duration_s:g} s by its metadata, at least {low:g} s"
        if duration_s is not None and 0 < high < duration_s:
            return "metadata_too_long", f"{duration_s:g} s by its metadata, at most {high:g} s"
        if category.strip().casefold() in self._categories:
            return "category", f"its category is {category.strip()}"
        searched = (title if self._settings.keywords_in == "title" else text).casefold()
        for name, pattern in self._words.items():
            found = pattern.search(searched)
            if found:
                return f"keyword_{name}", f"{found[0]!r} stands in its {self._settings.keywords_in}"
        return "", ""


def _listed(text: str) -> list[str]:
    return [item.strip().casefold() for item in text.split(",") if item.strip()]


def _pattern(text: str) -> re.Pattern[str]:
    """Any of the words of a setting, as whole words."""
    words = "|".join(re.escape(word) for word in sorted(_listed(text), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)")
