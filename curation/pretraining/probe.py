"""The linear probe: a frozen model and labelled clips in; top-1 and top-5 of a linear classifier on held-out clips out.

Features are scaled to mean 0 and deviation 1 by the clips that the classifier learns from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from curation.errors import InputError
from curation.extractors.torch_runner import usable
from curation.pretraining.augment import steady_batches
from curation.pretraining.dataset import TinyClips
from curation.pretraining.networks import AudioVisual

Sees = Literal["picture", "sound", "both"]
STRENGTH = 0.03  # sklearn's C: inverse strength of the penalty
ROUNDS = 500
TOP = 5


@dataclass(frozen=True)
class ProbeSet:
    """A question: which class? `sees`: features of which modality; `train`, `test` int64 rows of `clips`; `label` int
    (N,) of all clips, below 0 = none; `source` int (N,): what the test clips are resampled by; `classes`: names.
    `other_source` int (N,): of clips seen and heard, the picture's sources beside the sound's, resampled as well.
    """

    name: str
    sees: Sees
    clips: TinyClips
    train: np.ndarray
    test: np.ndarray
    label: np.ndarray
    source: np.ndarray
    classes: tuple[str, ...] = ()
    other_source: np.ndarray | None = None

    @property
    def test_sources(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The sources of the test clips, of both kinds."""
        return self.source[self.test], None if self.other_source is None else self.other_source[self.test]

    @property
    def has_top5(self) -> bool:
        """Five guesses say something where more than five classes are learnt."""
        return len(np.unique(self.label[self.train])) > TOP

    @property
    def never_learnt(self) -> int:
        """Test clips of classes that no clip to learn from has: never right."""
        return int((~np.isin(self.label[self.test], self.label[self.train])).sum())

    def __post_init__(self) -> None:
        for what, rows in (("learn from", self.train), ("be tested on", self.test)):
            if not len(rows):
                raise InputError(f"The probe {self.name} has no clips to {what}.")
            if (self.label[rows] < 0).any():
                raise InputError(f"{int((self.label[rows] < 0).sum())} clips of the probe {self.name} have no label.")
        if len(np.unique(self.label[self.train])) < 2:
            raise InputError(
                f"The probe {self.name} has clips of one class only to learn from.", hint="It needs two or more."
            )
        both = np.intersect1d(self.train, self.test)
        if len(both):
            raise InputError(f"{len(both)} clips of the probe {self.name} are both learnt from and tested on.")


@dataclass(frozen=True)
class Probed:
    """`top1`, `top5`: shares of the test clips, the latter None where five guesses name every class that was learnt;
    `hit` bool (n, 2): whether each is right in one, in five; `predicted` int (n,): labels.
    """

    top1: float
    top5: float | None
    hit: np.ndarray
    predicted: np.ndarray


def features(model: AudioVisual, clips: TinyClips, rows: np.ndarray, device: str = "auto") -> dict[str, np.ndarray]:
    """`picture`, `sound`: float32 (n, d) of these clips, whatever the batch; what is not there is zeros."""
    where = usable(device)
    model = model.to(where).eval()
    found = {
        name: np.zeros((len(rows), dim), np.float32) for name, dim in zip(("picture", "sound"), model.feature_dims)
    }
    with torch.inference_mode():
        for block, pictures, sounds in steady_batches(clips, rows):
            for name, values in zip(found, model.features(pictures.to(where), sounds.to(where)), strict=True):
                found[name][block] = values.float().cpu().numpy()
    for name, there in (("picture", clips.seen), ("sound", clips.heard)):
        found[name][~there[rows]] = 0
    return found


def probe(model: AudioVisual, question: ProbeSet, device: str = "auto") -> Probed:
    """How well a linear classifier answers from the frozen features of a model."""
    rows = np.concatenate([question.train, question.test])
    found = features(model, question.clips, rows, device)
    x = found[question.sees] if question.sees != "both" else np.concatenate(list(found.values()), axis=1)
    n = len(question.train)
    return linear(x[:n], question.label[question.train], x[n:], question.label[question.test])


def linear(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> Probed:
    """Multinomial logistic regression (scikit-learn, L2 penalty, C = `STRENGTH`) on scaled features.

    Float (n, d), int (n,), float (m, d), int (m,). A test clip of a class that was not learnt is never right. Raises
    `InputError` for features that are not finite.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    x, y = np.asarray(train_x, np.float64), np.asarray(test_x, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("The features of the model are not all finite: its training went wrong.")
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
    with threadpool_limits(1):
        fitted = LogisticRegression(C=STRENGTH, max_iter=ROUNDS).fit((x - mean) * scale, train_y)
        scores = fitted.decision_function((y - mean) * scale)
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    ranked = fitted.classes_[np.argsort(-scores, axis=1, kind="stable")]
    right = ranked == np.asarray(test_y)[:, None]
    hit = np.stack([right[:, 0], right[:, :TOP].any(axis=1)], axis=1)
    top5 = float(hit[:, 1].mean()) if len(fitted.classes_) > TOP else None
    return Probed(float(hit[:, 0].mean()), top5, hit, ranked[:, 0])
