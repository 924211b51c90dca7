"""Names of clusters: given, replaced, undone, kept with the fit, found again by the clips that clusters share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curation import names as naming
from curation.atomic import write_array
from curation.errors import InputError
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from explorer import cluster_names
from tests.workspacemaker import make_workspace

LAYER = "sound.logmel"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "w", upto="cluster")


def remake(workspace: Workspace, assignments: np.ndarray, fingerprint: str, **facts: object) -> None:
    """Put other clusters in place of `LAYER`."""
    folder = workspace.partial_folder(f"clusterings/{LAYER}", fingerprint)
    write_array(folder / "assignments.npy", assignments.astype(np.int32))
    info = {"n_clusters": int(assignments.max()) + 1, "modality": "audio", CLIPS_FINGERPRINT: "s", **facts}
    workspace.commit_folder(f"clusterings/{LAYER}", folder, fingerprint, info)


def labels_of(workspace: Workspace) -> np.ndarray:
    return np.array(workspace.array(f"clusterings/{LAYER}", "assignments"))


def test_the_last_word_counts_and_empty_takes_it_back(workspace: Workspace) -> None:
    naming.record(workspace, LAYER, 2, "dogs", "and one cat", "anna")
    naming.record(workspace, LAYER, 2, "barking", author="ben")
    found = naming.names(workspace, LAYER)
    assert {k: (n.name, n.note, n.author, n.overlap) for k, n in found.items()} == {2: ("barking", "", "ben", None)}
    assert naming.names(workspace, "sound.mfcc") == {}
    assert naming.record(workspace, LAYER, 2, " ") is None
    assert naming.names(workspace, LAYER) == {}


def test_undo_goes_back_word_by_word(workspace: Workspace) -> None:
    naming.record(workspace, LAYER, 1, "rain", author="anna")
    naming.record(workspace, LAYER, 1, "water", author="ben")
    naming.record(workspace, LAYER, 0, "", author="ben")
    assert naming.undo(workspace, LAYER, "anna") == 1
    assert naming.names(workspace, LAYER)[1].name == "water"
    assert [naming.undo(workspace, LAYER) for _ in range(3)] == [0, 1, None]
    assert naming.names(workspace, LAYER) == {}
    assert len((workspace.path / naming.FILE).read_text("utf-8").splitlines()) == 6  # nothing said was lost


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<b>bold</b>", "<b>bold</b>"),
        ('it\'s "quoted"', 'it\'s "quoted"'),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\u202egnikrab\u202c", "gnikrab"),
        ("נביחות", "נביחות"),
        ("bell\x07\x00", "bell"),
        ("half \ud800 a pair", "half a pair"),
    ],
)
def test_texts_are_kept_as_one_line_of_what_can_be_read(workspace: Workspace, given: str, kept: str) -> None:
    naming.record(workspace, LAYER, 0, given)
    assert naming.names(workspace, LAYER)[0].name == kept


def test_what_cannot_be_a_name_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="at most 60 characters; this one has 61"):
        naming.record(workspace, LAYER, 0, "x" * 61)
    with pytest.raises(InputError, match="no cluster 4"):
        naming.record(workspace, LAYER, 4, "x")
    with pytest.raises(InputError, match="no clustering 'gone'"):
        naming.record(workspace, "gone", 0, "x")
    assert not (workspace.path / naming.FILE).exists()


def test_lines_that_are_none_are_left_out(workspace: Workspace) -> None:
    naming.record(workspace, LAYER, 0, "engine")
    with (workspace.path / naming.FILE).open("a", encoding="utf-8") as handle:
        handle.write('{"clustering": "sound.logmel", "cluster": "x"}\n[1]\n{"cut sho')
    naming.record(workspace, LAYER, 1, "rain")
    assert {k: n.name for k, n in naming.names(workspace, LAYER).items()} == {0: "engine", 1: "rain"}


def test_a_kept_fit_keeps_its_names(workspace: Workspace) -> None:
    labels = labels_of(workspace)
    remake(workspace, labels, "c1", fit="f")
    naming.record(workspace, LAYER, 0, "engine")
    remake(workspace, np.roll(labels, 7), "c2", fit="f")  # other clips, the same fit: nothing is looked up
    found = naming.names(workspace, LAYER)
    assert {k: (n.name, n.overlap) for k, n in found.items()} == {0: ("engine", None)}


def test_clusters_made_anew_carry_no_name_by_number(workspace: Workspace) -> None:
    labels = labels_of(workspace)
    for cluster, name in enumerate(("engine", "rain", "bell", "bird")):
        naming.record(workspace, LAYER, cluster, name)
    again = (labels + 1) % 4  # the same clusters under other numbers
    remake(workspace, again, "c2")
    found = naming.names(workspace, LAYER)
    assert {k: (n.name, n.overlap) for k, n in found.items()} == {
        1: ("engine", 1.0), 2: ("rain", 1.0), 3: ("bell", 1.0), 0: ("bird", 1.0)
    }  # fmt: skip
    assert cluster_names.label(workspace, LAYER, 2) == "2 rain?"
    naming.record(workspace, LAYER, 2, "drizzle")  # a person's word on the new clusters wins
    assert naming.names(workspace, LAYER)[2].name == "drizzle"
    naming.record(workspace, LAYER, 3, "")
    assert 3 not in naming.names(workspace, LAYER)


def test_a_name_does_not_go_to_a_cluster_that_swallowed_its_own(workspace: Workspace) -> None:
    labels = labels_of(workspace)
    naming.record(workspace, LAYER, 0, "engine")
    remake(workspace, np.zeros_like(labels), "c2")
    found, lost = naming.names_and_lost(workspace, LAYER)
    assert found == {} and [name.name for name in lost] == ["engine"]


def test_at_most_so_many_clips_are_remembered(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", upto="cluster", n_clips=300, n_kinds=2)
    naming.record(workspace, LAYER, 1, "rain")
    line = json.loads((workspace.path / naming.FILE).read_text("utf-8"))
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    members = {ids[row] for row in np.flatnonzero(labels_of(workspace) == 1)}
    assert len(line["clips"]) == naming.REMEMBERED and set(line["clips"]) <= members
    assert line["size"] == len(members)


def test_labels(workspace: Workspace) -> None:
    assert cluster_names.labels(workspace, LAYER, [-1, 3]) == ["other", "3"]
    assert cluster_names.label(workspace, "gone", 3) == "3"
    naming.record(workspace, LAYER, 3, "a very long name that goes on and on and on and on")
    assert cluster_names.label(workspace, LAYER, 3) == "3 a very long name that goes…"
    naming.record(workspace, LAYER, 3, "[x](y) **b** <i>")
    assert cluster_names.label(workspace, LAYER, 3) == "3 [x](y) **b** <i>"
    assert cluster_names.markdown(workspace, LAYER, 3) == r"3 \[x\]\(y\) \*\*b\*\* &lt;i\>"
    assert cluster_names.badge(workspace, LAYER, 2, audio=True) == ":orange-badge[sound 2]"
    naming.record(workspace, LAYER, 3, "נביחות")
    assert cluster_names.label(workspace, LAYER, 3) == "3 \u2068נביחות\u2069"
