"""scan and filter over lists, metadata and tars: rows, columns, reasons, fingerprints, and workspaces of format 1."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation import pipeline, sourcespec
from curation.cli import main
from curation.errors import SettingError, WorkspaceError
from curation.media.probe import probe
from curation.media.sandbox import Sandbox
from curation.progress import Progress
from curation.records import clip_id
from curation.stage import Report, StageContext, run_stage
from curation.workspace import FORMAT_VERSION, Workspace
from tests.mediamaker import make_video

SECONDS = 1.0
METADATA = [  # id, title, description, category, duration, expected code
    ("aaaaaaaaaa1", "How to cook rice at home with my grandmother", "", "Food", 100, "keyword_tutorial"),
    ("aaaaaaaaaa2", "We cook rice at home with my grandmother", "This is a film of the kitchen", "Food", 100, ""),
    ("aaaaaaaaaa3", "We cook rice", "", "Gaming", 100, "category"),
    ("aaaaaaaaaa4", "We cook rice", "", "Food", 12, "metadata_too_short"),
    ("aaaaaaaaaa5", "We cook rice", "", "Food", 598, "metadata_too_long"),
    ("aaaaaaaaaa6", "Wij koken de rijst met een vriend", "Dit is niet het einde van de film", "Food", 99, "language"),
    ("aaaaaaaaaa7", "12345 !!", "", "", None, "missing"),
    ("aaaaaaaaaa8", "Best ANIME moments", "", "Film", 99, "keyword_animation"),
]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for k in range(4):
        make_video(folder / f"plain {k}.mp4", seconds=SECONDS, seed=k, hz=200.0 + 50 * k, size=(64, 48))
    (folder / "tube").mkdir()
    for k, (youtube_id, *_) in enumerate(METADATA):
        if k != 6:
            make_video(folder / "tube" / f"{youtube_id}.mp4", seconds=SECONDS, seed=20 + k, size=(64, 48))
    with tarfile.open(folder / "set.tar", "w") as tar:
        for k in range(2, 4):
            tar.add(folder / f"plain {k}.mp4", f"{k:03d}.mp4")
            (folder / "side.json").write_text(json.dumps({"title": f"Shard film {k}", "score": k / 10, "label_x": k}))
            tar.add(folder / "side.json", f"{k:03d}.json")
    return folder


def write_metadata(file: Path) -> None:
    lines = []
    for youtube_id, title, description, category, duration, _ in METADATA:
        feature = {"Title": title, "Description": description, "YouTubeCategory": category}
        content = {"LatestDAFeature": feature, "MediaVersionList": [{"Duration": duration}]}
        lines.append(f"https://www.youtube.com/watch?v={youtube_id}\t{json.dumps(content)}")
    file.write_text("\n".join([*lines, "a broken line"]) + "\n")


def run(workspace: Workspace, *names: str) -> Report:
    for name in names:
        report = run_stage(pipeline.stage_named(name), StageContext(workspace, workspace.config, Progress()))
    return report


def by_path(workspace: Workspace, table: str = "videos") -> dict[str, dict[str, Any]]:
    rows = workspace.table(table).to_pylist()
    if table != "videos":
        paths = {row["video_id"]: row["path"] for row in workspace.table("videos").to_pylist()}
        return {paths[row["video_id"]]: row for row in rows}
    return {row["path"]: row for row in rows}


def make_workspace(place: Path, *sources: sourcespec.SourceSpec) -> Workspace:
    workspace = Workspace.create(place, sources=sources)
    workspace.configure({"resources.workers": "1"})
    return workspace


def test_a_list_with_columns_from_file_to_clips(media: Path, tmp_path: Path) -> None:
    lines = ["path,title,year,truth_x", f"{media}/plain 0.mp4,Film A,1999,1", f"{media}/plain 1.mp4,Film B,2005,0"]
    (tmp_path / "list.csv").write_text("\n".join([*lines, "gone.mp4,Film C,2010,1", ",x,1,1"]))
    workspace = make_workspace(tmp_path / "ws", sourcespec.file_list(tmp_path / "list.csv"))
    run(workspace, "scan")
    rows = by_path(workspace)
    assert {path: row["code"] for path, row in rows.items()} == {
        f"{media}/plain 0.mp4": "", f"{media}/plain 1.mp4": "", "gone.mp4": "missing", "list.csv:5": "broken_line",
    }  # fmt: skip
    assert [rows[f"{media}/plain {k}.mp4"]["title"] for k in range(2)] == ["Film A", "Film B"]
    listed = by_path(workspace, "listed")
    assert {path: row["year"] for path, row in listed.items()} == {
        f"{media}/plain 0.mp4": 1999, f"{media}/plain 1.mp4": 2005, "gone.mp4": 2010,
    }  # fmt: skip
    workspace.configure({"filter.where": "year > 2000 AND width = 64"})
    assert run(workspace, "filter").facts["kept"] == 1
    assert by_path(workspace, "filtered")[f"{media}/plain 0.mp4"]["code"] == "where"
    run(workspace, "segment")
    assert [clip["title"] for clip in workspace.table("clips").to_pylist()] == ["Film B"]
    workspace.configure({"filter.where": "truth_x = 1"})
    with pytest.raises(SettingError, match="truth_x"):
        run(workspace, "filter")


def test_members_of_tars_go_the_whole_way(media: Path, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", sourcespec.tars(media / "set.tar"))
    workspace.configure({"features.extractors": "sound", "features.measures": ""})
    run(workspace, "scan", "filter", "segment", "features")
    rows = by_path(workspace)
    assert sorted(rows) == ["set.tar/002.mp4", "set.tar/003.mp4"]
    clips = workspace.table("clips").to_pylist()
    assert [clip["title"] for clip in clips] == ["Shard film 2", "Shard film 3"]
    for clip, k in zip(clips, (2, 3)):
        content = probe(media / f"plain {k}.mp4")["content_id"]
        assert clip["clip_id"] == clip_id(content, clip["start_s"], clip["end_s"])
    assert workspace.array("features/sound", "valid").all()
    assert [row["score"] for row in workspace.table("listed").to_pylist()] == [0.2, 0.3]


def test_metadata_filters_count_and_keep_what_they_drop(media: Path, tmp_path: Path) -> None:
    write_metadata(tmp_path / "metadata.tsv")
    workspace = make_workspace(tmp_path / "ws", sourcespec.metadata(tmp_path / "metadata.tsv", media / "tube"))
    run(workspace, "scan")
    assert Counter(row["code"] for row in workspace.table("videos").to_pylist()) == {
        "": 7, "missing": 1, "broken_line": 1,
    }  # fmt: skip
    report = run(workspace, "filter")
    expected = Counter(code for *_, code in METADATA if code)
    assert report.failures == expected + Counter(["broken_line"]) and report.facts == {"videos": 9, "kept": 1}
    found = by_path(workspace, "filtered")
    assert found["aaaaaaaaaa2.mp4"] | {"video_id": ""} == {
        "video_id": "", "status": "ok", "code": "", "message": "", "language": "en",
    }  # fmt: skip
    assert found["aaaaaaaaaa6.mp4"]["language"] == "nl" and "'nl'" in found["aaaaaaaaaa6.mp4"]["message"]
    assert found["aaaaaaaaaa7"]["code"] == "missing"
    workspace.configure(
        {
            "filter.languages": "",
            "filter.drop_categories": "food",
            "filter.drop_tutorial": "",
            "filter.drop_animation": "",
        }
        | {"filter.metadata_min_duration_s": "0", "filter.metadata_max_duration_s": "0"}
    )
    report = run(workspace, "filter")
    assert report.failures == {"category": 5, "missing": 1, "broken_line": 1} and report.notices == []


def test_settings_of_metadata_do_not_touch_plain_folders(media: Path, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    shutil.copy(media / "plain 0.mp4", folder / "anime tutorial.mp4")
    workspace = make_workspace(tmp_path / "ws", sourcespec.folder(folder))
    run(workspace, "scan", "filter")
    workspace.configure({"filter.languages": "ko", "filter.drop_artist": "x"})
    assert {s.stage: s.state for s in pipeline.status(workspace)}["filter"] == "done"


def test_what_a_list_says_counts_not_where_it_lies(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "list.csv"
    first.write_text(f"path,year,title\n{media}/plain 0.mp4,1999,A\n{media}/plain 1.mp4,2005,A\n")
    workspace = make_workspace(tmp_path / "ws", sourcespec.file_list(first))
    run(workspace, "scan")
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.move(first, tmp_path / "elsewhere" / "other name.csv"))
    workspace.configure(sources=[sourcespec.file_list(moved)])
    assert run(workspace, "scan").facts == {"skipped": True}
    monkeypatch.setattr(Sandbox, "imap", None)  # nothing is probed again when only columns change
    moved.write_text(moved.read_text().replace("1999,A", "2000,B"))
    run(workspace, "scan")
    assert [row["year"] for row in workspace.table("listed").to_pylist()] == [2000, 2005]
    assert [row["title"] for row in workspace.table("videos").to_pylist()] == ["B", "A"]
    moved.write_text(f"path\n{media}/plain 0.mp4\n{media}/plain 1.mp4\n")
    run(workspace, "scan")
    assert workspace.artefact("listed") is None and workspace.n_rows("videos") == 2


def test_the_same_file_in_two_sources_is_one_and_its_duplicate(media: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{media}/plain 2.mp4\n")
    sources = [sourcespec.tars(media / "set.tar"), sourcespec.file_list(tmp_path / "list.txt")]
    workspace = make_workspace(tmp_path / "ws", *sources)
    run(workspace, "scan")
    rows = by_path(workspace)
    assert rows[f"{media}/plain 2.mp4"]["duplicate_of"] == rows["set.tar/002.mp4"]["video_id"]


def test_a_sample_of_a_list_keeps_only_its_columns(media: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,k\n" + "".join(f"{media}/plain {k}.mp4,{k}\n" for k in range(4)))
    workspace = make_workspace(tmp_path / "ws", sourcespec.file_list(tmp_path / "list.csv"))
    workspace.configure({"scan.sample": "2"})
    run(workspace, "scan")
    listed = by_path(workspace, "listed")
    assert len(listed) == 2 and all(f"plain {row['k']}.mp4" in path for path, row in listed.items())


# -- workspace.json ----------------------------------------------------------------------------------------------------


def test_a_workspace_of_format_1_opens_and_is_not_stale(media: Path, tmp_path: Path) -> None:
    """Its roots are folders; its tables stay what they are, its file is rewritten (tests/unit/test_migrations.py)."""
    workspace = make_workspace(tmp_path / "ws", sourcespec.folder(media))
    run(workspace, "scan", "filter")
    file = workspace.path / "workspace.json"
    now = json.loads(file.read_text())
    old = {key: value for key, value in now.items() if key != "sources"} | {"format_version": 1, "roots": [str(media)]}
    file.write_text(json.dumps(old))
    opened = Workspace.open(workspace.path)
    assert (opened.roots, opened.sources) == ([str(media)], [sourcespec.folder(media)])
    assert run(opened, "scan").facts == {"skipped": True} and run(opened, "filter").facts == {"skipped": True}
    opened.configure({"filter.min_height_px": "10"})
    kept = json.loads(file.read_text())
    assert kept["format_version"] == FORMAT_VERSION and kept["sources"] == [{"kind": "folder", "path": str(media)}]
    assert "roots" not in kept


def test_sources_are_kept_in_order_and_folders_replaced_among_them(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    listed = sourcespec.file_list(tmp_path / "l.txt")
    workspace = Workspace.create(tmp_path / "ws", roots=[str(paths[0])], sources=[listed])
    assert workspace.roots == [str(paths[0]), str(tmp_path)]
    workspace.configure(roots=[str(paths[1]), str(paths[0])])
    assert workspace.sources == [sourcespec.folder(paths[0]), listed, sourcespec.folder(paths[1])]
    workspace.configure(sources=[sourcespec.tars(paths[2])])
    assert Workspace.open(workspace.path).sources == [sourcespec.SourceSpec("tars", str(paths[2]))]


def test_a_kind_of_source_that_is_not_known_is_named(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    file = workspace.path / "workspace.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sources": [{"kind": "s3", "path": "bucket"}]}))
    with pytest.raises(WorkspaceError, match="s3"):
        Workspace.open(workspace.path)


def test_the_command_line_takes_every_kind_and_names_what_is_not_there(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_metadata(tmp_path / "m.tsv")
    (tmp_path / "list.txt").write_text(f"{media}/plain 0.mp4\n")
    place = tmp_path / "ws"
    kinds = ["--list", tmp_path / "list.txt", "--tars", media, "--metadata", tmp_path / "m.tsv", media / "tube"]
    arguments = [str(item) for item in ("init", place, *kinds)]
    assert main(arguments) == 0 and main([*arguments, "--media", str(media)]) == 0  # what is there is not added again
    assert [spec.kind for spec in Workspace.open(place).sources] == ["list", "metadata", "tars", "folder"]
    capsys.readouterr()
    for option in (["--list", "gone.txt"], ["--tars", str(tmp_path / "gone")], ["--metadata", "gone.tsv", str(media)]):
        assert main(["init", str(tmp_path / "other"), *option]) != 0
        assert "gone" in capsys.readouterr().err and not (tmp_path / "other").exists()
