"""Contingency tables and mutual information: by hand, by definition, by scikit-learn, by property."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

import curation
from curation.errors import InputError, SettingError
from curation.kernels.contingency import contingency_table, count_pairs
from curation.kernels.information import fixed_gain_table, gain_table
from tests import reference

AV = ["audio", "visual"]
ROOT = Path(__file__).resolve().parents[2]


def _data(n: int = 300, layers: int = 5, k: int = 7, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, k, n)
    return np.where(rng.random((n, layers)) < 0.5, kind[:, None], rng.integers(0, k, (n, layers))).astype(np.int32)


def test_tables_worked_by_hand() -> None:
    # perfect correspondence of two equal clusters: log 2
    found = curation.mutual_information([[0, 1], [1, 0], [0, 1], [1, 0]], AV)
    assert found.values.tolist() == pytest.approx([math.log(2)], abs=1e-15)
    # independent: exactly 0
    assert curation.mutual_information([[0, 0], [0, 1], [1, 0], [1, 1]], AV).mean == 0
    # counts [[2, 1], [0, 1]]: 1/2 log(4/3) + 1/4 log(2/3) + 1/4 log 2
    found = curation.mutual_information([[0, 0], [0, 0], [0, 1], [1, 1]], AV)
    by_hand = 0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3) + 0.25 * math.log(2)
    assert found.mean == pytest.approx(by_hand, abs=1e-15)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_pairs_are_counted_where_both_are_known(dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-1, 5, 500).astype(dtype), rng.integers(-1, 7, 500).astype(dtype)
    place_a, place_b, which = np.array([0, 1, 0, 2, 2]), np.arange(7)[::-1].copy(), rng.random(500) < 0.4
    for chosen in (np.zeros(0, bool), which):
        counts, plain = np.zeros((3, 7), np.int64), np.zeros((3, 7), np.int64)
        count_pairs(a, b, place_a, place_b, chosen, counts)
        for i in range(500):
            if a[i] >= 0 and b[i] >= 0 and (not len(chosen) or chosen[i]):
                plain[place_a[a[i]], place_b[b[i]]] += 1
        assert (counts == plain).all()
    with pytest.raises(IndexError):
        count_pairs(a, b, place_a[:3], place_b, which, np.zeros((3, 7), np.int64))


def test_contingency_table_counts() -> None:
    a, b = np.array([0, 0, 2, 1, 2]), np.array([1, 1, 0, 0, 0])
    assert contingency_table(a, b, 3, 2).tolist() == [[0, 2], [1, 0], [2, 0]]
    assert contingency_table(a[:0], b[:0], 3, 2).tolist() == [[0, 0]] * 3


@pytest.mark.parametrize("pairing", ["bipartite", "diagonal", "combination"])
def test_equal_to_scikit_learn_and_to_the_definition(pairing: str) -> None:
    codes, modalities = _data(layers=6), ["audio", "visual", "audio", "visual", "visual", "audio"]
    found = curation.mutual_information(codes, modalities, pairing=pairing)
    assert [tuple(pair) for pair in found.pairs.tolist()] == reference.pairs_of(modalities, pairing)
    for (i, j), value in zip(found.pairs, found.values, strict=True):
        assert value == pytest.approx(mutual_info_score(codes[:, i], codes[:, j]), abs=1e-9)
        assert value == pytest.approx(reference.one_hot_information(codes[:, i], codes[:, j]), abs=1e-9)
    assert found.mean == pytest.approx(found.values.mean(), abs=1e-12)


def test_subset_and_weights() -> None:
    codes, modalities = _data(), ["audio"] * 2 + ["visual"] * 3
    rows = np.random.default_rng(1).permutation(len(codes))[:40]
    mask = np.zeros(len(codes), bool)
    mask[rows] = True
    found = curation.mutual_information(codes, modalities, subset=rows)
    assert found.values.tolist() == curation.mutual_information(codes, modalities, subset=mask).values.tolist()
    assert found.values == pytest.approx(curation.mutual_information(codes[rows], modalities).values, abs=1e-12)
    weights = np.arange(6.0)
    weighted = curation.mutual_information(codes, modalities, weights=weights)
    assert weighted.mean == pytest.approx(float(weighted.values @ weights / weights.sum()))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_properties(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, k, (n, 4)).astype(np.int32)
    modalities = ["audio", "audio", "visual", "visual"]
    found = curation.mutual_information(codes, modalities)
    names = rng.permutation(k)
    assert curation.mutual_information(names[codes], modalities).values == pytest.approx(found.values, abs=1e-12)
    clips = rng.permutation(n)
    assert curation.mutual_information(codes[clips], modalities).values == pytest.approx(found.values, abs=1e-12)
    swapped = curation.mutual_information(codes, ["visual", "visual", "audio", "audio"])
    assert swapped.mean == pytest.approx(found.mean, abs=1e-12)
    twice = curation.mutual_information(np.concatenate([codes, codes]), modalities)
    assert twice.values == pytest.approx(found.values, abs=1e-12)
    assert (found.values >= 0).all() and (found.values <= math.log(k) + 1e-12).all()
    for dtype in (np.int8, np.int16, np.int64, np.uint8):
        same = curation.mutual_information(codes.astype(dtype), modalities)
        assert same.values.tolist() == found.values.tolist()


def test_gain_table_keeps_its_digits() -> None:
    g = gain_table(1_000_000)
    assert g[0] == 0 and g[1] == pytest.approx(2 * math.log(2), rel=1e-15)
    # g(t) = log(t + 1) + 1 - 1/(2t) + 1/(3t^2) - ... : the series of t log(1 + 1/t)
    t = 1_000_000
    series = math.log(t + 1) + float(1 - Fraction(1, 2 * t) + Fraction(1, 3 * t * t))
    assert g[t] == pytest.approx(series, rel=1e-15)
    x = [v * math.log(v) if v else 0.0 for v in range(52)]
    assert g[:51] == pytest.approx(np.diff(x), abs=1e-12)


def test_fixed_gains_add_up_exactly() -> None:
    g = fixed_gain_table(5000, 47)
    assert g[2] + g[3] == 3 * g[1]
    assert g[:8].sum() == 24 * g[1] / 2  # 8 log 8 = 24 log 2, and g(1) = 2 log 2
    assert (g == np.rint(g)).all() and (np.diff(g) > 0).all() and g.max() < 2**52
    assert g / 2.0**47 == pytest.approx(gain_table(5000), abs=1e-10)
    assert len(fixed_gain_table(1, 47)) == 2


def _with(codes: np.ndarray, value: int) -> np.ndarray:
    changed = codes.copy()
    changed[3, 1] = value
    return changed


def test_bad_input_is_named() -> None:
    codes = _data(layers=2)
    cases = [
        (codes.astype(float), AV, "integers"),
        (np.where(codes == 1, np.nan, codes), AV, "NaN"),
        (codes > 2, AV, "integers"),
        (codes[:, 0], AV, "shape"),
        (codes[:0], AV, "no rows"),
        (_with(codes, -1), AV, "negative cluster id in 1 of 300 rows"),
        (_with(codes.astype(np.int64), 2**40), AV, "out of range"),
        (_with(codes, 2**30), AV, "tables"),
        (codes, ["audio"], "1 entries for 2"),
        (codes, ["audio", "video"], "'video' is not known"),
        (codes, ["visual", "visual"], "All 2 clusterings"),
        ([[1, 2], [3]], AV, "not a table"),
    ]
    for bad, modalities, says in cases:
        with pytest.raises(InputError, match=says):
            curation.mutual_information(bad, modalities)
    with pytest.raises(SettingError, match="bipartite, diagonal, combination"):
        curation.mutual_information(codes, AV, pairing="all")
    for weights in ([1, 2], [-1], [0], [math.nan], ["a"]):
        with pytest.raises(InputError, match="weights"):
            curation.mutual_information(codes, AV, weights=weights)
    for subset, says in (
        ([], "empty"),
        ([300], "outside"),
        ([1, 1], "twice"),
        ([0.5], "row numbers"),
        (np.ones(3, bool), "mask"),
    ):
        with pytest.raises(InputError, match=says):
            curation.mutual_information(codes, AV, subset=subset)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'numba', 'torch', 'faiss', 'streamlit', 'pandas'}"
    code = f"import sys, curation; dir(curation); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
    lighter = code.replace("import sys, curation", "import sys, curation.clustering as curation").replace(
        "'numba', ", ""
    )
    done = subprocess.run([sys.executable, "-c", lighter], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_input_stays_as_it_was() -> None:
    codes = _data(layers=2)
    before = codes.copy()
    codes.flags.writeable = False
    curation.mutual_information(codes, AV)
    assert (codes == before).all()
    assert "select" in dir(curation)
    with pytest.raises(AttributeError, match="nothing"):
        _ = curation.nothing  # type: ignore[attr-defined]
