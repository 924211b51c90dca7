"""Workspaces as earlier versions really wrote them: opened, brought up, and nothing of them lost.

The fixtures were made by those versions, of three films of four seconds. Left out are jobs, locks and the larger
arrays; `1-first` is of the first version, `1-measured` knew lengths by decoding, `2-sources` had sources of several
kinds, `2-people` what people say of clusters and clips.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curation import audit, names, pipeline, review, sourcespec
from curation.atomic import read_json, write_json
from curation.errors import LockedError, WorkspaceError
from curation.locks import writer_lock
from curation.migrations import FORMAT_VERSION, STEPS, bring_up
from curation.records import CLIPS, FILTERED, SEGMENTED, VIDEOS
from curation.sources.listing import columns_of, listing_digest, read_listing
from curation.workspace import Workspace

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "formats"
OLD = {"1-first": 1, "1-measured": 1, "2-sources": 2, "2-people": 2}
COLUMNS = {"videos": VIDEOS, "filtered": FILTERED, "segmented": SEGMENTED, "clips": CLIPS}


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / request.param
    with tarfile.open(FIXTURES / f"{request.param}.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    yield folder


def facts(folder: Path) -> dict[str, Any]:
    """All that must stay: bytes of files that no step touches, and of tables every value and note."""
    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.is_dir() or name.startswith(("workspace.", "locks/")):
            continue
        if file.suffix == ".parquet" and file.parent == folder:
            with pq.ParquetFile(file) as table:
                notes = dict(table.schema_arrow.metadata or {})
                whole = table.read()
            found |= {f"{name}:{column}": whole[column].to_pylist() for column in whole.column_names}
            found[f"{name}:notes"] = notes
        else:
            found[name] = file.read_bytes()
    return found


def test_every_earlier_format_has_a_step_and_a_workspace_of_it() -> None:
    assert sorted(STEPS) == list(range(1, FORMAT_VERSION)) == sorted(set(OLD.values()))
    for name, version in OLD.items():
        with tarfile.open(FIXTURES / f"{name}.tar.xz") as tar:
            member = tar.extractfile("./workspace.json")
            assert member is not None and json.load(member)["format_version"] == version


def test_it_is_brought_up_and_nothing_is_lost(old: Path) -> None:
    before, description = facts(old), read_json(old / "workspace.json")
    digest = _digest(old)
    workspace = Workspace.open(old)
    now = read_json(old / "workspace.json")
    assert now["format_version"] == FORMAT_VERSION and "roots" not in now
    assert {key: now[key] for key in ("name", "created", "settings")} == {
        key: description[key] for key in ("name", "created", "settings")
    }
    assert workspace.sources == [sourcespec.SourceSpec("folder", "/data/films")] and workspace.config
    assert read_json(old / f"workspace.format-{description['format_version']}.json") == description
    after = facts(old)
    assert {key: after[key] for key in before} == before
    for key, schema in COLUMNS.items():
        assert workspace.table(key).schema.names == schema.names, key
        assert workspace.table(key).cast(schema).num_rows
        assert workspace.fingerprint(key)
    assert listing_digest(workspace) == digest and len(read_listing(workspace) or ()) == 3
    assert list(columns_of(workspace)) == []
    Workspace.open(old)
    assert facts(old) == after


def test_what_it_holds_can_be_used(old: Path) -> None:
    workspace = Workspace.open(old)
    assert workspace.current_selection and len(workspace.features("sound", "rhythm")) == workspace.n_rows("clips") == 6
    assert len(workspace.array("clusterings/sound.logmel", "assignments")) == 6
    assert workspace.require_fitting(f"selections/{workspace.current_selection}", "select")
    states = {status.stage: status.state for status in pipeline.status(workspace)}
    assert states["scan"] == "done", states
    if old.name == "2-people":
        assert names.names(workspace, "sound.logmel")[0].name == "barking"
        assert sum(review.reviewers(workspace).values()) == 1
    if (old / "audits").is_dir():
        (name,) = audit.names(workspace)
        assert audit.read_plan(workspace, name).items and audit.answers(workspace, name)


def test_a_step_that_is_cut_short_is_done_again(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = facts(old), read_json(old / "workspace.json")["format_version"]
    STEPS[version].files(old)  # and then killed, before the description was written
    workspace = Workspace.open(old)
    assert read_json(old / "workspace.json")["format_version"] == FORMAT_VERSION
    after = facts(workspace.path)
    assert {key: after[key] for key in before} == before


def test_it_waits_while_a_stage_writes(old: Path) -> None:
    before = {file: file.read_bytes() for file in old.rglob("*.parquet")}
    version = read_json(old / "workspace.json")["format_version"]
    with writer_lock(old / "locks" / "segment.lock", purpose="segment"):
        workspace = Workspace.open(old)
        assert workspace.roots == ["/data/films"] and workspace.n_rows("clips") == 6
        with pytest.raises(LockedError):  # a description of the present format over tables of an earlier one
            workspace.configure({"select.budget": "0.3"})
    assert {file: file.read_bytes() for file in before} == before
    assert read_json(old / "workspace.json")["format_version"] == version
    workspace.configure({"select.budget": "0.3"})
    assert read_json(old / "workspace.json")["format_version"] == FORMAT_VERSION
    assert workspace.table("segmented").schema.names == SEGMENTED.names


def test_a_damaged_table_does_not_keep_the_rest_from_being_read(old: Path) -> None:
    (old / "segmented.parquet").write_bytes(b"PAR1 and then nothing")
    workspace = Workspace.open(old)
    assert workspace.n_rows("clips") == 6 and workspace.roots == ["/data/films"]


def test_a_workspace_that_may_not_be_written_stays_as_it_is(old: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the superuser can become another user")
    place = Path(tempfile.mkdtemp(prefix="concord-read-only-"))
    try:
        place.chmod(0o755)
        shutil.copytree(old, place / "ws")
        for folder in (place / "ws", *(p for p in (place / "ws").rglob("*") if p.is_dir())):
            folder.chmod(0o755)
        before = {file: file.read_bytes() for file in (place / "ws").rglob("*") if file.is_file()}
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                workspace = Workspace.open(place / "ws")
                status = 0 if workspace.roots == ["/data/films"] and workspace.n_rows("clips") == 6 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert {file: file.read_bytes() for file in (place / "ws").rglob("*") if file.is_file()} == before
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 99, 0, -1, "2", None, True])
def test_what_is_newer_or_none_is_refused_and_left_alone(tmp_path: Path, version: object) -> None:
    Workspace.create(tmp_path / "ws")
    file = tmp_path / "ws" / "workspace.json"
    write_json(file, read_json(file) | {"format_version": version})
    before = {path: path.read_bytes() for path in (tmp_path / "ws").rglob("*") if path.is_file()}
    for open_it in (Workspace.open, bring_up):
        with pytest.raises(WorkspaceError, match=r"newer version|does not describe"):
            open_it(tmp_path / "ws")
    assert {path: path.read_bytes() for path in (tmp_path / "ws").rglob("*") if path.is_file()} == before


def _digest(folder: Path) -> str | None:
    """The digest of the listing as it was before anything was opened."""
    return listing_digest(Workspace(folder, read_json(folder / "workspace.json")))
