"""The registry, the contract's own arithmetic, and torchaudio without its extension."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from curation.errors import SettingError
from curation.extractors import registry
from curation.extractors.base import VALUE_LIMIT, ClipExtractor, Extractor, InputSpec, Layer, Weights
from curation.extractors.run import passes
from curation.media.decode import DecodedClip


class Loudest(ClipExtractor):
    """The largest sample; NaN stays NaN."""

    name, version, modality = "loudest", 3, "audio"
    layers = (Layer("peak", 1),)
    input = InputSpec(sample_rate_hz=16_000)
    descriptions = {"peak": "The largest sample."}  # noqa: RUF012

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        return {"peak": np.array([clip.audio.max()])}


def sound_of(value: float) -> DecodedClip:
    return DecodedClip(np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0), 8.0, np.full(9, value, np.float32), 16_000, 0.1)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SettingError, match="sound, picture"):
        registry.get("vgish")


def test_both_modalities_are_built_in_with_equally_many_layers() -> None:
    # `diagonal` pairing needs as many sound layers as picture layers.
    counts = {extractor.modality: len(extractor.layers) for extractor in map(registry.get, ("sound", "picture"))}
    assert counts == {"audio": 5, "visual": 5}


def test_outliers_are_cut_and_broken_numbers_are_not_valid() -> None:
    values, valid = Loudest().extract([sound_of(1e20), sound_of(np.nan), sound_of(0.5)])
    assert values["peak"].ravel().tolist() == [VALUE_LIMIT, 0.0, 0.5]
    assert valid.tolist() == [True, False, True]


def test_weights_count_by_hash_not_by_place() -> None:
    def fingerprint(**weights: Any) -> dict[str, Any]:
        return Loudest(weights=Weights(**weights)).fingerprint()

    here = fingerprint(path="/a/w.pt", revision="1", sha256="ab")
    assert here == fingerprint(path="/b/w.pt", revision="1", sha256="ab")
    assert here != fingerprint(path="/a/w.pt", revision="1", sha256="cd")
    assert here != Loudest().fingerprint() and "/a" not in str(here)


def test_available_by_default() -> None:
    assert Loudest().available().ready


def spec_of(**fields: Any) -> Extractor:
    extractor = Loudest()
    extractor.input = InputSpec(**fields)  # type: ignore[misc]
    return extractor


def test_one_decoding_serves_what_is_compatible() -> None:
    sound, picture = spec_of(sample_rate_hz=16_000), spec_of(frame_rate_hz=8.0, frame_size=112, max_frames=80)
    large = spec_of(frame_rate_hz=15.0, frame_size=256, max_frames=32)
    assert [members for _, members in passes([sound, picture])] == [[sound, picture]]
    assert passes([sound, picture])[0][0] == InputSpec(8.0, 80, 112, 16_000)
    assert [members for _, members in passes([picture, large, sound])] == [[picture, sound], [large]]
    assert passes([]) == []


def test_the_built_in_ones_need_one_decoding() -> None:
    assert len(passes([registry.get("sound"), registry.get("picture")])) == 1


COMPAT = """
import sys, types
import torch
from importlib.machinery import ModuleSpec

class Broken:
    # The extension is there and does not fit: what a wheel for another CUDA version does.
    def find_spec(self, name, path=None, target=None):
        if name == "torchaudio._extension" and name not in sys.modules:
            raise ERROR
        return None

sys.meta_path.insert(0, Broken())
from curation.extractors import torchaudio_compat as compat
assert not compat.EXTENSION_LOADED
wave = torch.sin(torch.arange(16000) * 0.1)
assert compat.transforms.MelSpectrogram(16000, n_mels=40)(wave).shape == (40, 81)
assert compat.transforms.MFCC(16000, 13, melkwargs={"n_mels": 40})(wave).shape == (13, 81)
assert compat.transforms.Resample(16000, 8000)(wave).shape == (8000,)
from curation.errors import MissingPackageError
try:
    compat.functional.forced_align(wave, wave, wave, wave)
except MissingPackageError as error:
    assert "forced_align" in str(error)
else:
    raise AssertionError("an absent extension must say so")
"""


@pytest.mark.parametrize("error", ["OSError('libcudart.so.13')", "RuntimeError('different CUDA versions')"])
def test_torchaudio_works_where_its_extension_does_not_load(error: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPAT.replace("ERROR", error)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_torchaudio_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torchaudio'] = None\n"
        "from curation.errors import MissingPackageError\n"
        "try:\n    import curation.extractors.torchaudio_compat\n"
        "except MissingPackageError as error:\n    sys.exit('pip install' not in str(error))\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
