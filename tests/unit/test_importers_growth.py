"""Rows added to an imported workspace: clips behind those that are there, values only for them, clusters that stay."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation import importers, pipeline
from curation.errors import InputError
from curation.export import export
from curation.importers import features as features_module
from curation.importers import growth
from curation.progress import Progress
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from explorer import data
from tests.unit.shardmaker import PICTURE_DIMS, SOUND_DIMS, vector, write_shards
from tests.workspacemaker import make_workspace

N, MORE = 60, 20


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def table(path: Path, first: int, last: int) -> Path:
    rows = [f"c{i},video {i // 4}.mp4,{i % 4 * 10}" for i in range(first, last)]
    path.write_text("\n".join(["clip_id,path,start_s", *rows]) + "\n")
    return path


def arrays(n: int = N + MORE) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=n)
    return {name: ((rng.normal(size=(4, 6)) * 4)[kind] + rng.normal(size=(n, 6)) * 0.2).astype(np.float32)
            for name in ("audio", "visual")}  # fmt: skip


def bring(workspace: Workspace, folder: Path, first: int, last: int, **more: Any) -> list[dict[str, Any]]:
    """Features of clips first..last, of both modalities, with their table."""
    clips = table(folder / f"clips {first} {last}.csv", first, last)
    return [
        importers.import_features(
            workspace, modality, saved(folder / f"{modality}.npy", array[first:last]), modality, clips, **more
        )
        for modality, array in arrays().items()
    ]


@pytest.fixture
def ran(tmp_path: Path) -> Workspace:
    """60 imported clips, clustered, with a selection."""
    workspace = Workspace.create(tmp_path / "ws")
    bring(workspace, tmp_path, 0, N)
    workspace.configure({"select.budget": "20", "cluster.n_clusters": "4", "cluster.replicates": "2"})
    pipeline.run(workspace, Progress(), only=("cluster", "select"))
    return workspace


@pytest.mark.parametrize("first", [N, 0])
def test_new_clips_join_and_old_selections_stay(ran: Workspace, tmp_path: Path, first: int) -> None:
    """A file of the new rows alone, or of all rows, gives the same."""
    old = data.picks(ran, ran.current_selection or "")["clip_id"].tolist()
    name = ran.current_selection
    before = np.array(ran.array("clusterings/audio.features", "assignments"))
    centroids = np.array(ran.array("clusterings/audio.features", "centroids"))
    reports = bring(ran, tmp_path, first, N + MORE, add=True)
    assert [(one["clips"], one["clips_added"], one["valid"]) for one in reports] == [(80, 20, 80), (80, 0, 80)]
    clips = ran.table("clips")
    assert clips["clip_id"].to_pylist() == [f"c{i}" for i in range(80)]
    assert clips["row"].to_pylist() == list(range(80))
    for modality, array in arrays().items():
        assert np.array_equal(ran.features(modality, "features"), array)
    report = pipeline.run(ran, Progress(), only=("cluster", "select"))["cluster"]
    assert (report.facts["kept"], report.facts["joined"]) == (2, MORE)
    now = ran.array("clusterings/audio.features", "assignments")
    assert np.array_equal(now[:N], before) and (now[N:] >= 0).all()
    assert np.array_equal(ran.array("clusterings/audio.features", "centroids"), centroids)
    facts = data.selections(ran)
    assert name is not None and facts[name]["why"] == data.OTHER_CLIPS and facts[name]["candidates"] == N
    assert facts[ran.current_selection or ""]["candidates"] == N + MORE
    assert data.picks(ran, name)["clip_id"].tolist() == old
    said = export(ran, "csv", tmp_path / "old.csv", selection=name)
    assert said["rows"] == len(old) and said["notices"] == []


def test_again_changes_nothing(ran: Workspace, tmp_path: Path) -> None:
    bring(ran, tmp_path, 0, N + MORE, add=True)
    keys = ("clips", "features/audio", "features/visual")
    before = [ran.fingerprint(key) for key in keys]
    reports = bring(ran, tmp_path, 0, N + MORE, add=True)
    assert [one["clips_added"] for one in reports] == [0, 0]
    assert [ran.fingerprint(key) for key in keys] == before


def test_what_has_no_row_yet_is_there_without_a_value_and_filled_later(ran: Workspace, tmp_path: Path) -> None:
    new = {name: array[N:] for name, array in arrays().items()}
    new["audio"][3] = np.nan
    clips = table(tmp_path / "new.csv", N, N + MORE)
    importers.import_features(ran, "audio", saved(tmp_path / "a.npy", new["audio"]), "audio", clips, add=True)
    assert ran.array("features/audio", "valid").sum() == 79
    assert ran.require("features/audio", "").info["failures"] == {"not_finite": 1}
    assert ran.require("features/visual", "").info["failures"] == {"no_row": MORE}
    assert ran.fits(ran.require("features/visual", ""))
    report = pipeline.run(ran, Progress(), only=("cluster", "select"))
    assert report["select"].facts["candidates"] == N
    importers.import_features(ran, "visual", saved(tmp_path / "v.npy", new["visual"]), "visual", clips, add=True)
    assert ran.require("features/visual", "").info["failures"] == {}
    assert pipeline.run(ran, Progress(), only=("cluster", "select"))["select"].facts["candidates"] == 79


def test_only_parts_with_new_clips_are_written(ran: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (growth, features_module):
        monkeypatch.setattr(module, "ROWS_PER_PART", 16)
    workspace = Workspace.create(tmp_path / "parts")
    bring(workspace, tmp_path, 0, N)
    folder = workspace.artefact_path("features/audio") / "features"
    before = [file.stat().st_ino for file in sorted(folder.iterdir())]
    bring(workspace, tmp_path, N, N + MORE, add=True)
    assert [len(np.load(file)) for file in sorted(folder.iterdir())] == [16] * 5
    assert [file.stat().st_ino for file in sorted(folder.iterdir())][:3] == before[:3]
    assert np.array_equal(workspace.features("audio", "features"), arrays()["audio"])


def test_clips_of_unknown_length_are_counted_not_summed(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    rows = ["clip_id,path,start_s,end_s", "a,v.mp4,0,3600", "b,v.mp4,10,", "c,v.mp4,5,nan"]
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    importers.import_clips(workspace, tmp_path / "clips.csv")
    info = workspace.require("clips", "import").info
    assert info["hours"] == 1.0 and info["untimed"] == 2
    (tmp_path / "more.csv").write_text("\n".join([rows[0], "d,v.mp4,0,1800", "e,v.mp4,,"]) + "\n")
    importers.import_clips(workspace, tmp_path / "more.csv", add=True)
    info = workspace.require("clips", "import").info
    assert info["hours"] == 1.5 and info["untimed"] == 3
    assert data.total_hours(workspace) == (1.5, 3)
    assert data.total_hours(workspace, np.array([0, 3])) == (1.5, 0)
    hours, untimed = data.total_hours(workspace, np.array([1, 2]))
    assert np.isnan(hours) and untimed == 2


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("clip_id,path\nc70,a.mp4\n,b.mp4\n,c.mp4", "2 rows have no clip id, the first is row 2"),
        ("clip_id,path\nc70,a.mp4\nc71,b.mp4\nc70,c.mp4", "the clip id 'c70' occurs 2 times"),
        ("path,start_s\na.mp4,0\n,10", "1 row has no path, the first is row 2"),
        ("path,start_s\na.mp4,1.5\nb.mp4,0\na.mp4,1.5", "the path and start 'a.mp4' at 1.5 s occur 2 times"),
        ("path\na.mp4\na.mp4", "the path 'a.mp4' occurs 2 times"),
        ("source,start_s\na,\na,", "the source 'a' occurs 2 times"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_named(tmp_path: Path, rows: str, says: str) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    importers.import_clips(workspace, table(tmp_path / "clips.csv", 0, 8))
    (tmp_path / "more.csv").write_text(rows + "\n")
    before = workspace.fingerprint("clips")
    with pytest.raises(InputError, match=re.escape(says)):
        importers.import_clips(workspace, tmp_path / "more.csv", add=True)
    assert workspace.fingerprint("clips") == before


def test_a_growth_that_was_killed_is_ended_by_the_next(
    ran: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_workspace: Workspace) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(growth, "_pad", killed)
        with pytest.raises(KeyboardInterrupt):
            bring(ran, tmp_path, N, N + MORE, add=True)
    assert not ran.fits(ran.require("features/audio", ""))
    reports = bring(ran, tmp_path, N, N + MORE, add=True)
    assert [one["valid"] for one in reports] == [80, 80]
    assert ran.require("features/visual", "").info[CLIPS_FINGERPRINT] == ran.fingerprint("clips")


def test_without_ids_by_path_and_start_or_by_order(tmp_path: Path) -> None:
    array = arrays()["audio"]
    by_path = tmp_path / "paths.csv"
    ordered, named = (Workspace.create(tmp_path / name) for name in ("ordered", "named"))
    for n in (N, N + MORE):
        by_path.write_text("path,start_s\n" + "".join(f"video {i // 4}.mp4,{i % 4 * 10}\n" for i in range(n)))
        file = saved(tmp_path / "a.npy", array[:n])
        for workspace, clips in ((ordered, None), (named, by_path)):
            report = importers.import_features(workspace, "clap", file, "audio", clips, add=True)
            assert (report["clips"], report["valid"]) == (n, n)
    assert report["matched_by"] == "path and start"
    for workspace in (ordered, named):
        assert workspace.table("clips")["clip_id"].to_pylist() == [str(i) for i in range(80)]
        assert np.array_equal(workspace.features("clap", "features"), array)
    with pytest.raises(InputError, match="10 rows, the workspace has 80 clips already"):
        importers.import_features(ordered, "clap", saved(tmp_path / "b.npy", array[:10]), "audio", add=True)
    with pytest.raises(InputError, match="brought in without"):
        importers.import_clips(ordered, table(tmp_path / "ids.csv", 0, 5), add=True)


def test_assignments_grow_and_keep_their_values(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    kinds = np.random.default_rng(1).integers(4, size=(N + MORE, 2))
    names = ["audio:a", "visual:v"]
    clips = table(tmp_path / "c.csv", 0, N)
    importers.import_assignments(workspace, saved(tmp_path / "k.npy", kinds[:N]), names, clips)
    changed = kinds.copy()
    changed[:N] = 3 - changed[:N]
    clips = table(tmp_path / "c.csv", 0, N + MORE)
    report = importers.import_assignments(workspace, saved(tmp_path / "k.npy", changed), names, clips, add=True)
    assert report["clips_added"] == MORE
    assert np.array_equal(workspace.array("clusterings/a", "assignments"), kinds[:, 0])
    sizes = workspace.array("clusterings/v", "sizes")
    assert np.array_equal(sizes, np.bincount(kinds[:, 1], minlength=4))
    params = json.loads((workspace.artefact_path("clusterings/v") / "params.json").read_text())
    assert params["clips"] == N + MORE and workspace.fits(workspace.require("clusterings/v", ""))


def test_a_table_of_clips_alone_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    assert importers.import_clips(workspace, table(tmp_path / "c.csv", 0, 5))["clips_made"]
    report = importers.import_clips(workspace, table(tmp_path / "d.csv", 3, 8))
    assert (report["unmatched_rows"], workspace.n_rows("clips")) == (3, 5)
    assert "3 rows name no clip and were left out; --add" in report["notices"][0]
    report = importers.import_clips(workspace, table(tmp_path / "d.csv", 3, 8), add=True)
    assert (report["clips_added"], report["clips"]) == (3, 8)


def test_more_shards_of_the_reference(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    first = importers.import_shards(workspace, write_shards(tmp_path / "in", 2))
    report = importers.import_shards(workspace, write_shards(tmp_path / "in", 3), add=True)
    assert (first["clips"], report["clips"], report["clips_added"]) == (8, 12, 4)
    for key in workspace.keys("features"):
        assert workspace.array(key, "valid").all()
        name = key.partition("/")[2]
        dims, sound = (SOUND_DIMS, True) if name == "VGGish" else (PICTURE_DIMS, False)
        assert np.array_equal(workspace.features(name, "layer_1"), [vector(i, 1, dims[1], sound) for i in range(12)])


def test_what_cannot_grow(tmp_path: Path, ran: Workspace) -> None:
    media = make_workspace(tmp_path / "media ws", n_clips=12, upto="clips")
    with pytest.raises(InputError, match="cut from its media"):
        importers.import_clips(media, table(tmp_path / "c.csv", 0, 5), add=True)
    twice = tmp_path / "twice.csv"
    twice.write_text("clip_id\nx\nx\n")
    with pytest.raises(InputError, match="occurs 2 times"):
        importers.import_clips(ran, twice, add=True)
    wide = saved(tmp_path / "wide.npy", np.ones((MORE, 7), np.float32))
    with pytest.raises(InputError, match=r"has the layers \{'features': 6\}"):
        importers.import_features(ran, "audio", wide, "audio", table(tmp_path / "n.csv", N, N + MORE), add=True)
    assert ran.n_rows("clips") == N
    with pytest.raises(InputError, match="do not say which clips"):
        importers.import_features(ran, "audio", saved(tmp_path / "n.npy", np.ones((80, 6))), "audio", add=True)
