"""Correspondence retrieval in points, curves and rows: a finished evaluation goes in; what is drawn comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curation.retrieval import MATCHED, RANDOM, Result, interval_words, measure
from curation.truth import Judgement
from explorer.views import words

GROUPS = {"wrong": "chosen, but wrong", "right": "chosen and right", "missed": "right, but not chosen"}
FAST_METHODS = (RANDOM, MATCHED, "batch-greedy", "ratio", "mixture", "concord")
"""What a page tries: the others take long on many clips, and are tried from the command line."""


@dataclass(frozen=True)
class Dot:
    """One number with its 95 % interval, percent; `note` is a line for the hover; `is_control`: drawn quietly."""

    name: str
    value: float
    low: float
    high: float
    note: str = ""
    is_control: bool = False


@dataclass(frozen=True)
class Line:
    """One method along the budget: `size` percent of the candidates, `precision` and `recall` percent, seeds' mean."""

    name: str
    size: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def dots(result: Result) -> list[Dot]:
    """Precision of each method at the budget of as many clips as are right, best first."""
    return [
        Dot(
            row["method"], 100 * row["precision"], 100 * row["low"], 100 * row["high"],
            f"F1 {measure(row, 'f1')} · average precision {measure(row, 'average_precision')}",
            row["method"] in (RANDOM, MATCHED),
        )
        for row in result.rows
    ]  # fmt: skip


def run_dots(judged: Sequence[Judgement], beside: Judgement) -> list[Dot]:
    """Precision of each run with Wilson's interval, best first, and random of the size of `beside`."""
    found = [
        Dot(
            one.selection, 100 * one.chosen.value, 100 * one.chosen.low, 100 * one.chosen.high,
            f"{one.chosen.true:,} of {one.chosen.known:,} with an answer · {one.n_chosen:,} chosen",
        )
        for one in judged
        if one.chosen.known
    ]  # fmt: skip
    random = Dot(
        RANDOM, 100 * beside.base.value, 100 * beside.random_low, 100 * beside.random_high,
        f"{beside.base.true:,} of {beside.base.known:,} candidates with an answer", True,
    )  # fmt: skip
    return [*sorted(found, key=lambda dot: -dot.value), random]


def random_percent(result: Result) -> float | None:
    """Precision of random, percent."""
    return next((100 * row["precision"] for row in result.rows if row["method"] == RANDOM), None)


def lines(result: Result, methods: Sequence[str]) -> list[Line]:
    """Curves of some methods, in the order of `methods`."""
    table = result.curve.to_pandas()
    found = []
    for method in methods:
        mean = table[table["method"] == method].groupby("clips")[["precision", "recall"]].mean()
        if len(mean):
            size = 100 * mean.index.to_numpy() / float(mean.index.max())
            found.append(Line(method, size, *(100 * mean[k].to_numpy() for k in ("precision", "recall"))))
    return found


def table(result: Result) -> pd.DataFrame:
    """A row a method, as shown."""
    return pd.DataFrame(
        {
            "Method": [row["method"] for row in result.rows],
            "Precision": [_interval(row["precision"], row["low"], row["high"]) for row in result.rows],
            "Above random, points": [
                words.MISSING if row["method"] == RANDOM
                else f"{words.signed(100 * row['above'], 1)} ({words.signed(100 * row['above_low'], 1)} to "
                f"{words.signed(100 * row['above_high'], 1)})"
                for row in result.rows
            ],
            "F1": [measure(row, "f1") for row in result.rows],
            "Average precision": [measure(row, "average_precision") for row in result.rows],
            "F, nats": [measure(row, "objective") for row in result.rows],
            "s": [row["took_s"] for row in result.rows],
        }
    )  # fmt: skip


def _interval(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def how_many(result: Result) -> str:
    """How the intervals are made and what random means, in a line."""
    seeds = words.count(len(result.settings["seeds"]), "seeds")
    redone = "clusters, pairs and mismatch" if result.facts["kind"] == "pairs" else "the clusters"
    return f"Mean of {seeds}, each redoing {redone}. {interval_words(result)}."


def behind(picks: np.ndarray, right: np.ndarray, known: np.ndarray, group: str) -> np.ndarray:
    """Places among the candidates, int64: chosen ones in the order of their choice. `group`: a key of GROUPS."""
    order = picks.astype(np.int64)
    if group == "missed":
        chosen = np.zeros(len(right), bool)
        chosen[order] = True
        return np.flatnonzero(right & known & ~chosen)
    return order[known[order] & (right[order] == (group == "right"))]
