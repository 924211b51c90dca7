"""Judging a selection where the truth is known: true/false/unknown and picks in, precision with intervals out.

Truth is only ever an answer: no stage reads it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import InputError
from curation.export import default_selection
from curation.workspace import Workspace

TRUTH_COLUMN = "truth_match"


@dataclass(frozen=True)
class Precision:
    """Share of true clips among those whose truth is known: `value` = `true` / `known`, NaN where nothing is known.

    `low`, `high`: Wilson interval at `confidence`.
    """

    known: int
    true: int
    value: float
    low: float
    high: float
    confidence: float = 0.95


@dataclass(frozen=True)
class Judgement:
    """One selection against random choice.

    `chosen`: precision of the picks. `base`: of all candidates, which is what a random choice of any size scores on
    average; `random_low`, `random_high`: where 95 % of random choices of as many known clips lie (hypergeometric).
    `n_chosen`, `n_candidates`: clips, with known truth or not.
    """

    selection: str
    column: str
    chosen: Precision
    base: Precision
    random_low: float
    random_high: float
    n_chosen: int
    n_candidates: int


def wilson_interval(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a share of which `k` of `n` draws were true (Wilson 1927, without continuity correction); both may
    be effective numbers.

    Returns (low, high) in 0 .. 1; (0, 1) when n is 0. Raises `InputError` unless 0 <= k <= n and 0 < confidence < 1.
    """
    if not 0 <= k <= n or not 0 < confidence < 1:
        raise InputError(f"There is no interval for {k} of {n} at confidence {confidence}.")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = k / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Rounding may leave a hair beyond the ends, which are exact at k = 0 and k = n.
    low = 0.0 if k == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if k == n else min(1.0, (centre + half) / scale)
    return low, high


def precision(truth: Any, chosen: Any = None, *, confidence: float = 0.95) -> Precision:
    """Precision of the `chosen` clips.

    `truth` (N,): Arrow booleans, a NumPy bool array, a pandas nullable boolean, or a list with None for unknown.
    `chosen`: boolean mask (N,), or row numbers (in any order, each once); all rows by default. Raises `InputError` for
    other shapes, rows out of range or given twice.
    """
    known, true = _known_true(truth)
    if chosen is not None:
        rows = _rows(chosen, len(known))
        known, true = known[rows], true[rows]
    n, k = int(known.sum()), int(true.sum())
    low, high = wilson_interval(k, n, confidence)
    return Precision(n, k, k / n if n else math.nan, low, high, confidence)


def by_source(found: Precision, truth: Any, source: np.ndarray) -> Precision:
    """`found`, of the clips of `truth` (n,), with a Wilson interval that holds for other sources; `source` int (n,).

    At the number of clips that, each of its own source, would vary as much as these (the design effect, Kish 1965); at
    the number of sources where all clips are true, or none. Never narrower than clip by clip.
    """
    known, true = _known_true(truth)
    codes = np.unique(np.asarray(source)[known], return_inverse=True)[1]
    n_sources = int(codes.max(initial=-1)) + 1
    if n_sources == found.known:
        return found
    effective = float(n_sources)
    if 0 < found.value < 1 and n_sources > 1:
        left = np.bincount(codes, true[known] - found.value)  # residuals, summed by source
        variance = float((left**2).sum()) * n_sources / (n_sources - 1) / found.known**2  # linearised, robust
        effective = min(float(found.known), found.value * (1 - found.value) / max(variance, 1e-12))
    low, high = wilson_interval(found.value * effective, effective)
    return replace(found, low=low, high=high)


def random_range(known: int, true: int, drawn: int, confidence: float = 0.95) -> tuple[float, float]:
    """Precision of the central `confidence` of random choices of `drawn` clips out of `known`, `true` of them true.

    (low, high) quantiles of the hypergeometric distribution, as shares; (NaN, NaN) when nothing is drawn.
    """
    if not 0 <= true <= known or not 0 <= drawn <= known:
        raise InputError(f"{drawn} clips cannot be drawn out of {known}, {true} of them true.")
    if drawn == 0:
        return math.nan, math.nan
    from scipy.stats import hypergeom

    tail = (1 - confidence) / 2
    low, high = hypergeom.ppf([tail, 1 - tail], known, true, drawn)
    return float(low) / drawn, float(high) / drawn


def truth_of(workspace: Workspace, column: str = TRUTH_COLUMN) -> pa.BooleanArray:
    """Truth of every clip in row order, null where unknown.

    Raises `InputError` when the workspace has no such column, or it does not hold true/false values.
    """
    values, ids = _column(workspace, column)
    return values.take(pc.index_in(workspace.table("clips", ["clip_id"])["clip_id"].combine_chunks(), ids))


def judge(workspace: Workspace, selection: str | None = None, column: str = TRUTH_COLUMN) -> Judgement:
    """Precision of a selection (the newest by default) beside random's, among the clips it could choose from.

    Intervals are Wilson's at the effective number of clips, as clips of one source go together (see `by_source`).
    Candidates are the clips with a value in all clusterings that the selection used. Raises `InputError` when there is
    no such selection or column.
    """
    name = default_selection(workspace) if selection is None else selection
    if name is None or f"selections/{name}" not in workspace.keys("selections"):
        known = ", ".join(key.partition("/")[2] for key in workspace.keys("selections")) or "none yet"
        raise InputError(f"There is no selection {name or ''!r} in {workspace.name}.", hint=f"There are: {known}.")
    key = f"selections/{name}"
    values, ids = _column(workspace, column)
    picked = pq.read_table(workspace.artefact_path(key) / "picks.parquet", columns=["clip_id"], partitioning=None)
    chosen = values.take(pc.index_in(picked["clip_id"].combine_chunks(), ids))
    candidates = _candidates(workspace, list(workspace.require(key, "select").info.get("clusterings", {})))
    clips, truth = workspace.table("clips", ["clip_id", "source"]), truth_of(workspace, column)
    codes = clips["source"].combine_chunks().fill_null("").dictionary_encode().indices
    rows = pc.index_in(picked["clip_id"].combine_chunks(), clips["clip_id"].combine_chunks())
    source, of_picks = np.asarray(codes), np.asarray(codes.take(rows).fill_null(-1))
    of_chosen = by_source(precision(chosen), chosen, of_picks)
    base = by_source(precision(truth, candidates), truth.filter(pa.array(candidates)), source[candidates])
    drawn = min(of_chosen.known, base.known)
    low, high = random_range(base.known, base.true, drawn)
    return Judgement(name, column, of_chosen, base, low, high, picked.num_rows, int(candidates.sum()))


def precision_report(workspace: Workspace, selection: str | None = None, column: str = TRUTH_COLUMN) -> list[str]:
    """The judgement in lines for a terminal."""
    found = judge(workspace, selection, column)
    lines = [f"{found.selection}: {found.n_chosen} of {found.n_candidates} candidates chosen, judged by {found.column}"]
    lines.append(f"precision {_shown(found.chosen)}")
    lines.append(f"random    {_shown(found.base)}")
    if found.chosen.known:
        lines.append(
            f"95 % of random choices of {found.chosen.known} clips lie between {found.random_low:.3f} "
            f"and {found.random_high:.3f}"
        )
    if unknown := found.n_chosen - found.chosen.known:
        lines.append(f"{unknown} chosen clips have no answer and count for neither side")
    return lines


def _column(workspace: Workspace, column: str) -> tuple[pa.BooleanArray, pa.Array]:
    if f"columns/{column}" not in workspace.keys("columns"):
        known = ", ".join(key.partition("/")[2] for key in workspace.keys("columns")) or "none yet"
        raise InputError(
            f"{workspace.name} has no column {column!r} (columns: {known}).",
            hint=f"Join one: python -m curation import {workspace.path} --truth FILE --key COLUMN --column COLUMN "
            f"--name {column}",
        )
    table = workspace.table(f"columns/{column}")
    values = table[column].combine_chunks()
    if not pa.types.is_boolean(values.type):
        raise InputError(f"The column {column!r} does not hold true/false values.", hint="Choose one that does.")
    return values, table["clip_id"].combine_chunks()


def _candidates(workspace: Workspace, clusterings: list[str]) -> np.ndarray:
    """Boolean (N,): clips with a value in all of the clusterings that are still there."""
    usable = np.ones(workspace.n_rows("clips"), bool)
    for name in clusterings:
        if workspace.artefact(f"clusterings/{name}") is None:
            continue
        assignments = workspace.array(f"clusterings/{name}", "assignments")
        if len(assignments) == len(usable):
            usable &= np.asarray(assignments) >= 0
    return usable


def _known_true(truth: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        given = isinstance(truth, (pa.Array, pa.ChunkedArray))
        values = truth if given else pa.array(truth, from_pandas=True)
        answers = values.cast(pa.bool_())
        numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        if numeric and not pc.all(pc.equal(values, answers.cast(values.type))).as_py():
            raise InputError("truth holds other numbers than 0 and 1.", hint="Give true, false or missing.")
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"truth must be one true, false or missing for each clip ({error}).") from error
    known = pc.is_valid(answers).to_numpy(zero_copy_only=False)
    return known, pc.fill_null(answers, False).to_numpy(zero_copy_only=False)


def _rows(chosen: Any, n: int) -> np.ndarray:
    rows = np.asarray(chosen)
    if rows.dtype == bool and rows.shape == (n,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.dtype.kind not in "iu" and len(rows)):
        raise InputError(f"chosen must be a mask of {n} rows or a list of row numbers.")
    rows = rows.astype(np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise InputError(f"chosen names row {int(rows.max() if rows.max() >= n else rows.min())} of {n}.")
    if len(np.unique(rows)) != len(rows):
        raise InputError("chosen names a row twice.")
    return rows


def _shown(found: Precision) -> str:
    if not found.known:
        return "unknown: no clip has an answer"
    interval = f"95 % interval {found.low:.3f} to {found.high:.3f}"
    return f"{found.value:.3f} ({interval}; {found.true} of {found.known} correspond)"
