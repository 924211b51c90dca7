"""Proposed names: the words that fit a cluster, kept by what made them, apart from names until a person accepts one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation import names, proposals, text_side
from curation.cli import main
from curation.errors import InputError
from curation.proposals import accept, propose, read, read_vocabulary
from curation.workspace import Workspace
from tests.wordsmaker import DIM, JOINT, add_text_side, cluster_text_side, own_model
from tests.workspacemaker import make_workspace

WORDS = ("north", "east", "south", "west", "between")
ALONG = np.vstack([np.eye(DIM)[:4], np.ones(DIM) / DIM**0.5]).astype(np.float32)


@pytest.fixture
def read_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that were read; a word's vector is the axis of its group (the model itself: test_text_side)."""
    found: list[str] = []

    def embed(_ws: Workspace, _layer: text_side.TextLayer, texts: list[str]) -> np.ndarray:
        found.extend(texts)
        return np.stack([ALONG[next(i for i, w in enumerate(WORDS) if w in text)] for text in texts])

    monkeypatch.setattr(text_side, "embed", embed)
    return found


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    ws = make_workspace(tmp_path / "w", upto="cluster")
    add_text_side(ws)
    own_model(ws, tmp_path / "models")
    cluster_text_side(ws)
    return ws


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("# directions\n" + "\n".join(WORDS), "utf-8")
    return file


def test_each_cluster_gets_the_words_along_its_clips(ws: Workspace, listed: Path, read_texts: list[str]) -> None:
    found = propose(ws, JOINT, vocabulary=listed, k=2)
    assert read_texts == [f"the sound of {word}" for word in WORDS]
    assert (found.by, found.model, found.vocabulary, found.n_words) == (JOINT, "hub:tiny/made", "words.txt", 5)
    assert {c: w[0].word for c, w in found.clusters.items()} == dict(enumerate(WORDS[:4])) and not found.stale
    directions = text_side.directions(ws, text_side.text_layer(ws), np.arange(60) % 4, 4)
    scores = directions @ ALONG.T
    for cluster, offered in found.clusters.items():
        best = offered[0]
        assert len(offered) == 2 and best.score == pytest.approx(scores[cluster, cluster], abs=1e-6)
        assert best.margin == pytest.approx(np.diff(np.sort(scores[cluster])[-2:])[0], abs=1e-6)
        rest = np.delete(scores[:, cluster], cluster).max()
        assert best.lead == pytest.approx(scores[cluster, cluster] - rest, abs=1e-6) and best.lead > 0
        assert offered[1].score <= best.score


def test_the_same_is_not_made_twice_and_words_are_read_once(ws: Workspace, listed: Path, read_texts: list[str]) -> None:
    found = propose(ws, JOINT, vocabulary=listed)
    made = ws.fingerprint(f"{proposals.PREFIX}{JOINT}")
    assert propose(ws, JOINT, vocabulary=listed) == found and len(read_texts) == 5
    propose(ws, "sound.logmel", by=JOINT, vocabulary=listed)
    cluster_text_side(ws, fit="again")
    assert propose(ws, JOINT, vocabulary=listed).clusters == found.clusters and len(read_texts) == 5
    assert ws.fingerprint(f"{proposals.PREFIX}{JOINT}") != made
    propose(ws, JOINT, vocabulary=listed, prompt="hear {}")
    listed.write_text("north\nwest\n")
    two = propose(ws, JOINT, vocabulary=listed)
    assert read_texts[5:] == [*(f"hear {w}" for w in WORDS), "the sound of north", "the sound of west"]
    assert two.n_words == 2 and len(two.clusters[0]) == 2 and np.isnan(two.clusters[0][1].margin)


def test_a_proposal_is_no_name_until_it_is_accepted(ws: Workspace, listed: Path, read_texts: list[str]) -> None:
    propose(ws, JOINT, vocabulary=listed)
    assert names.names(ws, JOINT) == {} and not (ws.path / names.FILE).exists()
    names.record(ws, JOINT, 1, "", "a note stays")
    assert accept(ws, JOINT, 1, author="anna").name == "east"
    kept = names.names(ws, JOINT)
    assert {c: (n.name, n.note, n.author) for c, n in kept.items()} == {1: ("east", "a note stays", "anna")}
    assert accept(ws, JOINT, 2, "between").name == "between"
    with pytest.raises(InputError, match="has a name: east"):
        accept(ws, JOINT, 1)
    with pytest.raises(InputError, match="'up' is not proposed"):
        accept(ws, JOINT, 0, "up")
    with pytest.raises(InputError, match="Nothing is proposed for cluster 9"):
        accept(ws, JOINT, 9)
    names.undo(ws, JOINT)
    assert list(names.names(ws, JOINT)) == [1]


def test_other_clusters_or_features_make_proposals_stale(ws: Workspace, listed: Path, read_texts: list[str]) -> None:
    propose(ws, JOINT, vocabulary=listed)
    cluster_text_side(ws, fit="other")
    found = read(ws, JOINT)
    assert found is not None and found.stale
    with pytest.raises(InputError, match="No names are proposed for the present clusters"):
        accept(ws, JOINT, 0)
    cluster_text_side(ws, fit="fit")
    assert not read(ws, JOINT).stale  # type: ignore[union-attr]
    ws.remove("features/" + JOINT.removesuffix(".joint"))
    assert read(ws, JOINT).stale  # type: ignore[union-attr]


def test_hidden_layers_and_wrong_requests_are_refused(ws: Workspace, listed: Path, read_texts: list[str]) -> None:
    with pytest.raises(InputError, match="logmel is not a layer of a model that reads words"):
        propose(ws, "sound.logmel")
    with pytest.raises(InputError, match="is a hidden layer"):
        propose(ws, JOINT, by=JOINT.replace("joint", "block1"))
    with pytest.raises(InputError, match="no clustering 'x'"):
        propose(ws, "x", by=JOINT)
    for prompt in ("no place", "{} and {}"):
        with pytest.raises(InputError, match="no place for the word"):
            propose(ws, JOINT, prompt=prompt)
    with pytest.raises(InputError, match="0 words"):
        propose(ws, JOINT, k=0)
    assert read_texts == [] and read(ws, JOINT) is None


def test_one_cluster_has_no_other_to_be_ahead_of(ws: Workspace, listed: Path, read_texts: list[str]) -> None:
    folder = ws.artefact_path(f"clusterings/{JOINT}")
    np.save(folder / "assignments.npy", np.where(np.arange(60) % 4 == 2, 2, -1).astype(np.int32))
    found = propose(ws, JOINT, vocabulary=listed)
    assert list(found.clusters) == [2] and found.clusters[2][0].word == "south"
    assert np.isnan(found.clusters[2][0].lead)


def test_lists_of_words(tmp_path: Path) -> None:
    for modality, file in proposals.BUILT_IN.items():
        words = read_vocabulary(file)
        assert len(words) > 200 and len(set(words)) == len(words), modality
        lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        assert words == lines, "each once, as it stands"
    bad = tmp_path / "bad.txt"
    for content, said in ((b"\n# only\n", "0 words"), (b"\xff\xfe\x00", "cannot be read"), (b"x" * 61, "60 characters"),
                          (b"\n".join(b"%d" % i for i in range(5001)), "5,001 words")):  # fmt: skip
        bad.write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_vocabulary(bad)
    with pytest.raises(InputError, match="cannot be read"):
        read_vocabulary(tmp_path / "none.txt")


def test_the_command_marks_what_is_proposed(
    ws: Workspace, listed: Path, read_texts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["names", str(ws.path), "--propose", "--on", JOINT, "--vocabulary", str(listed), "--words", "1"]) == 0
    out = capsys.readouterr().out
    assert "    0 proposed: north (" in out and "of 5 words (words.txt), “the sound of {}”" in out
    assert main(["names", str(ws.path), "--on", JOINT, "--accept", "0", "--accept", "3=west"]) == 0
    capsys.readouterr()
    assert main(["names", str(ws.path)]) == 0
    out = capsys.readouterr().out
    assert "    0 north\n" in out and "    3 west\n" in out and "    0 proposed" not in out and "    1 proposed" in out
    assert main(["names", str(ws.path), "--on", "sound.logmel", "--propose"]) == 2
    assert "not a layer of a model that reads words" in capsys.readouterr().err
    assert main(["names", str(ws.path), "--accept", "0"]) == 2
    argv = ["names", str(ws.path), "--propose", "--vocabulary", str(listed)]
    assert main(argv) == 0, "all clusterings of a modality that has such a layer"
    assert "sound.logmel\n  proposed by" in capsys.readouterr().out
