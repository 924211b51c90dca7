"""Sources before and between runs: what a look says, which columns are kept, adding, removing; the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation import cli, pipeline, preview, sourcespec
from curation.config import Config
from curation.errors import InputError, NotAllowedError, SettingError
from curation.progress import Progress
from curation.workspace import Workspace

TITLES = {
    "aaaaaaaaaa0": ("A dog barks in the yard while the children are laughing", "Music", 120),
    "aaaaaaaaaa1": ("Some gameplay of a farm", "Gaming", 120),
    "aaaaaaaaaa2": ("Minecraft gameplay", "Music", 300),
    "aaaaaaaaaa3": ("Der Hund bellt im Garten, und die Kinder lachen laut", "Music", 90),
    "aaaaaaaaaa4": ("Much too long", "Music", 700),
    "aaaaaaaaaa5": ("Not here", "Music", 12),
}


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that hold no video, a list and metadata of them."""
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))
    folder = tmp_path / "media"
    folder.mkdir()
    for name in list(TITLES)[:5]:
        (folder / f"{name}.mp4").write_bytes(b"no video")
    lines = [
        f"{name}\t"
        + json.dumps(
            {"LatestDAFeature": {"Title": title, "YouTubeCategory": category}, "MediaVersionList": [{"Duration": s}]}
        )
        for name, (title, category, s) in TITLES.items()
    ]
    (folder / "metadata.tsv").write_text("\n".join([*lines, "broken"]) + "\n")
    (folder / "list.csv").write_text(
        "path,film,channel,views\naaaaaaaaaa0.mp4,A,x,1\naaaaaaaaaa1.mp4,B,y,2\ngone.mp4,,z,3\n"
    )
    return folder


def test_a_look_counts_names_and_stops(media: Path) -> None:
    found = preview.look_into(sourcespec.file_list(media / "list.csv", title="film", columns=["views"]))
    assert found.paths == [f"{media}/aaaaaaaaaa{i}.mp4" for i in range(2)]
    assert (found.problems, found.n, found.is_whole, found.columns) == ({"missing": 1}, 3, True, ["views"])
    assert [row["title"] for row in found.examples] == ["A", "B", ""]
    found = preview.look_into(sourcespec.folder(media), 3)
    assert (len(found.paths), found.is_whole) == (3, False)
    assert preview.columns_of_list(sourcespec.file_list(media / "list.csv")) == ["film", "channel", "views"]


def test_a_look_at_metadata_walks_no_folder_to_its_end(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five files the first three are looked at: lines of the others are neither found nor called missing."""
    monkeypatch.setattr(preview, "FILES_MAX", 3)
    spec = sourcespec.metadata(media / "metadata.tsv", media)
    found = preview.look_into(spec)
    assert len(found.paths) == 3 and found.files_looked_at == 3
    assert found.problems == {"not_looked_for": 3, "broken_line": 1}
    told = next(row["message"] for row in found.examples if row["code"] == "not_looked_for")
    assert "among the first 3 files" in told and "a run looks at all" in told
    assert len(found.said) == 6, "what is said of them is known all the same"
    monkeypatch.setattr(preview, "FILES_MAX", 5)
    found = preview.look_into(spec)
    assert found.problems == {"missing": 1, "broken_line": 1} and found.files_looked_at is None


def test_what_would_be_dropped_is_what_is_dropped(media: Path, tmp_path: Path) -> None:
    spec = sourcespec.metadata(media / "metadata.tsv", media)
    config = Config().replace({"filter.languages": "en"})
    found = preview.look_into(spec)
    assert found.problems == {"missing": 1, "broken_line": 1}
    dropped = preview.judge(found, config.filter)
    wanted = {"category": 1, "keyword_gaming": 1, "language": 1, "metadata_too_long": 1, "metadata_too_short": 1}
    assert dropped.counts == wanted and (dropped.looked_at, dropped.kept) == (6, 1)
    assert {row["title"] for row in dropped.examples} == {title for title, *_ in list(TITLES.values())[1:]}
    workspace = Workspace.create(tmp_path / "ws", sources=[spec])
    workspace.configure({"filter.languages": "en", "resources.workers": 1})
    pipeline.run(workspace, Progress(), only=("scan", "filter"))
    counts = workspace.query("SELECT code, count(*) AS n FROM filtered GROUP BY code").to_pylist()
    assert {row["code"]: row["n"] for row in counts if row["code"] in wanted} == wanted
    with pytest.raises(SettingError):
        config.replace({"filter.languages": "english"})


def test_sources_outside_or_broken_are_refused(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no column 'channels'"):
        preview.look_into(sourcespec.file_list(media / "list.csv", columns=["channels"]))
    with pytest.raises(InputError, match="does not exist"):
        preview.look_into(sourcespec.folder(media / "none"))
    monkeypatch.setenv("CONCORD_ROOTS", str(media / "none"))
    monkeypatch.setenv("CONCORD_HOME", str(tmp_path / "home"))
    for spec in (sourcespec.file_list(media / "list.csv"), sourcespec.tars(media / "x.tar")):
        with pytest.raises(NotAllowedError):
            preview.look_into(spec)


def test_a_removed_source_keeps_its_number_and_comes_back(media: Path, tmp_path: Path) -> None:
    place = tmp_path / "ws"
    run = ["run", str(place), "--until", "scan", "--set", "resources.workers=1"]
    (media / "more").mkdir()
    (media / "more" / "x.mp4").write_bytes(b"other")
    listed = ["--list", str(media / "list.csv"), "--list-title", "film", "--list-columns", "channel,views"]
    assert cli.main([*run, *listed, "--media", str(media / "more")]) == 0
    workspace = Workspace.open(place)
    kinds = [spec.kind for spec in workspace.sources]
    ids = {row["path"]: row["video_id"] for row in workspace.table("videos").to_pylist()}
    titles = [row["title"] for row in workspace.table("videos").to_pylist() if row["path"].startswith("aaa")]
    assert titles == ["A", "B"] and workspace.table("listed").column_names == ["video_id", "channel", "views"]
    assert cli.main([*run, "--remove", str(media / "more")]) == 0
    workspace = Workspace.open(place)
    assert [spec.removed for spec in workspace.sources] == [kind == "folder" for kind in kinds]
    left = {row["path"]: row["video_id"] for row in workspace.table("videos").to_pylist()}
    assert left == {path: video for path, video in ids.items() if path != "x.mp4"}
    assert cli.main([*run, "--media", str(media / "more"), "--list", str(media / "list.csv")]) == 0
    workspace = Workspace.open(place)
    assert not any(spec.removed for spec in workspace.sources) and len(workspace.sources) == 2
    assert {row["path"]: row["video_id"] for row in workspace.table("videos").to_pylist()} == ids
    assert workspace.table("listed").column_names == ["video_id", "channel", "views"]  # as was said before
    assert cli.main([*run, "--remove", str(media / "none")]) != 0


def test_entries_of_sources_go_to_json_and_back() -> None:
    specs = [
        sourcespec.file_list("/a/l.csv", "/m", title="film", columns=["x", "y"]),
        *sourcespec.without_source([sourcespec.folder("/f")], 0),
    ]
    entries = [spec.as_json() for spec in specs]
    assert entries[1] == {"kind": "folder", "path": "/f", "removed": True}
    assert sourcespec.folder("/f").as_json() == {"kind": "folder", "path": "/f"}
    assert sourcespec.read_sources({"format_version": 2, "sources": json.loads(json.dumps(entries))}) == specs
