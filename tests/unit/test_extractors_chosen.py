"""Names in settings mean extractors; some of them can be measured while shots are searched for."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.errors import SettingError
from curation.extractors.chosen import chosen, early_ones, numbers_of
from curation.media.decode import DECODING_VERSION


def test_names_once_each_features_first() -> None:
    assert list(chosen("picture,sound,picture", "picture-health")) == ["picture", "sound", "picture-health"]
    assert chosen("", "") == {}


@pytest.mark.parametrize(
    ("features", "measures", "said"),
    [
        ("sound-health", "", "features.measures"),
        ("sound", "picture", "features.extractors"),
        ("nonsense", "", "Choose from"),
    ],
)
def test_names_in_the_wrong_place_are_refused(features: str, measures: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        chosen(features, measures)
    assert said in str(caught.value)


def test_networks_and_clips_off_the_grid_wait_for_the_features_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    found = chosen("sound,vggish,slowfast,hub:owner/model", "picture-health", fetch=False, weights_folder="")
    assert list(early_ones(found, 10.0)) == ["sound", "picture-health"]
    assert early_ones(found, 10.5) == early_ones({}, 10.0) == {}


def test_other_decoding_means_other_numbers() -> None:
    (extractor,) = chosen("sound", "").values()
    assert numbers_of(extractor) == {**extractor.fingerprint(), "decoding": DECODING_VERSION}
