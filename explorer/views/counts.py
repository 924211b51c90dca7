"""Studies of numbers of clusters: rows go in, a table, sentences and changed settings come out."""

from __future__ import annotations

import math

import pandas as pd

from curation.counts import SHARE, Study, Trial
from explorer.views import words

COLUMNS = ["count", "gain", "error", "permuted", "wins", "agreement", "overlap", "single", "smallest", "what"]


def study_frame(study: Study) -> pd.DataFrame:
    """One row a count, in rising order; `what` says which is proposed and which is best; shares in per cent."""
    best, proposed = study.best, study.proposed
    rows = [
        {
            "count": row.count,
            "gain": row.gain,
            "error": row.error,
            "permuted": row.permuted,
            "wins": 100 * row.wins,
            "agreement": row.agreement,
            "overlap": 100 * row.overlap,
            "single": row.single_source,
            "smallest": row.smallest,
            "what": "proposed" if row.count == proposed else "largest gain" if row is best and study.tells else "",
        }
        for row in study.rows
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(study: Study) -> str:
    """What a study says, in a sentence or two, with its numbers."""
    best = study.best
    if best is None:
        return "No count leaves at least one clip a cell by chance in this sample: there are too few clips."
    if not study.tells:
        return (
            f"This layer tells no more about the pairing than permuted sounds do (best gain {words.signed(best.gain)} "
            f"± {words.number(best.error)}, permuted {words.signed(best.permuted)}), whatever the count."
        )
    row = next(row for row in study.rows if row.count == study.proposed)
    text = f"{row.count} clusters: the smallest count within one standard error of the best"
    text += "" if row is best else f" ({best.count})"
    return f"{text}. A pair of this layer scores above a decoy {words.percent(row.wins)} of the time (50 %: nothing)."


def added_words(study: Study) -> str:
    """What the layer adds to the others, in a sentence; nothing where there are none."""
    added = study.added
    if added is None:
        return ""
    numbers = (
        f"{words.signed(added.value, 3)} (95 %: {words.signed(added.low, 3)} to {words.signed(added.high, 3)}) "
        f"beside {words.count(added.others, 'other layers')} at {added.count} clusters"
    )
    if added.adds:
        return f"It adds to the other layers: gain {numbers}."
    return f"It adds nothing that can be told to the other layers: gain {numbers}."


def warnings(study: Study) -> list[str]:
    """What a person should know before using the proposed count."""
    found = list(study.notices)
    row = next((row for row in study.rows if row.count == study.proposed), None)
    if study.left_out:
        found.append(
            f"Left out, as a cell would hold less than one clip by chance: {', '.join(map(str, study.left_out))}."
        )
    if row is not None and math.isfinite(row.overlap) and row.overlap < (1 + SHARE) / 2:
        found.append(
            f"Which clips are best depends on the seed: two seeds share {words.percent(row.overlap)} of their best "
            f"{words.percent(SHARE)} (by chance {words.percent(SHARE)}). Several runs of k-means average over that."
        )
    if row is not None and row.single_source:
        found.append(f"{words.count(row.single_source, 'clusters')} hold clips of one source only.")
    if row is not None and len(study.rows) > 1 and row.count == max(one.count for one in study.rows):
        found.append("The gain still grows at the largest count that was tried: more may tell more.")
    return found


def with_count(per_layer: str, layer: str, count: int) -> str:
    """The setting `cluster.per_layer` with this count for one layer, the others as they are."""
    own = dict(item.split("=", 1) for item in per_layer.split(",") if "=" in item)
    own[layer] = str(count)
    return ",".join(f"{name}={value}" for name, value in own.items())


def trial_frame(trial: Trial) -> pd.DataFrame:
    """One row a layer of a trial: layer, clusters, smallest, largest, balance, gain, error."""
    rows = [
        {
            "layer": one.layer, "clusters": one.clusters, "smallest": one.smallest, "largest": one.largest,
            "balance": one.balance, "gain": one.gain, "error": one.error,
        }
        for one in trial.layers
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["layer", "clusters", "smallest", "largest", "balance", "gain", "error"])


def trial_words(trial: Trial) -> str:
    """What a trial says: its gain beside permuted sounds, and how it differs from the clusters there are."""
    text = f"Gain {words.number(trial.gain)} ± {words.number(trial.error)}"
    text += f" · permuted sounds {words.signed(trial.permuted)}"
    if trial.present is None or trial.difference is None:
        return f"{text}."
    value, low, high = trial.difference
    said = "more" if low > 0 else "less" if high < 0 else "no difference that can be told"
    return (
        f"{text} · clusters there are {words.number(trial.present)}: {said} "
        f"({words.signed(value)}, 95 % {words.signed(low)} to {words.signed(high)} by sources; one run of k-means "
        "each, others may differ)."
    )
