"""Correspondence retrieval: what must be 0.50 is, what must be 1.00 is, and runs are kept, resumed and added to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import retrieval
from curation.errors import Cancelled, InputError, SettingError
from curation.evaluation.attempt import fitted_batch
from curation.evaluation.labelled import layers_of, measured_by, read_labelled, shared_classes
from curation.evaluation.pairs import leaky_rows, make_pairs
from curation.evaluation.trial import PairTask, Trial, WorkspaceTask
from curation.kernels.retrieval import along, ranking
from curation.progress import Progress
from curation.retrieval import Settings, evaluate, method_names, report_lines, run, summarize
from curation.workspace import Workspace
from explorer.views import retrieval as views
from tests.labelledmaker import make_pictures, make_sounds
from tests.mediamaker import make_video
from tests.workspacemaker import make_workspace

SLOW = ("contrastive", "greedy")
FAST = Settings(("batch-greedy", "ratio", "matched-random"), (0, 1), (0.5, 1.0))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    make_pictures(folder / "pictures")
    make_sounds(folder / "sounds")
    return folder


@pytest.fixture
def task(sets: Path) -> PairTask:
    return pair_task(sets)


def pair_task(sets: Path, **options: object) -> PairTask:
    pictures, sounds = read_labelled(sets / "pictures", "visual"), read_labelled(sets / "sounds", "audio")
    return PairTask(pictures, sounds, sets / "cache", clusters=6, **options)


def independent_trial(n: int = 3000) -> Trial:
    """Layers of a modality agree with each other; sound and picture have nothing to do with each other."""
    rng = np.random.default_rng(5)
    kinds = rng.integers(0, 8, (n, 2))
    seen = np.where(rng.random((n, 6)) < 0.7, np.repeat(kinds, 3, axis=1), rng.integers(0, 8, (n, 6)))
    features = [seen[:, [d]] + rng.normal(0, 0.3, (n, 4)) for d in range(6)]
    return Trial(
        seen.astype(np.int32), ["audio"] * 3 + ["visual"] * 3, [f"layer{d}" for d in range(6)],
        rng.permutation(n) < n // 2, np.ones(n, bool), np.arange(n, dtype=np.int32), lambda: features,
    )  # fmt: skip


@pytest.mark.parametrize("method", [name for name in method_names() if name not in SLOW])
def test_independent_modalities_give_a_half(method: str) -> None:
    trial = independent_trial()
    found = evaluate(trial, method, 1, Settings(budgets=(1.0,)), like=np.arange(1500))
    (point,) = found.points
    assert point["clips"] == 1500 and abs(point["precision"] - 0.5) < 4 * 0.5 / np.sqrt(1500) / np.sqrt(2)


def test_a_scorer_that_knows_the_joint_finds_all() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 10, 2000)
    right = rng.permutation(2000) < 1000
    sound = np.where(right, picture, (picture + rng.integers(1, 10, 2000)) % 10)
    joint = np.full((10, 10), 1e-9)
    np.add.at(joint, (sound[right], picture[right]), 1 / 1000)
    apart = np.outer(np.bincount(sound), np.bincount(picture)) / 2000**2
    rows = ranking(np.zeros(0, np.int64), np.log(joint / apart)[sound, picture], 0)
    assert along(rows, right, np.ones(2000, bool), np.array([1000])).precision[0] == 1


def test_the_leaky_shuffle_leaks_and_a_whole_one_does_not() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(10), 120)
    seen = np.where(rng.random((1200, 6)) < 0.8, label[:, None], rng.integers(0, 10, (1200, 6))).astype(np.int32)
    pairs = make_pairs(label, label, "independent", 0.5, 3)
    found = {}
    for name, sounds in {"leaky": leaky_rows(pairs, 3, 3), "whole": [pairs.sound] * 3}.items():
        columns = [seen[rows, d] for d, rows in enumerate(sounds)] + [seen[pairs.image, 3 + d] for d in range(3)]
        codes = np.stack(columns, axis=1)
        trial = Trial(codes, ["audio"] * 3 + ["visual"] * 3, list("abcdef"), pairs.matched, np.ones(1200, bool),
                      pairs.image.astype(np.int32))  # fmt: skip
        ran = evaluate(trial, "ratio", 0, Settings(budgets=(1.0,), pairing="combination"))
        found[name] = ran.points[0]["precision"]
    assert found["leaky"] > 0.6 and abs(found["whole"] - 0.5) < 0.07


@pytest.mark.parametrize("protocol", ["class", "sample", "half"])
def test_mismatch_moves_whole_sounds_and_keeps_each_once(protocol: str) -> None:
    label = np.repeat(np.arange(10), 20)
    pairs = make_pairs(label, label, protocol, 0.5, 1)
    assert sorted(pairs.sound) == sorted(pairs.image) == list(range(200))
    assert abs(pairs.matched.mean() - 0.5) < 0.01 and pairs.same_class[pairs.matched].all()
    if protocol == "class":
        assert len(np.unique(label[pairs.image][~pairs.matched])) == 5
    if protocol == "sample":
        assert 0.85 < pairs.limit < 1


def test_pairs_of_labelled_folders_are_found_again(sets: Path, task: PairTask, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    found = run(workspace, task, FAST, "toy")
    assert [row["method"] for row in found.rows][-1] == "random" and found.facts["candidates"] == 48
    best = found.rows[0]
    assert best["precision"] > 0.7 and best["low"] <= best["precision"] <= best["high"] and best["seeds"] == 2
    assert found.runs.num_rows == 4 * 2 * 2 and found.facts["interval"] == "seeds"
    clips = found.clips(1)
    assert (sets / "pictures" / clips["picture"][0].as_py()).is_file() and len(found.picks("ratio", 1)) == 24
    assert clips["picture_class"][0].as_py() == clips["picture"][0].as_py().partition("/")[0]
    assert retrieval.names(workspace) == ["toy"] and retrieval.read(workspace, "toy").rows == found.rows
    assert any("matched-random" in line for line in retrieval.report_lines(found))


class StopAfter(Progress):
    """Asks to stop after a number of runs."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self._left = runs

    def advance(self, n: int = 1, *, finished_before: bool = False) -> None:
        super().advance(n, finished_before=finished_before)
        self._left -= 0 if finished_before else n

    def check_cancelled(self) -> None:
        if self._left <= 0:
            raise Cancelled


def test_a_cancelled_evaluation_goes_on_and_ends_equal(sets: Path, tmp_path: Path) -> None:
    broken, whole = Workspace.create(tmp_path / "broken"), Workspace.create(tmp_path / "whole")
    with pytest.raises(Cancelled):
        run(broken, pair_task(sets), FAST, "toy", StopAfter(3))
    assert retrieval.names(broken) == []
    progress = Progress()
    found, unbroken = run(broken, pair_task(sets), FAST, "toy", progress), run(whole, pair_task(sets), FAST, "toy")
    assert progress._skipped == 3 and progress.state["done"] == 8
    took = ("took_s",)
    assert [{k: v for k, v in row.items() if k not in took} for row in found.rows] == [
        {k: v for k, v in row.items() if k not in took} for row in unbroken.rows
    ]
    assert found.fingerprint == unbroken.fingerprint


def test_more_seeds_and_methods_keep_the_runs_there_are(sets: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    run(workspace, pair_task(sets), Settings(("ratio",), (0,), (1.0,)), "toy")
    progress = Progress()
    found = run(workspace, pair_task(sets), Settings(("ratio", "ascent"), (0, 1), (1.0,)), "toy", progress)
    assert progress._skipped == 2 and len(found.rows) == 3 and found.rows[0]["seeds"] == 2
    again = Progress()
    run(workspace, pair_task(sets), Settings(("ratio", "ascent"), (0, 1), (1.0,)), "toy", again)
    assert again.state["total"] == 0, "nothing is made twice"


def test_a_workspace_with_unknown_answers(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=120, upto="cluster")
    truth = workspace.table("columns/truth_match").to_pydict()
    values = [None if i % 3 == 0 else value for i, value in enumerate(truth["truth_match"])]
    answers = pa.table({"clip_id": truth["clip_id"], "truth_match": pa.array(values, pa.bool_())})
    workspace.commit_table("columns/truth_match", answers, "n", {})
    found = run(workspace, WorkspaceTask(workspace), FAST, "truth_match")
    assert found.facts["known"] == 80 and "40 of 120 candidates have no answer" in found.notices[0]
    assert found.facts["interval"] == "sources" and found.rows[0]["above_low"] > 0
    ratio = next(row for row in found.rows if row["method"] == "ratio")
    assert ratio["precision"] > 0.85 and retrieval.fits(workspace, found)
    assert found.clips(0)["row"].to_pylist() == list(range(120))


def test_all_right_is_not_surely_all_right() -> None:
    told = {"is_main": True, "known": 16, "recall": 1.0, "f1": 1.0, "average_precision": 1.0, "objective": 0.5,
            "took_s": 0.1}  # fmt: skip
    runs = [{**told, "method": "ratio", "precision": 1.0}, {**told, "method": "random", "precision": 0.5}]
    counts = np.ones((1, 2, 16), np.float32)
    half = counts * np.array([0.5, 1.0])[:, None]
    ratio, random = summarize(runs, {"ratio": counts, "random": half}, over_seeds=False)
    assert ratio["high"] == pytest.approx(1) and ratio["low"] == pytest.approx(16 / (16 + 1.959964**2))
    assert random["method"] == "random"


def test_many_clips_of_few_sources_are_few() -> None:
    told = {"is_main": True, "known": 3000, "recall": 1.0, "f1": 1.0, "average_precision": 1.0, "objective": 0.5,
            "took_s": 0.1}  # fmt: skip
    runs = [{**told, "method": "ratio", "precision": 1.0}, {**told, "method": "random", "precision": 0.5}]
    for n in (3, 1):  # sources
        counts = np.full((1, 2, n), 3000 / n, np.float32)
        half = counts * np.array([0.5, 1.0])[:, None]
        ratio, random = summarize(runs, {"ratio": counts, "random": half}, over_seeds=False)
        assert ratio["low"] == pytest.approx(n / (n + 1.959964**2)), "Wilson's of so many sources, not clips"
        assert random["high"] - random["low"] > 0.6 and ratio["above_high"] - ratio["above_low"] > 0.4
        assert ratio["above_low"] < ratio["above"] == 0.5 < ratio["above_high"]


def test_resamples_of_few_sources_cover_as_well() -> None:
    """Five sources of 40 clips that differ in how many are right, 0.6 on average."""
    rng = np.random.default_rng(2)
    told = {"is_main": True, "known": 200, "recall": 1.0, "f1": 1.0, "average_precision": 1.0, "objective": 0.5,
            "took_s": 0.1}  # fmt: skip
    inside = 0
    for _ in range(60):
        right = rng.binomial(40, np.clip(rng.normal(0.6, 0.15, 5), 0, 1)).astype(np.float32)
        counts = np.stack([right, np.full(5, 40, np.float32)])[None]
        (found,) = summarize([{**told, "method": "random", "precision": right.sum() / 200}], {"random": counts},
                             over_seeds=False)  # fmt: skip
        inside += found["low"] <= 0.6 <= found["high"]
    assert inside >= 0.9 * 60


def test_matched_random_resembles_what_is_said(sets: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    first = run(workspace, pair_task(sets), Settings(("ratio", "matched-random"), (0,), (1.0,)), "toy")
    assert first.facts["resembled"] == "ratio"
    progress = Progress()
    both = Settings(("ascent", "ratio", "matched-random"), (0,), (1.0,))
    found = run(workspace, pair_task(sets), both, "toy", progress)
    alone = run(workspace, pair_task(sets), both, "alone")
    assert found.facts["resembled"] == "ascent" and progress._skipped == 2, "random and ratio stay"
    assert found.picks("matched-random", 0).tolist() == alone.picks("matched-random", 0).tolist()


def test_sounds_shuffled_within_one_class_are_no_mismatch(sets: Path) -> None:
    with pytest.raises(InputError, match="keep a sound of their class"):
        pair_task(sets, protocol="class", share=0.8).trial(0)
    assert pair_task(sets, protocol="sample", share=0.8).trial(0).n_right > 30


def test_answers_that_cannot_judge_are_refused(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    ids = workspace.table("clips", ["clip_id"])["clip_id"]
    for values, says in (([True] * 60, "All 60 answers"), ([None] * 60, "no clip has one")):
        answers = pa.table({"clip_id": ids, "truth_match": pa.array(values, pa.bool_())})
        workspace.commit_table("columns/truth_match", answers, says, {})
        with pytest.raises(InputError, match=says):
            WorkspaceTask(workspace)
    with pytest.raises(InputError, match="no column 'other'"):
        WorkspaceTask(workspace, column="other")


def test_sets_that_cannot_be_paired_are_refused(sets: Path, tmp_path: Path) -> None:
    make_sounds(tmp_path / "others", 2, ("saw", "zip"))
    pictures = read_labelled(sets / "pictures", "visual")
    with pytest.raises(InputError, match="labels do not match: 0 classes are in both"):
        shared_classes(pictures, read_labelled(tmp_path / "others", "audio"))
    make_sounds(tmp_path / "one", 2, ("bell",))
    with pytest.raises(InputError, match="of one class"):
        read_labelled(tmp_path / "one", "audio")
    with pytest.raises(InputError, match="holds no labelled"):
        read_labelled(sets / "pictures", "audio")
    with pytest.raises(InputError, match="no folder"):
        read_labelled(tmp_path / "nothing", "audio")
    with pytest.raises(SettingError, match="mismatch 'all'"):
        pair_task(sets, protocol="all")
    with pytest.raises(SettingError, match="no method 'best'"):
        Settings(("best",)).checked()


def test_classes_of_one_set_alone_are_left_out_and_said(sets: Path, tmp_path: Path) -> None:
    make_sounds(tmp_path / "more", 4, ("bell", "cow", "drum", "wind"))
    pictures, sounds = read_labelled(sets / "pictures", "visual"), read_labelled(tmp_path / "more", "audio")
    found = PairTask(pictures, sounds, tmp_path / "cache", clusters=4)
    assert found.facts()["classes"] == 3 and found.facts()["candidates"] == 12
    assert found.notices == [
        "1 class of pictures left out, not in more: rain",
        "1 class of more left out, not in pictures: wind",
    ]


def test_a_table_of_labels_serves_and_broken_files_are_left_out(tmp_path: Path) -> None:
    make_pictures(tmp_path / "set" / "images", 3, ("a", "b"))
    (tmp_path / "set" / "images" / "a" / "001.png").write_bytes(b"no picture")
    lines = [f"images/{c}/{i:03d}.png,{c.upper()}" for c in "ab" for i in range(3)]
    (tmp_path / "labels.csv").write_text(
        "file,label\n" + "\n".join([*lines, "images/gone.png,A", "../../etc/passwd,B"])
    )
    found = read_labelled(tmp_path / "set" / "images", "visual", tmp_path / "labels.csv")
    assert found.classes == ("A",) * 3 + ("B",) * 3
    layers, valid, notices = layers_of(found, tmp_path / "cache")
    assert valid.tolist() == [True, False, True, True, True, True] and "1 of 6 pictures cannot be read" in notices[0]
    assert set(layers) == {"image.pca", "image.hog", "image.profiles", "image.conv", "image.thumb"}
    assert np.isfinite(np.concatenate(list(layers.values()), axis=1)).all()


def test_another_version_of_an_extractor_is_measured_anew(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation.extractors.audio import SoundExtractor

    sounds = read_labelled(sets / "sounds", "audio")
    few = replace(sounds, files=sounds.files[:4], classes=sounds.classes[:4])
    plain, before = measured_by(few), measured_by(few, "extractors")
    layers_of(few, tmp_path, features="extractors", workers=1)
    layers_of(few, tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 2
    monkeypatch.setattr(SoundExtractor, "version", SoundExtractor.version + 1)
    assert measured_by(few, "extractors") != before and measured_by(few) == plain
    progress = Progress()
    progress.start("features", 4, "files")
    layers_of(few, tmp_path, features="extractors", workers=1, progress=progress)
    assert progress._skipped == 0 and len(list(tmp_path.glob("*.npz"))) == 3
    layers_of(few, tmp_path, features="extractors", workers=1, progress=progress)
    assert progress._skipped == 4


def test_a_batch_keeps_its_share_where_few_are_right() -> None:
    settings = Settings(batch_size=100, selection_size=25)
    assert [fitted_batch(settings, n) for n in (1000, 250, 100, 10, 3)] == [
        (100, 25),
        (100, 25),
        (40, 10),
        (4, 1),
        (4, 1),
    ]
    assert fitted_batch(Settings(batch_size=5, selection_size=5), 20) == (2, 2)


def test_runs_with_batches_of_another_size_are_made_again(sets: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    wanted = Settings(("batch-greedy", "matched-random"), (0,), (1.0,))
    found = run(workspace, pair_task(sets), wanted, "toy")
    for method in ("random", "batch-greedy"):  # as it was before: batches of 100 of which few are taken
        file = found.folder / f"run-{method}-s0.json"
        told = json.loads(file.read_text())
        assert told["batch"][0] < 100
        del told["batch"]
        file.write_text(json.dumps(told))
    marker = found.folder / "artefact.json"
    marker.write_text(marker.read_text().replace(found.fingerprint, "old"))
    progress = Progress()
    again = run(workspace, pair_task(sets), wanted, "toy", progress)
    assert progress._skipped == 0 and again.fingerprint == found.fingerprint, "matched-random goes with what it is like"


def test_one_seed_of_pairs_says_what_its_interval_holds(sets: Path, tmp_path: Path) -> None:
    found = run(Workspace.create(tmp_path / "ws"), pair_task(sets), Settings(("ratio",), (0,), (1.0,)), "toy")
    assert "pairs resampled; one seed" in views.how_many(found) and "one seed" in "\n".join(report_lines(found))


def test_how_far_seeds_differ_is_in_the_interval_of_a_workspace() -> None:
    told = {"is_main": True, "known": 200, "recall": 1.0, "f1": 1.0, "average_precision": 1.0, "objective": None,
            "took_s": 0.1, "method": "random"}  # fmt: skip
    counts = np.stack([np.stack([np.full(40, share * 5), np.full(40, 5.0)]) for share in (0.4, 0.8)])
    (same,) = summarize([told | {"precision": 0.6}] * 2, {"random": counts}, over_seeds=False)
    (apart,) = summarize([told | {"precision": p} for p in (0.4, 0.8)], {"random": counts}, over_seeds=False)
    assert apart["high"] - apart["low"] > same["high"] - same["low"] and apart["spread"] == pytest.approx(0.2828, 1e-3)


def test_results_of_other_versions_are_read_calmly(sets: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    settings = Settings(("ratio",), (0, 1), (1.0,))
    found = run(workspace, pair_task(sets), settings, "toy")
    file = found.folder / "result.json"
    told = json.loads(file.read_text())
    rows = [{key: value for key, value in row.items() if not key.endswith("_spread")} for row in told["rows"]]
    file.write_text(json.dumps(told | {"version": 1, "rows": rows}))
    old = retrieval.read(workspace, "toy")
    assert (
        any("An earlier version" in notice for notice in old.notices)
        and len(report_lines(old)) == len(report_lines(found)) + 1
    )
    file.write_text(json.dumps(told | {"version": 99}))
    with pytest.raises(InputError, match="newer version"):
        retrieval.read(workspace, "toy")
    del told["rows"]
    file.write_text(json.dumps(told))
    with pytest.raises(InputError, match="damaged"):
        retrieval.read(workspace, "toy")


def test_videos_and_their_sounds_are_measured_by_the_extractors(tmp_path: Path) -> None:
    for i, name in enumerate(("hum", "hum", "whistle", "whistle")):
        (tmp_path / "videos" / name).mkdir(parents=True, exist_ok=True)
        make_video(tmp_path / "videos" / name / f"{i}.mp4", seconds=1.0, seed=i, hz=200.0 * (i + 1), size=(64, 48))
    (tmp_path / "videos" / "hum" / "broken.mp4").write_bytes(b"\0" * 500)
    make_sounds(tmp_path / "sounds", 2, ("hum", "whistle"))
    videos = read_labelled(tmp_path / "videos", "visual")
    layers, valid, notices = layers_of(videos, tmp_path / "cache")
    assert videos.kind == "video" and valid.tolist() == [True, True, False, True, True]
    assert "1 of 5 videos cannot be read" in notices[0]
    assert all(values.shape[0] == 5 and np.ptp(values[valid]) > 0 for values in layers.values())
    sounds, valid, _ = layers_of(read_labelled(tmp_path / "sounds", "audio"), tmp_path / "cache", features="extractors")
    assert valid.all() and all(name.startswith("sound.") for name in sounds)
    with pytest.raises(InputError, match="Plain features are for pictures and wav"):
        layers_of(videos, tmp_path / "cache", features="plain")
