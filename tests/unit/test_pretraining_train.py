"""Pre-training: the loss by hand, the same weights for a seed and after a break, words for what cannot go on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.errors import Cancelled, InputError, SettingError
from curation.pretraining import train as training
from curation.pretraining.augment import steady_batches, training_batch
from curation.pretraining.dataset import TinyClips
from curation.pretraining.loss import info_nce
from curation.pretraining.model_file import load_model, save
from curation.pretraining.networks import SIZES, AudioVisual
from curation.pretraining.sampler import Sampler, Sampling
from curation.pretraining.train import PairSet, TrainConfig, Trained, TrainingError, rate_at, train
from curation.progress import Progress
from tests.tinymaker import made_clips

CONFIG = TrainConfig(steps=12, batch_size=16, warmup=3)


class StopAfter:
    """A sink that asks for the end after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        self.done = state["done"]

    def cancelled(self) -> bool:
        return self.done >= self.steps


def run(clips: TinyClips, pairs: PairSet, config: TrainConfig = CONFIG, **more: Any) -> Trained:
    return train(clips, pairs, config, **({"seed": 0, "progress": Progress()} | more))


def stopped(clips: TinyClips, pairs: PairSet, file: Path, steps: int, config: TrainConfig = CONFIG) -> None:
    clock = iter(range(10_000))  # every look at the sinks counts
    progress = Progress(StopAfter(steps), clock=lambda: float(next(clock)))
    with pytest.raises(Cancelled):
        train(clips, pairs, config, seed=0, progress=progress, checkpoint=file)


def weights(found: Trained) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in found.model.state_dict().items()}


def same(a: Trained, b: Trained) -> bool:
    return all(np.array_equal(value, weights(b)[name]) for name, value in weights(a).items())


@pytest.fixture(scope="module")
def clips() -> TinyClips:
    return made_clips(64)[0]


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    return PairSet.of_clips("own", np.arange(48))


@pytest.fixture(scope="module")
def unbroken(clips: TinyClips, pairs: PairSet) -> Trained:
    return run(clips, pairs)


def test_the_loss_is_the_slow_one() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7, 5))
    unit_a, unit_b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    total = 0.0
    for i in range(7):
        to_sounds = [math.exp(unit_a[i] @ unit_b[j] / 0.2) for j in range(7)]
        to_pictures = [math.exp(unit_b[i] @ unit_a[j] / 0.2) for j in range(7)]
        total -= math.log(to_sounds[i] / sum(to_sounds)) + math.log(to_pictures[i] / sum(to_pictures))
    found = info_nce(torch.from_numpy(a), torch.from_numpy(b), 0.2)
    assert float(found) == pytest.approx(total / 14, rel=1e-5)
    same = torch.ones(6, 3)
    assert float(info_nce(same, same)) == pytest.approx(math.log(6)), "chance"


def test_a_seed_gives_the_same_weights_and_another_others(clips: TinyClips, pairs: PairSet, unbroken: Trained) -> None:
    assert same(unbroken, run(clips, pairs)) and not same(unbroken, run(clips, pairs, seed=1))
    torch.manual_seed(99)  # what the program did before does not count
    assert same(unbroken, run(clips, pairs))
    threads = torch.get_num_threads()
    run(clips, pairs, replace(CONFIG, steps=1))
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("steps", [1, 5, 11])
def test_a_broken_run_ends_at_the_same_weights(
    clips: TinyClips, pairs: PairSet, unbroken: Trained, tmp_path: Path, steps: int
) -> None:
    file = tmp_path / "run.npz"
    stopped(clips, pairs, file, steps)
    resumed = run(clips, pairs, checkpoint=file)
    assert same(unbroken, resumed)
    assert np.array_equal(unbroken.loss, resumed.loss)


def test_mixed_precision_is_not_for_the_cpu(clips: TinyClips, pairs: PairSet, unbroken: Trained) -> None:
    assert same(unbroken, run(clips, pairs, replace(CONFIG, mixed_precision=False, device="cpu")))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_mixed_precision_learns_and_goes_on_on_a_gpu(tmp_path: Path) -> None:
    clips, _ = made_clips(200, kinds=8, noise=20)
    pairs, config = PairSet.of_clips("own", np.arange(200)), TrainConfig(steps=40, batch_size=32, warmup=5)
    full = run(clips, pairs, replace(config, mixed_precision=False))
    half = run(clips, pairs, config)
    assert half.report["device"] == "cuda" and not same(full, half)
    assert half.loss[-5:].mean() < 0.75 * half.loss[:3].mean()
    assert abs(half.loss[-5:].mean() - full.loss[-5:].mean()) < 0.3
    stopped(clips, pairs, tmp_path / "run.npz", 20, config)
    assert same(half, run(clips, pairs, config, checkpoint=tmp_path / "run.npz"))


def test_larger_networks_train_and_go_on(clips: TinyClips, pairs: PairSet, tmp_path: Path) -> None:
    config = replace(CONFIG, network="small", steps=3, batch_size=4)
    unbroken = run(clips, pairs, config)
    stopped(clips, pairs, tmp_path / "run.npz", 2, config)
    assert same(unbroken, run(clips, pairs, config, checkpoint=tmp_path / "run.npz"))


def test_what_belongs_together_is_learnt() -> None:
    clips, _ = made_clips(200, kinds=8, noise=20)
    found = run(clips, PairSet.of_clips("own", np.arange(200)), TrainConfig(steps=40, batch_size=32, warmup=5))
    assert found.loss[-5:].mean() < 0.75 * found.loss[:3].mean()
    assert found.report["clips_per_s"] > 0 and 0 <= found.report["waiting_share"] <= 1


def test_a_checkpoint_of_another_model_is_named(clips: TinyClips, pairs: PairSet, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    stopped(clips, pairs, file, 2)
    kept = file.read_bytes()
    with pytest.raises(InputError, match="another model: network tiny, wanted small"):
        run(clips, pairs, replace(CONFIG, network="small"), checkpoint=file)
    with pytest.raises(InputError, match="another run: seed 0, wanted 3"):
        run(clips, pairs, seed=3, checkpoint=file)
    with pytest.raises(InputError, match="another run: set "):
        run(clips, PairSet.of_clips("own", np.arange(1, 49)), checkpoint=file)
    with pytest.raises(InputError, match="network tiny, wanted small"):
        load_model(file, "small")
    assert file.read_bytes() == kept
    assert isinstance(load_model(file, "tiny"), AudioVisual)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "model.npz"
    if content is None:
        save(file, {"network": "tiny"}, {"model/x": np.zeros(2)})
        with pytest.raises(InputError, match="does not fit the network tiny"):
            load_model(file)
        return
    file.write_bytes(content)
    with pytest.raises(InputError, match="no checkpoint of a pre-training"):
        load_model(file)


def test_a_loss_that_is_no_number_stops_at_its_batch(
    clips: TinyClips, pairs: PairSet, unbroken: Trained, tmp_path: Path
) -> None:
    """The last good checkpoint stays, and a run goes on from it once the cause is gone."""
    sound = clips.sound.copy()
    sampler = Sampler(pairs.title, pairs.start_s, Sampling(16), 0)
    broken = int(sampler.batch(2)[0])  # the first epoch has three batches: it comes there for the first time
    sound[broken] = np.nan
    bad = TinyClips(clips.format, clips.frames, sound, clips.flags)
    file = tmp_path / "run.npz"
    with pytest.raises(TrainingError, match="own is not a number at batch 3 of 12") as raised:
        run(bad, pairs, checkpoint=file)
    assert str(file) in raised.value.hint
    assert all(torch.isfinite(value).all() for value in load_model(file).state_dict().values())
    assert same(unbroken, run(clips, pairs, checkpoint=file))


def test_weights_that_blew_up_do_not_replace_the_last_good_ones(
    clips: TinyClips, pairs: PairSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "KEPT_EVERY_S", 0.0)
    monkeypatch.setattr(training, "rate_at", lambda step, config: math.nan if step == 4 else 1e-3)
    file = tmp_path / "run.npz"
    kept_steps = []
    keep = training._Run.keep

    def watched(self: Any) -> None:
        kept_steps.append(self.step)
        keep(self)

    monkeypatch.setattr(training._Run, "keep", watched)
    with pytest.raises(TrainingError, match="batch 6 of 12"):
        run(clips, pairs, checkpoint=file)
    assert 5 in kept_steps, "it was asked to keep what the fifth batch made"
    assert all(torch.isfinite(value).all() for value in load_model(file).state_dict().values())


def test_what_cannot_be_trained_on_is_refused_with_words(clips: TinyClips, pairs: PairSet) -> None:
    with pytest.raises(InputError, match="batch of 128 clips is larger than the data: 48 clips"):
        run(clips, pairs, replace(CONFIG, batch_size=128))
    with pytest.raises(InputError, match="names a picture of clip 64; there are 64"):
        run(clips, PairSet.of_clips("own", np.arange(17, 65)))
    flags = clips.flags.copy()
    flags[[3, 4], 1] = 0
    with pytest.raises(InputError, match="2 of 48 clips of the set own have no sound"):
        run(TinyClips(clips.format, clips.frames, clips.sound, flags), pairs)
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="torch sees no GPU"):
            run(clips, pairs, replace(CONFIG, device="cuda"))
    for wrong in ({"steps": 0}, {"batch_size": 1}, {"network": "huge"}, {"learning_rate": 0.0}, {"device": "tpu"}):
        with pytest.raises(SettingError):
            TrainConfig(**wrong)


@pytest.mark.parametrize("size", SIZES)
def test_networks_give_features_of_their_size(size: str) -> None:
    model = AudioVisual(size).eval()
    clips, _ = made_clips(3)
    (_, pictures, sounds), *_ = steady_batches(clips, np.arange(3))
    with torch.inference_mode():
        seen, heard = model.features(pictures, sounds)
        a, b = model(pictures, sounds)
    assert (seen.shape[1], heard.shape[1]) == model.feature_dims and a.shape == b.shape == (3, 128)
    if size == "resnet50":
        assert model.feature_dims == (2048, 2048)
        assert 20e6 < sum(p.numel() for p in model.sound.parameters()) < 26e6, "the size of ResNet-50"


def test_augmenting_depends_on_its_generator_alone() -> None:
    clips, _ = made_clips(10)
    rows = np.arange(10)
    one, again, other = (training_batch(clips, rows, rows, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one[0], again[0]) and torch.equal(one[1], again[1]) and not torch.equal(one[0], other[0])
    assert one[0].shape == (10, 3, 1, 16, 16) and one[1].shape == (10, 1, 20, 64)
    assert training_batch(clips, rows, rows, np.random.default_rng(0), frames=2)[0].shape == (10, 3, 2, 16, 16)


def test_the_rate_rises_and_falls() -> None:
    rates = [rate_at(step, TrainConfig(steps=100, warmup=10)) for step in range(100)]
    assert np.argmax(rates) == 9 and rates[0] < 2e-4 and rates[-1] < 1e-6
