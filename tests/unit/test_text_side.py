"""Words beside clips: which layers have a place for them, clips by words, a tiny model from media to answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curation import pipeline, proposals, text_side
from curation.atomic import write_array
from curation.cli import main
from curation.errors import InputError
from curation.extractors import registry
from curation.progress import Progress
from curation.workspace import Workspace
from tests.hubmaker import make_models
from tests.mediamaker import make_video
from tests.wordsmaker import JOINT, add_text_side, own_model
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concord_home: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_only_the_layer_shared_with_text_has_a_place_for_words(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    with pytest.raises(InputError, match=r"reads words.*hub:laion/clap"):
        text_side.text_layer(ws)
    assert text_side.lacking(ws).startswith("Words need features of a model that also reads text")
    add_text_side(ws)
    layer = text_side.text_layer(ws)
    assert (layer.name, layer.modality, layer.dim, layer.spelled) == (JOINT, "audio", 6, "hub:tiny/made")
    assert text_side.text_layers(ws) == [layer] and text_side.text_layer(ws, JOINT) == layer
    with pytest.raises(InputError, match=rf"block1 is a hidden layer.*Use {JOINT}"):
        text_side.text_layer(ws, JOINT.replace("joint", "block1"))
    with pytest.raises(InputError, match=f"sound.logmel is not a layer of a model that reads words.*{JOINT}"):
        text_side.text_layer(ws, "sound.logmel")


def test_what_is_missing_is_said_before_a_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    add_text_side(ws)
    layer = text_side.text_layer(ws)
    monkeypatch.setattr(text_side.importlib.util, "find_spec", lambda name: None)
    assert "pip install transformers" in text_side.lacking(ws, layer)
    monkeypatch.setattr(text_side.importlib.util, "find_spec", lambda name: object())
    assert "tiny/made is not on this machine" in text_side.lacking(ws, layer)
    with pytest.raises(InputError, match="tiny/made is not on this machine"):
        text_side.vector_of(ws, layer, "a dog")
    own_model(ws, tmp_path / "models")
    assert text_side.lacking(ws, layer) == "" == text_side.lacking(ws)
    ws.configure({"features.extractors": "sound"})
    assert "no longer name the model" in text_side.lacking(ws, text_side.text_layer(ws))


def test_clips_are_ranked_by_their_cosine(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    values = add_text_side(ws, without=(3, 17))
    layer, vector = text_side.text_layer(ws), np.array([0.3, -1, 0.2, 0, 0, 2], np.float32)
    wanted = np.full(60, -np.inf)
    for row in set(range(60)) - {3, 17}:
        wanted[row] = values[row] @ vector / (np.linalg.norm(values[row]) * np.linalg.norm(vector))
    rows, cosines = text_side.nearest(ws, layer, vector, 500)
    assert len(rows) == 58 and {3, 17}.isdisjoint(rows.tolist())
    np.testing.assert_allclose(cosines, wanted[rows], atol=1e-6)
    assert (np.diff(cosines) <= 0).all() and np.isnan(text_side.cosines(ws, layer, vector)[[3, 17]]).all()
    np.testing.assert_array_equal(text_side.nearest(ws, layer, 7 * vector, 5)[0], rows[:5])


def test_directions_are_means_of_unit_vectors(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    values = add_text_side(ws, without=(3,)).astype(np.float64)
    labels = np.arange(60) % 4
    labels[10], labels[labels == 2] = -1, 5
    found = text_side.directions(ws, text_side.text_layer(ws), labels, 6)
    for cluster in range(6):
        rows = [r for r in range(60) if labels[r] == cluster and r != 3]
        mean = sum((values[r] / np.linalg.norm(values[r]) for r in rows), np.zeros(6))
        np.testing.assert_allclose(found[cluster], mean / (np.linalg.norm(mean) or 1), atol=1e-6)
    assert not found[[2, 4]].any()
    with pytest.raises(InputError, match="60"):
        text_side.directions(ws, text_side.text_layer(ws), labels[:50], 6)


def test_words_are_kept_for_the_model_that_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    add_text_side(ws)
    folder, layer = own_model(ws, tmp_path / "models"), text_side.text_layer(ws)
    read: list[str] = []

    def embed(_ws: Workspace, _layer: text_side.TextLayer, texts: list[str]) -> np.ndarray:
        read.extend(texts)
        return np.eye(6, dtype=np.float32)[: len(texts)]

    monkeypatch.setattr(text_side, "embed", embed)
    first = text_side.vector_of(ws, layer, "  a\ndog ")
    assert read == ["a dog"] and text_side.is_kept(ws, layer, "a dog") and not text_side.is_kept(ws, layer, "a cat")
    np.testing.assert_array_equal(text_side.vector_of(ws, layer, "a dog"), first)
    assert read == ["a dog"]
    (folder / "tokenizer.json").write_text('{"other": 1}')
    assert not text_side.is_kept(ws, layer, "a dog"), "another tokenizer reads other numbers"
    for bad in ("", " \n", "x" * 201):
        with pytest.raises(InputError, match="1 to 200 characters"):
            text_side.vector_of(ws, layer, bad)


@pytest.mark.slow
def test_a_model_from_media_to_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers", reason="the optional package transformers is not installed")
    models, media = make_models(tmp_path / "models", ("clap",)), tmp_path / "media"
    media.mkdir()
    for i in range(5):
        make_video(media / f"{i}.mp4", seconds=1.5, seed=i, hz=150.0 + 270 * i, size=(64, 48))
    ws = Workspace.create(tmp_path / "ws", roots=[str(media)])
    ws.configure({
        "segment.mode": "windows", "segment.clip_s": "1", "features.measures": "", "cluster.n_clusters": "2",
        "features.extractors": "hub:tiny/clap", "features.weights_folder": str(models), "resources.workers": "1",
    })  # fmt: skip
    pipeline.run(ws, Progress(), only=["scan", "filter", "segment", "features", "cluster"])
    layer = text_side.text_layer(ws)
    # The slow reference: the model itself, in this process, and one clip after another
    model = registry.get("hub:tiny/clap", weights_folder=str(models), fetch=False)
    (word,) = model.text_embeddings(["a dog barks"]).astype(np.float64)
    slow = [float(x @ word / np.linalg.norm(x)) for x in ws.features(layer.extractor, "joint").astype(np.float64)]
    rows, cosines = text_side.nearest(ws, layer, text_side.vector_of(ws, layer, "a dog barks"), 5)
    assert rows.tolist() == sorted(range(5), key=lambda row: -slow[row])
    np.testing.assert_allclose(cosines, np.array(slow)[rows], atol=1e-5)
    listed = tmp_path / "words.txt"
    listed.write_text("# mine\ndog\nbell\n\nrain\ndog\n")
    assert main(["names", str(ws.path), "--propose", "--on", layer.name, "--vocabulary", str(listed)]) == 0
    assert "proposed: " in capsys.readouterr().out
    first = proposals.read(ws, layer.name)
    ws.remove(f"{proposals.PREFIX}{layer.name}")
    again = proposals.propose(ws, layer.name, vocabulary=listed)
    assert repr(again) == repr(first), "the same proposals again"
    words = model.text_embeddings([f"the sound of {w}" for w in ("dog", "bell", "rain")])
    labels = ws.array(f"clusterings/{layer.name}", "assignments")
    for cluster, offered in first.clusters.items():
        x = ws.features(layer.extractor, "joint", np.flatnonzero(labels == cluster)).astype(np.float64)
        mean = (x / np.linalg.norm(x, axis=1, keepdims=True)).sum(0)
        scores = dict(zip(("dog", "bell", "rain"), words @ mean / np.linalg.norm(mean), strict=True))
        assert [one.word for one in offered] == sorted(scores, key=lambda w: -scores[w])
        np.testing.assert_allclose([one.score for one in offered], sorted(scores.values())[::-1], atol=1e-5)
    with pytest.raises(InputError, match="block4 is a hidden layer"):
        proposals.propose(ws, layer.name.replace("joint", "block4"))
    # Other weights under the same name: the features are not theirs
    marker = ws.artefact_path(f"features/{layer.extractor}") / "artefact.json"
    record = json.loads(marker.read_text())
    record["info"]["extractor"] = "other"
    marker.write_text(json.dumps(record))
    with pytest.raises(InputError, match="measured with other weights"):
        text_side.vector_of(ws, text_side.text_layer(ws), "a bell")


def test_find_prints_clips_best_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    ws = make_workspace(tmp_path / "w", upto="features")
    values = add_text_side(ws)
    monkeypatch.setattr(text_side, "vector_of", lambda *_: values[7])
    assert main(["find", str(ws.path), "a dog", "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    paths = ws.table("clips", ["path"])["path"].to_pylist()
    assert len(lines) == 3 and lines[0].startswith("+1.000") and lines[0].endswith(paths[7])
    assert main(["find", str(ws.path), "a dog", "--by", "sound.logmel"]) == 2
    assert main(["find", str(ws.path), "a dog", "--count", "0"]) == 2


def test_features_of_one_large_part_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    values = add_text_side(ws)
    layer = text_side.text_layer(ws)
    whole = text_side.cosines(ws, layer, values[0])
    monkeypatch.setattr(text_side, "_BLOCK_ROWS", 7)
    np.testing.assert_allclose(text_side.cosines(ws, layer, values[0]), whole, atol=1e-7)
    folder = ws.artefact_path(f"features/{layer.extractor}") / "joint"
    (part,) = folder.glob("part-*.npy")
    whole_part = np.load(part)
    write_array(folder / "part-000001.npy", whole_part[25:])
    write_array(part, whole_part[:25])
    np.testing.assert_allclose(text_side.cosines(ws, layer, values[0]), whole, atol=1e-7)
