"""Export of a workspace: picking order, whole or nothing, never over a file, the newest selection, every clip."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curation.export as module
from curation.atomic import read_json, write_json
from curation.errors import Cancelled, InputError, MissingArtefactError, SettingError, WorkspaceError
from curation.export import default_selection, export, preview, read_rows
from curation.exporters.base import Exporter, RowStream
from curation.progress import Progress
from curation.records import CLIPS
from curation.workspace import MARKER, Workspace
from tests.workspacemaker import AUDIO_LAYERS, VISUAL_LAYERS, make_workspace

LAYERS = [f"sound.{name}" for name in AUDIO_LAYERS] + [f"picture.{name}" for name in VISUAL_LAYERS]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "it's [a] ws")


def picks(workspace: Workspace) -> pa.Table:
    return pq.read_table(workspace.artefact_path("selections/main") / "picks.parquet")


def test_rows_are_the_picks_in_order_with_all_that_is_known(workspace: Workspace, tmp_path: Path) -> None:
    facts = export(workspace, "parquet", tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    picked, clips = picks(workspace).to_pandas(), workspace.table("clips").to_pandas()
    assert list(found["clip_id"]) == list(picked["clip_id"])
    assert list(found["rank"]) == list(range(1, 13))
    assert found["gain"].to_numpy() == pytest.approx(picked["gain"].to_numpy())
    scores = workspace.array("selections/main", "scores")[picked["row"]]
    assert found["score"].to_numpy() == pytest.approx(scores)
    for name in ("path", "video_id", "start_s", "end_s", "source", "title"):
        assert list(found[name]) == list(clips[name][picked["row"]])
    assert list(found["file"]) == [f"{workspace.roots[0]}/{path}" for path in found["path"]]
    for name in LAYERS:
        expected = workspace.array(f"clusterings/{name}", "assignments")[picked["row"]]
        assert list(found[f"cluster_{name}"]) == list(expected)
    assert facts["rows"] == 12
    assert facts["selection"] == "main"
    assert facts["hours"] == pytest.approx(120 / 3600)
    assert facts["bytes"] == (tmp_path / "out.parquet").stat().st_size
    assert facts["notices"] == []


@pytest.mark.parametrize("format", ["acav-csv", "csv", "parquet", "jsonl"])
def test_the_preview_is_how_the_file_begins(workspace: Workspace, tmp_path: Path, format: str) -> None:
    export(workspace, format, tmp_path / "out")
    text = preview(workspace, format, n=3)
    if format == "parquet":
        assert [row["clip_id"] for row in csv.DictReader(text.splitlines())] == picks(workspace)["clip_id"][
            :3
        ].to_pylist()
    else:
        assert (tmp_path / "out").read_text("utf-8").startswith(text)
        assert len(text.splitlines()) == 3 + (format == "csv")


def test_small_batches_give_the_same_file(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(workspace, "csv", tmp_path / "a.csv")
    monkeypatch.setattr(module, "BATCH_ROWS", 5)
    export(workspace, "csv", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_all_clips_come_in_row_order_without_those_dropped(workspace: Workspace, tmp_path: Path) -> None:
    clips = workspace.table("clips").to_pylist()
    clips[4] |= {"status": "dropped", "code": "silent"}
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s2", {})
    facts = export(workspace, "jsonl", tmp_path / "all.jsonl", selection="all")
    found = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [row["row"] for row in found] == [row for row in range(60) if row != 4]
    assert all(row["rank"] is row["score"] is row["gain"] is None for row in found)
    assert {key for key in found[0] if key.startswith("cluster_")} == {f"cluster_{name}" for name in LAYERS}
    assert facts["selection"] == "all"


def test_without_a_selection_every_clip_is_written(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="clips")
    assert default_selection(workspace) is None
    assert export(workspace, "csv", tmp_path / "out.csv")["rows"] == 60
    assert not [name for name in pd.read_csv(tmp_path / "out.csv").columns if name.startswith("cluster_")]


def test_the_default_selection_is_the_default(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.partial_folder("selections/a later one", "x")
    pq.write_table(picks(workspace).slice(0, 2), folder / "picks.parquet")
    np.save(folder / "scores.npy", np.zeros(60))
    workspace.commit_folder("selections/a later one", folder, "x", {"clusterings": {"sound.mfcc": "c"}})
    marker = workspace.artefact_path("selections/main") / MARKER
    write_json(marker, read_json(marker) | {"made": time.time() - 60})
    assert default_selection(workspace) == "a later one"
    assert export(workspace, "csv", tmp_path / "new.csv")["rows"] == 2
    assert [c for c in pd.read_csv(tmp_path / "new.csv").columns if c.startswith("cluster_")] == ["cluster_sound.mfcc"]
    assert export(workspace, "csv", tmp_path / "old.csv", selection="main")["rows"] == 12


def test_a_file_that_is_there_is_never_touched(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("precious")
    with pytest.raises(InputError, match=r"is there already.*another name"):
        export(workspace, "csv", out)
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="is there already"):
        export(workspace, "csv", tmp_path / "link.csv")
    with pytest.raises(InputError, match="is a folder"):
        export(workspace, "csv", tmp_path)
    assert out.read_text() == "precious"
    export(workspace, "csv", out, overwrite=True)
    assert out.read_text().startswith('"clip_id"')


def test_a_file_that_appears_meanwhile_is_kept(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(_Format):
        def write(self, rows: RowStream, handle: IO[bytes]) -> None:
            list(rows.batches)
            (tmp_path / "out.txt").write_text("another's")

    monkeypatch.setattr(module.registry, "get", lambda _: Slow())
    with pytest.raises(InputError, match="is there already"):
        export(workspace, "slow", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "another's"


class _Format(Exporter):
    name: ClassVar[str] = "made"
    title: ClassVar[str] = "Made"
    suffix: ClassVar[str] = ".txt"
    description: ClassVar[str] = "For a test."

    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        handle.write(b"half")
        raise OSError(28, os.strerror(28))


class _Stop:
    def update(self, state: dict[str, Any], *, force: bool) -> None:
        self.state = dict(state)

    def cancelled(self) -> bool:
        return True


def test_a_failed_or_cancelled_export_leaves_nothing(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Cancelled):
        export(workspace, "csv", tmp_path / "out.csv", progress=Progress(_Stop()))
    monkeypatch.setattr(module.registry, "get", lambda _: _Format())
    with pytest.raises(WorkspaceError, match="disk is full"):
        export(workspace, "made", tmp_path / "out.txt")
    assert sorted(tmp_path.rglob("*")) == before


def test_progress_counts_the_clips(workspace: Workspace, tmp_path: Path) -> None:
    class Watch(_Stop):
        def cancelled(self) -> bool:
            return False

    sink = Watch()
    export(workspace, "csv", tmp_path / "out.csv", progress=Progress(sink))
    assert (sink.state["stage"], sink.state["done"], sink.state["total"]) == ("export", 12, 12)


def test_wrong_names_are_refused_with_the_right_ones(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="acav-csv"):
        export(workspace, "excel", tmp_path / "x")
    with pytest.raises(InputError, match="There are: main, all"):
        export(workspace, "csv", tmp_path / "x", selection="other")
    with pytest.raises(InputError, match="no selection"):
        preview(workspace, "csv", selection="../../etc")
    with pytest.raises(MissingArtefactError, match="no clips yet"):
        export(make_workspace(tmp_path / "early", upto="videos"), "csv", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_empty_selection_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.partial_folder("selections/none", "x")
    pq.write_table(picks(workspace).slice(0, 0), folder / "picks.parquet")
    np.save(folder / "scores.npy", np.zeros(60))
    workspace.commit_folder("selections/none", folder, "x", {"clusterings": {}})
    with pytest.raises(InputError, match="nothing to export"):
        export(workspace, "csv", tmp_path / "x", selection="none")


def test_a_selection_outlives_a_new_table_of_clips(workspace: Workspace, tmp_path: Path) -> None:
    export(workspace, "parquet", tmp_path / "before.parquet")
    clips = workspace.table("clips").to_pylist()
    added = clips[0] | {"clip_id": "new", "path": "0.mp4"}
    moved = [clip | {"row": row} for row, clip in enumerate([added, *clips])]
    workspace.commit_table("clips", pa.Table.from_pylist(moved, CLIPS), "s2", {})
    facts = export(workspace, "parquet", tmp_path / "after.parquet")
    before, after = pd.read_parquet(tmp_path / "before.parquet"), pd.read_parquet(tmp_path / "after.parquet")
    assert list(after["clip_id"]) == list(before["clip_id"])
    assert list(after["score"]) == list(before["score"])
    assert list(after["row"]) == [row + 1 for row in before["row"]]
    assert len(facts["notices"]) == 6, "the old clusterings have another number of rows: no columns, and it is said"
    assert "60 rows, the clips 61" in facts["notices"][0]


def test_clips_that_are_gone_stop_the_export(workspace: Workspace, tmp_path: Path) -> None:
    clips = workspace.table("clips").to_pylist()
    gone = picks(workspace)["clip_id"][5].as_py()
    left = [clip for clip in clips if clip["clip_id"] != gone]
    workspace.commit_table("clips", pa.Table.from_pylist(left, CLIPS), "s2", {})
    with pytest.raises(InputError, match=f"no longer in the workspace.*{gone}.*select"):
        export(workspace, "csv", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_clusterings_made_again_or_gone_are_said(workspace: Workspace, tmp_path: Path) -> None:
    workspace.remove("clusterings/sound.mfcc")
    folder = workspace.partial_folder("clusterings/sound.shape", "other")
    np.save(folder / "assignments.npy", np.full(60, -1, np.int32))
    workspace.commit_folder("clusterings/sound.shape", folder, "other", {"modality": "audio"})
    facts = export(workspace, "parquet", tmp_path / "x.parquet")
    found = pd.read_parquet(tmp_path / "x.parquet")
    assert "cluster_sound.mfcc" not in found
    assert found["cluster_sound.shape"].isna().all()
    assert sorted(notice.split(":")[-1] for notice in facts["notices"]) == [
        " its ids are the present ones.",
        " no column for it.",
    ]


def test_several_roots_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=6, upto="clips")
    odd = os.fsdecode(str(tmp_path).encode() + b"/r\xf6ot")
    workspace.configure(roots=[str(tmp_path / "one"), odd])
    videos = workspace.table("videos").to_pylist()
    for video in videos[:3]:
        video["root"] = 1
    workspace.commit_table("videos", pa.Table.from_pylist(videos, workspace.table("videos").schema), "v2", {})
    export(workspace, "jsonl", tmp_path / "out.jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["file"] for row in found[:3]] == [f"{tmp_path}/r\\xf6ot/{row['path']}" for row in found[:3]]
    assert [row["file"] for row in found[3:]] == [f"{tmp_path}/one/{row['path']}" for row in found[3:]]


@pytest.mark.parametrize(("rows", "named"), [([-1, 5], "row -1,"), ([5, 60, -1], "row -1,"), ([5, 60], "row 60,")])
def test_a_row_that_is_not_there_is_named(workspace: Workspace, tmp_path: Path, rows: list[int], named: str) -> None:
    np.save(tmp_path / "rows.npy", np.array(rows))
    with pytest.raises(InputError, match=named):
        read_rows(workspace, tmp_path / "rows.npy")


def test_duplicate_ids_are_noticed(workspace: Workspace, tmp_path: Path) -> None:
    clips = workspace.table("clips").to_pylist()
    twice = picks(workspace)["row"][0].as_py()
    clips.append(clips[twice] | {"row": 60})
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s2", {})
    with pytest.raises(InputError, match="not unique"):
        export(workspace, "csv", tmp_path / "x")


def test_a_clustering_that_was_kept_was_not_made_again(workspace: Workspace, tmp_path: Path) -> None:
    """Clips joined it since: its fingerprint is another, the clusters are those that the selection was made of."""
    key = "clusterings/sound.shape"
    was = workspace.require(key, "cluster")
    for fit, said in ((was.fingerprint, []), ("another", ["The clustering sound.shape was made again"])):
        folder = workspace.partial_folder(key, f"joined {fit}")
        np.save(folder / "assignments.npy", np.zeros(60, np.int32))
        workspace.commit_folder(key, folder, f"joined {fit}", was.info | {"fit": fit})
        facts = export(workspace, "csv", tmp_path / f"{fit}.csv")
        assert [notice.partition(" after")[0] for notice in facts["notices"]] == said
