"""Media that moved since the scan: a clip goes in; where its file was is said, and a new place may be given.

A workspace names its sources in workspace.json, and rows point at them by number: giving a source another folder
brings all of its clips back, without a new scan.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pyarrow.parquet as pq
import streamlit as st

from curation.audit import file_there
from curation.errors import ConcordError
from curation.records import real_path
from curation.workspace import Workspace
from explorer import data, forms
from explorer.views import words

_KEY = "media.new"


def offer(ws: Workspace, row: int) -> None:
    """Nothing where the clip's file is there; else where it was, and a field for where the files are now."""
    place = _place(ws, row)
    if place is None:
        return
    root, path_bytes = place
    roots = ws.roots
    if not 0 <= root < len(roots):
        return
    was = real_path(roots[root], path_bytes)
    if file_there(was):
        return
    with st.container(border=True, key="media-moved"):
        st.markdown("**The file of this clip is not there any more.**")
        st.text(f"It was at {_shown(was)}")
        if not Path(roots[root]).is_dir():
            st.caption(f"The whole folder {words.literal(roots[root], 200)} is gone: moved, renamed or not mounted.")
        folder = forms.allowed_folder(forms.folder_input("Where are the files now?", _KEY, placeholder=roots[root]))
        if folder is None:
            return
        now = real_path(str(folder), path_bytes)
        if not file_there(now):
            st.error(
                f"There is no {_literal(path_bytes)} in {words.literal(str(folder), 200)}.", icon=":material/error:"
            )
        elif st.button(f"Use {words.literal(folder.name)}", key="media.use", type="primary"):
            try:
                moved_to(ws, root, str(folder))
            except (ConcordError, OSError) as error:
                forms.show_problem(error)
                return
            st.rerun()


def moved_to(ws: Workspace, root: int, folder: str) -> None:
    """Give the source number `root` another folder; all else about it stays. Raises `ConcordError`."""
    sources = ws.sources
    spec = sources[root]
    if spec.kind == "tars" and spec.path.endswith(".tar"):
        new = dataclasses.replace(spec, path=str(Path(folder) / Path(spec.path).name))
    elif spec.media:
        new = dataclasses.replace(spec, media=folder)
    else:
        new = dataclasses.replace(spec, path=folder)
    ws.configure(sources=[new if i == root else one for i, one in enumerate(sources)])


def _place(ws: Workspace, row: int) -> tuple[int, bytes] | None:
    """Number of the source and path below it of a clip's file; None where the workspace knows no file of it."""
    fingerprint = ws.fingerprint("videos")
    if fingerprint is None:
        return None
    clip = data.clip_at(ws, row)
    return _video(str(ws.path), fingerprint, clip.video_id, clip.path)


@st.cache_data(max_entries=4000, show_spinner=False)
def _video(path: str, fingerprint: str, video_id: str, shown_path: str) -> tuple[int, bytes] | None:
    # Rows are sorted by path, so that the condition on it spares most of the table.
    found = pq.read_table(
        Workspace.open(path).artefact_path("videos"),
        columns=["root", "path_bytes"],
        filters=[("path", "=", shown_path), ("video_id", "=", video_id)],
        partitioning=None,
    ).to_pylist()
    return (int(found[0]["root"]), found[0]["path_bytes"]) if found and found[0]["path_bytes"] else None


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _literal(path_bytes: bytes) -> str:
    return words.literal(path_bytes.decode("utf-8", "backslashreplace"), 200)
