"""`python -m curation pretrain` on made videos: power check, sampling, comparison, a kept model, bad input."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.cli import main
from curation.pretraining import results
from curation.workspace import Workspace
from tests.mediamaker import make_video

LABELS = ["--picture-label", "seen", "--sound-label", "heard", "--key", "file"]
SMALL = ["--steps", "2", "--batch-size", "4", "--seeds", "0", "--frames", "1", "--size-px", "16",
         "--keep-near-duplicates"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 videos of two kinds, some with the other's sound, in a workspace with clips and clusters; their labels."""
    folder = tmp_path_factory.mktemp("pretrain")
    media = folder / "media"
    rows = []
    for i in range(20):
        kind, heard = i % 2, i % 2 if i % 5 else 1 - i % 2
        title = media / f"title {i % 4}"
        title.mkdir(parents=True, exist_ok=True)
        make_video(title / f"{i}.mp4", seconds=0.7, size=(32, 32), seed=kind, hz=300.0 + 900 * heard, fps=8)
        rows.append({"file": f"{i}.mp4", "seen": "ab"[kind], "heard": "ab"[heard]})
    with (folder / "truth.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, ["file", "seen", "heard"])
        writer.writeheader()
        writer.writerows(rows)
    wanted = ["filter.duplicates=keep", "features.measures=", "cluster.n_clusters=2",
              "cluster.layers=sound.logmel,picture.colour", "cluster.replicates=1",
              "select.budget=0.5", "select.method=batch-greedy", "select.duplicates=all"]  # fmt: skip
    settings = [part for item in wanted for part in ("--set", item)]
    assert main(["run", str(folder / "ws"), "--media", str(media), "--until", "select", *settings]) == 0
    return folder


def test_a_power_check_is_reported_and_kept(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["pretrain", str(place / "ws"), "power", "--labels", str(place / "truth.csv"), *LABELS, *SMALL]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "share no source" in said and "right 75 %" in said and "1 of 1 seeds are done" in said
    assert main(argv) == 0, "nothing to do is no error"
    workspace = Workspace.open(place / "ws")
    assert results.names(workspace) == ["power"] and len(list((workspace.path / "evaluations" / "tiny").iterdir())) == 1
    assert main([*argv, "--steps", "3"]) == 2
    assert "begun with other settings (config)" in capsys.readouterr().err


def test_a_run_is_judged_against_its_controls_and_a_model_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["--labels", str(place / "truth.csv"), *LABELS]
    assert main(["pretrain", str(place / "ws"), "compare", *labels, *SMALL, "--keep-models"]) == 0
    said = capsys.readouterr().out
    assert "curated - matched random" in said and "held out of the choice: no layer" in said
    runs = place / "ws" / "evaluations" / "pretrain-compare" / "runs"
    model = runs / "curated-seed0.model.npz"
    argv = ["pretrain", str(place / "ws"), "probe", *labels, *SMALL, "--model"]
    assert main([*argv, str(model)]) == 0
    said = capsys.readouterr().out
    assert "top-1" in said and "95 % interval of" in said and "top-5" not in said, "five of two classes say nothing"
    assert main([*argv, str(place / "truth.csv")]) == 2
    assert "no checkpoint of a pre-training" in capsys.readouterr().err


def test_ways_of_sampling_and_foreign_data(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = ["--probe", f"table:{place / 'foreign.csv'}"]
    (place / "foreign.csv").write_text(
        "path,label,split\n" + "".join(
            f"media/title {i % 4}/{i}.mp4,{'ab'[i % 2]},{'train' if i < 10 else 'test'}\n" for i in range(20)
        )
    )  # fmt: skip
    argv = ["pretrain", str(place / "ws"), "sampling", "--clips-per-title", "2", *foreign]
    assert main([*argv, *SMALL]) == 0
    said = capsys.readouterr().out
    assert "hierarchical - ordinary" in said and "20 clips look or sound nearly like clips of a probe" in said
    near = pq.read_table(place / "ws" / "evaluations" / "pretrain-sampling" / "near_duplicates.parquet").to_pylist()
    assert {row["row"] for row in near} == set(range(20)) and {row["alike_in"] for row in near} <= {"picture", "sound"}
    assert main([*argv, "--steps", "2", "--seeds", "0", "--batch-size", "8", "--name", "none"]) == 2
    assert "A batch of 8 clips is larger than the data: 0 clips are left" in capsys.readouterr().err


@pytest.mark.parametrize("action", [["power", "--assume-right"], ["compare"], ["sampling", "--clips-per-title", "2"]])
def test_no_way_of_training_sees_near_duplicates_of_a_probe(
    place: Path, capsys: pytest.CaptureFixture[str], action: list[str]
) -> None:
    """All clips look like one of two: one file of each kind in a probe leaves nothing to train on."""
    file = place / "four.csv"
    file.write_text("path,label,split\n" + "".join(
        f"media/title {i}/{i}.mp4,{'ab'[i % 2]},{'train' if i < 2 else 'test'}\n" for i in range(4)
    ))  # fmt: skip
    argv = ["pretrain", str(place / "ws"), *action, "--probe", f"table:{file}", "--name", "near", "--steps", "2",
            "--seeds", "0", "--batch-size", "4", "--frames", "1", "--size-px", "16"]  # fmt: skip
    assert main(argv) == 2
    assert "larger than the data: 0 clips are left" in capsys.readouterr().err
    assert not (place / "ws" / "evaluations" / "pretrain-near").exists()
    argv[argv.index("near")] = f"near-{action[0]}"
    assert main([*argv, "--keep-near-duplicates"]) == 0
    said = capsys.readouterr().out
    assert "4 clips are of files that" in said and "they stay (asked for)" in said
    assert "test clips are nearly like a clip that the classifier learns from" in said
    rows = pq.read_table(place / "ws" / "evaluations" / f"pretrain-near-{action[0]}" / "near_duplicates.parquet")
    assert rows.num_rows > 0


def test_sources_on_both_sides_of_a_given_split(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "split.csv"
    file.write_text("path,label,split,source\n" + "".join(
        f"media/title {i % 4}/{i}.mp4,{'ab'[i % 2]},{'train' if i < 12 else 'test'},{'film' if i in (3, 15) else i}\n"
        for i in range(20)
    ))  # fmt: skip
    argv = ["pretrain", str(place / "ws"), "power", "--assume-right", "--probe", f"table:{file}", *SMALL]
    assert main([*argv, "--name", "refused", "--shared-sources", "refuse"]) == 2
    assert "1 sources are both in its training and in its test part (film)" in capsys.readouterr().err
    assert main([*argv, "--name", "apart"]) == 0
    said = capsys.readouterr().out
    assert "their 1 pieces to learn from are left out" in said and "11 clips to learn from, 8 to test on" in said
    listed = pq.read_table(place / "ws" / "evaluations" / "pretrain-apart" / "shared_sources.parquet").to_pylist()
    assert listed == [{"probe": f"table:{file}", "source": "film", "learnt": 1, "tested": 1}]
    assert main([*argv, "--name", "kept", "--shared-sources", "keep"]) == 0
    said = capsys.readouterr().out
    assert "they stay (asked for), so accuracy is too high" in said and "12 clips to learn from" in said


def test_sampling_by_titles_needs_titles_of_several_clips(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["pretrain", str(place / "ws"), "sampling", "--labels", str(place / "truth.csv"), *LABELS, *SMALL]
    assert main([*argv, "--clips-per-title", "1", "--name", "one"]) == 2
    assert "would be ordinary sampling" in capsys.readouterr().err
    assert main([*argv, "--clips-per-title", "4", "--name", "four"]) == 0
    assert "titles have fewer than 4 clips" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more, words",
    [
        (["power"], "nothing to probe with"),
        (["power", "--picture-label", "nowhere"], "no column nowhere"),
        (["power", "--seeds", "a"], "no whole numbers"),
        (["power", "--network", "huge"], "no network 'huge'"),
        (["power", "--probe", "esc50"], "names no labelled data"),
        (["probe"], "Which model"),
        (["report", "--name", "gone"], "no evaluation 'gone'"),
    ],
)
def test_bad_input_is_said_in_words(
    place: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert main(["pretrain", str(place / "ws"), more[0], "--frames", "1", "--size-px", "16", *more[1:]]) == 2
    assert words in capsys.readouterr().err
