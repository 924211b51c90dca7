"""Diversity and skew of a selection: hand-worked on a planted workspace, held-out clusterings, kept while true."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.atomic import write_array, write_json
from curation.diversity import Settings, _Work, kept, table
from curation.diversity_table import DiversityTable, Row, Value, report_lines, shown
from curation.errors import InputError
from curation.evaluation.held_out import redone_choices
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from tests.auditmaker import add_run
from tests.workspacemaker import make_workspace

QUICK = Settings(draws=3, resamples=40, redone=2)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws", n_clips=80)


def row_of(found: DiversityTable, key: str) -> Row:
    return next(row for row in found.rows if row.key == key)


def add_clustering(workspace: Workspace, name: str, modality: str, codes: np.ndarray) -> None:
    """A clustering that no run used."""
    folder = workspace.partial_folder(f"clusterings/{name}", "x")
    write_array(folder / "assignments.npy", codes.astype(np.int32))
    write_array(folder / "sizes.npy", np.bincount(codes))
    facts = {CLIPS_FINGERPRINT: "s", "modality": modality, "extractor": "", "layer": name, "n_clusters": 4}
    write_json(folder / "params.json", facts)
    workspace.commit_folder(f"clusterings/{name}", folder, "x", facts)


def add_health(workspace: Workspace, speech: np.ndarray, duplicate: np.ndarray) -> None:
    n = workspace.n_rows("clips")
    clips = workspace.table("clips", ["row", "clip_id"])
    columns = {"speech_like": speech, "music_like": np.zeros(n, bool), "silent": np.zeros(n, bool),
               "duplicate": duplicate}  # fmt: skip
    found = pa.table({"row": clips["row"], "clip_id": clips["clip_id"], **columns})
    workspace.commit_table("health", found, "h", {CLIPS_FINGERPRINT: "s", "columns": []})


def test_numbers_worked_by_hand(ws: Workspace) -> None:
    picked = np.sort(_picked(ws))
    heard, seen = np.zeros(80, int), np.arange(80) % 4
    heard[picked] = np.repeat([0, 1], 8)  # of the chosen 16: two clusters, half each
    heard[np.setdiff1d(np.arange(80), picked)[:10]] = 2
    add_clustering(ws, "other.sound", "audio", heard)
    add_clustering(ws, "other.picture", "visual", seen)
    speech, duplicate = np.zeros(80, bool), np.full(80, -1)
    speech[picked[:4]] = True
    duplicate[picked[:3]] = 7
    duplicate[[picked[5], np.setdiff1d(np.arange(80), picked)[0]]] = 8  # its copy was not chosen
    add_health(ws, speech, duplicate)
    found = table(ws, "main", QUICK)
    assert found.is_held_out
    assert found.judged_on == "layers that the run did not use (other.sound, other.picture)"
    assert row_of(found, "effective_audio").subset.value == pytest.approx(2)
    assert row_of(found, "covered_audio").subset.value == pytest.approx(2 / 3)
    assert row_of(found, "speech_like").subset.value == pytest.approx(4 / 16)
    assert row_of(found, "speech_like").whole.value == pytest.approx(4 / 80)
    assert row_of(found, "copies").subset.value == pytest.approx(3 / 16)
    assert row_of(found, "sources_effective").subset.value == pytest.approx(16)
    assert row_of(found, "sources_largest").subset.value == pytest.approx(1 / 16)
    assert found.behind("speech_like").tolist() == picked[:4].tolist()
    assert found.behind("copies").tolist() == picked[:3].tolist()
    assert set(heard[found.behind("covered_audio")]) == {2}
    none = row_of(found, "silent").subset
    assert none.value == 0 and none.high is not None and 0.1 < none.high < 0.25, "nothing of 16 is not surely nothing"


def _picked(workspace: Workspace) -> np.ndarray:
    import pyarrow.parquet as pq

    return pq.read_table(workspace.artefact_path("selections/main") / "picks.parquet")["row"].to_numpy()


def test_without_other_layers_other_runs_of_k_means_judge(ws: Workspace) -> None:
    """`main` is a run of batch-greedy: its features are there, its clusterings have no replicates."""
    found = table(ws, "main", QUICK)
    assert found.is_held_out and "k-means made anew" in found.judged_on
    rng = np.random.default_rng(0)
    for key in ws.keys("clusterings"):
        write_array(ws.artefact_path(key) / "replicates.npy", rng.integers(0, 4, (2, 80), dtype=np.int32))
    for key in ws.keys("features"):
        shutil.rmtree(ws.artefact_path(key))
    again = table(ws, "main", Settings(draws=2, resamples=10, redone=1))
    assert "other runs of k-means" in again.judged_on


def test_where_nothing_is_held_out_it_is_said(ws: Workspace) -> None:
    for key in ws.keys("features"):
        shutil.rmtree(ws.artefact_path(key))
    found = table(ws, "main", Settings(draws=2, resamples=10, redone=1))
    assert not found.is_held_out and "NOT held out" in found.judged_on
    assert any("no other runs of k-means" in notice for notice in found.notices)


def test_content_matched_has_the_clusters_of_the_run(ws: Workspace) -> None:
    found = table(ws, "main", QUICK)
    for key in ("effective_audio", "effective_visual"):
        row = row_of(found, key)
        assert row.matched.value == pytest.approx(row.subset.value, rel=0.1)
        assert row.above_matched.low <= row.above_matched.value <= row.above_matched.high
    again = row_of(found, "stability")
    assert again.subset.value is not None and again.random.value == pytest.approx(16 / 80, abs=0.15)


def test_one_source_has_no_intervals(ws: Workspace) -> None:
    clips = ws.table("clips").to_pandas().assign(source="a film")
    ws.commit_table("clips", pa.Table.from_pandas(clips, preserve_index=False), "s", {})
    found = table(ws, settings=QUICK)
    assert all(row.subset.low is row.above_random.low is row.random.high is None for row in found.rows)
    assert row_of(found, "effective_audio").subset.value and any("one source" in text for text in found.notices)


def test_a_table_is_kept_while_it_is_true(ws: Workspace) -> None:
    assert kept(ws, "main", QUICK) is None
    found = table(ws, "main", QUICK)
    assert kept(ws, "main", QUICK) == found and table(ws, "main", QUICK) == found
    assert kept(ws, "main") is None, "other settings are another table"
    add_health(ws, np.zeros(80, bool), np.full(80, -1))
    assert kept(ws, "main", QUICK) is None, "health came: it is not true any more"
    lines = report_lines(table(ws, "main", QUICK))
    assert any(line.startswith("| effective sound clusters | ") for line in lines)


def test_a_run_that_used_no_clusterings_has_no_matched_control(ws: Workspace) -> None:
    add_run(ws, "listed", np.arange(80.0))
    found = table(ws, "listed", QUICK)
    assert row_of(found, "effective_audio").matched.value is None and found.is_held_out
    assert any("content-matched" in notice for notice in found.notices)
    assert row_of(found, "effective_audio").random.value is not None


def test_the_same_seed_gives_the_same_table(ws: Workspace) -> None:
    first = table(ws, "main", QUICK)
    shutil.rmtree(ws.path / "evaluations")
    assert table(ws, "main", QUICK) == first


def test_another_seed_draws_every_control_anew(ws: Workspace, tmp_path: Path) -> None:
    works = [_Work(ws, "main", replace(QUICK, seed=seed), tmp_path, None) for seed in (0, 0, 1)]
    for name in ("_random", "_matched"):
        one, same, other = ([drawn.rows.tolist() for drawn in getattr(work, name)()] for work in works)
        assert one == same and not any(rows in one for rows in other), name
    everyone = np.arange(80)
    once, more = (
        redone_choices(ws, works[0].info, everyone, 16, 2, seed, lambda: None).orders for seed in (0, 1)
    )  # fmt: skip
    assert not any(np.array_equal(a, b) for a in once for b in more)


def test_a_damaged_table_is_measured_anew(ws: Workspace) -> None:
    found = table(ws, "main", QUICK)
    for text in ("{", '{"rows": 3}', "[]"):
        (ws.path / "evaluations" / "diversity-main" / "result.json").write_text(text)
        assert kept(ws, "main", QUICK) is None
        assert table(ws, "main", QUICK) == found


def test_selections_that_are_not_there_are_refused(ws: Workspace) -> None:
    with pytest.raises(InputError, match="no selection 'none'"):
        table(ws, "none", QUICK)
    marker = ws.artefact_path("selections/main") / "artefact.json"
    marker.write_text(marker.read_text().replace('"clips_fingerprint": "s"', '"clips_fingerprint": "old"'))
    with pytest.raises(InputError, match="another list of clips"):
        table(ws, "main", QUICK)


def test_numbers_as_they_are_read() -> None:
    assert shown(Value(0.25, 0.2, 0.3), "share") == "25.0 % (20.0 to 30.0)"
    assert shown(Value(-0.25, -0.3, -0.2), "share", signed=True) == "−25.0 (−30.0 to −20.0)"
    assert shown(Value(2.5), "number") == "2.5" and shown(Value(None), "share") == "-"
    assert shown(Value(-0.0001), "number", signed=True) == "+0.0"
