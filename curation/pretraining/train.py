"""Contrastive pre-training: tiny clips and pairs of them in, a model out; the same weights for a seed, resumed or not.

The batch of a step, and how it is augmented, depend on the seed and the step alone. Sums are done by a fixed number of
threads, so that the same settings give the same bits on one machine's CPU.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curation.errors import Cancelled, ConcordError, InputError, SettingError
from curation.extractors.torch_runner import usable
from curation.pretraining.augment import training_batch
from curation.pretraining.dataset import TinyClips
from curation.pretraining.loss import info_nce
from curation.pretraining.model_file import load, put_state, same_run, save
from curation.pretraining.networks import SIZES, AudioVisual
from curation.pretraining.sampler import Sampler, Sampling, shared_negatives
from curation.progress import Progress

VERSION = 1  # raised when the same settings give other weights
AHEAD = 2  # batches made while one is learnt from
CHECKED_EVERY = 20  # steps between two looks at the loss on CUDA; each one on the CPU
KEPT_EVERY_S = 20.0


class TrainingError(ConcordError):
    """Training cannot go on: the loss is not a number."""

    code = "training"


@dataclass(frozen=True)
class TrainConfig:
    """One schedule for all sets that are compared: cosine from `learning_rate` to 0, after `warmup` steps up to it.

    `network`: a name of `networks.SIZES`. `threads`: of torch on the CPU; the weights depend on it. `device`: auto, cpu
    or cuda. `mixed_precision`: on CUDA in bfloat16 (loss in float32), never on the CPU.
    """

    network: str = "tiny"
    steps: int = 300
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    temperature: float = 0.1
    warmup: int = 30
    threads: int = 1
    device: str = "auto"
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        whole = {"steps": (1, 10_000_000), "batch_size": (2, 1 << 20), "warmup": (0, 1 << 30), "threads": (1, 256)}
        for name, (low, high) in whole.items():
            if not low <= getattr(self, name) <= high:
                raise SettingError(f"{name}={getattr(self, name)} is out of range.", hint=f"Allowed: {low} to {high}.")
        for name in ("learning_rate", "temperature"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise SettingError(f"{name}={getattr(self, name)} must be above 0.")
        if self.network not in SIZES:
            raise SettingError(f"There is no network {self.network!r}.", hint=f"Networks: {', '.join(SIZES)}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise SettingError(f"There is no device {self.device!r}.", hint="Devices: auto, cpu, cuda.")


@dataclass(frozen=True)
class PairSet:
    """What is trained on: `picture`, `sound` int64 (n,), rows of the clips whose picture and sound go together;
    `title` int (n,) and `start_s` float (n,) for hierarchical sampling, `clips_per_title` and `window_s` of it.
    """

    name: str
    picture: np.ndarray
    sound: np.ndarray
    title: np.ndarray
    start_s: np.ndarray
    clips_per_title: int = 1
    window_s: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_clips(cls, name: str, rows: np.ndarray, **more: Any) -> PairSet:
        """Clips with their own sounds, each its own title."""
        rows = np.asarray(rows, np.int64)
        return cls(name, rows, rows, np.arange(len(rows)), np.zeros(len(rows)), **more)

    def digest(self) -> str:
        """Says whether two sets are the same, whatever their names."""
        found = hashlib.blake2b(digest_size=16)
        for array in (self.picture, self.sound, self.title, self.start_s):
            found.update(np.ascontiguousarray(array).tobytes())
        found.update(repr((self.clips_per_title, self.window_s)).encode())
        return found.hexdigest()


@dataclass(frozen=True)
class Trained:
    """A model, the loss of every step float32 (steps,), nats, and facts ready for JSON: clips/s, waiting, negatives."""

    model: AudioVisual
    loss: np.ndarray
    report: dict[str, Any]


def train(
    clips: TinyClips, pairs: PairSet, config: TrainConfig, *, seed: int, progress: Progress,
    checkpoint: Path | None = None,
) -> Trained:  # fmt: skip
    """Train a model on pairs; goes on from `checkpoint` where that was left, to the same weights.

    Raises `InputError` for a batch larger than the data, clips without picture or sound, and a checkpoint of another
    model or run; `TrainingError` where the loss is not a number: the last good checkpoint stays. Cancelled, it keeps
    where it is.
    """
    check_pairs(clips, pairs)
    sampler = Sampler(
        pairs.title, pairs.start_s, Sampling(config.batch_size, pairs.clips_per_title, pairs.window_s), seed
    )
    device = usable(config.device)
    if config.device == "cuda" and device.type != "cuda":
        raise SettingError(
            "device='cuda' was asked for, but torch sees no GPU.", hint="Use device='auto' or device='cpu'."
        )
    with _fixed(config.threads):
        run = _Run(clips, pairs, config, seed, sampler, device, checkpoint)
        run.resume()
        progress.advance(run.step, finished_before=True)
        run.go(progress)
    return run.result()


def check_pairs(clips: TinyClips, pairs: PairSet) -> None:
    """Raises `InputError` for rows that are not there, or have no picture or no sound."""
    if len(pairs.picture) != len(pairs.sound) or len(pairs.title) != len(pairs.picture):
        raise InputError(f"The set {pairs.name} has other numbers of pictures, sounds and titles.")
    for what, rows, there in (("picture", pairs.picture, clips.seen), ("sound", pairs.sound, clips.heard)):
        if len(rows) and (rows.min() < 0 or rows.max() >= len(clips)):
            raise InputError(f"The set {pairs.name} names a {what} of clip {rows.max()}; there are {len(clips)}.")
        gone = int((~there[rows]).sum())
        if gone:
            raise InputError(
                f"{gone} of {len(rows)} clips of the set {pairs.name} have no {what}.", hint="Leave them out."
            )


class _Run:
    """The state of one training: model, optimizer, step, losses."""

    def __init__(
        self, clips: TinyClips, pairs: PairSet, config: TrainConfig, seed: int, sampler: Sampler, device: torch.device,
        file: Path | None,
    ) -> None:  # fmt: skip
        self.clips, self.pairs, self.config, self.seed = clips, pairs, config, seed
        self.sampler, self.device, self.file = sampler, device, file
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = AudioVisual(config.network)
        self.model.to(device)
        for layer in self.model.modules():
            if isinstance(layer, torch.nn.Conv2d):  # a third faster on the CPU in this memory layout
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step = 0
        self.loss = torch.full((config.steps,), math.nan, device=device)
        self.shared = np.full(config.steps, np.nan)
        self.seconds = self.waited_s = 0.0
        self.fresh = 0
        self.saved = time.monotonic()

    @property
    def frames(self) -> int:
        """Pictures of a clip that are seen together."""
        return SIZES[self.config.network].frames or self.clips.format.frames

    def description(self) -> dict[str, Any]:
        """What a checkpoint must have been made of for this run to go on from it."""
        run = {"version": VERSION, "seed": self.seed, "set": self.pairs.digest()}
        run |= {"clip_format": asdict(self.clips.format), "device_kind": self.device.type}
        return run | {key: value for key, value in asdict(self.config).items() if key != "device"}

    def resume(self) -> None:
        if self.file is None or not self.file.is_file():
            return
        description, arrays = load(self.file)
        same_run(self.file, description, self.description())
        put_state(self.file, self.model, _under(arrays, "model/"))
        state = self.optimizer.state_dict()
        slots = {name.rpartition("/")[0].removeprefix("optimizer/") for name in arrays if name.startswith("optimizer/")}
        state["state"] = {
            int(k): {key: torch.from_numpy(v.copy()) for key, v in _under(arrays, f"optimizer/{k}/").items()}
            for k in slots
        }
        self.optimizer.load_state_dict(state)
        self.step = int(arrays["step"])
        self.loss[: self.step] = torch.from_numpy(arrays["loss"][: self.step]).to(self.device)
        self.shared[: self.step] = arrays["shared"][: self.step]

    def keep(self) -> None:
        """Write the checkpoint; weights that are not finite never replace those that are."""
        self.saved = time.monotonic()
        if self.file is None or not all(torch.isfinite(value).all() for value in self.model.state_dict().values()):
            return
        tensors: dict[str, Any] = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        for k, slot in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{k}/{key}": v for key, v in slot.items()}
        arrays = {"step": np.array(self.step), "loss": self.loss.cpu().numpy(), "shared": self.shared}
        save(self.file, self.description(), tensors | arrays)

    def go(self, progress: Progress) -> None:
        """Learn from the steps that are left."""
        look = 1 if self.device.type == "cpu" else CHECKED_EVERY
        began, first = time.perf_counter(), self.step
        self.model.train()
        try:
            with contextlib.closing(self._batches(first)) as batches:
                for rows, pictures, sounds, waited_s in batches:
                    self.waited_s += waited_s
                    self.shared[self.step] = shared_negatives(self.pairs.title[rows])
                    before = [buffer.clone() for buffer in self.model.buffers()] if look == 1 else []
                    self.loss[self.step] = self._learn(pictures, sounds)
                    looked = (self.step + 1) % look == 0 or self.step + 1 == self.config.steps
                    if looked:
                        self._check_loss(max(first, self.step + 1 - look), self.step + 1, before)
                    self.optimizer.step()
                    self.step += 1
                    if looked and time.monotonic() - self.saved >= KEPT_EVERY_S:
                        self.keep()
                    self._tell(progress)
        except Cancelled:
            self._check_loss(max(first, self.step - look), self.step, [])
            self.keep()
            raise
        self.seconds, self.fresh = time.perf_counter() - began, self.step - first

    def _learn(self, pictures: torch.Tensor, sounds: torch.Tensor) -> torch.Tensor:
        """The loss of a batch; its gradients lie ready for the next step."""
        half = self.device.type == "cuda" and self.config.mixed_precision
        with torch.autocast("cuda", torch.bfloat16) if half else contextlib.nullcontext():
            picture, sound = self.model(pictures, sounds)
        loss = info_nce(picture, sound, self.config.temperature)
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, self.config)
        self.optimizer.zero_grad()
        loss.backward()
        return loss.detach()

    def _check_loss(self, since: int, until: int, before: list[torch.Tensor]) -> None:
        """Raises `TrainingError` that names the first batch of some steps whose loss is not a number.

        `before`: the moving averages of the model before that batch, where it is the last one.
        """
        wrong = torch.nonzero(~torch.isfinite(self.loss[since:until])).flatten()
        if not len(wrong):
            return
        step = since + int(wrong[0])
        rows = self.sampler.batch(step)
        if before:  # nothing was learnt from this batch yet, but it was averaged in
            for buffer, value in zip(self.model.buffers(), before, strict=True):
                buffer.copy_(value)
            self.keep()
        kept = self.file if self.file is not None and self.file.is_file() else None
        raise TrainingError(
            f"The loss of {self.pairs.name} is not a number at batch {step + 1} of {self.config.steps} "
            f"(clips {', '.join(str(int(self.pairs.picture[row])) for row in rows[:6])}, ...).",
            hint=f"The last good checkpoint is {kept}. " * (kept is not None)
            + "Look at these clips, or lower the learning rate.",
        )

    def _batches(self, first: int) -> Generator[tuple[np.ndarray, torch.Tensor, torch.Tensor, float], None, None]:
        """Rows of each step from `first` on, what they show and sound like, and the seconds that were waited."""
        steps = self.config.steps
        with ThreadPoolExecutor(1) as pool:
            ready: deque[Future[tuple[np.ndarray, torch.Tensor, torch.Tensor]]] = deque()
            asked = first
            try:
                for _ in range(first, steps):
                    while asked < steps and len(ready) < AHEAD:
                        ready.append(pool.submit(self._make_batch, asked))
                        asked += 1
                    began = time.perf_counter()
                    rows, pictures, sounds = ready.popleft().result()
                    waited_s = time.perf_counter() - began
                    yield rows, pictures.to(self.device), sounds.to(self.device), waited_s
            finally:
                for waiting in ready:
                    waiting.cancel()

    def _make_batch(self, step: int) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
        rows = self.sampler.batch(step)
        rng = np.random.default_rng([self.seed, 2, step])
        pictures, sounds = training_batch(
            self.clips, self.pairs.picture[rows], self.pairs.sound[rows], rng, frames=self.frames
        )
        if self.device.type == "cuda":
            pictures, sounds = pictures.pin_memory(), sounds.pin_memory()
        return rows, pictures, sounds

    def _tell(self, progress: Progress) -> None:
        progress.advance(1)
        if self.step % 10 == 0:
            progress.series({"step": self.step, "loss": float(self.loss[self.step - 1])})
        progress.check_cancelled()

    def result(self) -> Trained:
        clips = self.fresh * self.config.batch_size
        report = {
            "steps": self.config.steps,
            "clips": len(self.pairs.picture),
            "epochs": self.config.steps / self.sampler.batches_per_epoch,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "device": self.device.type,
            "clips_per_s": clips / self.seconds if clips else None,
            "waiting_share": self.waited_s / self.seconds if clips else None,
            "seconds": self.seconds,
            "shared_negatives": float(np.nanmean(self.shared)),
            "last_loss": float(self.loss[-min(20, self.config.steps) :].mean()),
        }
        return Trained(self.model.eval().cpu().requires_grad_(False), self.loss.cpu().numpy(), report)


def rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate of a step."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    return config.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def _under(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


@contextlib.contextmanager
def _fixed(threads: int) -> Iterator[None]:
    """Sums depend on how they are split, and some CUDA kernels on chance: neither within this block."""
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[1:]
