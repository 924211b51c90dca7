"""Names and notes that people gave to clusters: `names.jsonl`, append-only, last line wins, undo appends.

A name belongs to clusters as they were fitted: `cluster.fit=keep` keeps the fit, so names stay when clips are added.
Clusters that were made anew carry none of them by their number. Each line remembers some of the cluster's clips, drawn
by hash: where most of them share a cluster again, that cluster *had* the name before (`Name.overlap` says how many),
which a person confirms by naming it. No stage reads this file.
"""

from __future__ import annotations

import contextlib
import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from curation import lines
from curation.errors import InputError
from curation.locks import writer_lock
from curation.workspace import Workspace

FILE = "names.jsonl"
NAME_CHARS = 60
NOTE_CHARS = 1000
REMEMBERED = 32  # clips of a cluster that a line remembers
OVERLAP_MIN = (
    0.5  # of the remembered clips that must share a cluster, and about of that cluster's clips that were named
)
_WAIT_S = 10.0
# Marks that change the direction of the text around them; right-to-left text needs none of them to be read.
_DIRECTIONS = dict.fromkeys([0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


@dataclass(frozen=True)
class Name:
    """What a cluster is called. `time` in UTC, ISO 8601. `overlap` is None where the name was given to this very
    cluster, else the share of the remembered clips of a cluster so named before that are in this one.
    """

    clustering: str
    cluster: int
    name: str
    note: str = ""
    author: str = ""
    time: str = ""
    overlap: float | None = None


@dataclass(frozen=True)
class _Said:
    """One line that counts: the name, of which fit, and what it remembers of the cluster."""

    name: Name
    fit: str
    size: int
    clip_ids: tuple[str, ...]


# -- saying ------------------------------------------------------------------------------------------------------------


def clean(text: str, limit: int, what: str = "name", *, one_line: bool = True) -> str:
    """Text as it is kept: no control characters, no marks of direction, at most `limit` characters.

    Raises `InputError` where it is longer. A note (`one_line=False`) keeps its line breaks.
    """
    given = unicodedata.normalize("NFC", str(text)).translate(_DIRECTIONS)
    pieces = [" ".join(piece.split()) for piece in given.splitlines()]
    kept = (" " if one_line else "\n").join(pieces).strip()
    kept = "".join(c for c in kept if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn"))
    if len(kept) > limit:
        raise InputError(f"The {what} of a cluster has at most {limit} characters; this one has {len(kept)}.")
    return " ".join(kept.split()) if one_line else kept


def record(
    workspace: Workspace, clustering: str, cluster: int, name: str, note: str = "", author: str = ""
) -> Name | None:
    """Name a cluster, with a note; both empty takes the name back. Returns what is kept, None where nothing is.

    Raises `InputError` for a clustering or a cluster that is not there, and for texts that are too long.
    """
    fit, labels = _fit(workspace, clustering), np.asarray(workspace.array(f"clusterings/{clustering}", "assignments"))
    members = np.flatnonzero(labels == cluster)
    count = _n_clusters(workspace, clustering, labels)
    if isinstance(cluster, bool) or not 0 <= int(cluster) < count:
        raise InputError(f"{clustering} has no cluster {cluster}.", hint=f"Its clusters: 0 to {count - 1}.")
    said = Name(
        clustering,
        int(cluster),
        clean(name, NAME_CHARS),
        clean(note, NOTE_CHARS, "note", one_line=False),
        clean(author, 40, "namer"),
        datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    line: dict[str, Any] = {"clustering": clustering, "cluster": said.cluster, "name": said.name, "note": said.note}
    line |= {"author": said.author, "time": said.time, "fit": fit, "size": len(members)}
    line["clips"] = _drawn(workspace, members) if said.name or said.note else []
    with _lock(workspace):
        lines.append(workspace.path / FILE, [line])
    return said if said.name or said.note else None


def undo(workspace: Workspace, clustering: str, author: str | None = None) -> int | None:
    """Take back the last word on these clusters (of one author where given); returns its cluster, None without one."""
    fit = _fit(workspace, clustering)
    with _lock(workspace):
        said = [one for one in _words(lines.read(workspace.path / FILE)) if one.name.clustering == clustering]
        own = [one for one in said if one.fit == fit and (author is None or one.name.author == author)]
        if not own:
            return None
        last = own[-1].name
        line = {"clustering": clustering, "cluster": last.cluster, "undo": last.time, "author": last.author}
        line |= {"fit": fit, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        lines.append(workspace.path / FILE, [line])
    return last.cluster


# -- reading -----------------------------------------------------------------------------------------------------------


def names(workspace: Workspace, clustering: str) -> dict[int, Name]:
    """Name of each named cluster: given to it, or (`overlap`) to the cluster that most of its clips were in before."""
    found, _ = names_and_lost(workspace, clustering)
    return found


def names_and_lost(workspace: Workspace, clustering: str) -> tuple[dict[int, Name], list[Name]]:
    """As `names`, and the names of clusters made before that no cluster takes over, newest first."""
    fit = _fit(workspace, clustering)
    said = [one for one in _words(lines.read(workspace.path / FILE)) if one.name.clustering == clustering]
    latest: dict[tuple[str, int], _Said] = {}
    for one in said:
        latest.pop((one.fit, one.name.cluster), None)
        latest[one.fit, one.name.cluster] = one
    own = {one.name.cluster: one.name for one in latest.values() if one.fit == fit}
    found = {cluster: name for cluster, name in own.items() if name.name or name.note}
    before = [one for one in latest.values() if one.fit != fit and (one.name.name or one.name.note)]
    lost: list[Name] = []
    for one, cluster, overlap in _matched(workspace, clustering, before[::-1]):
        if cluster is None:
            lost.append(one.name)
        elif cluster not in own:  # what was said of these clusters counts, also that one has no name
            name = one.name
            found[cluster] = own[cluster] = Name(
                name.clustering, cluster, name.name, name.note, name.author, name.time, overlap
            )
    return found, [name for name in lost if name.name]


def stamp(workspace: Workspace) -> str:
    """Changes when a name is given or taken back: a key for caches."""
    try:
        info = (workspace.path / FILE).stat()
    except OSError:
        return ""
    return f"{info.st_size}-{info.st_mtime_ns}"


# -- inside ------------------------------------------------------------------------------------------------------------


def _fit(workspace: Workspace, clustering: str) -> str:
    """What the clusters are the clusters of: the fit that `cluster.fit=keep` keeps, else the artefact."""
    found = workspace.artefact(f"clusterings/{clustering}") if clustering else None
    if found is None:
        known = ", ".join(key.partition("/")[2] for key in workspace.keys("clusterings")) or "none yet"
        raise InputError(f"There is no clustering {clustering!r} in {workspace.name}.", hint=f"There are: {known}.")
    return str(found.info.get("fit") or found.fingerprint)


def _n_clusters(workspace: Workspace, clustering: str, labels: np.ndarray) -> int:
    found = workspace.require(f"clusterings/{clustering}", "cluster").info.get("n_clusters")
    return int(found) if found is not None else int(labels.max(initial=-1)) + 1


def _lock(workspace: Workspace) -> contextlib.AbstractContextManager[None]:
    return writer_lock(workspace.path / "locks" / "names.lock", purpose="names", wait_s=_WAIT_S)


def _words(records: Iterable[Mapping[str, Any]]) -> list[_Said]:
    """Lines that count, in their order: those that were not undone. What is not a name's line is left out."""
    found: list[_Said] = []
    for one in records:
        try:
            clustering, cluster, fit = str(one["clustering"]), int(one["cluster"]), str(one["fit"])
            if "undo" in one:
                same = [s.name.clustering == clustering and s.name.cluster == cluster and s.fit == fit
                        and s.name.time == one["undo"] for s in found]  # fmt: skip
                if any(same):
                    del found[len(same) - 1 - same[::-1].index(True)]
                continue
            name, note = clean(one["name"], 10**6)[:NAME_CHARS], clean(one["note"], 10**6, one_line=False)[:NOTE_CHARS]
            author = str(one["author"])[:40]
            said = Name(clustering, cluster, name, note, author, str(one["time"]))
            ids = tuple(str(clip) for clip in list(one["clips"])[:REMEMBERED])
            found.append(_Said(said, fit, int(one["size"]), ids))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _drawn(workspace: Workspace, members: np.ndarray) -> list[str]:
    """Ids of at most `REMEMBERED` of the clips, drawn by a hash of their rows, so that a prefix is no bias."""
    if not len(members) or not workspace.artefact_path("clips").is_file():
        return []
    step = max(1, len(members) // 4096)
    some = members[::step][:8192].tolist()
    rows = sorted(some, key=lambda row: hashlib.blake2b(str(row).encode(), digest_size=8).digest())[:REMEMBERED]
    query = 'SELECT clip_id FROM clips WHERE "row" IN (SELECT unnest(?::BIGINT[])) ORDER BY "row"'
    return [str(clip) for clip in workspace.query(query, [rows])["clip_id"].to_pylist()]


def _matched(workspace: Workspace, clustering: str, before: list[_Said]) -> list[tuple[_Said, int | None, float]]:
    """For each name of clusters made before the cluster that has most of its clips now, and the share it has."""
    wanted = sorted({clip for one in before for clip in one.clip_ids})
    if not wanted or not workspace.artefact_path("clips").is_file():
        return [(one, None, 0.0) for one in before]
    labels = np.asarray(workspace.array(f"clusterings/{clustering}", "assignments"))
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    query = 'SELECT clip_id, "row" FROM clips WHERE clip_id IN (SELECT unnest(?::VARCHAR[]))'
    table = workspace.query(query, [wanted])
    rows = dict(zip(table["clip_id"].to_pylist(), table["row"].to_pylist(), strict=True))
    found: list[tuple[_Said, int | None, float]] = []
    for one in before:
        now = np.array([int(labels[rows[c]]) for c in one.clip_ids if c in rows and rows[c] < len(labels)], np.int64)
        now = now[now >= 0]
        cluster, overlap = None, 0.0
        if len(now):
            counts = np.bincount(now)
            best = int(counts.argmax())
            overlap = float(counts[best] / len(now))
            # Of a cluster that swallowed the named one, the name says little: it must be about half of it at least
            if overlap >= OVERLAP_MIN and overlap * one.size >= OVERLAP_MIN * sizes[best]:
                cluster = best
        found.append((one, cluster, overlap))
    return sorted(found, key=lambda item: -item[2])
