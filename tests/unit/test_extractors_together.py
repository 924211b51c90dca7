"""Files that are measured together: clips of several share a batch, decoding goes on meanwhile, a file fails alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from curation.errors import MediaError
from curation.extractors import registry, run
from curation.extractors.ahead import Ahead
from curation.extractors.base import InputSpec, Layer
from curation.extractors.network import NetworkExtractor
from curation.extractors.together import grouped, measured
from curation.media.decode import DecodedClip, decode_clips
from curation.media.sandbox import Outcome, Sandbox
from tests.mediamaker import make_video

N_FILES = 5


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("together")
    return [make_video(folder / f"{i}.mp4", seconds=1.0, seed=i, hz=200.0 * (1 + i)) for i in range(N_FILES)]


def payload(path: Path | str, *segments: tuple[float, float], extractor: str = "sound") -> dict[str, Any]:
    return {
        "path": str(path),
        "segments": [list(segment) for segment in segments],
        "extractors": [extractor],
        "options": {},
        "_time_limit_s": 60.0,
    }


class Loudness(NetworkExtractor):
    """A network in what counts here: batches of windows of several clips."""

    name: ClassVar[str] = "loudness"
    version: ClassVar[int] = 1
    modality = "audio"
    layers: ClassVar[tuple[Layer, ...]] = (Layer("mean", 1),)
    input: ClassVar[InputSpec] = InputSpec(sample_rate_hz=16_000)
    descriptions: ClassVar[dict[str, str]] = {"mean": "How loud it is."}
    batch_size: ClassVar[int] = 4
    joins_clips = True
    batches: ClassVar[list[int]] = []

    def obtain(self) -> None:
        """It has no weights."""

    def windows(self, clip: DecodedClip) -> np.ndarray:
        return np.abs(clip.audio[:8000])[None]

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        self.batches.append(len(batch))
        return {"mean": batch.mean(axis=1, keepdims=True)}


@pytest.fixture
def loudness(monkeypatch: pytest.MonkeyPatch) -> type[Loudness]:
    made = Loudness()
    monkeypatch.setattr(Loudness, "batches", [])
    monkeypatch.setattr(run, "_extractor", lambda name, **_options: made)
    return Loudness


def test_clips_of_several_files_share_a_batch(videos: list[Path], loudness: type[Loudness]) -> None:
    files = [{"path": str(path), "segments": [[0.5, 1.0], [0.0, 0.5]]} for path in videos]
    found = run.extract_file({"files": files, "extractors": ["loudness"]})
    assert loudness.batches == [4, 4, 2]
    alone = [run.extract_file({**file, "extractors": ["loudness"]}) for file in files]
    np.testing.assert_array_equal(found["loudness/mean"], np.concatenate([each["loudness/mean"] for each in alone]))
    assert found["valid/loudness"].all() and found["errors"] == []


def test_decoding_goes_on_while_a_batch_is_computed(
    videos: list[Path], loudness: type[Loudness], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    all_opened = threading.Event()

    def noted(path: str, *args: Any, **options: Any) -> Iterator[DecodedClip | MediaError]:
        opened.append(path)
        if len(opened) == N_FILES:
            all_opened.set()
        yield from decode_clips(path, *args, **options)

    def computed(self: Loudness, batch: np.ndarray) -> dict[str, np.ndarray]:
        assert all_opened.wait(20), "nothing is decoded while a batch is computed"
        return {"mean": batch.mean(axis=1, keepdims=True)}

    monkeypatch.setattr(run, "decode_clips", noted)
    monkeypatch.setattr(loudness, "run", computed)
    files = [{"path": str(path), "segments": [[0.0, 1.0]]} for path in videos]
    assert run.extract_file({"files": files, "extractors": ["loudness"]})["valid/loudness"].all()


def test_what_is_made_ahead_is_bounded_and_ends_with_the_caller() -> None:
    made = 0

    def items() -> Iterator[int]:
        nonlocal made
        while made < 100:
            made += 1
            yield made

    with Ahead(items(), 3) as ahead:
        assert next(ahead) == 1
        time.sleep(0.1)
        assert made <= 6
    assert made < 20 and not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_an_error_comes_at_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    with Ahead(items(), 3) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="here"):
            next(ahead)


def test_groups_are_neighbours_for_the_same_extractors() -> None:
    one, two, many = (0.0, 1.0), [(0.0, 1.0)] * 2, [(0.0, 1.0)] * 9
    payloads = [payload("a", one), payload("b", *two), payload("c", one, extractor="picture"), payload("d", one)]
    assert grouped(payloads, 3) == [[0, 1], [2], [3]]
    assert grouped(payloads, 1) == [[0], [1], [2], [3]]
    assert grouped([payload("a", *many), payload("b", one)], 3) == [[0], [1]]


def test_together_or_alone_the_same_outcomes(videos: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    payloads = [payload(path, (0.0, 0.5), (0.5, 1.0)) for path in (*videos[:2], broken, videos[2])]
    with Sandbox(1) as pool:
        together, alone = ({o.index: o for o in measured(pool, payloads, n)} for n in (24, 1))
    assert set(together) == set(alone) == set(range(4))
    for i, outcome in together.items():
        assert outcome.payload is payloads[i] and outcome.value is not None and alone[i].value is not None
        for key, array in outcome.value.items():
            np.testing.assert_array_equal(array, alone[i].value[key], err_msg=key)
    assert [index for index, *_ in together[2].value["errors"]] == [0, 1]  # type: ignore[index]


def test_a_file_that_ends_the_process_costs_itself_alone(videos: list[Path]) -> None:
    class Fragile(Sandbox):
        """Fails whatever holds the second file, as a crash of the decoder does."""

        def imap(self, task: str, payloads: Any) -> Iterator[Outcome]:
            for i, one in enumerate(payloads):
                if str(videos[1]) in str(one):
                    yield Outcome(i, one, None, MediaError("It crashed.", code="decoder_crashed"))
                else:
                    yield Outcome(i, one, run.extract_file(one), None)

    payloads = [payload(path, (0.0, 1.0)) for path in videos]
    with Fragile(1) as pool:
        outcomes = {o.index: o for o in measured(pool, payloads, 24)}
    assert {i for i, o in outcomes.items() if o.error is not None} == {1}
    assert all(o.value is not None and o.value["valid/sound"].all() for i, o in outcomes.items() if i != 1)


def test_the_extractors_here_are_listed_nowhere() -> None:
    assert "loudness" not in registry.names()
