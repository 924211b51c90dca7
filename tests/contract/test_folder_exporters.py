"""Exports that are folders: read back by other readers, whole or resumed, a reason for every clip that is missing."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curation.atomic import write_array, write_json
from curation.errors import Cancelled, InputError, SettingError, WorkspaceError
from curation.export import CutSettings, export, preview, unfinished
from curation.exporters import parts, registry
from curation.exporters.base import FolderExporter
from curation.progress import Progress
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from tests.mediaworkspace import CLIP_S, make_media_workspace

CUTTERS = ["webdataset", "videofolder"]
FOLDERS = [found.name for found in registry.formats() if isinstance(found, FolderExporter)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Ten clips, the files of two are missing, of one broken."""
    return make_media_workspace(tmp_path_factory.mktemp("media") / "it's a <ws>", missing=2, broken=1)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def media_seconds(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
        frames = list(container.decode(video=0))
    return float(frames[-1].pts * frames[-1].time_base) + 0.1


def report(folder: Path) -> list[dict[str, str]]:
    with (folder / "report.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_shards_hold_every_clip_once_with_its_facts(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "tars"
    facts = export(workspace, "webdataset", out, selection="all", settings=CutSettings(shard_clips=3))
    members: list[tuple[str, bytes]] = []
    for shard in sorted(out.glob("shard-*.tar")):
        with tarfile.open(shard) as tar:
            here = [(m.name, tar.extractfile(m).read()) for m in tar.getmembers()]  # type: ignore[union-attr]
        assert len(here) <= 6, "at most three clips, two members each"
        members += here
    movies = {name.removesuffix(".mp4"): data for name, data in members if name.endswith(".mp4")}
    sidecars = {name.removesuffix(".json"): json.loads(data) for name, data in members if name.endswith(".json")}
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    assert list(movies) == list(sidecars) and len(movies) == 7 == facts["clips"]
    assert [side["clip_id"] for side in sidecars.values()] == ids[3:]
    assert all("." not in key for key in movies), "a key ends at the first dot"
    assert all(media_seconds(data) == pytest.approx(CLIP_S, abs=0.15) for data in movies.values())
    assert all(side["cut"] == "copy" and side["cut_start_s"] == 0 for side in sidecars.values())
    assert [(line["status"], line["code"]) for line in report(out)] == [
        ("failed", "missing"), ("failed", "missing"), ("failed", "not_media"), *[("ok", "")] * 7,
    ]  # fmt: skip
    assert "is not there" in report(out)[0]["message"]
    assert facts["failed"] == {"missing": 2, "not_media": 1} and facts["shards"] == 3
    assert json.loads((out / "dataset.json").read_text())["clips"] == 7


def test_a_videofolder_is_laid_out_as_its_loader_wants(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "folder"
    export(workspace, "videofolder", out, selection="all", settings=CutSettings(cut="exact", shard_clips=4))
    lines = [json.loads(line) for line in (out / "train" / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 7 and all(line["cut"] == "exact" for line in lines)
    names = {line["file_name"] for line in lines}
    assert names == {p.relative_to(out / "train").as_posix() for p in (out / "train").rglob("*.mp4")}, (
        "no more, no less"
    )
    assert {line["file"] for line in report(out) if line["file"]} == {f"train/{name}" for name in names}
    assert media_seconds((out / "train" / lines[0]["file_name"]).read_bytes()) == pytest.approx(CLIP_S, abs=0.15)
    assert len({tuple(line) for line in lines}) == 1, "every line has the same columns"


@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="the package datasets is not installed")
def test_a_videofolder_is_read_by_datasets(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    export(workspace, "videofolder", tmp_path / "out", selection="all")
    found = datasets.load_dataset("videofolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    found = found["train"].cast_column("video", datasets.Video(decode=False))
    assert found["clip_id"] == workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()[3:]


def test_fiftyone_samples_are_as_its_importer_reads_them(workspace: Workspace, tmp_path: Path) -> None:
    export(workspace, "fiftyone", tmp_path / "fo", selection="main")
    samples = json.loads((tmp_path / "fo" / "samples.json").read_text("utf-8"))["samples"]
    metadata = json.loads((tmp_path / "fo" / "metadata.json").read_text("utf-8"))
    assert {"name", "version", "media_type", "sample_fields", "info"} <= set(metadata) and metadata[
        "media_type"
    ] == "video"
    fields = {field["db_field"]: field for field in metadata["sample_fields"]}
    for field in metadata["sample_fields"]:
        assert set(field) >= {"name", "ftype", "embedded_doc_type", "subfield", "fields", "db_field"}
        assert field["ftype"].startswith("fiftyone.core.fields.") and "." not in field["name"]
    kinds = {"StringField": str, "IntField": int, "FloatField": float, "ListField": list, "EmbeddedDocumentField": dict}
    assert len(samples) == 2 and len({sample["_id"]["$oid"] for sample in samples}) == 2
    for sample in samples:
        assert len(sample["_id"]["$oid"]) == 24 and int(sample["_id"]["$oid"], 16) >= 0
        assert Path(sample["filepath"]).is_absolute() and sample["tags"] == [] and 0 <= sample["_rand"] < 1
        assert set(sample) <= set(fields), "no value without a declared field"
        for name, value in sample.items():
            kind = kinds.get(fields[name]["ftype"].rpartition(".")[2])
            assert kind is None or isinstance(value, kind), name
        (detection,) = sample["clip"]["detections"]
        assert sample["clip"]["_cls"] == "TemporalDetections" and detection["_cls"] == "TemporalDetection"
        first, last = detection["support"]
        assert 1 <= first <= last <= sample["metadata"]["total_frame_count"]


def test_columns_that_would_be_one_field_of_fiftyone_stay_apart(tmp_path: Path) -> None:
    workspace = make_media_workspace(tmp_path / "ws", n_clips=6)
    for k, name in enumerate(("a_b", "a.b", "a-b")):
        folder = workspace.partial_folder(f"clusterings/{name}", name)
        write_array(folder / "assignments.npy", np.full(6, k, np.int32))
        info = {"modality": "audio", CLIPS_FINGERPRINT: workspace.fingerprint("clips")}
        workspace.commit_folder(f"clusterings/{name}", folder, name, info)
    export(workspace, "fiftyone", tmp_path / "fo", selection="all")
    fields = [one["name"] for one in json.loads((tmp_path / "fo" / "metadata.json").read_text())["sample_fields"]]
    assert len(set(fields)) == len(fields)
    for sample in json.loads((tmp_path / "fo" / "samples.json").read_text("utf-8"))["samples"]:
        found = {name: value for name, value in sample.items() if name.startswith("cluster_a")}
        assert found == {"cluster_a_b": 0, "cluster_a_b_2": 2, "cluster_a_b_3": 1}, "its own name is kept"
        assert set(sample) <= set(fields) | {"_id"}


def test_a_cancelled_export_goes_on_and_ends_like_an_unbroken_one(workspace: Workspace, tmp_path: Path) -> None:
    format = "webdataset"

    class StopAfter:
        done = 0

        def update(self, state: dict[str, Any], *, force: bool) -> None:
            self.done = state["done"]

        def cancelled(self) -> bool:
            return self.done >= 8

    settings = CutSettings(shard_clips=2, cut="exact")
    times = iter(range(10_000))
    with pytest.raises(Cancelled):
        export(workspace, format, tmp_path / "out", selection="all", settings=settings,
               progress=Progress(StopAfter(), clock=lambda: float(next(times))))  # fmt: skip
    assert not (tmp_path / "out").exists()
    (left,) = unfinished(tmp_path / "out")
    kept = {name: data for name, data in tree(left).items() if name.endswith((".tar", ".mp4"))}
    assert kept, "finished parts stay"
    stamps = {name: (left / name).stat().st_mtime_ns for name in list(kept)[:1]}
    export(workspace, format, tmp_path / "out", selection="all", settings=settings)
    export(workspace, format, tmp_path / "at once", selection="all", settings=settings)
    whole, once = tree(tmp_path / "out"), tree(tmp_path / "at once")
    assert {n: d for n, d in whole.items() if n != "dataset.json"} == {
        n: d for n, d in once.items() if n != "dataset.json"
    }
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == stamp for name, stamp in stamps.items())
    assert not unfinished(tmp_path / "out") and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("format", FOLDERS)
def test_nothing_is_overwritten_and_missing_folders_are_made(workspace: Workspace, tmp_path: Path, format: str) -> None:
    out = tmp_path / "deeper" / "and deeper" / "out"
    selection = "all" if format in CUTTERS else "main"
    export(workspace, format, out, selection=selection)
    before = tree(out)
    with pytest.raises(InputError, match="already"):
        export(workspace, format, out, selection=selection)
    assert tree(out) == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(InputError, match=r"already|below a file|no folder"):
        export(workspace, format, file / "below", selection="main")
    assert file.read_text() == "mine"


@pytest.mark.parametrize("format", FOLDERS)
def test_the_preview_is_text_and_writes_nothing(workspace: Workspace, tmp_path: Path, format: str) -> None:
    text = preview(workspace, format, selection="main", n=3)
    assert "clip" in text and json.loads(text[text.index("{") :].split("\n}")[0] + "\n}")
    assert list(tmp_path.iterdir()) == [tmp_path / "concord-home"] or not list(tmp_path.iterdir())


def test_not_one_clip_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    workspace = make_media_workspace(tmp_path / "ws", n_clips=3, missing=3)
    with pytest.raises(InputError, match=r"Not one of 3 clips could be cut.*is not there"):
        export(workspace, "webdataset", tmp_path / "out", selection="all")
    assert not (tmp_path / "out").exists() and not unfinished(tmp_path / "out")


def test_a_full_disk_is_said_before_it_begins(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WorkspaceError, match="would be written"):
        export(workspace, "webdataset", tmp_path / "out", selection="all")


@pytest.mark.parametrize(
    "wrong", [{"cut": "sharp"}, {"shard_clips": 0}, {"workers": 100}, {"tolerance_s": -1.0}, {"shard_mb": 0}]
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        CutSettings(**wrong)


def test_records_of_finished_parts_are_read_one_part_at_a_time(tmp_path: Path) -> None:
    for number in range(3):
        write_json(tmp_path / f"part-{number:06d}.json", [{"clip_id": str(number)}])
    found = parts._finished(tmp_path)
    assert next(found) == [{"clip_id": "0"}]
    (tmp_path / "part-000002.json").unlink()  # not looked at yet
    assert list(found) == [[{"clip_id": "1"}]]


@pytest.mark.parametrize("format", CUTTERS)
def test_clips_that_cannot_be_cut_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    """Records are put away after so many, however few of them are clips; parts are numbered without a gap."""
    workspace = make_media_workspace(tmp_path / "ws", n_clips=9, missing=5)
    monkeypatch.setattr(parts, "RECORDS_MAX", 3)
    sizes = list[int]()

    def noted(path: Path, value: Any) -> None:
        if path.name.startswith("part-"):
            sizes.append(len(value))
        write_json(path, value)

    monkeypatch.setattr(parts, "write_json", noted)
    out = tmp_path / "out"
    facts = export(workspace, format, out, selection="all", settings=CutSettings(shard_clips=2))
    assert sum(sizes) == 9 and max(sizes) <= 3
    assert facts["clips"] == 4 and facts["failed"] == {"missing": 5} and len(report(out)) == 9
    there = sorted({line["file"].rpartition("/")[0] for line in report(out) if line["file"]})
    numbers = [int("".join(c for c in name if c.isdigit())) for name in there]
    assert numbers == list(range(len(numbers))), "no number is left out"
