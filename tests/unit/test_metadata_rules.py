"""The reference's metadata filter: limits are inclusive, words are whole, what is unknown drops nothing."""

from __future__ import annotations

import pytest

from curation.config import Config, FilterConfig
from curation.sources import language
from curation.sources.rules import SETTINGS, MetadataRules


def code(
    title: str = "", description: str = "", category: str = "", duration_s: float | None = 60, **changes: str
) -> str:
    settings = Config().replace({f"filter.{key}": value for key, value in changes.items()}).filter
    return MetadataRules(settings).judge(title, description, category, duration_s).code


def test_the_rules_settings_are_settings() -> None:
    assert set(FilterConfig.__dataclass_fields__) >= SETTINGS


@pytest.mark.parametrize(
    "seconds, expected",
    [(29.9, "metadata_too_short"), (30, ""), (597, ""), (597.1, "metadata_too_long"), (None, "")],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert code(duration_s=seconds) == expected


@pytest.mark.parametrize(
    "title, expected",
    [
        ("Guitar TUTORIAL for all", "keyword_tutorial"),
        ("A tutorialist at work", ""),
        ("My band (Official Music Video)", "keyword_official"),
        ("Let's Play chess", "keyword_gaming"),
        ("An artist at work", "keyword_artist"),
        ("stop motion of a cat", "keyword_animation"),
    ],
)
def test_keywords_are_whole_words_of_the_title(title: str, expected: str) -> None:
    assert code(title) == expected
    assert code("A cat", title) == ""
    assert code("A cat", title, keywords_in="title+description") == expected


def test_lists_are_settings() -> None:
    assert code("A cat", drop_animation="dog, cat") == "keyword_animation"
    assert code("My tutorial", drop_tutorial="") == ""
    assert code(category=" gaming ") == "category" and code(category="Gaming", drop_categories="") == ""
    assert code(category="Music", drop_categories="Gaming, Music") == "category"


TEXTS = {
    "en": "The cat is on the roof of our house and it will not come down",
    "es": "El gato está en el tejado de nuestra casa y no quiere bajar",
    "pt": "O gato está no telhado da nossa casa e não quer descer com você",
    "fr": "Le chat est sur le toit de notre maison et ne veut pas descendre",
    "de": "Die Katze ist auf dem Dach und sie kommt nicht herunter",
    "ru": "Кошка сидит на крыше нашего дома",
    "ja": "猫が屋根の上にいます",
    "ko": "고양이가 지붕 위에 있어요",
    "it": "Il gatto è sul tetto della casa e non vuole scendere con gli altri",
    "nl": "De kat zit op het dak van ons huis en wil niet naar beneden",
    "zh": "猫在我们家的屋顶上",
    "uk": "Кішка сидить на даху нашого дому і їсть",
    "ar": "القطة على السطح",
    "": "12345 — !!! https://example.org/the-and-of @the #and",
}


@pytest.mark.parametrize("expected", list(TEXTS))
def test_languages_are_told_and_kept_or_dropped(expected: str) -> None:
    assert language.detect(TEXTS[expected]) == expected
    wanted = "" if expected in ("", *FilterConfig().languages.split(",")) else "language"
    assert code(TEXTS[expected]) == wanted


def test_the_detector_is_part_of_what_a_result_depends_on() -> None:
    assert language.detector_version().startswith("py3langid ")
