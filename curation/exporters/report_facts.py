"""What a report tells: a selection and the rows that are meant in; counts, tables and shares before and after out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.scope import Scope
from curation.workspace import Workspace

CLUSTERS_DRAWN = 200  # of each side of a table; the smaller ones are left out, and it is said
FLAGS = (
    "healthy", "silent", "quiet", "clipped", "speech_like", "music_like", "black", "static", "slide_show",
    "clear_event", "sound_off_time",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One bar of the funnel."""

    name: str
    count: int
    unit: str


@dataclass(frozen=True)
class Pair:
    """A pair of clusterings among the chosen clips, nats; permuted: what the method reaches on permuted sounds."""

    sound: str
    picture: str
    information: float
    permuted: float | None


@dataclass(frozen=True)
class Table:
    """A pair's counts before and after, int (R, C), rows and columns in one order for both; numbers of its clusters."""

    sound: str
    picture: str
    before: np.ndarray
    after: np.ndarray
    row_names: list[str]
    col_names: list[str]
    left_out: int


@dataclass(frozen=True)
class Share:
    """Percent of the candidates and of the chosen."""

    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Spread:
    """How evenly clips lie over clusters: effective clusters, exp of the entropy, of `n_clusters`."""

    name: str
    before: float
    after: float
    n_clusters: int


def funnel(workspace: Workspace, scope: Scope, picked: int, final: int | None) -> list[Step]:
    """From the files found to the clips chosen; steps that were not taken are left out."""
    steps = []
    for key, name, unit in (("videos", "files found", "files"), ("filtered", "videos kept", "videos")):
        if workspace.artefact_path(key).is_file():
            where = "" if key == "videos" else "WHERE status = 'ok'"
            steps.append(Step(name, _count(workspace, f"SELECT count(*) AS n FROM {key} {where}"), unit))
            if key == "videos":
                readable = _count(workspace, "SELECT count(*) AS n FROM videos WHERE status = 'ok'")
                steps.append(Step("readable", readable, unit))
    steps.append(Step("clips", workspace.n_rows("clips"), "clips"))
    steps.append(Step("with sound and picture clusters", int(scope.clustered.sum()), "clips"))
    if scope.candidates is not scope.clustered:
        steps.append(Step("within the scope", int(scope.candidates.sum()), "clips"))
    steps.append(Step("selected", picked, "clips"))
    if final is not None:
        steps.append(Step("as reviewed", final, "clips"))
    return steps


def pairs(info: dict[str, Any]) -> list[Pair]:
    """The pairs of a selection's report, the one furthest above permuted sounds first."""
    found = [
        Pair(str(p["first"]), str(p["second"]), float(p["mutual_information"]), p.get("permuted"))
        for p in info.get("report", {}).get("pairs", [])
        if p.get("mutual_information") is not None
    ]
    return sorted(found, key=lambda pair: pair.information - (pair.permuted or 0.0), reverse=True)


def table(workspace: Workspace, sound: str, picture: str, usable: np.ndarray, rows: np.ndarray) -> Table:
    """Counts of a pair among the candidates and among `rows`; best match first, so that structure shows."""
    a = np.asarray(workspace.array(f"clusterings/{sound}", "assignments"))
    b = np.asarray(workspace.array(f"clusterings/{picture}", "assignments"))
    here = usable & (a >= 0) & (b >= 0)
    keep_r, keep_c = _largest(np.bincount(a[here])), _largest(np.bincount(b[here]))
    before = _counts(a[here], b[here], keep_r, keep_c)
    after = _counts(a[rows], b[rows], keep_r, keep_c)
    left_out = int(here.sum() - before.sum())
    r, c = _matched(before)
    return Table(
        sound,
        picture,
        before[np.ix_(r, c)],
        after[np.ix_(r, c)],
        [str(keep_r[i]) for i in r],
        [str(keep_c[i]) for i in c],
        left_out,
    )


def pmi(counts: np.ndarray) -> np.ndarray:
    """log(count / expected), nats, float64; NaN where a cell is empty."""
    expected = np.outer(counts.sum(1), counts.sum(0)) / max(1, counts.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(counts > 0, np.log(counts / expected), np.nan)


def flags(workspace: Workspace, usable: np.ndarray, rows: np.ndarray) -> list[Share]:
    """Health before and after; empty where it was not measured for these clips."""
    found = workspace.artefact("health")
    if found is None or not workspace.fits(found) or not len(rows):
        return []
    schema = pq.read_schema(workspace.artefact_path("health"))
    known = [name for name in FLAGS if name in schema.names and pa.types.is_boolean(schema.field(name).type)]
    held = workspace.table("health", known)
    shares = []
    for name in known:
        values = held[name].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
        shares.append(Share(name.replace("_", " "), 100 * values[usable].mean(), 100 * values[rows].mean()))
    return shares


def spreads(workspace: Workspace, names: Sequence[str], usable: np.ndarray, rows: np.ndarray) -> list[Spread]:
    """Effective clusters of each clustering before and after."""
    found = []
    for name in names:
        labels = np.asarray(workspace.array(f"clusterings/{name}", "assignments"))
        n_clusters = int(labels.max(initial=-1)) + 1
        found.append(Spread(name, _effective(labels[usable]), _effective(labels[rows]), n_clusters))
    return found


def sources(workspace: Workspace, usable: np.ndarray, rows: np.ndarray) -> tuple[int, int, int, int]:
    """Sources before and after, and the most clips of one source before and after."""
    codes = workspace.table("clips", ["source"])["source"].combine_chunks().dictionary_encode().indices
    numbers = codes.fill_null(0).to_numpy(zero_copy_only=False)
    before, after = np.bincount(numbers[usable]), np.bincount(numbers[rows])
    return int((before > 0).sum()), int((after > 0).sum()), int(before.max(initial=0)), int(after.max(initial=0))


# -- inside ------------------------------------------------------------------------------------------------------------


def _count(workspace: Workspace, sql: str) -> int:
    return int(workspace.query(sql)["n"][0].as_py())


def _counts(a: np.ndarray, b: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Table of the clusters `rows` x `cols` alone: with ten thousand clusters the whole one would not fit."""
    from curation.kernels.contingency import contingency_table  # (numba: every command would wait for it)

    place_a, place_b = (_places(labels, kept) for labels, kept in ((a, rows), (b, cols)))
    both = (place_a >= 0) & (place_b >= 0)
    return contingency_table(place_a[both], place_b[both], len(rows), len(cols))


def _places(labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Place of each label in `kept` (ascending), -1 where it is not in it."""
    lookup = np.full(max(int(labels.max(initial=-1)), int(kept.max(initial=-1))) + 2, -1, np.int64)
    lookup[kept] = np.arange(len(kept))
    return lookup[np.where(labels < 0, len(lookup) - 1, labels)]


def _largest(totals: np.ndarray) -> np.ndarray:
    kept = np.argsort(-totals, kind="stable")[:CLUSTERS_DRAWN]
    return np.sort(kept[totals[kept] > 0])


def _matched(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orders in which rows and columns that belong together stand on the diagonal, the strongest first."""
    from scipy.optimize import linear_sum_assignment

    terms = np.nan_to_num(pmi(counts)) * counts
    row, col = linear_sum_assignment(terms, maximize=True)
    strongest = np.argsort(-terms[row, col], kind="stable")
    row, col = row[strongest], col[strongest]
    rest_r = np.setdiff1d(np.arange(counts.shape[0]), row)
    rest_c = np.setdiff1d(np.arange(counts.shape[1]), col)
    return np.concatenate([row, rest_r]), np.concatenate([col, rest_c])


def _effective(labels: np.ndarray) -> float:
    labels = labels[labels >= 0]
    if not len(labels):
        return 0.0
    share = np.bincount(labels) / len(labels)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))
