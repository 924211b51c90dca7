"""Proposed names for clusters: a clustering, a layer that shares its space with words and a list of words go in, the
words that fit each cluster best come out.

Kept as `evaluations/proposals-<clustering>`, apart from the names that people gave (`curation.names`): a proposal
becomes a name only where a person accepts it. No stage reads either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from curation import names, text_side
from curation.atomic import replacing, write_array
from curation.errors import InputError
from curation.kernels.cosine import top_of
from curation.locks import writer_lock
from curation.names import NAME_CHARS, Name
from curation.progress import Progress
from curation.text_side import TextLayer
from curation.workspace import CLIPS_FINGERPRINT, Artefact, Workspace, fingerprint_of

VERSION = 1
PREFIX = "evaluations/proposals-"
ASSETS = Path(__file__).resolve().parents[1] / "assets"
BUILT_IN = {"audio": ASSETS / "vocabulary_sound.txt", "visual": ASSETS / "vocabulary_picture.txt"}
PROMPTS = {"audio": "the sound of {}", "visual": "a photo of {}"}
WORDS_MAX = 5000
FILE_BYTES_MAX = 4 << 20
PROPOSED = 3
"""Words a cluster that are kept, unless said otherwise."""
_TABLE = pa.schema(
    [("cluster", pa.int64()), ("word", pa.string())] + [(name, pa.float64()) for name in ("score", "margin", "lead")]
)


@dataclass(frozen=True)
class Proposal:
    """A word for a cluster. `score`: cosine of the word with the mean direction of the cluster's clips. `margin`: what
    it is above the cluster's next word (NaN = there is none). `lead`: what it is above the same word's score in the
    other cluster that it fits best; below 0 it fits another one better, NaN without another one."""

    cluster: int
    word: str
    score: float
    margin: float
    lead: float


@dataclass(frozen=True)
class Proposals:
    """Words for the clusters of one clustering, the best first. `by`: the layer that they were compared in; `stale`:
    the clusters (`fit`) or the features (`made`) are others now, so nothing can be accepted."""

    clustering: str
    by: str
    model: str
    vocabulary: str
    n_words: int
    prompt: str
    clusters: Mapping[int, tuple[Proposal, ...]]
    fit: str
    made: str
    stale: bool


# -- making ------------------------------------------------------------------------------------------------------------


def read_vocabulary(path: Path) -> list[str]:
    """Words of a text file, one name a line, each once, in its order; empty lines and lines that begin with # are none.

    Raises `InputError` for a file that cannot be read as UTF-8 text, has no words, too many, or too long ones.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InputError(f"{path} is larger than {FILE_BYTES_MAX >> 20} MB.", hint="Give a list of words.")
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The list of words {path} cannot be read ({error}).", hint="Give a text file in UTF-8, one name a line."
        ) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = list(dict.fromkeys(filter(None, (names.clean(line, NAME_CHARS) for line in lines))))
    if not 1 <= len(found) <= WORDS_MAX:
        raise InputError(f"{path} has {len(found):,} words.", hint=f"Allowed: 1 to {WORDS_MAX:,}, one name a line.")
    return found


def propose(
    workspace: Workspace,
    clustering: str,
    *,
    by: str = "",
    vocabulary: Path | None = None,
    prompt: str = "",
    k: int = PROPOSED,
    progress: Progress | None = None,
) -> Proposals:
    """The `k` words that fit each cluster best, by their cosine with the mean direction of its clips.

    clustering: any, of a layer in which words have a place, or with `by`, the name of such a layer of the same clips.
    vocabulary: a text file (`read_vocabulary`), else the built-in list of the layer's modality. prompt: the sentence
    that a word stands in, with {} for the word. Deterministic; ties go to the earlier word. The model is loaded only
    where these words were not embedded before with the same weights, tokenizer and prompt.
    Raises `InputError` for a layer without words, a wrong list or prompt; as `text_side.embed`.
    """
    clusters = _clustering(workspace, clustering)
    layer = text_side.text_layer(workspace, by or clustering)
    listed = BUILT_IN[layer.modality] if vocabulary is None else vocabulary
    words, sentence = read_vocabulary(listed), _checked_prompt(prompt or PROMPTS[layer.modality])
    if not 1 <= k <= 100:
        raise InputError(f"{k} words a cluster cannot be proposed.", hint="Allowed: 1 to 100.")
    of_words = fingerprint_of([text_side.text_print(workspace, layer), sentence, words])
    features = workspace.require_fitting(f"features/{layer.extractor}", "features")
    inputs = [clusters.fingerprint, features.fingerprint]
    fingerprint = fingerprint_of({"version": VERSION, "words": of_words, "inputs": inputs, "k": k})
    key = f"{PREFIX}{clustering}"
    if workspace.fingerprint(key) != fingerprint:
        with writer_lock(workspace.path / "locks" / "proposals.lock", purpose="names", wait_s=1):
            progress = progress or Progress()
            progress.start("names", 3, "steps")
            progress.note(f"reading {len(words)} words")
            vectors = _vectors(workspace, layer, [sentence.replace("{}", word) for word in words], of_words)
            progress.advance()
            progress.check_cancelled()
            progress.note("averaging clips")
            labels = np.asarray(workspace.array(f"clusterings/{clustering}", "assignments"))
            count = int(clusters.info.get("n_clusters", labels.max(initial=-1) + 1))
            table = _table(text_side.directions(workspace, layer, labels, count), vectors, words, k)
            progress.advance()
            facts = {
                CLIPS_FINGERPRINT: clusters.info.get(CLIPS_FINGERPRINT), "clustering": clustering, "by": layer.name,
                "model": layer.spelled, "words": of_words, "fit": _fit(clusters), "made": layer.made,
                "vocabulary": "built-in" if vocabulary is None else vocabulary.name, "n_words": len(words),
                "prompt": sentence,
            }  # fmt: skip
            _put(workspace, key, fingerprint, {"vectors": vectors, "words": table}, facts)
            progress.advance()
    found = read(workspace, clustering)
    assert found is not None
    return found


def best_layer(workspace: Workspace, clustering: str) -> TextLayer | None:
    """The layer whose words can name a clustering: its own, else the first of its modality, else None."""
    found, info = text_side.text_layers(workspace), _clustering(workspace, clustering).info
    own = [one for one in found if one.name == clustering]
    return next(iter(own + [one for one in found if one.modality == info.get("modality")]), None)


# -- reading -----------------------------------------------------------------------------------------------------------


def read(workspace: Workspace, clustering: str) -> Proposals | None:
    """What is proposed for the clusters of `clustering`, or None. Raises `WorkspaceError` for a damaged one."""
    artefact = workspace.artefact(f"{PREFIX}{clustering}")
    if artefact is None:
        return None
    rows = pq.read_table(workspace.artefact_path(artefact.key) / "words.parquet", partitioning=None).to_pylist()
    clusters: dict[int, list[Proposal]] = {}
    for row in rows:
        clusters.setdefault(row["cluster"], []).append(Proposal(**row))
    info = artefact.info
    found = Proposals(
        clustering, str(info["by"]), str(info["model"]), str(info["vocabulary"]), int(info["n_words"]),
        str(info["prompt"]), {cluster: tuple(words) for cluster, words in clusters.items()},
        str(info["fit"]), str(info["made"]), False,
    )  # fmt: skip
    return replace(found, stale=is_stale(workspace, found))


def is_stale(workspace: Workspace, found: Proposals) -> bool:
    """Clips that join the clusters that are there change no cluster's number: only another fit, or features, do."""
    clusters = workspace.artefact(f"clusterings/{found.clustering}")
    features = workspace.artefact(f"features/{found.by.rpartition('.')[0]}")
    if clusters is None or features is None:
        return True
    return _fit(clusters) != found.fit or features.info.get("extractor") != found.made


def accept(workspace: Workspace, clustering: str, cluster: int, word: str = "", author: str = "") -> Name:
    """Make a proposed word (the best, for "") the name of a cluster, as if a person had typed it; a note stays.

    Raises `InputError` where nothing is proposed for it, the word is not among what is, or it has a name.
    """
    found = read(workspace, clustering)
    if found is None or found.stale:
        raise InputError(
            f"No names are proposed for the present clusters of {clustering}.",
            hint=f"Propose some: python -m curation names {workspace.path} --propose --on {clustering}",
        )
    words = [one.word for one in found.clusters.get(cluster, ())]
    if not words or (word and word not in words):
        what = f"{word!r} is not proposed" if words else "Nothing is proposed"
        raise InputError(f"{what} for cluster {cluster} of {clustering}.", hint=f"Proposed: {', '.join(words) or '-'}.")
    said = names.names(workspace, clustering).get(cluster)
    if said is not None and said.name and said.overlap is None:
        raise InputError(f"Cluster {cluster} of {clustering} has a name: {said.name}.", hint="Take it back first.")
    kept = names.record(workspace, clustering, cluster, word or words[0], said.note if said else "", author)
    assert kept is not None
    return kept


# -- inside ------------------------------------------------------------------------------------------------------------


def _put(workspace: Workspace, key: str, fingerprint: str, parts: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    folder = workspace.partial_folder(key, fingerprint)
    write_array(folder / "vectors.npy", parts["vectors"])
    with replacing(folder / "words.parquet") as temporary:
        pq.write_table(parts["words"], temporary)
    workspace.commit_folder(key, folder, fingerprint, facts)


def _clustering(workspace: Workspace, clustering: str) -> Artefact:
    artefact = workspace.artefact(f"clusterings/{clustering}") if clustering else None
    if artefact is None:
        known = ", ".join(key.partition("/")[2] for key in workspace.keys("clusterings")) or "none yet"
        raise InputError(f"There is no clustering {clustering!r} in {workspace.name}.", hint=f"There are: {known}.")
    return workspace.require_fitting(artefact.key, "cluster")


def _fit(clusters: Artefact) -> str:
    return str(clusters.info.get("fit") or clusters.fingerprint)


def _checked_prompt(prompt: str) -> str:
    kept = text_side.cleaned(prompt)
    if kept.count("{}") != 1:
        raise InputError(f"The prompt {kept!r} has no place for the word.", hint="Write {} once: the sound of {}")
    return kept


def _vectors(workspace: Workspace, layer: TextLayer, sentences: Sequence[str], of_words: str) -> np.ndarray:
    """Vectors of the sentences, float32 (n, dim); those of earlier proposals where they are of the same words."""
    if text_side.text_print(workspace, layer):
        for key in workspace.keys("evaluations"):
            artefact = workspace.artefact(key) if key.startswith(PREFIX) else None
            if artefact is not None and artefact.info.get("words") == of_words:
                return np.asarray(workspace.array(key, "vectors"))
    return text_side.embed(workspace, layer, sentences)


def _table(directions: np.ndarray, vectors: np.ndarray, words: Sequence[str], k: int) -> pa.Table:
    """The `k` best words of each cluster that has a direction: cluster, word, score, margin, lead."""
    there = np.flatnonzero(np.abs(directions).sum(1) > 0)
    if not len(there):
        return _TABLE.empty_table()
    with threadpool_limits(1, "blas"):
        scores = directions[there] @ vectors.T
    best, first = scores.argmax(0), scores.max(0)
    others = scores.copy()
    others[best, np.arange(len(words))] = -np.inf
    second = others.max(0)
    found: list[tuple[int, str, float, float, float]] = []
    for place, cluster in enumerate(there):
        order = top_of(scores[place], k + 1)
        own = scores[place][order].astype(float)
        margins = np.append(own[:-1] - own[1:], np.nan)
        for rank, word in enumerate(order[:k]):
            rival = second[word] if best[word] == place else first[word]
            lead = float(own[rank] - rival) if len(there) > 1 else np.nan
            found.append((int(cluster), words[word], float(own[rank]), float(margins[rank]), lead))
    return pa.Table.from_arrays([pa.array(column) for column in zip(*found, strict=True)], schema=_TABLE)
