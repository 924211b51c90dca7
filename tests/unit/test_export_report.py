"""The report: one file that loads nothing, with hand-checked numbers, and names that stay text."""

from __future__ import annotations

import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from curation import diversity, review
from curation.atomic import read_json, write_json
from curation.errors import InputError
from curation.export import export
from curation.exporters import report_facts, report_figures
from curation.scope import scope_of
from curation.workspace import MARKER, Workspace
from tests.mediaworkspace import make_media_workspace
from tests.workspacemaker import make_workspace


class _Page(HTMLParser):
    """Tags that are open, addresses that a browser would load, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in ("meta", "img", "rect", "line", "image", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> _Page:
    page = _Page()
    page.feed(re.sub(r"<(rect|line|image|polyline)([^>]*)/>", r"<\1\2>", path.read_text("utf-8")))
    assert not page.open
    return page


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_media_workspace(tmp_path_factory.mktemp("report") / "ws", missing=1)


def test_it_is_one_file_that_loads_nothing(workspace: Workspace, tmp_path: Path) -> None:
    facts = export(workspace, "report", tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    assert all(address.startswith("data:image/") for address in page.loads) and "script" not in page.tags
    assert page.tags.count("img") == 1 and facts["stills_missing"] == 1, "the missing one says why"
    assert "is not there" in page.text
    for said in (
        "From 10 candidate clips",
        "1.200 nats",
        "0.700 for as many",
        "2 were selected",
        "batch-greedy",
        "Funnel",
    ):
        assert said in page.text, said


def test_shares_are_of_the_candidates_that_the_run_had(tmp_path: Path) -> None:
    """Of ten clips four lie in the scope; two of these were chosen, and people kept one from outside."""
    workspace = make_workspace(tmp_path / "ws", n_clips=10)
    picks = sorted(review.machine_rows(workspace, "main").tolist())
    scope = sorted({*picks, *[row for row in range(10) if row not in picks][:2]})
    folder = workspace.artefact_path("selections/main")
    marker = read_json(folder / MARKER)
    marker["info"] |= {"where": f"row IN ({', '.join(map(str, scope))})", "candidates": len(scope)}
    write_json(folder / MARKER, marker)
    export(workspace, "report", tmp_path / "machine.html", selection="main")
    page = read(tmp_path / "machine.html").text
    assert f"{len(picks)}clips · {100 * len(picks) / len(scope):.1f} % of {len(scope)} candidates" in page
    assert "within the scope" in page and "The run had" not in page
    outside = next(row for row in range(10) if row not in scope)
    clip = workspace.table("clips", ["clip_id"])["clip_id"][outside].as_py()
    review.record(workspace, [{"clip_id": clip, "decision": "keep"}], "anna")
    export(workspace, "report", tmp_path / "people.html", selection="main", reviewed=True)
    page = read(tmp_path / "people.html").text
    assert f"{100 * len(picks) / len(scope):.1f} % of {len(scope)} candidates and 1 from elsewhere" in page
    marker["info"] |= {"where": "gone > 3", "candidates": 4}
    write_json(folder / MARKER, marker)
    export(workspace, "report", tmp_path / "changed.html", selection="main")
    page = read(tmp_path / "changed.html").text
    assert "cannot be read any more (gone > 3)" in page and "The run had 4 candidates" in page


def test_diversity_stands_beside_its_controls_once_it_was_measured(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "ws", n_clips=120)
    export(ws, "report", tmp_path / "before.html")
    assert "Not yet measured beside random choices" in read(tmp_path / "before.html").text
    found = diversity.table(ws, settings=diversity.Settings(draws=2, resamples=20, redone=1))
    assert diversity.kept(ws) is None, "other settings are another table"
    found = diversity.table(ws)
    export(ws, "report", tmp_path / "after.html")
    text = read(tmp_path / "after.html").text
    assert all(row.title in text for row in found.rows) and found.judged_on in text
    assert f"{found.sources:,} resampled sources" in text and "content-matched" in text


def test_names_stay_text(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=10)
    clips = workspace.table("clips").to_pandas()
    clips["path"] = '<script>alert(1)</script>"\n\u202egpj.mp4'
    import pyarrow as pa

    workspace.commit_table(
        "clips", pa.Table.from_pandas(clips, workspace.table("clips").schema.remove_metadata()), "s", {}
    )
    export(workspace, "report", tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    assert "script" not in page.tags and "<script>alert(1)</script>" in page.text


def test_it_needs_a_selection(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=6, upto="cluster")
    with pytest.raises(InputError, match="tells of a selection"):
        export(workspace, "report", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_tables_shares_and_spreads_against_hand_worked_answers(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=8, upto="cluster")
    for name, labels in {"sound.mfcc": [0, 0, 1, 1, 0, 0, 1, -1], "picture.colour": [1, 1, 0, 0, 1, 1, 0, 0]}.items():
        np.save(workspace.artefact_path(f"clusterings/{name}") / "assignments.npy", np.array(labels, np.int32))
    info = {"clusterings": {"sound.mfcc": "c", "picture.colour": "c", "gone": "c"}}
    usable = scope_of(workspace, info).candidates
    assert usable.tolist() == [True] * 7 + [False]
    rows = np.array([0, 2])
    table = report_facts.table(workspace, "sound.mfcc", "picture.colour", usable, rows)
    assert table.before.tolist() == [[3, 0], [0, 4]] or table.before.tolist() == [[4, 0], [0, 3]]
    assert table.after.tolist() == [[1, 0], [0, 1]] and table.left_out == 0
    assert report_facts.pmi(np.array([[2, 0], [0, 2]])) == pytest.approx(
        np.array([[np.log(2), np.nan], [np.nan, np.log(2)]]), nan_ok=True
    )
    spread = report_facts.spreads(workspace, ["sound.mfcc"], usable, rows)[0]
    assert spread.after == pytest.approx(2.0) and spread.before == pytest.approx(1.98, abs=0.01)
    assert report_facts.sources(workspace, usable, rows) == (7, 2, 1, 1)


def test_many_clusters_are_drawn_without_their_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=30, upto="cluster")
    monkeypatch.setattr(report_facts, "CLUSTERS_DRAWN", 5)
    labels = np.arange(30, dtype=np.int32) * 1000
    np.save(workspace.artefact_path("clusterings/sound.mfcc") / "assignments.npy", labels)
    usable = np.ones(30, bool)
    table = report_facts.table(workspace, "sound.mfcc", "picture.colour", usable, np.arange(4))
    assert table.before.shape[0] == 5 and table.before.sum() + table.left_out == 30


def test_a_png_is_one(tmp_path: Path) -> None:
    data = report_figures.png(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    start = data.index(b"IDAT") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big")
    assert zlib.decompress(data[start : start + size]) == b"\0\1\2\3\4\5\6"


def test_colours_are_centred_on_zero() -> None:
    found = report_figures.colours(np.array([[-1.0, 0.0, 1.0, np.nan, 9.0]]), 1.0)
    assert found[0, 1].tolist() == [0xF7] * 3 and found[0, 3].tolist() == [255] * 3
    assert found[0, 0].tolist() == [0x08, 0x48, 0x8E] and found[0, 4].tolist() == found[0, 2].tolist()
