"""Bundles: what is in them makes the same selection again; what was changed, added or made up is noticed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from curation import pipeline, review
from curation.atomic import read_json, write_json
from curation.bundle_check import verify_bundle
from curation.errors import InputError
from curation.export import export
from curation.progress import Progress
from curation.workspace import MARKER, Workspace
from tests.workspacemaker import make_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a selection that was really made, and whose settings were changed since."""
    made = make_workspace(tmp_path_factory.mktemp("bundle") / "it's ws", upto="cluster")
    settings = {"select.budget": "0.3", "select.method": "batch-greedy", "select.batch_size": 10, "select.seed": 7}
    made.configure(settings | {"select.selection_size": 3, "select.where": "path NOT LIKE '%0003%'"})
    pipeline.run(made, Progress(), only=("select",))
    made.configure({"select.budget": "0.1", "select.seed": 1, "select.where": ""})
    return made


def test_a_bundle_makes_the_same_selection_again(workspace: Workspace, tmp_path: Path) -> None:
    facts = export(workspace, "bundle", tmp_path / "b.zip")
    found = verify_bundle(tmp_path / "b.zip", workspace)
    assert found.reproduced, found.differences
    assert "the same clips in the same order" in found.lines and "largest difference of a score: 0" in found.lines
    assert f"{workspace.name} has the same table of clips" in found.lines
    assert facts["rows"] == 18 and not found.notes
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        text = b"".join(archive.read(name) for name in archive.namelist() if name.endswith((".json", ".csv", ".txt")))
        told = json.loads(archive.read("b/bundle.json"))
    assert {"README.txt", "bundle.json", "clips.csv", "workspace/clips.parquet"} <= names
    assert not any("features" in name or "videos" in name for name in names), "only what the selection reads"
    assert str(workspace.path).encode() not in text, "no path of this machine"
    assert told["seeds"]["select"] == 7 and told["settings"]["budget"] == "0.3"
    assert "numpy" in told["versions"] and set(told["files"]) == names - {"bundle.json"}


def test_the_same_bundle_has_the_same_files(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(workspace, "bundle", tmp_path / name)
    sums = [read_json(tmp_path / name / "bundle.json")["files"] for name in ("a", "b")]
    assert sums[0] == sums[1]


def test_what_was_changed_is_named(workspace: Workspace, tmp_path: Path) -> None:
    export(workspace, "bundle", tmp_path / "b")
    layer = tmp_path / "b" / "workspace" / "clusterings" / "sound.mfcc" / "assignments.npy"
    np.save(layer, np.load(layer)[::-1])
    (tmp_path / "b" / "clips.csv").unlink()
    (tmp_path / "b" / "workspace" / "health.parquet").write_bytes(b"made up")
    found = verify_bundle(tmp_path / "b")
    assert not found.reproduced
    assert found.differences == [
        "clips.csv is missing",
        "workspace/clusterings/sound.mfcc/assignments.npy was changed",
        "workspace/health.parquet is not of the bundle",
    ]


def test_a_list_that_the_settings_do_not_give_is_found_out(workspace: Workspace, tmp_path: Path) -> None:
    """Sums can be made anew by who changes a file: the selection made again cannot."""
    from curation.exporters.bundle import file_sha256

    export(workspace, "bundle", tmp_path / "b")
    place = tmp_path / "b" / "workspace" / "workspace.json"
    description = read_json(place)
    description["settings"]["select.seed"] = 8
    write_json(place, description)
    facts = read_json(tmp_path / "b" / "bundle.json")
    facts["files"]["workspace/workspace.json"] = {"sha256": file_sha256(place), "bytes": place.stat().st_size}
    facts["versions"]["numpy"] = "0.1"
    write_json(tmp_path / "b" / "bundle.json", facts)
    found = verify_bundle(tmp_path / "b")
    assert not found.reproduced
    assert any("fingerprint" in line for line in found.differences)
    assert any("the order differs from pick" in line for line in found.differences)
    assert found.notes[0].startswith("numpy was 0.1, here it is")


def test_a_bundle_as_reviewed_holds_what_people_left(workspace: Workspace, tmp_path: Path) -> None:
    name = workspace.current_selection
    assert name is not None
    picked = review.machine_rows(workspace, name)
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    other = next(row for row in range(60) if row not in set(picked.tolist()))
    said = [
        {"clip_id": ids[picked[0]], "decision": "drop", "note": "secret"},
        {"clip_id": ids[other], "decision": "keep"},
    ]
    review.record(workspace, said, "Maria")
    try:
        facts = export(workspace, "bundle", tmp_path / "b", reviewed=True)
        found = verify_bundle(tmp_path / "b")
    finally:
        (workspace.path / review.FILE).unlink()
    assert found.reproduced, found.differences
    assert facts["rows"] == 18 and "as reviewed: the same 18 clips in the same order" in found.lines
    kept = (tmp_path / "b" / "workspace" / "review.jsonl").read_text()
    assert "secret" not in kept and "Maria" not in kept
    rows = (tmp_path / "b" / "clips.csv").read_text().splitlines()
    assert rows[-1].split(",")[0].strip('"') == ids[other], "what people added comes behind"


def test_a_selection_older_than_the_record_of_its_settings(workspace: Workspace, tmp_path: Path) -> None:
    marker = workspace.artefact_path(f"selections/{workspace.current_selection}") / MARKER
    before = read_json(marker)
    try:
        write_json(marker, before | {"info": {k: v for k, v in before["info"].items() if k != "settings"}})
        facts = export(workspace, "bundle", tmp_path / "b")
        assert "older than the record of its settings" in facts["notices"][-1]
        assert verify_bundle(tmp_path / "b").reproduced, "what it did record is enough here"
    finally:
        write_json(marker, before)


@pytest.mark.parametrize("name", ["../out.txt", "/abs.txt", "a/../../b.txt", "a\\..\\b"])
def test_a_zip_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(InputError, match="outside the bundle"):
        verify_bundle(tmp_path / "bad.zip")
    assert not (tmp_path / "out.txt").exists()


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=r"neither a folder nor a zip|holds no bundle\.json"):
            verify_bundle(path)
    write_json(tmp_path / "bundle.json", {"format": 99, "files": {}})
    with pytest.raises(InputError, match="newer version"):
        verify_bundle(tmp_path)
    write_json(tmp_path / "bundle.json", {"format": 1, "files": {"../x": {}}, "selection": "a", "fingerprint": "b",
                                          "order_sha256": "", "clips": 1, "versions": {}})  # fmt: skip
    with pytest.raises(InputError, match="outside the bundle"):
        verify_bundle(tmp_path)


def test_a_zip_damaged_on_its_way_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/bundle.json", "some text that is packed " * 40)
    packed = bytearray((tmp_path / "b.zip").read_bytes())
    packed[30 + len("b/bundle.json")] ^= 0x07  # the first byte of the compressed text: another kind of block
    (tmp_path / "b.zip").write_bytes(packed)
    with pytest.raises(InputError, match="cannot be unpacked"):
        verify_bundle(tmp_path / "b.zip")


@pytest.mark.parametrize(
    "wrong",
    [{"files": {"a": 1}}, {"versions": []}, {"format": "1"}, {"final_sha256": "0"}, {"clusterings": []},
     {"files": {"README.txt": {}}, "selection": 3}],
)  # fmt: skip
def test_facts_of_another_shape_are_no_bundle(tmp_path: Path, wrong: dict[str, object]) -> None:
    facts = {"format": 1, "files": {}, "selection": "a", "fingerprint": "b", "order_sha256": "", "clips": 1,
             "versions": {}}  # fmt: skip
    write_json(tmp_path / "bundle.json", facts | wrong)
    with pytest.raises(InputError, match="does not describe a bundle"):
        verify_bundle(tmp_path)


def test_a_bundle_without_its_workspace_is_said(tmp_path: Path) -> None:
    facts = {"format": 1, "files": {}, "selection": "a", "fingerprint": "b", "order_sha256": "", "clips": 1,
             "versions": {}}  # fmt: skip
    write_json(tmp_path / "bundle.json", facts)
    with pytest.raises(InputError, match=r"holds no workspace/workspace\.json"):
        verify_bundle(tmp_path)
