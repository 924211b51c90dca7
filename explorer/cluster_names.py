"""What clusters are called, everywhere: a clustering and a cluster go in, `12 barking` or `12` comes out.

Names are text from people: `label` is plain text of bounded length for components, selects and figures, `markdown` the
same with everything that Markdown would read taken literally.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import streamlit as st

from curation import names as naming
from curation.errors import ConcordError
from curation.names import Name
from curation.workspace import Workspace
from explorer.views import words

LABEL_CHARS = 28  # of the name itself
_ISOLATE, _END = "\u2068", "\u2069"


def names_of(ws: Workspace, clustering: str) -> dict[int, Name]:
    """`curation.names.names`, cached; nothing where the clustering is not there or the file cannot be read."""
    return _found(ws, clustering)[0]


def lost_names(ws: Workspace, clustering: str) -> list[Name]:
    """Names of clusters made before that none of the present ones takes over."""
    return _found(ws, clustering)[1]


def label(ws: Workspace, clustering: str, cluster: int, limit: int = LABEL_CHARS) -> str:
    """`12 barking`, or `12` without a name, `other` below 0. Plain text, one line, bounded: never Markdown or HTML.

    A name of clusters made before, found by the clips they share, ends in a question mark.
    """
    return _worded(names_of(ws, clustering).get(int(cluster)), int(cluster), limit)


def labels(ws: Workspace, clustering: str, clusters: Iterable[int], limit: int = LABEL_CHARS) -> list[str]:
    """`label` of each of `clusters`."""
    found = names_of(ws, clustering)
    return [_worded(found.get(int(cluster)), int(cluster), limit) for cluster in clusters]


def markdown(ws: Workspace, clustering: str, cluster: int, limit: int = LABEL_CHARS) -> str:
    """`label` for Markdown: brackets, colons and tags in a name stay what they are."""
    return words.literal(label(ws, clustering, cluster, limit), 4 * LABEL_CHARS + 20)


def badge(ws: Workspace, clustering: str, cluster: int, *, audio: bool, limit: int = LABEL_CHARS) -> str:
    """A Markdown badge, amber for sound and teal for picture: `sound 12 barking`."""
    colour, noun = ("orange", "sound") if audio else ("green", "picture")
    return f":{colour}-badge[{noun} {markdown(ws, clustering, cluster, limit)}]"


def shortened(name: str, limit: int) -> str:
    """A name of at most `limit` characters; text that runs from right to left cannot reorder what stands beside it."""
    kept = name if len(name) <= limit else f"{name[: max(1, limit - 1)].rstrip()}…"
    turns = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in kept)
    return f"{_ISOLATE}{kept}{_END}" if turns else kept


def _worded(name: Name | None, cluster: int, limit: int) -> str:
    number = words.cluster(cluster)
    if name is None or not name.name or cluster < 0:
        return number
    return f"{number} {shortened(name.name, limit)}{'?' if name.overlap is not None else ''}"


def _found(ws: Workspace, clustering: str) -> tuple[dict[int, Name], list[Name]]:
    stamp = naming.stamp(ws)
    fingerprint = ws.fingerprint(f"clusterings/{clustering}") if stamp and clustering else None
    if fingerprint is None:
        return {}, []
    return _names(str(ws.path), clustering, fingerprint, stamp)


@st.cache_resource(max_entries=64, show_spinner=False)
def _names(path: str, clustering: str, fingerprint: str, stamp: str) -> tuple[dict[int, Name], list[Name]]:
    try:
        return naming.names_and_lost(Workspace.open(path), clustering)
    except (ConcordError, OSError, IndexError):  # a page with numbers for names is better than no page
        return {}, []
