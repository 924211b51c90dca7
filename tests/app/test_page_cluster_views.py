"""The cluster page's views: names in place, the table, partitions compared, how many clusters, trials; bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import names
from curation.atomic import write_array
from curation.counts_run import study_counts
from curation.counts_trial import try_counts
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from explorer import cluster_measures, data
from tests.app.conftest import OpenPage, check_page, texts
from tests.workspacemaker import make_workspace

LAYER = "sound.logmel"
NASTY = '<i>x</i> "q" [y](z) נביחות'


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


def add_labels(ws: Workspace, values: list[str | None], name: str = "label_audio") -> None:
    ids = ws.table("clips", ["clip_id"])["clip_id"]
    ws.commit_table(f"columns/{name}", pa.table({"clip_id": ids, name: values}), name, {"origin": "imported"})


def imported(ws: Workspace, labels: np.ndarray, name: str = "sound.theirs") -> None:
    """Clusters made elsewhere: assignments alone."""
    folder = ws.partial_folder(f"clusterings/{name}", "i")
    write_array(folder / "assignments.npy", labels.astype(np.int32))
    facts = {CLIPS_FINGERPRINT: "s", "modality": "audio", "origin": "imported", "n_clusters": int(labels.max()) + 1}
    ws.commit_folder(f"clusterings/{name}", folder, "i", facts)


def test_a_cluster_is_named_in_place(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("cluster", ws, on=LAYER)
    largest = int(data.sizes(ws, LAYER).argmax())
    page.session_state[f"cluster.name.{LAYER}.{largest}"] = True
    check_page(page.run())
    key = f"cluster.form.{LAYER}.{largest}"
    page.text_input(key=f"{key}.name").input(NASTY)
    page.text_area(key=f"{key}.note").input("two\nlines")
    check_page(next(b for b in page.button if b.label == "Save").click().run())
    assert names.names(ws, LAYER)[largest].name == NASTY and names.names(ws, LAYER)[largest].note == "two\nlines"
    text = texts(page)
    assert r'&lt;i\>x&lt;/i\> "q" \[y\]\(z\)' in text and "two lines" in text
    assert "<i>" not in text


def test_names_of_before_are_marked(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    names.record(ws, LAYER, 1, "rain")
    names.record(ws, LAYER, 2, "engine")
    labels = np.array(ws.array(f"clusterings/{LAYER}", "assignments"))
    labels[labels >= 2] = 0  # one was swallowed by a larger one, one stays under its number
    folder = ws.partial_folder(f"clusterings/{LAYER}", "again")
    write_array(folder / "assignments.npy", labels)
    ws.commit_folder(f"clusterings/{LAYER}", folder, "again", ws.require(f"clusterings/{LAYER}", "").info)
    assert "[sound 1 rain?]" in texts(open_page("cluster", ws, on=LAYER))
    table = texts(open_page("cluster", ws, on=LAYER, view="table"))
    assert "not found again: engine" in table and "named so before" in table


@pytest.mark.parametrize("view", ["clips", "table", "compare", "counts", "nonsense"])
def test_every_view_of_one_cluster_of_few_clips(open_page: OpenPage, tmp_path: Path, view: str) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster", n_clips=2, n_kinds=2)
    imported(ws, np.zeros(2, int))
    for on in ("sound.theirs", LAYER):
        open_page("cluster", ws, on=on, view=view)


def test_imported_clusters_have_no_centres_and_no_other_counts(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster")
    imported(ws, np.arange(60) % 3)
    page = open_page("cluster", ws, on="sound.theirs", pick="far")
    assert [box.key for box in page.selectbox if box.key == "choose.pick"] == []
    assert "brought in without features" in texts(open_page("cluster", ws, on="sound.theirs", view="counts"))


def test_purity_is_told_against_labels(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    labels = data.assignments(ws, LAYER)
    add_labels(ws, [None if i == 0 else f"kind {k}" for i, k in enumerate(labels)])
    add_labels(ws, [f"all different {i}" for i in range(60)], "scores")
    page = open_page("cluster", ws, on=LAYER)
    assert page.selectbox(key="choose.vs").value == "column:label_audio"  # answers are shown first
    assert "100 % kind 2" in texts(page)
    page.selectbox(key="choose.vs").set_value("sound.mfcc")
    check_page(page.run())
    assert page.query_params["vs"] in ("sound.mfcc", ["sound.mfcc"])
    rows = cluster_measures.rows(ws, LAYER, None, "column:label_audio")
    assert [row.known for row in rows] == [row.size - (row.cluster == labels[0]) for row in rows]


def test_two_partitions_compared(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    add_labels(ws, [f"<b>{k}</b>" for k in data.assignments(ws, LAYER)])
    page = open_page("cluster", ws, on=LAYER, view="compare", vs="column:label_audio", cell="1,1")
    assert {m.label: m.value for m in page.metric}["ARI"] == "1.00"
    assert "of 60 clips with a value in both" in texts(page)
    assert page.dataframe[-1].value["jaccard"].tolist() == [1.0] * 4
    for wrong in ("9,9", "x", "1", "1,1,1"):
        open_page("cluster", ws, on=LAYER, view="compare", vs="column:label_audio", cell=wrong)
    other = open_page("cluster", ws, on=LAYER, view="compare", vs="gone")
    assert other.selectbox(key="choose.vs").value == "sound.mfcc"


def test_ten_thousand_clusters_show_the_largest(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster", n_clips=1200)
    imported(ws, np.where(np.arange(1200) < 600, np.arange(1200) % 300, 9000 + np.arange(1200) % 600))
    first = texts(open_page("cluster", ws, on="sound.theirs"))
    assert "900 clusters, largest first · 8,700 clusters without a clip" in first
    page = open_page("cluster", ws, on="sound.theirs", view="table")
    assert "and 400 smaller clusters with 400 clips" in texts(page)
    compared = open_page("cluster", ws, on="sound.theirs", view="compare", vs=LAYER)
    assert len(compared.dataframe[-1].value) == 500


def test_how_many_clusters(open_page: OpenPage, tmp_path: Path, launched: list[list[str]]) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster", n_clips=200, mismatched=0.2)
    page = open_page("cluster", ws, on=LAYER, view="counts")
    assert "How many clusters tell most" in texts(page)
    check_page(next(b for b in page.button if b.label == "Compare counts").click().run())
    assert launched[0][:4] == ["counts", str(ws.path), "--layer", LAYER]
    study_counts(ws, LAYER, "2,4", seeds=2)
    for job in (ws.path / "jobs").iterdir():
        (job / "job.json").unlink()
    page = open_page("cluster", ws, on=LAYER, view="counts")
    assert "4 clusters: the smallest count within one standard error" in texts(page)
    check_page(page.button(key="counts.keep").click().run())
    assert Workspace.open(ws.path).config.cluster.per_layer == f"{LAYER}=4"
    assert page.button(key="counts.make").label == "Make clusters"


def test_counts_are_tried_on_a_sample(open_page: OpenPage, tmp_path: Path, launched: list[list[str]]) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster", n_clips=100)
    try_counts(ws, "3")
    page = open_page("selection", ws)
    page.session_state["recluster"] = True
    check_page(page.run())
    assert "clusters there are" in texts(page) and "100 clips of 100 sources" in texts(page)
    page.text_input(key="set.n_clusters").input("5")
    check_page(page.button(key="recluster.try").click().run())
    assert launched == [["counts", str(ws.path), "--trial", "--clusters", "5"]]
