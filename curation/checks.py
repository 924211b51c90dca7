"""Validation shared by the public functions: what a person passed in, arrays that kernels can trust out."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.errors import InputError, SettingError
from curation.kernels.contingency import Layout, column_range, make_layout
from curation.kernels.draws import SIZE_MAX
from curation.kernels.pairing import PAIRINGS, pair_indices

MODALITIES = ("audio", "visual")
DEVICES = ("auto", "cpu", "cuda")
_SMALL_CELLS = 4_000_000  # smaller assignment arrays are copied to int32, so that one compiled form serves them
_TABLE_CELLS_MAX = 1 << 28
_KERNEL_DTYPES = (np.int8, np.int16, np.int32)
_BUDGETS = "Allowed: clips (500), a share below 1 (0.2), or hours with durations_s ('1.5h' or ('hours', 1.5))."
US_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class CheckedAssignments:
    """Assignments that passed."""

    codes: np.ndarray  # int8, int16 or int32 (N, D), C order; the caller's own memory where it is large and fits
    is_audio: np.ndarray  # bool (D,)
    n_clusters: np.ndarray  # int64 (D,): largest id + 1
    notices: list[str]


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """`value`, one of `allowed`; else SettingError that lists them."""
    if value not in allowed:
        raise SettingError(f"{name}={value!r} is not known.", hint=f"Allowed: {', '.join(allowed)}.")
    return str(value)


def check_whole(name: str, value: Any, low: int, high: int) -> int:
    """`value` as int within low..high; else SettingError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral) or not low <= int(value) <= high:
        raise SettingError(f"{name}={value!r} cannot be used.", hint=f"Allowed: whole numbers from {low} to {high}.")
    return int(value)


def check_seed(seed: Any) -> int:
    """A seed of at most 64 bits."""
    return check_whole("seed", seed, 0, 2**64 - 1)


def check_assignments(
    assignments: Any, modalities: Sequence[str], layers: Sequence[str] | None = None
) -> CheckedAssignments:
    """Integer (N, D), ids from 0 up, both modalities present; else InputError saying what is wrong where."""
    codes = _integer_matrix(assignments)
    is_audio = _modality_mask(modalities, codes.shape[1])
    names = check_layers(layers, is_audio)
    if (
        (codes.size <= _SMALL_CELLS and codes.dtype != np.int32)
        or codes.dtype.type not in _KERNEL_DTYPES
        or not codes.dtype.isnative
    ):
        _refuse_wide(codes)
        codes = codes.astype(np.int32)
    codes = np.ascontiguousarray(codes)
    low, high = column_range(codes)
    if (low < 0).any():
        bad = int(np.argmax(low < 0))
        rows = int((codes[:, bad] < 0).sum())
        raise InputError(
            f"Clustering {names[bad]!r} has a negative cluster id in {rows} of {len(codes)} rows.",
            hint="-1 means that a clip has no value there: pass only rows with a value in every clustering.",
        )
    notices = [
        f"Clustering {names[d]!r} puts all clips into one cluster, so it tells nothing: its mutual information is 0."
        for d in np.flatnonzero(low == high)
    ]
    return CheckedAssignments(codes, is_audio, high + 1, notices)


def check_layers(layers: Sequence[str] | None, is_audio: np.ndarray) -> list[str]:
    """One name a clustering; audio-0, audio-1, ..., visual-0, ... where none are given."""
    if layers is None:
        place = np.where(is_audio, np.cumsum(is_audio), np.cumsum(~is_audio)) - 1
        return [f"{MODALITIES[0] if a else MODALITIES[1]}-{k}" for a, k in zip(is_audio, place, strict=True)]
    names = [str(layer) for layer in layers]
    if len(names) != len(is_audio) or len(set(names)) != len(names):
        raise InputError(f"layers has {len(set(names))} different names for {len(is_audio)} clusterings.",
                         hint="Give every clustering a name of its own.")  # fmt: skip
    return names


def check_pairs(
    checked: CheckedAssignments, pairing: Any, weights: Any, layers: Sequence[str] | None = None
) -> tuple[Layout, np.ndarray, np.ndarray]:
    """Table layout, pairs int64 (P, 2) and weights float64 (P,) that sum to 1.

    `pairing`: a name; or one pair, two clusterings by name (of `layers`) or index; or a list of pairs, each with or
    without a weight as its third entry.
    """
    if isinstance(pairing, str):
        pairs = _named_pairing(checked, pairing)
    else:
        pairs, own_weights = _listed_pairs(pairing, check_layers(layers, checked.is_audio))
        if own_weights is not None and weights is not None:
            raise SettingError("The pairs have weights of their own, and weights are given too.", hint="Give one.")
        weights = weights if own_weights is None else own_weights
    cells = int((checked.n_clusters[pairs[:, 0]] * checked.n_clusters[pairs[:, 1]]).sum())
    if cells > _TABLE_CELLS_MAX:
        raise InputError(
            f"Cluster ids up to {int(checked.n_clusters.max()) - 1} need tables of {cells} cells; "
            f"{_TABLE_CELLS_MAX} fit.",
            hint="Number clusters from 0 without gaps, use fewer clusters, or fewer clusterings.",
        )
    return make_layout(pairs, checked.n_clusters), pairs, _pair_weights(weights, len(pairs))


def pairing_name(pairing: Any) -> str:
    """How a pairing is called in reports: its name, or "pairs" where they were listed."""
    return pairing if isinstance(pairing, str) else "pairs"


def _named_pairing(checked: CheckedAssignments, pairing: str) -> np.ndarray:
    check_choice("pairing", pairing, PAIRINGS)
    n_audio = int(checked.is_audio.sum())
    n_visual = len(checked.is_audio) - n_audio
    if pairing == "diagonal" and n_audio != n_visual:
        raise InputError(
            f"pairing='diagonal' pairs equal positions, but there are {n_audio} audio and {n_visual} visual layers.",
            hint="Pass equally many of both, or use pairing='bipartite'.",
        )
    return pair_indices(checked.is_audio, pairing)


def _listed_pairs(pairing: Any, names: list[str]) -> tuple[np.ndarray, list[float] | None]:
    """Index pairs int64 (P, 2), and their weights where pairs have them."""
    allowed = f"Allowed: two different clusterings by name or index, of {', '.join(names)}; or a list of such pairs, "
    refusal = SettingError(f"pairing={pairing!r} cannot be used.", hint=allowed + "each with a weight or each without.")
    items = list(pairing) if isinstance(pairing, (list, tuple, np.ndarray)) else []
    if len(items) == 2 and all(isinstance(item, (str, numbers.Integral)) for item in items):
        items = [items]
    sizes = {len(item) if isinstance(item, (list, tuple, np.ndarray)) else 0 for item in items}
    if sizes not in ({2}, {3}):
        raise refusal

    def index(layer: Any) -> int:
        if isinstance(layer, str):
            if layer not in names:
                raise SettingError(f"pairing names {layer!r}, which is no clustering.", hint=allowed.rstrip(", ") + ".")
            return names.index(layer)
        if isinstance(layer, (bool, np.bool_)) or not isinstance(layer, (int, np.integer)):
            raise refusal
        if not 0 <= layer < len(names):
            raise SettingError(
                f"pairing names clustering {layer}; there are {len(names)}.", hint=f"0 to {len(names) - 1}."
            )
        return int(layer)

    pairs = [(index(item[0]), index(item[1])) for item in items]
    if any(a == b for a, b in pairs) or len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise SettingError("pairing names a clustering with itself, or a pair twice.", hint=allowed + "each once.")
    weights = [item[2] for item in items] if sizes == {3} else None
    return np.array(pairs, dtype=np.int64), weights


def row_indices(name: str, value: Any, n_rows: int) -> np.ndarray:
    """Different rows as int64, in the order given, from indices or a bool mask (N,)."""
    if value is None:
        return np.zeros(0, np.int64)
    rows = np.asarray(value)
    if rows.dtype == bool:
        if rows.shape != (n_rows,):
            raise InputError(
                f"{name} is a mask of shape {rows.shape}, for {n_rows} clips.", hint="Give one value a clip."
            )
        return np.flatnonzero(rows)
    if rows.size == 0:
        return np.zeros(0, np.int64)
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        raise InputError(f"{name} must be row numbers or a bool mask, got {rows.dtype} of shape {rows.shape}.")
    if rows.min() < 0 or rows.max() >= n_rows:
        raise InputError(f"{name} names a row outside 0 to {n_rows - 1}.")
    if len(np.unique(rows)) != len(rows):
        raise InputError(f"{name} names a row twice.", hint="Name every row once.")
    return rows.astype(np.int64)


@dataclass(frozen=True)
class Budget:
    """`kind` is "clips", "share" or "hours"; `value` in that unit."""

    kind: str
    value: float

    def clips(self, n_rows: int) -> int:
        """Clips of a count or a share of `n_rows`: a share is rounded, and is at least one clip."""
        return int(self.value) if self.kind == "clips" else max(1, round(self.value * n_rows))

    @property
    def limit_us(self) -> int:
        """Microseconds of a budget of hours."""
        return round(self.value * US_PER_HOUR)


def parse_budget(budget: Any) -> Budget:
    """Read a budget; text such as "500", "0.2", "1.5h" too. SettingError says what is allowed."""
    value = budget
    if isinstance(budget, Budget):
        return _check_budget(budget, budget)
    if isinstance(value, tuple) and len(value) == 2 and value[0] == "hours" and isinstance(value[1], numbers.Real):
        return _check_budget(Budget("hours", float(value[1])), budget)
    if isinstance(value, str):
        text = value.strip().lower()
        if not re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*h?", text):
            raise SettingError(f"budget={budget!r} cannot be read.", hint=_BUDGETS)
        if text.endswith("h"):
            return _check_budget(Budget("hours", float(text[:-1])), budget)
        value = int(text) if text.isdigit() else float(text)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SettingError(f"budget={budget!r} cannot be used.", hint=_BUDGETS)
    if isinstance(value, numbers.Integral):
        return _check_budget(Budget("clips", int(value)), budget)
    return _check_budget(Budget("share", float(value)), budget)


def _integer_matrix(assignments: Any) -> np.ndarray:
    if isinstance(assignments, np.ma.MaskedArray) and np.ma.getmaskarray(assignments).any():
        raise InputError(
            "assignments is masked: some clips have no value.", hint="Pass only the rows that have all values."
        )
    try:
        codes = np.asarray(assignments)
    except ValueError as error:
        raise InputError(f"assignments is not a table of numbers: {error}.") from error
    if codes.ndim != 2:
        raise InputError(f"assignments must be of shape (clips, clusterings), got {codes.shape}.")
    if not np.issubdtype(codes.dtype, np.integer):
        nan = np.issubdtype(codes.dtype, np.floating) and bool(np.isnan(codes).any())
        raise InputError(
            f"assignments must be integers (cluster ids from 0 up), got {codes.dtype}{' with NaN' if nan else ''}.",
            hint="Leave out clips without a value and convert with .astype(np.int32).",
        )
    if not len(codes):
        raise InputError("assignments has no rows: there is nothing to choose from.")
    if len(codes) > SIZE_MAX:
        raise InputError(f"assignments has {len(codes)} rows; at most {SIZE_MAX} are possible.")
    return codes


def _refuse_wide(codes: np.ndarray) -> None:
    """Ids that do not fit int32 would wrap around."""
    low, high = int(codes.min()), int(codes.max())
    if low < -(2**31) or high >= 2**31 - 1:
        raise InputError(f"The cluster id {high if high >= 2**31 - 1 else low} is out of range.",
                         hint="Number clusters from 0 without gaps.")  # fmt: skip


def _modality_mask(modalities: Sequence[str], n_layers: int) -> np.ndarray:
    try:
        names = [modalities] if isinstance(modalities, str) else [str(m) for m in modalities]
    except TypeError:
        raise InputError(
            f"modalities is {modalities!r}, not a list.",
            hint=f"Give one of {', '.join(MODALITIES)} for each clustering.",
        ) from None
    if len(names) != n_layers:
        raise InputError(
            f"modalities has {len(names)} entries for {n_layers} clusterings.", hint="Give one a clustering."
        )
    for name in names:
        if name not in MODALITIES:
            raise InputError(f"The modality {name!r} is not known.", hint=f"Allowed: {', '.join(MODALITIES)}.")
    mask = np.array([name == "audio" for name in names], dtype=bool)
    if mask.all() or not mask.any():
        raise InputError(
            f"All {n_layers} clusterings are of the modality {names[0] if names else '?'!r}.",
            hint="Correspondence needs at least one audio and one visual clustering.",
        )
    return mask


def _pair_weights(weights: Any, n_pairs: int) -> np.ndarray:
    if weights is None:
        return np.full(n_pairs, 1 / n_pairs)
    try:
        w = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"weights is not a list of numbers: {error}.") from error
    if w.shape != (n_pairs,) or not np.isfinite(w).all() or (w < 0).any() or not (w > 0).any():
        raise InputError(
            f"weights must be {n_pairs} numbers, one a pair in the order of the pairing, none negative, not all 0; "
            f"got shape {w.shape}.",
        )
    w = w / w.max()  # first, so that the sum of large weights stays finite
    return w / w.sum()


def _check_budget(budget: Budget, given: Any) -> Budget:
    if not math.isfinite(budget.value) or budget.value <= 0:
        raise SettingError(f"budget={given!r} chooses nothing.", hint=_BUDGETS)
    if budget.kind == "share" and budget.value >= 1:
        raise SettingError(
            f"budget={given!r} is a decimal number not below 1: neither a share nor a number of clips.",
            hint=_BUDGETS,
        )
    return budget
