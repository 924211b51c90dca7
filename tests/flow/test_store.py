"""Media in a store give the tables and features of the same media on a disk; what fails is a row; no secret stays."""

from __future__ import annotations

import csv
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import pipeline, remote, sourcespec
from curation.cli import main
from curation.errors import InputError, NotAllowedError, WorkspaceError
from curation.home import check_allowed
from curation.progress import Progress
from curation.sourcespec import SourceSpec
from curation.stage import Report, StageContext, run_stage
from curation.workspace import Workspace
from tests.mediamaker import make_video
from tests.s3maker import ACCESS_KEY, SECRET_KEY, Store

STAGES = ("scan", "filter", "segment", "features")
SETTINGS = {"segment.mode": "windows", "segment.clip_s": "1", "features.measures": "", "resources.workers": 1}
WHEN = 1_700_000_000  # stores keep whole seconds


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket `films` with three videos, a broken one, and others that are passed over."""
    bucket = tmp_path_factory.mktemp("stores") / "films"
    (bucket / "open" / "season 1").mkdir(parents=True)
    for k, name in enumerate(("a é.mp4", "season 1/b.mkv", "season 1/c #1.mp4")):
        make_video(bucket / "open" / name, seconds=2.0, seed=k, hz=200.0 + 80 * k, size=(64, 48))
    (bucket / "open" / "broken.mp4").write_bytes(b"no film at all")
    (bucket / "open" / "notes.txt").write_text("notes")
    (bucket / "open" / ".hidden.mp4").write_bytes(b"hidden")
    for file in bucket.rglob("*"):
        if file.is_file():
            os.utime(file, (WHEN, WHEN))
    return bucket


@pytest.fixture
def store(films: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    made = Store(films.parent)
    made.use(monkeypatch, timeout_s=2)
    yield made
    made.close()
    remote.forget()


def workspace_of(path: Path, *specs: SourceSpec) -> Workspace:
    workspace = Workspace.create(path, name="films", sources=specs)
    workspace.configure(SETTINGS)
    return workspace


def run(workspace: Workspace, *names: str) -> Report:
    for name in names:
        report = run_stage(pipeline.stage_named(name), StageContext(workspace, workspace.config, Progress()))
    return report


def codes(workspace: Workspace) -> dict[str, str]:
    return {row["path"]: row["code"] for row in workspace.table("videos", ["path", "code"]).to_pylist()}


def test_a_store_gives_what_the_disk_gives(films: Path, store: Store, tmp_path: Path) -> None:
    local = workspace_of(tmp_path / "local", sourcespec.folder(films / "open"))
    by_file = workspace_of(tmp_path / "file", sourcespec.folder(f"file://{films}/open"))
    by_s3 = workspace_of(tmp_path / "s3", sourcespec.folder("s3://films/open"))
    for workspace in (local, by_s3):
        run(workspace, *STAGES)
    assert by_file.sources == local.sources
    for key in ("videos", "filtered", "segmented", "clips"):
        assert by_s3.table(key).equals(local.table(key)), key
        assert by_s3.fingerprint(key) == local.fingerprint(key)
    assert local.n_rows("clips") == 6 and sorted(codes(local).values()) == ["", "", "", "not_media"]
    for extractor in ("sound", "picture"):
        key = f"features/{extractor}"
        assert by_s3.fingerprint(key) == local.fingerprint(key)
        layers = sorted(p.name for p in local.artefact_path(key).iterdir() if p.is_dir())
        assert len(layers) > 2
        for layer in layers:
            np.testing.assert_array_equal(by_s3.features(extractor, layer), local.features(extractor, layer))
    kept = b"".join(p.read_bytes() for p in by_s3.path.rglob("*") if p.is_file())
    assert SECRET_KEY.encode() not in kept and ACCESS_KEY.encode() not in kept and b"127.0.0.1" not in kept


def test_lists_and_tars_of_a_store(films: Path, store: Store, tmp_path: Path) -> None:
    names = ["a é.mp4", "season 1/b.mkv"]
    with tarfile.open(films / "set.tar", "w") as tar:
        for k, name in enumerate(names):
            tar.add(films / "open" / name, f"{k:03d}{Path(name).suffix}")
    paths = [*names, f"s3://films/open/{names[0]}", "s3://films/set.tar", "s3://films/none.mp4", "s3://nobucket/x.mp4"]
    paths += [
        f"file://{films}/open/season%201/b.mkv",
        "s3://films/../x",
        f"s3://K:{SECRET_KEY[:6]}@films/y",
        "gs://f1/x",
    ]
    with (films / "open" / "list.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("path", "label"), *((path, f"l{k}") for k, path in enumerate(paths))])
    pq.write_table(pa.table({"path": paths}), films / "open" / "list.parquet")
    try:
        by_list = workspace_of(tmp_path / "list", sourcespec.file_list("s3://films/open/list.csv"))
        run(by_list, "scan")
        other = workspace_of(tmp_path / "parquet", sourcespec.file_list("s3://films/open/list.parquet"))
        run(other, "scan")
    finally:
        for name in ("list.csv", "list.parquet"):
            (films / "open" / name).unlink()
    found = codes(by_list)
    expected = {
        names[0]: "", names[1]: "", "list.csv:4": "repeated", "s3://films/set.tar": "not_media",
        "s3://films/none.mp4": "missing", "s3://nobucket/x.mp4": "no_bucket", f"{films}/open/season 1/b.mkv": "",
        "list.csv:9": "bad_url", "list.csv:10": "bad_url",
    }  # fmt: skip
    assert found.pop("gs://f1/x") != ""  # its package is missing, or nobody there knows us
    assert found == expected
    assert list(codes(other).values()).count("") == 3
    assert SECRET_KEY[:6].encode() not in (by_list.path / "listing.parquet").read_bytes()

    in_tar = workspace_of(tmp_path / "tar", sourcespec.tars("s3://films/set.tar"))
    run(in_tar, "scan", "filter", "segment")
    same = workspace_of(tmp_path / "same", sourcespec.tars(films / "set.tar"))
    run(same, "scan")
    drop = ["mtime_ns"]
    assert in_tar.table("videos").drop_columns(drop).equals(same.table("videos").drop_columns(drop))
    assert in_tar.n_rows("clips") == 4
    (films / "set.tar").unlink()


def test_what_cannot_be_read_is_a_row_and_is_asked_for_again(store: Store, tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", sourcespec.folder("s3://films/open"))
    store.faults |= {"open/a é.mp4": "denied", "open/season 1/b.mkv": "broken"}
    run(workspace, "scan")
    assert codes(workspace) == {
        "a é.mp4": "no_permission", "season 1/b.mkv": "unreachable", "season 1/c #1.mp4": "", "broken.mp4": "not_media"
    }  # fmt: skip
    for row in workspace.table("videos").to_pylist():
        assert not any(word in row["message"] for word in (ACCESS_KEY, SECRET_KEY, store.endpoint, "Signature"))
        assert row["code"] == "" or row["message"].endswith((".", "?"))
    store.faults.pop("open/season 1/b.mkv")
    asked = store.requests["GET open/season 1/c #1.mp4"]
    run(workspace, "scan")  # the store was away: it is asked again, and only for what is missing
    assert codes(workspace)["season 1/b.mkv"] == "" and store.requests["GET open/season 1/c #1.mp4"] == asked
    before = workspace.fingerprint("videos")
    run(workspace, "scan")
    assert workspace.fingerprint("videos") == before

    run(workspace, "filter", "segment")
    store.faults["open/season 1/b.mkv"] = "broken"
    with pytest.raises(InputError, match="does not answer"):
        run(workspace, "features")  # no clip is given up because the network was away
    store.faults.clear()
    run(workspace, "features")
    assert np.load(workspace.artefact_path("features/sound") / "valid.npy").all()


def test_no_store_at_all(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    remote.forget()
    workspace = workspace_of(tmp_path / "w", sourcespec.folder("s3://films/open"))
    with pytest.raises(InputError, match="does not answer") as caught:
        run(workspace, "scan")
    assert caught.value.code == "unreachable"
    assert main(["init", str(tmp_path / "x"), "--media", f"s3://KEY:{SECRET_KEY[:6]}@films/open"]) != 0


def test_tables_of_a_store_are_imported(
    films: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = workspace_of(tmp_path / "w", sourcespec.folder(films / "open"))
    run(workspace, "scan", "filter", "segment")
    clips = workspace.table("clips", ["clip_id"])
    table = pa.table({"clip_id": clips["clip_id"], "loudness": pa.array(np.arange(len(clips)) / 4)})
    pq.write_table(table, films / "facts.parquet")
    np.save(films / "numbers.npy", np.arange(2 * len(clips), dtype=np.int32).reshape(-1, 2) % 3)
    base = ["import", str(workspace.path)]
    assert main([*base, "--columns", "s3://films/facts.parquet", "--key", "clip_id"]) == 0
    assert main([*base, "--assignments", "s3://films/numbers.npy", "--names", "audio:a,visual:v"]) == 0
    joined = pq.read_table(workspace.artefact_path("columns/loudness"))
    assert sorted(joined.column(joined.num_columns - 1).to_pylist()) == table["loudness"].to_pylist()
    info = workspace.artefact("columns/loudness").info
    assert info["file"] == "facts.parquet"
    local = ["--columns", str(films / "facts.parquet"), "--key", "clip_id"]
    before = workspace.fingerprint("columns/loudness")
    assert main([*base, *local]) == 0 and workspace.fingerprint("columns/loudness") == before
    store.faults["facts.parquet"] = "denied"
    capsys.readouterr()
    assert main([*base, "--columns", "s3://films/facts.parquet", "--key", "clip_id"]) != 0
    said = capsys.readouterr()
    assert "may not be read" in said.err + said.out
    assert SECRET_KEY not in said.err + said.out and "Traceback" not in said.err


def test_clips_of_a_store_are_exported(films: Path, store: Store, tmp_path: Path) -> None:
    of = {"local": films / "open", "s3": "s3://films/open"}
    made = {name: workspace_of(tmp_path / name, sourcespec.folder(place)) for name, place in of.items()}
    for name, workspace in made.items():
        run(workspace, "scan", "filter", "segment")
        for format in ("webdataset", "videofolder", "files"):
            out = tmp_path / f"{name}.{format}"
            assert (
                main(["export", str(workspace.path), "--format", format, "--out", str(out), "--selection", "all"]) == 0
            )
    listed = (tmp_path / "s3.files").read_text("utf-8").split("\n")
    assert listed[:-1] == [f"s3://films/open/{name}" for name in ("a é.mp4", "season 1/b.mkv", "season 1/c #1.mp4")]
    shards = [members(tmp_path / f"{name}.webdataset" / "shard-000000.tar") for name in of]
    assert shards[0].keys() == shards[1].keys() and len(shards[0]) == 12
    for key, data in shards[0].items():
        assert data == shards[1][key] or key.endswith(".json"), key  # the files have other places
    lines = (tmp_path / "s3.videofolder" / "train" / "metadata.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 6
    store.faults["open/a é.mp4"] = "denied"
    assert main(["export", str(made["s3"].path), "--format", "webdataset", "--out", str(tmp_path / "part")]) == 0
    with (tmp_path / "part" / "report.csv").open(encoding="utf-8", newline="") as handle:
        assert [line["status"] for line in csv.DictReader(handle)] == ["failed"] * 2 + ["ok"] * 4


def members(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]


def test_what_is_written_lies_on_this_machine(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["init", "s3://films/ws", "--media", str(films)],
        ["export", str(tmp_path), "--format", "csv", "--out", "s3://films/list.csv"],
    ):
        assert main(arguments) == 2
        assert "lies in a store" in capsys.readouterr().err
    with pytest.raises(WorkspaceError, match="lies in a store"):
        Workspace.create("s3://films/ws")
    with pytest.raises(NotAllowedError, match="lies in a store"):  # what is typed on a page
        check_allowed("s3://films/list.csv")
    assert list(tmp_path.iterdir()) == []
    assert main(["init", f"file://{tmp_path}/ws", "--media", str(films)]) == 0
    assert Workspace.open(tmp_path / "ws").name == "ws"
