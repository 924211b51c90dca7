"""The pieces of the Export page: three choices, the preview, the run as a job, the files that are there."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from curation.errors import ConcordError
from curation.export import ALL_CLIPS, preview
from curation.exporters import registry
from curation.home import check_allowed
from curation.workspace import Workspace
from explorer import data, forms, jobs_panel, state
from explorer.choosers import choose
from explorer.views import export, overview, words

PREVIEW_ROWS = 10
LANGUAGES = {"acav-csv": None, "csv": None, "jsonl": "json", "parquet": None}


@dataclass(frozen=True)
class Choice:
    """What will be written: a selection's name or `all`, its number of clips, the format, and where (None: refused)."""

    selection: str
    n_rows: int
    format: str
    out: Path | None


def draw_choices(workspace: Workspace) -> Choice:
    """What, which format, where."""
    selections = data.selections(workspace)
    options = [*selections, ALL_CLIPS]
    current = state.current_selection(workspace) or ALL_CLIPS
    labels = {name: f"selected: {label}" for name, label in overview.selection_labels(selections).items()}
    labels[ALL_CLIPS] = f"all clips · {words.count(data.n_clips(workspace))}"
    what = st.selectbox(
        "What",
        options,
        index=options.index(current),
        format_func=lambda name: labels.get(name, name),
        key=f"export.what.{current}",
    )
    titles = {exporter.name: exporter.title for exporter in registry.exporters()}
    format = choose("Format", titles, "format", next(iter(titles)))
    exporter = registry.get(format)
    st.caption(exporter.description)
    default = (
        workspace.path
        / export.FOLDER
        / export.default_name(workspace.name, "all clips" if what == ALL_CLIPS else what, exporter.suffix)
    )
    text = st.text_input(
        "Where",
        str(export.free_path(default)),
        key=f"export.out.{default.name}",
        help="A file on this machine; nothing is overwritten.",
    )
    n_rows = data.n_clips(workspace) if what == ALL_CLIPS else int(selections[what].get("clips", 0))
    return Choice(what, n_rows, format, _place(text))


def _place(text: str) -> Path | None:
    """A path that may be written and is free (a number is added where it is not), or None with the reason drawn."""
    if not text.strip():
        return None
    try:
        path = check_allowed(text.strip())
    except ConcordError as error:
        forms.show_problem(error)
        return None
    return export.free_path(path / "clips" if path.is_dir() else path)


def draw_preview(workspace: Workspace, choice: Choice) -> None:
    """The first rows as text, and what the whole file will weigh."""
    try:
        text = _preview(str(workspace.path), workspace, choice.selection, choice.format, _stamp(workspace, choice))
    except (ConcordError, OSError) as error:
        forms.show_problem(error)
        return
    shown = min(PREVIEW_ROWS, choice.n_rows)
    size = overview.size(export.size_estimate(text, shown, choice.n_rows, choice.format))
    as_text = ", here as text" if choice.format == "parquet" else ""
    first = words.count(shown, "rows")
    st.caption(f"The first {first} as they will be written{as_text} · {choice.n_rows:,} in all, about {size}")
    st.code(text, language=LANGUAGES.get(choice.format))


@st.cache_data(max_entries=32, show_spinner=False)
def _preview(path: str, _workspace: Workspace, selection: str, format: str, stamp: str) -> str:
    return preview(_workspace, format, selection=selection, n=PREVIEW_ROWS)


def _stamp(workspace: Workspace, choice: Choice) -> str:
    own = workspace.fingerprint(f"selections/{choice.selection}") if choice.selection != ALL_CLIPS else ""
    layers = [str(info["fingerprint"]) for info in data.clusterings(workspace).values()]
    return ":".join([workspace.fingerprint("clips") or "", own or "", *layers])


def draw_run(workspace: Workspace, choice: Choice) -> None:
    """Run as a job, with the command that does the same."""
    out = choice.out
    argv = [
        "export",
        str(workspace.path),
        "--format",
        choice.format,
        "--out",
        str(out or ""),
        "--selection",
        choice.selection,
    ]
    busy = jobs_panel.is_running(workspace)
    if out is not None:
        st.caption(f"Writes {words.literal(out.name, 120)}")
    if st.button(
        "Export",
        type="primary",
        key="export.run",
        disabled=busy or out is None,
        help="A job is running." if busy else None,
    ):
        assert out is not None
        out.parent.mkdir(parents=True, exist_ok=True)
        jobs_panel.launch(workspace, argv, title=f"Export {registry.get(choice.format).title}")
    st.caption("The same on the command line")
    st.code(shlex.join(["python", "-m", "curation", *argv]), language="bash", wrap_lines=True)


def draw_files(workspace: Workspace) -> None:
    """Files in the workspace's folder of exports; small ones can be downloaded."""
    folder = workspace.path / export.FOLDER
    files = export.exported_files(folder)
    if not files:
        return
    st.subheader("Written so far", anchor=False)
    table, download = st.columns([3, 2], gap="large")
    frame = pd.DataFrame(
        {
            "file": [file.name for file in files],
            "size": [overview.size(file.size_bytes) for file in files],
            "written": [overview.ago(file.modified) for file in files],
        }
    )
    with table:
        st.dataframe(frame, hide_index=True, key="export.files")
    small = [file.name for file in files if file.is_small]
    with download:
        if not small:
            st.caption(f"All are too large to hand to the browser; they lie in {words.literal(str(folder), 200)}")
            return
        name = st.selectbox("Download", small, key="export.download_name")
        st.download_button(
            "Download",
            data=lambda: (folder / name).read_bytes(),
            file_name=name,
            on_click="ignore",
            icon=":material/download:",
            key="export.download",
        )
