"""Settings: unknown keys and wrong values are named, with what is allowed, before any work starts."""

from __future__ import annotations

import pytest

from curation.config import Config
from curation.errors import SettingError
from curation.setting import parse_assignments
from curation.setting_list import describe_settings


def test_every_setting_has_a_sentence_and_an_allowed_range() -> None:
    for info in describe_settings():
        assert info.help.endswith((".", ").")), info.key
        assert info.allowed, info.key


def test_changes_are_converted_to_the_type_of_the_setting() -> None:
    config = Config().replace(
        {"segment.clip_s": "5", "cluster.standardize": "no", "select.seed": "7", "select.budget": "1.5h"}
    )
    assert config.segment.clip_s == 5.0
    assert config.cluster.standardize is False
    assert config.select.seed == 7
    assert config.select.budget == "1.5h"
    assert Config().segment.clip_s == 10.0, "the defaults stay"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("selct.budget", "0.2", "scan"),
        ("select.budgt", "0.2", "budget"),
        ("select.method", "best", "batch-greedy"),
        ("segment.clip_s", "0", "from 0.5 to 600"),
        ("segment.clip_s", "ten", "a number"),
        ("segment.clip_s", "nan", "a number"),
        ("select.seed", "1.5", "a whole number"),
        ("select.budget", "-3", "a share"),
        ("select.budget", "0", "a share"),
        ("select.budget", "2.5", "a share"),
        ("cluster.standardize", "maybe", "true, false"),
        ("cluster.n_clusters", "many", "auto"),
        ("select.selection_size", "1000", "batch_size"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_allowed(key: str, value: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        Config().replace({key: value})
    assert said in str(caught.value)


def test_what_only_changes_speed_is_not_part_of_a_fingerprint() -> None:
    assert Config().affecting("resources") == {}
    assert "name" not in Config().affecting("select")
    assert "budget" in Config().affecting("select")


def test_assignments_need_an_equals_sign() -> None:
    assert parse_assignments(["a.b=c=d", " x.y = 1 "]) == {"a.b": "c=d", "x.y": "1"}
    with pytest.raises(SettingError, match=r"select\.budget"):
        parse_assignments(["select.budget"])
