"""Sets by seeds: kept, gone on with, refused under other settings; curated and its controls; what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.errors import Cancelled, ConcordError, InputError
from curation.pretraining import experiment as experiments
from curation.pretraining import power, results
from curation.pretraining.comparison import SETS, Choice, Pool, default_held_out, sets_of
from curation.pretraining.experiment import Experiment, gather, run
from curation.pretraining.probe import ProbeSet
from curation.pretraining.report import report_lines
from curation.pretraining.train import PairSet, TrainConfig
from curation.progress import Progress
from curation.workspace import Workspace
from tests.tinymaker import made_clips

CONFIG = TrainConfig(steps=4, batch_size=8, warmup=1)


@pytest.fixture
def made(tmp_path: Path) -> Experiment:
    clips, kind = made_clips(80)
    rows = np.arange(80)
    questions = [
        ProbeSet("pictures", "picture", clips, rows[30:50], rows[50:], kind, rows // 2, tuple("abcd")),
        ProbeSet("sounds", "sound", clips, rows[30:50], rows[50:], kind, rows // 2, tuple("abcd")),
    ]
    Workspace.create(tmp_path / "ws")
    return Experiment("power", tmp_path / "ws" / "evaluations" / "pretrain-p", clips, questions, CONFIG)


def power_sets(seed: int) -> list[PairSet]:
    return [power.degraded(PairSet.of_clips("right", np.arange(30)), share, seed) for share in (1.0, 0.5, 0.0)]


def test_an_evaluation_is_kept_and_more_seeds_may_come_later(made: Experiment) -> None:
    first = run(made, power_sets, [0], Progress())
    kept = {p.name: p.stat().st_mtime_ns for p in (made.folder / "runs").glob("*.json")}
    assert sorted(kept) == ["right-0-seed0.json", "right-100-seed0.json", "right-50-seed0.json"]
    found = run(made, power_sets, [0, 1], Progress())
    assert found.seeds == [0, 1] and found.hits["pictures"].shape == (3, 2, 30, 2)
    assert np.array_equal(found.hits["sounds"][:, :1], first.hits["sounds"])
    assert all((made.folder / "runs" / name).stat().st_mtime_ns == stamp for name, stamp in kept.items())
    result = json.loads((made.folder / "result.json").read_text())
    assert result["seeds"] == [0, 1] and len(result["power"]) == 2 and "evaluation" in result["power"][0]["verdict"]
    table = pq.read_table(made.folder / "runs.parquet").to_pylist()
    assert len(table) == 12 and {row["clips"] for row in table} == {30}
    assert not list((made.folder / "runs").glob("*.checkpoint.npz"))
    workspace = Workspace.open(made.folder.parents[1])
    assert results.names(workspace) == ["p"] and results.read_result(workspace, "p") == result
    said = "\n".join(report_lines(workspace, "p"))
    assert "2 of 2 seeds are done" in said and "right 50 %" in said
    with pytest.raises(InputError, match="no evaluation 'q'"):
        report_lines(workspace, "q")


def test_other_settings_do_not_mix_with_what_is_there(made: Experiment) -> None:
    run(made, power_sets, [0], Progress())
    with pytest.raises(InputError, match=r"begun with other settings \(config"):
        run(replace(made, config=replace(CONFIG, steps=5)), power_sets, [0], Progress())
    with pytest.raises(InputError, match=r"begun with other settings \(questions"):
        run(replace(made, questions=made.questions[:1]), power_sets, [0], Progress())
    with pytest.raises(InputError, match="nothing to probe with"):
        run(replace(made, questions=[]), power_sets, [0], Progress())
    with pytest.raises(InputError, match="need different names"):
        run(made, lambda seed: [power_sets(seed)[0]] * 2, [0], Progress())
    run(replace(made, config=replace(CONFIG, device="cpu")), power_sets, [0], Progress())  # where it ran does not count


def test_a_cancelled_evaluation_goes_on_and_ends_the_same(made: Experiment, tmp_path: Path) -> None:
    class After:
        calls = 0

        def update(self, state: dict, *, force: bool) -> None: ...

        def cancelled(self) -> bool:
            self.calls += 1
            return self.calls > 9

    clock = iter(range(100_000))
    with pytest.raises(Cancelled):
        run(made, power_sets, [0, 1], Progress(After(), clock=lambda: float(next(clock))))
    assert 0 < len(list((made.folder / "runs").glob("*.json"))) < 6
    resumed = run(made, power_sets, [0, 1], Progress())
    other = replace(made, folder=tmp_path / "other")
    whole = run(other, power_sets, [0, 1], Progress())
    assert all(np.array_equal(resumed.hits[name], whole.hits[name]) for name in whole.hits)
    assert gather(other, whole.sets, [0, 1, 2]).seeds == [0, 1]


def test_five_guesses_of_four_classes_are_not_told(made: Experiment) -> None:
    found = run(made, power_sets, [0], Progress())
    assert {row["top"] for row in experiments.levels(made, found)} == {1}
    assert {row["top"] for row in experiments.differences(made, found, "right 100 %")} == {1}
    assert found.runs[0]["probes"]["pictures"]["top5"] is None
    many = replace(made.questions[0], label=np.arange(80) % 7)
    assert {row["top"] for row in experiments.levels(replace(made, questions=[many]), found)} == {1, 5}


def test_a_comparison_points_to_the_power_check_of_its_probe(made: Experiment) -> None:
    workspace = Workspace.open(made.folder.parents[1])
    other = replace(made, kind="comparison", folder=made.folder.with_name("pretrain-c"))
    run(other, power_sets, [0, 1], Progress())
    assert results.power_check(workspace, "c", "pictures")[0] is None
    assert "No power check was made" in "\n".join(report_lines(workspace, "c"))
    run(replace(made, folder=made.folder.with_name("pretrain-short"), config=replace(CONFIG, steps=2)), power_sets,
        [0, 1], Progress())  # fmt: skip
    assert results.power_check(workspace, "c", "pictures")[0] is None, "of other training"
    run(made, power_sets, [0, 1], Progress())
    can, said = results.power_check(workspace, "c", "pictures")
    assert can is False and "'p'" in said and "This evaluation cannot tell" in said
    assert said in "\n".join(report_lines(workspace, "c"))


def test_results_of_other_versions_are_read_calmly(made: Experiment) -> None:
    workspace = Workspace.open(made.folder.parents[1])
    run(made, power_sets, [0], Progress())
    file = made.folder / "result.json"
    told = json.loads(file.read_text())
    assert results.age(told) == ""
    del told["version"]  # as before there was one
    file.write_text(json.dumps(told))
    assert "An earlier version wrote these numbers" in "\n".join(report_lines(workspace, "p"))
    kept = (made.folder / "runs" / "right-0-seed0.json").stat().st_mtime_ns
    run(made, power_sets, [0], Progress())
    assert "earlier version" not in "\n".join(report_lines(workspace, "p"))
    assert (made.folder / "runs" / "right-0-seed0.json").stat().st_mtime_ns == kept, "nothing is trained twice"
    file.write_text(json.dumps(told | {"version": results.VERSION + 1}))
    with pytest.raises(InputError, match="written by a newer version"):
        report_lines(workspace, "p")
    (made.folder / "plan.json").write_text("{")
    assert results.names(workspace) == ["p"], "a damaged one is listed, and says so when it is read"
    with pytest.raises(ConcordError, match="not readable JSON"):
        report_lines(workspace, "p")


def test_differences_are_paired(made: Experiment) -> None:
    found = run(replace(made, kind="sampling"), power_sets, [0, 1, 2], Progress())
    gaps = experiments.differences(made, found, found.sets[0])
    assert len(gaps) == 2 * 2, "two probes, two other sets; of four classes top-1 only"
    one = next(g for g in gaps if (g["probe"], g["second"], g["top"]) == ("sounds", "right 0 %", 1))
    by_hand = found.hits["sounds"][0, ..., 0].mean() - found.hits["sounds"][2, ..., 0].mean()
    assert one["value"] == pytest.approx(by_hand) and one["low"] <= one["value"] <= one["high"]


# -- sets --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Pool:
    """400 clips of eight kinds, 60 % with the sound of their kind."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 8, 400)
    right = rng.random(400) < 0.6
    heard = np.where(right, kind, rng.integers(0, 8, 400))
    centres = rng.normal(0, 3, (6, 8, 5))
    layers = ("sound.a", "sound.b", "sound.c", "picture.a", "picture.b", "picture.c")
    features = {
        name: (centres[k][heard if name.startswith("sound") else kind] + rng.normal(size=(400, 5))).astype(np.float32)
        for k, name in enumerate(layers)
    }
    modality = {name: "audio" if name.startswith("sound") else "visual" for name in layers}
    return Pool(np.arange(400) + 1000, features, modality, default_held_out(modality), np.arange(400) // 2, right)


def test_a_seed_makes_the_choice_and_its_controls_anew(pool: Pool) -> None:
    assert pool.held_out == ("sound.c", "picture.c")
    choice = Choice(budget=0.4, n_clusters=8, replicates=2)
    sets = {pairs.name: pairs for pairs in sets_of(pool, choice, 1)}
    assert tuple(sets) == SETS and len(sets["all"].picture) == 400
    assert len(sets["curated"].picture) == len(sets["random"].picture) == len(sets["matched random"].picture) == 160
    assert all(np.array_equal(pairs.picture, pairs.sound) and pairs.picture.min() >= 1000 for pairs in sets.values())
    assert sets["curated"].facts["right"] > 0.85 and abs(sets["all"].facts["right"] - 0.6) < 0.06
    assert sets["curated"].facts["held_out_mi"] > sets["random"].facts["held_out_mi"]
    assert "held_out_mi" not in sets["all"].facts, "MI of more clips is biased less: it compares with nothing here"
    assert all(1 <= pairs.facts["effective_audio"] <= 8.01 for pairs in sets.values())
    again = {pairs.name: pairs.digest() for pairs in sets_of(pool, choice, 1)}
    other = {pairs.name: pairs.digest() for pairs in sets_of(pool, choice, 2)}
    assert again == {name: pairs.digest() for name, pairs in sets.items()}
    assert other["random"] != again["random"] and other["all"] == again["all"]


def test_truth_and_held_out_layers_choose_nothing(pool: Pool) -> None:
    choice = Choice(budget=0.4, n_clusters=8, replicates=1)
    rng = np.random.default_rng(5)
    noise = {name: rng.normal(size=(400, 5)).astype(np.float32) for name in pool.held_out}
    other = replace(pool, features=pool.features | noise, right=~pool.right)
    assert [a.digest() for a in sets_of(pool, choice, 0)] == [b.digest() for b in sets_of(other, choice, 0)]
    with pytest.raises(InputError, match="layers of sound and of picture"):
        sets_of(replace(pool, held_out=("sound.a", "sound.b", "sound.c")), choice, 0)


def test_numbers_that_are_not_finite_are_written_as_none() -> None:
    value = {"a": [np.float64("inf"), 1.0], "b": (np.int64(3), float("nan")), "c": True}
    assert results.plain(value) == {"a": [None, 1.0], "b": [3, None], "c": True}
