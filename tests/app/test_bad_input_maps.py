"""Map and Contingency on what is bad: one clip, one cluster, 10,000 clusters, names of any text, ids that are gone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from curation import names
from curation.atomic import write_array
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from explorer import data, map_measures, marks
from tests.app.conftest import OpenPage, texts
from tests.workspacemaker import make_workspace

NASTY = "<script>alert(1)</script> \"q\" 'a' [x](javascript:y) :red[z]\n\u202eנביחות"
MANY = 10_000


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


def imported(ws: Workspace, modality: str, labels: np.ndarray) -> str:
    """Clusters made elsewhere: assignments alone."""
    name = f"{'sound' if modality == 'audio' else 'picture'}.theirs"
    folder = ws.partial_folder(f"clusterings/{name}", "i")
    write_array(folder / "assignments.npy", labels.astype(np.int32))
    facts = {CLIPS_FINGERPRINT: "s", "modality": modality, "origin": "imported", "n_clusters": int(labels.max()) + 1}
    ws.commit_folder(f"clusterings/{name}", folder, "i", facts)
    return name


@pytest.mark.parametrize("page", ["map", "contingency"])
@pytest.mark.parametrize("n_clips", [1, 2])
def test_one_clip_or_two(open_page: OpenPage, tmp_path: Path, page: str, n_clips: int) -> None:
    ws = make_workspace(tmp_path / "w", n_clips=n_clips, n_kinds=2, mismatched=0, upto="cluster")
    text = texts(open_page(page, ws, rows=marks.save(ws, np.array([0])), cell="0,0", box="0,0,1,1"))
    assert f"{n_clips} clip" in text


@pytest.mark.parametrize("which", ["cell", "box", "", "show", "over"])
def test_one_cluster_of_each_tells_nothing(open_page: OpenPage, tmp_path: Path, which: str) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    for modality in ("audio", "visual"):
        imported(ws, modality, np.zeros(60, int))
    asked = {"cell": "0,0", "box": "0,0,0,0", "show": "residual", "over": "every"}
    text = texts(open_page("contingency", ws, **({which: asked[which]} if which else {})))
    assert "**60 clips**, expected 60.0" in text and "MI 0.00 nats" in text
    assert "60 clips" in texts(open_page("map", ws, color="k:sound.theirs"))


def test_ten_thousand_clusters(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", n_clips=1200, upto="features")
    place = np.arange(1200)
    for modality in ("audio", "visual"):
        imported(ws, modality, np.where(place < 600, place % 300, MANY - 600 + place % 600))
    page = open_page("contingency", ws, a="sound.theirs", v="picture.theirs")
    text = texts(page)
    told = "499 sound clusters of 10,000 and 499 picture clusters of 10,000"
    assert f"The largest {told} have a place of their own; the rest is “other”." in text
    text = texts(open_page("contingency", ws, a="sound.theirs", v="picture.theirs", cell="-1,-1"))
    assert re.search(r":orange-badge\[sound other\] × :green-badge\[picture other\]", text)
    assert "**401 clips**" in text, "what has no place of its own is one cell, and opens"
    text = texts(open_page("contingency", ws, a="sound.theirs", v="picture.theirs", cell=f"{MANY - 1},0"))
    assert "in this table" in text or "other" in text
    assert "1,200 clips" in texts(open_page("map", ws, color="k:sound.theirs"))
    layer, shown = map_measures.names_on(ws, "audio", "pca", "k:sound.theirs")
    assert layer == "sound.theirs" and len(shown) == 20


def test_names_of_any_text(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    for layer in ("sound.mfcc", "picture.motion"):
        for cluster in range(4):
            names.record(ws, layer, cluster, NASTY[:60])
    for query in ({"cell": "1,2"}, {"box": "0,0,1,1"}, {"order": "name"}):
        text = texts(open_page("contingency", ws, a="sound.mfcc", v="picture.motion", **query))
        assert "<script" not in text and "](javascript" not in text.replace("\\]", "")
    for color in ("k:sound.mfcc", "k:picture.motion", "none"):
        page = open_page("map", ws, color=color, rows=marks.save(ws, np.arange(9)))
        assert "<script" not in texts(page)
    _, shown = map_measures.names_on(ws, "audio", "pca", "k:sound.mfcc")
    assert shown and all("\n" not in text and "\u202e" not in text and "<script>" in text for _, _, text in shown)


@pytest.mark.parametrize("page", ["map", "contingency"])
def test_ids_that_do_not_exist(open_page: OpenPage, tmp_path: Path, page: str) -> None:
    ws = make_workspace(tmp_path / "w")
    gone = {"run": "gone", "clip": "gone", "color": "k:gone.layer", "lay": "gone", "rows": "f" * 20, "side": "gone",
            "names": "perhaps", "a": "gone.layer", "v": "\u202e<b>", "cell": "7,7", "of": "gone", "over": "gone",
            "order": "gone", "pick": "gone", "seed": "gone", "reviewer": "x" * 99}  # fmt: skip
    shown = open_page(page, ws, **gone)
    assert "not in this workspace" in texts(shown)
    assert not {"clip", "lay" if page == "map" else "cell"} & set(shown.query_params)


def test_names_are_taken_off_the_map_and_stay_off(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    names.record(ws, "picture.motion", 1, "rain")
    page = open_page("map", ws, color="k:picture.motion")
    assert "names: picture · motion" in texts(page) and page.toggle(key="map.names").value
    page.toggle(key="map.names").set_value(False).run()
    assert "names:" not in texts(page) and page.query_params["names"] in ("no", ["no"])
    assert not open_page("map", ws, names="no").toggle(key="map.names").value
    layer, shown = map_measures.names_on(ws, "visual", "pca", "k:picture.motion")
    assert layer == "picture.motion" and shown[0][2] == "1 rain" and len(shown) == 4
    xy, labels = data.projection(ws, "visual"), data.assignments(ws, "picture.motion")
    assert xy is not None
    for x, y, text in shown:  # near its own clips: nearer to the nearest of them than those are spread
        own = xy[labels == int(text.split()[0])]
        assert np.linalg.norm(own - [x, y], axis=1).min() < np.ptp(own, axis=0).max()
    assert map_measures.names_on(ws, "audio", "pca", "k:picture.motion")[0] in data.clusterings(ws)
