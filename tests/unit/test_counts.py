"""Studies of numbers of clusters: what they propose, what they say, and what they leave on the disk."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pytest

from curation.atomic import read_json, write_array, write_json
from curation.counts import (
    TRIAL_KEY,
    Added,
    CountRow,
    Study,
    check_counts,
    interval,
    key_of,
    proposed_count,
    read_study,
    read_trial,
    studies,
    tells_something,
)
from curation.counts_run import added_of, best_share, study_counts
from curation.counts_sample import take_sample
from curation.counts_trial import try_counts
from curation.errors import InputError
from curation.kernels.decoys import folds_of
from curation.kernels.gain import evidence_gain
from curation.workspace import Workspace
from explorer.views import counts as views
from tests.workspacemaker import make_workspace

NAN = float("nan")


def row(count: int, gain: float, error: float = 0.1, permuted: float = 0.0) -> CountRow:
    return CountRow(count, count, gain, error, 0.01, permuted, 0.1, 0.6, 0.8, 0.7, 0, 3, 0.1)


def study(*rows: CountRow, added: Added | None = None, **facts: object) -> Study:
    return replace(Study("sound.x", "audio", 100, 90, 3, {"picture.y": 8}, rows, added=added), **facts)  # type: ignore[arg-type]


def test_the_smallest_within_one_standard_error_is_proposed() -> None:
    rows = [row(8, 0.5), row(16, 0.92), row(32, 1.0, error=0.09), row(64, 0.95)]
    assert proposed_count(rows) == 16
    assert proposed_count([*rows[:2], row(32, 1.0, error=0.05), rows[3]]) == 32
    assert proposed_count([]) is None
    assert proposed_count([row(8, 1.0, error=NAN)]) == 8


def test_errors_of_few_sources_reach_further() -> None:
    assert interval(1.0, 0.1) == pytest.approx((0.804, 1.196), abs=1e-4)
    assert interval(1.0, 0.1, 4)[0] == pytest.approx(1 - 0.3182, abs=1e-4), "Student's, three degrees of freedom"
    rows = [row(8, 0.6), row(16, 0.5)]
    assert tells_something(rows) and not tells_something(rows, 3)
    assert study(*rows).tells and not study(*rows, sources=3).tells


def test_a_decoy_has_another_source_in_its_fold(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws")
    clips = workspace.table("clips").to_pandas()
    clips["source"] = [f"film {row % 5}" for row in range(len(clips))]
    workspace.commit_table("clips", pa.Table.from_pandas(clips, preserve_index=False), "s", {})
    sample = take_sample(workspace, np.ones(len(clips), bool), 1000, 0)
    assert sample.n_sources == 5 and len(np.unique(sample.fold)) == 2
    assert all(len(np.unique(sample.source[sample.fold == f])) >= 2 for f in np.unique(sample.fold))


def test_a_layer_that_tells_nothing_proposes_nothing() -> None:
    assert tells_something([row(8, 1.0), row(16, 0.9)])
    assert not tells_something([row(8, 0.2), row(16, 0.1)])  # 2 errors, and the best of two with a wider chance
    assert not tells_something([row(8, 1.0, permuted=0.9)])
    assert not tells_something([row(8, 1.0, error=NAN)]) and not tells_something([])
    nothing = study(row(8, 0.1), row(16, 0.2))
    assert nothing.proposed is None and "no more about the pairing than permuted sounds" in views.verdict(nothing)
    assert "too few clips" in views.verdict(study(left_out=(8,)))


def test_what_is_said() -> None:
    found = study(row(8, 0.95), row(16, 1.0), left_out=(500,), added=Added(8, 0.004, -0.01, 0.02, 4))
    assert views.verdict(found).startswith("8 clusters: the smallest count within one standard error of the best (16).")
    assert views.added_words(found).startswith("It adds nothing that can be told to the other layers: gain +0.004")
    assert views.added_words(study(row(8, 1.0), added=Added(8, 0.2, 0.1, 0.3, 4))).startswith("It adds to the other")
    assert any("500" in line for line in views.warnings(found))
    assert any("still grows" in line for line in views.warnings(study(row(8, 0.1), row(16, 2.0))))
    assert views.study_frame(found)["what"].tolist() == ["proposed", "largest gain"]
    unsure = study(replace(row(8, 1.0), overlap=0.4, single_source=2), row(16, 0.9))
    said = " ".join(views.warnings(unsure))
    assert "share 40 %" in said and "2 clusters hold clips of one source only" in said


def test_a_count_becomes_a_setting() -> None:
    assert views.with_count("", "sound.x", 16) == "sound.x=16"
    assert views.with_count("picture.y=8,sound.x=4", "sound.x", 16) == "picture.y=8,sound.x=16"


@pytest.mark.parametrize(
    ("given", "found"), [("8, 4,8", (4, 8)), ([16], (16,)), ("", None), ("1", None), ("a", None), ("8,10001", None)]
)
def test_counts_are_checked(given: str, found: tuple[int, ...] | None) -> None:
    if found is not None:
        assert check_counts(given) == found
        return
    with pytest.raises(InputError, match="no counts of clusters"):
        check_counts(given)


def test_a_layer_of_noise_is_seldom_said_to_add() -> None:
    """Where nothing tells anything, at most 2.5 % of made studies: 2 of 200, with the plain error of sources 12."""
    rng = np.random.default_rng(7)
    source = np.arange(400)
    fold = folds_of(source, 5, 0)

    def studied(knows: float) -> Added:
        kind = rng.integers(0, 4, 400)

        def clusters() -> np.ndarray:
            return np.where(rng.random(400) < knows, kind, rng.integers(0, 4, 400))

        others, partners, own = (np.stack([clusters() for _ in range(n)], axis=1) for n in (1, 2, 1))

        def excess(layers: np.ndarray) -> np.ndarray:
            codes = np.concatenate([layers, partners], axis=1).astype(np.int32)
            is_audio = np.arange(codes.shape[1]) < layers.shape[1]
            return evidence_gain(codes, is_audio, np.full(codes.shape[1], 4), source, fold).excess

        gained = excess(np.concatenate([others, own], axis=1)) - excess(others)
        return added_of(4, [gained], source, 1)

    before = numba.get_num_threads()
    numba.set_num_threads(1)  # small tables: threads would cost more than they do
    try:
        assert sum(studied(0.0).adds for _ in range(200)) <= 5
        assert sum(studied(0.7).adds for _ in range(20)) >= 15, "a layer that knows the kind is seen"
    finally:
        numba.set_num_threads(before)


def test_best_share() -> None:
    assert best_share(np.array([1.0, 3, 3, 0, 2]), 0.4).tolist() == [False, True, True, False, False]


# -- on disk -----------------------------------------------------------------------------------------------------------


def sourced(tmp_path: Path, mismatched: float, n: int = 400) -> Workspace:
    return make_workspace(tmp_path / "w", upto="cluster", n_clips=n, n_kinds=4, mismatched=mismatched)


def test_a_study_finds_the_planted_number(tmp_path: Path) -> None:
    workspace = sourced(tmp_path, 0.3)
    found = study_counts(workspace, "sound.logmel", "2,4,16,200", seeds=2)
    assert found.proposed == 4 and found.left_out == (200,)  # 400 clips / (200 x 4) < 1
    assert [r.count for r in found.rows] == [2, 4, 16] and found.clips == found.sources == 400
    four = found.rows[1]
    assert four.agreement == 1.0 and four.smallest > 50 and four.single_source == 0
    assert four.gain > four.permuted + 0.3
    assert found.added is not None and not found.added.adds  # the other layers know the kind already
    assert studies(workspace) == {"sound.logmel": found}
    # again: found done; with other clusters of the other modality: stale
    marker = workspace.artefact_path(key_of("sound.logmel")) / "artefact.json"
    before = marker.stat().st_mtime_ns
    assert study_counts(workspace, "sound.logmel", (2, 4, 16, 200), seeds=2) == found
    assert marker.stat().st_mtime_ns == before
    folder = workspace.partial_folder("clusterings/picture.motion", "other")
    for file in workspace.artefact_path("clusterings/picture.motion").glob("*.npy"):
        shutil.copy(file, folder / file.name)
    workspace.commit_folder("clusterings/picture.motion", folder, "other",
                            workspace.require("clusterings/picture.motion", "cluster").info)  # fmt: skip
    assert read_study(workspace, key_of("sound.logmel")) == replace(found, stale=True)


def test_unrelated_sounds_say_so(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", upto="cluster", n_clips=400, n_kinds=4, mismatched=0.75)  # independent
    found = study_counts(workspace, "sound.mfcc", "2,4,8", seeds=2)
    assert found.proposed is None and not found.tells


def test_before_anything_was_clustered(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", upto="features", n_clips=200)
    found = study_counts(workspace, "picture.colour", "4", seeds=2, sample=150)
    assert found.clips == 150 and found.added is None
    assert list(found.partners) == ["sound.logmel", "sound.mfcc", "sound.shape"]
    assert "not clustered yet" in found.notices[0]


def test_a_study_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", upto="cluster", n_clips=120)
    whole = study_counts(workspace, "sound.shape", "3,4", seeds=2)
    fingerprint = workspace.fingerprint(key_of("sound.shape"))
    workspace.remove(key_of("sound.shape"))
    parts = workspace.partial_folder(key_of("sound.shape"), str(fingerprint))
    kept = {f: getattr(whole.rows[0], f) for f in whole.rows[0].__dataclass_fields__} | {"seconds": 77.0}
    write_json(parts / "3.json", kept)
    again = study_counts(workspace, "sound.shape", "3,4", seeds=2)
    assert again.rows[0].seconds == 77.0 and again.rows[1].gain == whole.rows[1].gain
    assert not list(parts.parent.glob(".*.parts"))


def test_what_cannot_be_studied_is_said(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", upto="cluster", n_clips=12)
    with pytest.raises(InputError, match="no layer of features"):
        study_counts(workspace, "sound.gone", "4")
    with pytest.raises(InputError, match="Only 12 clips"):
        study_counts(workspace, "sound.logmel", "4")
    with pytest.raises(InputError, match="0 seeds"):
        study_counts(workspace, "sound.logmel", "4", seeds=0)
    with pytest.raises(InputError, match="one of them has no features"):
        try_counts(make_workspace(tmp_path / "v", upto="clips"))


def test_the_sample_is_by_the_clips_ids(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", upto="features", n_clips=300)
    usable = np.ones(300, bool)
    some, more = take_sample(workspace, usable, 100, 0).rows, take_sample(workspace, usable, 200, 0).rows
    assert len(some) == 100 and set(some) <= set(more) and (np.diff(some) > 0).all()
    usable[some[:50]] = False
    assert not set(some[:50]) & set(take_sample(workspace, usable, 100, 0).rows)


def test_a_trial_stands_beside_the_clusters_there_are(tmp_path: Path) -> None:
    workspace = sourced(tmp_path, 0.3)
    found = try_counts(workspace, "4", "sound.mfcc=2", sample=300)
    assert found.clips == 300 and {one.layer: one.clusters for one in found.layers}["sound.mfcc"] == 2
    assert found.present is not None and found.difference is not None
    assert found.gain > found.permuted + 0.3
    assert read_trial(workspace) == found and found.counts["sound.logmel"] == "4"
    assert workspace.config.cluster.n_clusters == "auto"  # nothing was set
    assert "clusters there are" in views.trial_words(found) and "one run of k-means each" in views.trial_words(found)
    assert len(views.trial_frame(found)) == 6
    info = read_json(workspace.artefact_path(TRIAL_KEY) / "artefact.json")["info"]
    assert set(info["inputs"]) >= {"features/sound", "clusterings/sound.logmel"}


def test_broken_files_are_named(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", upto="clips")
    folder = workspace.partial_folder(key_of("sound.x"), "f")
    write_array(folder / "x.npy", np.zeros(1))
    workspace.commit_folder(key_of("sound.x"), folder, "f", {"rows": 3})
    with pytest.raises(Exception, match=r"counts-sound\.x is damaged"):
        read_study(workspace, key_of("sound.x"))
    assert read_trial(workspace) is None
