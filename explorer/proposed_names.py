"""Names that a model proposes for clusters: always marked as proposed; a person accepts one, and it becomes a name."""

from __future__ import annotations

import math
from dataclasses import replace

import streamlit as st

from curation import proposals, text_side
from curation.errors import ConcordError
from curation.proposals import Proposal, Proposals
from curation.workspace import Workspace
from explorer import cluster_names, forms, jobs_panel
from explorer.state import param
from explorer.views import words

MARK = "proposed"
_HELP = (
    "Cosine of a word with the mean direction of a cluster's clips, in the space that the model shares with text. The "
    "nearest word of a list need not be right: listen before you accept."
)


def words_of(ws: Workspace, clustering: str) -> dict[int, tuple[Proposal, ...]]:
    """Proposed words of the clusters that nobody named, the best first; none where they are of other clusters."""
    found = _kept(ws, clustering)
    if found is None or found.stale:
        return {}
    said = cluster_names.names_of(ws, clustering)
    return {c: offered for c, offered in found.clusters.items() if c not in said or not said[c].name}


def draw_head(ws: Workspace, clustering: str) -> None:
    """Who proposed the names that are shown, or a button that has them proposed; nothing without such a model."""
    found = _kept(ws, clustering)
    layer = proposals.best_layer(ws, clustering) if found is None or found.stale else None
    if found is not None and not found.stale:
        st.caption(f"Names marked *{MARK}* are words of {words.literal(_list_words(found), 60)} that "
                   f"{words.literal(found.model.removeprefix('hub:'), 60)} finds nearest; accept one to keep it.",
                   help=_HELP)  # fmt: skip
    elif layer is not None:
        why = text_side.lacking(ws, layer)
        pressed = st.button(
            "Propose names again" if found is not None else "Propose names", key="names.propose",
            icon=":material/auto_awesome:", type="tertiary", disabled=bool(why) or jobs_panel.is_running(ws),
            help=words.literal(why, 600) if why else f"{layer.spelled} compares each cluster's clips with a list of "
            "words. What it proposes is marked as proposed until a person accepts it.",
        )  # fmt: skip
        if pressed:
            argv = ["names", str(ws.path), "--propose", "--on", clustering, "--by", layer.name]
            jobs_panel.launch(ws, argv, title=f"Names for {words.layer(clustering)}")


def draw_offer(ws: Workspace, clustering: str, cluster: int) -> None:
    """The best word, marked, and a button that accepts it; nothing for a cluster with a name."""
    offered = words_of(ws, clustering).get(cluster)
    if offered:
        best = offered[0]
        doubt = ", fits another better" if best.lead < 0 else ""
        st.caption(f"{MARK}: *{words.literal(best.word)}*{doubt}", width="content")
        st.button(
            "Accept", key=f"names.accept.{clustering}.{cluster}", type="tertiary", icon=":material/check:",
            help=f"Make “{words.literal(best.word)}” this cluster's name · {measured(best)} · Name has other words",
            on_click=accept, args=(ws, clustering, cluster, best.word),
        )  # fmt: skip


def draw_choices(ws: Workspace, clustering: str, cluster: int) -> None:
    """All words proposed for a cluster, each a button that accepts it."""
    offered = words_of(ws, clustering).get(cluster, ())
    if offered:
        st.caption("Proposed; choose one to accept it")
    for i, one in enumerate(offered):
        st.button(
            f"*{words.literal(one.word)}*", key=f"names.choice.{clustering}.{cluster}.{i}", help=measured(one),
            on_click=accept, args=(ws, clustering, cluster, one.word), width="stretch",
        )  # fmt: skip


def measured(one: Proposal) -> str:
    """The numbers of a word: its cosine, what it is above the next word, and above the next cluster."""
    said = [f"cosine {words.number(one.score)}"]
    if math.isfinite(one.margin):
        said.append(f"{words.signed(one.margin, 3)} to the next word")
    if math.isfinite(one.lead):
        said.append(f"{words.signed(one.lead, 3)} to the other cluster it fits best")
    return " · ".join(said)


def _list_words(found: Proposals) -> str:
    return f"{'a built-in list' if found.vocabulary == 'built-in' else found.vocabulary} ({found.n_words:,} words)"


def accept(ws: Workspace, clustering: str, cluster: int, word: str = "") -> None:
    """Make a proposed word (the best one) the cluster's name; a refusal is drawn."""
    try:
        proposals.accept(ws, clustering, cluster, word, param("auditor")[:40])
    except (ConcordError, OSError) as error:
        forms.show_problem(error)
        return
    st.session_state[f"cluster.name.{clustering}.{cluster}"] = False  # the form about it is closed


def _kept(ws: Workspace, clustering: str) -> Proposals | None:
    made = ws.fingerprint(f"{proposals.PREFIX}{clustering}")
    if made is None:
        return None
    try:
        found = _read(str(ws.path), clustering, made)
        stale = proposals.is_stale(ws, found)
    except (ConcordError, OSError, KeyError):
        return None
    return replace(found, stale=stale)


@st.cache_resource(max_entries=32, show_spinner=False)
def _read(path: str, clustering: str, fingerprint: str) -> Proposals:
    found = proposals.read(Workspace.open(path), clustering)
    assert found is not None
    return found
