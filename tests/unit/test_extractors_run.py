"""The sandbox task `features` on made files: order, errors, missing streams, one decoding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.errors import SettingError
from curation.extractors import registry, run
from curation.media.decode import decode_clips
from tests.mediamaker import make_video

BOTH = ["sound", "picture"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("run") / "v.mp4", seconds=4.0, sound="noise", scenes=3)


def features(path: Path, segments: list[list[float]], extractors: list[str] = BOTH) -> dict[str, Any]:
    return run.extract_file({"path": str(path), "segments": segments, "extractors": extractors})


def test_result_has_the_declared_arrays(video: Path) -> None:
    result = features(video, [[0.0, 2.0], [2.0, 4.0]])
    expected = {f"{name}/{layer.name}": layer.dim for name in BOTH for layer in registry.get(name).layers}
    assert set(result) == {*expected, "valid/sound", "valid/picture", "errors"}
    for key, dim in expected.items():
        assert result[key].dtype == np.float16 and result[key].shape == (2, dim)
        assert np.isfinite(result[key]).all() and result[key].any(axis=1).all(), key
    for name in BOTH:
        assert result[f"valid/{name}"].dtype == np.uint8 and result[f"valid/{name}"].tolist() == [1, 1]
    assert result["errors"] == []


def test_rows_follow_the_segments_in_any_order(video: Path) -> None:
    forward = features(video, [[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]])
    backward = features(video, [[2.0, 4.0], [1.0, 3.0], [0.0, 2.0]])
    for key in forward:
        if "/" in key:
            np.testing.assert_array_equal(forward[key], backward[key][::-1], err_msg=key)


def test_numbers_are_the_extractors_own(video: Path) -> None:
    (clip,) = decode_clips(str(video), [(0.5, 3.0)])
    values = registry.get("picture").extract([clip]).values
    result = features(video, [[0.5, 3.0]], ["picture"])
    for name, array in values.items():
        np.testing.assert_allclose(result[f"picture/{name}"], array.astype(np.float16), atol=2e-3, rtol=2e-3)


def test_each_file_is_decoded_once_for_all(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(options)
        return decode_clips(*args, **options)

    monkeypatch.setattr(run, "decode_clips", counted)
    features(video, [[0.0, 2.0]])
    features(video, [[0.0, 2.0]], ["sound"])
    assert len(calls) == 2
    assert calls[0]["want_video"] and calls[0]["want_audio"] and calls[0]["frame_size"] == 112
    assert calls[1]["want_audio"] and not calls[1]["want_video"]


@pytest.mark.parametrize(("made", "missing"), [({"sound": None}, "sound"), ({"codec": None}, "picture")])
def test_a_missing_stream_is_not_valid(tmp_path: Path, made: dict[str, Any], missing: str) -> None:
    path = make_video(tmp_path / "half.mp4", seconds=1.5, **made)
    result = features(path, [[0.0, 1.5]])
    assert result[f"valid/{missing}"].tolist() == [0] and result["errors"] == []
    assert {name for name in BOTH if result[f"valid/{name}"].any()} == set(BOTH) - {missing}
    assert not any(result[key].any() for key in result if key.startswith(f"{missing}/"))


def test_a_segment_behind_the_end_costs_itself_alone(video: Path) -> None:
    result = features(video, [[60.0, 62.0], [0.0, 2.0]])
    assert result["valid/sound"].tolist() == [0, 1]
    ((index, code, message),) = result["errors"]
    assert index == 0 and isinstance(code, str) and code and message


def test_a_file_that_is_no_video_gives_a_reason_for_each_segment(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video at all")
    result = features(path, [[0.0, 1.0], [1.0, 2.0]])
    assert [error[0] for error in result["errors"]] == [0, 1]
    assert not result["valid/sound"].any() and not result["picture/conv"].any()


def test_no_segments(video: Path) -> None:
    result = features(video, [])
    assert result["sound/mfcc"].shape == (0, 59) and result["errors"] == []


def test_unknown_extractor_is_refused(video: Path) -> None:
    with pytest.raises(SettingError, match="sound"):
        features(video, [[0.0, 1.0]], ["nonsense"])


def test_threads_are_as_before(video: Path) -> None:
    before = torch.get_num_threads()
    features(video, [[0.0, 1.0]])
    assert torch.get_num_threads() == before


def test_built_in_extractors_load_neither_torch_nor_scipy_signal(video: Path) -> None:
    """Each worker would pay for it: two seconds of processor time, as much as fifty clips."""
    code = (
        "import sys\n"
        "from curation.extractors import run\n"
        "names = ['sound', 'picture', 'sound-health', 'picture-health', 'sound-print', 'picture-print', "
        "'sound-onsets', 'picture-onsets']\n"
        "found = run.extract_file({'path': sys.argv[1], 'segments': [[0.0, 4.0]], 'extractors': names})\n"
        "assert all(found[f'valid/{name}'].all() for name in names)\n"
        "sys.exit(' '.join({'torch', 'torchaudio', 'scipy.signal'} & set(sys.modules)) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(video)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
