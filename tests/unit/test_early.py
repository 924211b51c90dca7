"""Features that were measured with the shots: kept, found by clip id, and only where they are the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.early import EarlyFeatures, EarlyIndex
from curation.records import clip_keys

IDS = [f"clip{i}" for i in range(5)]


def kept(folder: Path) -> EarlyFeatures:
    store = EarlyFeatures(folder)
    for part, ids in (("run-0", IDS[:3]), ("run-1", IDS[3:])):
        values = np.array([[float(i[-1]), 1.0] for i in ids], np.float16)
        valid = np.array([i != "clip1" for i in ids], np.uint8)
        store.keep(part, {"sound": "mark"}, ids, {"sound/logmel": values, "valid/sound": valid})
    return store


def filled(index: EarlyIndex, name: str, mark: str, ids: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    out, valid = np.full((len(ids), 2), -1, np.float16), np.zeros(len(ids), bool)
    known = index.fill(name, mark, clip_keys(ids), {"logmel": out}, valid)
    return known, out, valid


def test_rows_come_back_in_any_order_over_parts(tmp_path: Path) -> None:
    known, out, valid = filled(kept(tmp_path).index(), "sound", "mark", ["clip4", "other", "clip0", "clip1"])
    assert known.tolist() == [True, False, True, True] and valid.tolist() == [True, False, True, False]
    assert out[:, 0].tolist() == [4.0, -1.0, 0.0, 1.0]


def test_other_numbers_are_not_taken(tmp_path: Path) -> None:
    index = kept(tmp_path).index()
    for name, mark in (("sound", "another"), ("picture", "mark")):
        known, out, valid = filled(index, name, mark, IDS)
        assert not known.any() and not valid.any() and (out == -1).all()


def test_a_damaged_part_counts_as_none(tmp_path: Path) -> None:
    store = kept(tmp_path)
    (tmp_path / "run-0.npz").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / ".run-2.npz.1.partial").write_bytes(b"half")
    known, _, _ = filled(store.index(), "sound", "mark", IDS)
    assert known.tolist() == [False, False, False, True, True]


def test_nothing_kept(tmp_path: Path) -> None:
    known, _, _ = filled(EarlyFeatures(tmp_path / "none").index(), "sound", "mark", IDS)
    assert not known.any()


def test_dropped(tmp_path: Path) -> None:
    store = kept(tmp_path / "early")
    store.drop(but="run-1")
    assert [file.name for file in (tmp_path / "early").iterdir()] == ["run-1.npz"]
    store.drop()
    assert not (tmp_path / "early").exists()
