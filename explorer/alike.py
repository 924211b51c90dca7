"""Find like this: a clip, a dropped file or words go in, the clips that sound or look most like it come out.

`like=<clip_id>` or `like=file:<token>` in the address, `by=audio` or `by=visual`; `like=words:<text>` with `by=` the
layer of a model that reads words. A dropped file is measured once; its vector is kept in the person's own cache (the
file itself is not), so that the link opens again; so is the vector of words.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import streamlit as st

from curation import neighbours, text_side
from curation.atomic import write_array
from curation.errors import ConcordError
from curation.home import cache_folder
from curation.text_side import TextLayer
from curation.workspace import Workspace
from explorer import data
from explorer.kept_files import forget_old
from explorer.views import words

MOST = 500
"""Clips that a search shows."""
FILE_LIMIT_MB = 100
KEPT_FILES = 200
SENSES = {"audio": "sound", "visual": "picture"}
WORDS = "words:"
_TOKEN = re.compile(r"[0-9a-f]{24}")
_UNREAD = "alike.unread"  # the words that could not be read last, and why: not tried again with every rerun


@dataclass(frozen=True)
class Asked:
    """What is looked for: a clip's row, a file's vector, or words (`modality` is then the layer that reads them).
    `key` says what the answer depends on."""

    modality: str
    words: str
    key: tuple[str, ...]
    row: int | None = None
    token: str = ""
    text: str = ""


def asked(ws: Workspace, like: str, by: str) -> Asked | None:
    """What the address asks for; None where it asks nothing, or for what is not there."""
    if like.startswith(WORDS):
        return _asked_words(ws, like.removeprefix(WORDS), by)
    if not like or by not in SENSES or not neighbours.is_made(ws, by):
        return None
    made = ws.fingerprint(neighbours.key_of(by)) or ""
    if like.startswith("file:"):
        token = like.removeprefix("file:")
        if not _TOKEN.fullmatch(token) or not _vector_file(ws, by, token).is_file():
            return None
        return Asked(by, f"nearest in {SENSES[by]} to the dropped file", (by, made, like), token=token)
    row = data.row_of(ws, like)
    if row is None:
        return None
    path = data.clip_at(ws, row).path
    return Asked(by, f"nearest in {SENSES[by]} to {Path(path).stem or like}", (by, made, like), row=row)


def nearest(ws: Workspace, what: Asked) -> tuple[np.ndarray, np.ndarray]:
    """Rows int64 (m,), the most alike first, and their cosines float32 (m,); m at most `MOST`."""
    return _nearest(str(ws.path), what, MOST)


def around(ws: Workspace, row: int, modality: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` clips most like a clip, as `nearest`; empty where neighbours are not made."""
    if not neighbours.is_made(ws, modality):
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    made = ws.fingerprint(neighbours.key_of(modality)) or ""
    return _nearest(str(ws.path), Asked(modality, "", (modality, made, str(row)), row=row), k)


def similarity_key(ws: Workspace, what: Asked) -> np.ndarray:
    """A rising key, float32 (N,): the most alike first, NaN = not among them."""
    rows, similarity = nearest(ws, what)
    key = np.full(data.n_clips(ws), np.nan, np.float32)
    key[rows] = -similarity
    return key


def keep_file(ws: Workspace, modality: str, name: str, content: bytes) -> str:
    """Measure a dropped file and keep its vector; returns what `like` is in the address. Raises `ConcordError`."""
    made = ws.fingerprint(neighbours.key_of(modality)) or ""
    token = blake2b(made.encode() + content, digest_size=12).hexdigest()
    path = _vector_file(ws, modality, token)
    if not path.is_file():
        with tempfile.TemporaryDirectory(prefix="concord-") as folder:
            place = Path(folder) / f"dropped{_suffix(name)}"
            place.write_bytes(content)
            vector = neighbours.embed_file(ws, modality, place)
        write_array(path, np.asarray(vector, np.float32))
        forget_old(path.parent, KEPT_FILES)
    return f"file:{token}"


def draw_words(ws: Workspace) -> str | None:
    """A field for words, or a sentence on what it needs; once they are read, `like by` as `draw_drop`."""
    layers = {one.name: one for one in text_side.text_layers(ws) if not text_side.lacking(ws, one)}
    if not layers:
        st.caption(words.literal(text_side.lacking(ws), 600))
        return None
    with st.form("alike.words", border=False):
        text = st.text_input(
            "Words", key="alike.text", max_chars=text_side.TEXT_CHARS, placeholder="a dog barking in the rain",
            help="Compared by a model that reads words and hears or sees clips. The words are taken as they stand.",
        )  # fmt: skip
        name = next(iter(layers))
        if len(layers) > 1:
            name = st.segmented_control(
                "Compare with", list(layers), format_func=lambda one: _layer_words(layers[one]), default=name,
                key="alike.layer", required=True,
            )  # fmt: skip
        pressed = st.form_submit_button("Find by words", type="primary")
    if not pressed or name not in layers or not text.strip():
        return None
    st.session_state.pop(_UNREAD, None)
    with st.spinner("Reading the words"):
        try:
            text_side.vector_of(ws, layers[name], text)
            return f"{WORDS}{text_side.cleaned(text)} {name}"
        except (ConcordError, OSError) as error:
            st.error(words.literal(str(error), 500), icon=":material/error:")
    return None


def draw_drop(ws: Workspace) -> str | None:
    """A field for a sound or a picture file; once it is measured, returns what `like` and `by` are to be: `like by`."""
    senses = {by: noun for by, noun in SENSES.items() if neighbours.is_made(ws, by)}
    if not senses:
        st.caption("Clips that are alike can be found once neighbours are made: run `python -m curation neighbours`.")
        return None
    by = st.segmented_control(
        "Compare its", list(senses), format_func=senses.__getitem__, default=next(iter(senses)), key="alike.by",
        required=True,
    )  # fmt: skip
    dropped = st.file_uploader(
        "A sound, picture or video file", key="alike.file", max_upload_size=FILE_LIMIT_MB,
        help=f"The first {ws.config.segment.clip_s:g} s of it are measured with this workspace's own extractors.",
    )  # fmt: skip
    if dropped is None or by is None or not st.button("Find like this", key="alike.go", type="primary"):
        return None
    with st.spinner("Measuring the file"):
        try:
            return f"{keep_file(ws, by, dropped.name, dropped.getvalue())} {by}"
        except (ConcordError, OSError) as error:
            st.error(words.literal(str(error), 500), icon=":material/error:")
    return None


@st.cache_resource(max_entries=64, show_spinner=False)
def _nearest(path: str, what: Asked, k: int) -> tuple[np.ndarray, np.ndarray]:
    ws = Workspace.open(path)
    if what.text:
        layer = text_side.text_layer(ws, what.modality)
        return text_side.nearest(ws, layer, text_side.vector_of(ws, layer, what.text), k)
    if what.row is not None:
        query = np.array([what.row])
    else:
        query = np.load(_vector_file(ws, what.modality, what.token), allow_pickle=False)[None, :]
    rows, similarity = neighbours.nearest(ws, what.modality, query, min(k, data.n_clips(ws)))
    there = rows[0] >= 0
    return rows[0][there], similarity[0][there]


def _asked_words(ws: Workspace, text: str, by: str) -> Asked | None:
    """What words in the address ask for; they are read where they were not yet, once."""
    try:
        layer, said = text_side.text_layer(ws, by), text_side.cleaned(text)
    except ConcordError:
        return None
    if not by or not _is_read(ws, layer, said):
        return None
    made = ws.fingerprint(f"features/{layer.extractor}") or ""
    return Asked(by, f"nearest to the words “{said}”", (by, made, text_side.text_print(ws, layer), said), text=said)


def _is_read(ws: Workspace, layer: TextLayer, text: str) -> bool:
    if text_side.is_kept(ws, layer, text):
        return True
    now = (str(ws.path), layer.name, text)
    if st.session_state.get(_UNREAD, ((), ""))[0] != now:
        with st.spinner("Reading the words"):
            try:
                text_side.vector_of(ws, layer, text)
                return True
            except (ConcordError, OSError) as error:
                st.session_state[_UNREAD] = (now, str(error))
                st.caption(words.literal(str(error), 500))
    return False


def _layer_words(layer: TextLayer) -> str:
    return f"{SENSES[layer.modality]} · {layer.spelled.removeprefix('hub:').rpartition('/')[2]}"


def _vector_file(ws: Workspace, modality: str, token: str) -> Path:
    # With the neighbours' fingerprint: a vector is compared only with those that were made as it was
    told = f"{modality} {ws.fingerprint(neighbours.key_of(modality)) or ''} {ws.path}"
    made = blake2b(told.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return cache_folder("alike") / f"{made}-{token}.npy"


def _suffix(name: str) -> str:
    """The end of a dropped file's name, if it is a plain one: decoders look at it, nobody else does."""
    found = Path(name).suffix.lower()
    return found if re.fullmatch(r"\.[a-z0-9]{1,5}", found) else ""
