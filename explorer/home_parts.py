"""The pieces of the first page: three ways to begin, recent workspaces, and the open workspace's stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from curation import jobs
from curation.errors import ConcordError
from curation.home import workspaces_folder
from curation.workspace import Workspace
from explorer import data, forms, jobs_panel, recent, state
from explorer.layout import wrapped
from explorer.views import overview, words

DEMO_CLIPS = 160
IMPORT_COMMANDS = """\
python -m curation import WORKSPACE --clips clips.csv \\
    --features audio:clap=sound.npy --features visual:dino=picture.npy
python -m curation import WORKSPACE --assignments clusters.npy --names audio:a0,visual:v0
python -m curation run WORKSPACE
# later, with more rows: only the new ones are taken
python -m curation import WORKSPACE --add --clips more.csv \\
    --features audio:clap=more_sound.npy --features visual:dino=more_picture.npy"""
OTHER_SOURCES = "A list, metadata.tsv, or tars"


# -- three ways to begin -----------------------------------------------------------------------------------------------


def draw_cards() -> None:
    """The three cards, of equal height."""
    demo, folder, bring = wrapped([1, 1, 1], "cards")
    with demo.container(border=True, height="stretch"):
        _demo_card()
    with folder.container(border=True, height="stretch"):
        _folder_card()
    with bring.container(border=True, height="stretch"):
        _bring_card()


def _demo_card() -> None:
    st.subheader("Try the demo", anchor=False)
    st.markdown(
        f"{DEMO_CLIPS} short clips in eight kinds of event, made on this machine in about two minutes. "
        "Part of them carry another kind's sound; the diagonal shows which belong together."
    )
    path = workspaces_folder() / "demo"
    existing = _opened(path)
    if existing is not None and data.selections(existing) and not jobs_panel.is_running(existing):
        if st.button("Open the demo", type="primary", icon=":material/play_arrow:", key="home.demo"):
            state.open_workspace_at(path)
            state.goto("contingency", ws=path)
        return
    running = existing is not None and jobs_panel.is_running(existing)
    label = "Show the demo being made" if running else "Make and open the demo"
    if st.button(label, type="primary", icon=":material/play_arrow:", key="home.demo"):
        _start_demo(path)


def _start_demo(path: Path) -> None:
    try:
        workspace = Workspace.create(path, name="demo")
        state.open_workspace_at(workspace.path)
    except (ConcordError, OSError) as error:
        forms.show_problem(error)
        return
    running = jobs.running_jobs(workspace)
    if running:
        state.set_params(demo=running[0]["id"])
        st.rerun()
    jobs_panel.launch(workspace, ["demo", str(workspace.path)], title="Demo", demo=jobs_panel.JOB_ID)


def leave_when_demo_is_done(workspace: Workspace | None) -> None:
    """Go to the contingency page when the demo in the address (`demo` = job id) is made."""
    job_id = state.param("demo")
    if workspace is None or not job_id:
        return
    record = jobs.read_job(workspace, job_id)
    if record is not None and record["state"] == "done":
        state.goto("contingency")
    if record is None or record["state"] in jobs.FINAL_STATES:
        state.set_params(demo=None)


def _folder_card() -> None:
    st.subheader("Open a folder of videos", anchor=False)
    st.markdown(
        "See and hear 20 random clips of it at once, then run. The videos stay where they are and are only read."
    )
    text = forms.folder_input("Folder on this machine", "home.folder")
    if st.button("Look into this folder", type="primary", icon=":material/search:", key="home.look"):
        if not text:
            st.caption("Enter a folder first, or browse to it.")
            return
        folder = forms.allowed_folder(text)
        if folder is not None:
            state.close_workspace()
            state.goto("ingest", ws=None, run=None, folder=str(folder))
    if st.button(OTHER_SOURCES, type="tertiary", icon=":material/list_alt:", key="home.other_source"):
        state.close_workspace()
        state.goto("ingest", ws=None, run=None)


def _bring_card() -> None:
    st.subheader("Bring features or assignments", anchor=False)
    st.markdown("Results made elsewhere come into a workspace by command; open that workspace here afterwards.")
    text = forms.folder_input(
        "Folder of the workspace", "home.workspace", placeholder=str(workspaces_folder() / "videos")
    )
    opening, commands = st.columns([1, 2])
    with commands.popover("Commands", icon=":material/terminal:"):
        st.code(IMPORT_COMMANDS, language="bash")
    if opening.button("Open", icon=":material/folder:", key="home.open", width="stretch"):
        if not text:
            st.caption("Enter the folder of a workspace first, or browse to it.")
            return
        try:
            state.open_workspace_at(text)
        except ConcordError as error:
            forms.show_problem(error)
        else:
            st.rerun()


def _opened(path: Path) -> Workspace | None:
    try:
        return Workspace.open(path)
    except ConcordError:
        return None


# -- recent workspaces -------------------------------------------------------------------------------------------------


def draw_recent() -> None:
    """Name, clips, hours, last run and size of recent workspaces; a chosen row is opened."""
    rows = recent.rows()
    if not rows:
        return
    st.subheader("Recent workspaces", anchor=False)
    frame = pd.DataFrame(
        {
            "name": [row.name for row in rows],
            "clips": [row.clips for row in rows],
            "hours": [row.hours for row in rows],
            "last run": [overview.ago(row.last_run) if row.last_run else words.MISSING for row in rows],
            "on disk": [("" if row.size_is_complete else "over ") + overview.size(row.size_bytes) for row in rows],
            "folder": [row.path for row in rows],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        key="home.recent",
        on_select=lambda: _open_row([row.path for row in rows]),
        selection_mode="single-row",
        column_config={
            "clips": st.column_config.NumberColumn(format="localized"),
            "hours": st.column_config.NumberColumn("length, h", format="%.2f"),
        },
    )


def _open_row(paths: list[str]) -> None:
    rows = st.session_state["home.recent"].selection.rows
    if rows:
        try:
            state.open_workspace_at(paths[rows[0]])
        except ConcordError:
            recent.forget(paths[rows[0]])


# -- the open workspace ------------------------------------------------------------------------------------------------


def draw_status(workspace: Workspace) -> None:
    """What is done, out of date and missing, and one button that runs it."""
    try:
        lines = overview.stage_lines(_status(workspace), overview.stage_counts(_facts(workspace)))
    except ConcordError as error:
        forms.show_problem(error)
        return
    with st.container(border=True, key="home.status"):
        title, button = st.columns([3, 1], vertical_alignment="center")
        title.markdown(f"**{words.literal(workspace.name)}**")
        waiting = overview.next_step(lines)
        verb = "Being made" if jobs_panel.is_running(workspace) else "A run would make"
        title.caption(f"{verb}: {waiting}" if waiting else "Everything is up to date.")
        with button:
            _run_button(workspace, lines, bool(waiting))
        for column, line in zip(wrapped([1] * len(lines), "status"), lines):
            column.metric(line.noun, line.figure, help=line.reason or None)
            column.caption(f"{line.icon} {line.state}")


def _run_button(workspace: Workspace, lines: list[overview.StageLine], waiting: bool) -> None:
    running = jobs_panel.is_running(workspace)
    if not workspace.roots and not data.n_clips(workspace):
        if not running and st.button("Choose videos", type="primary", key="home.choose", width="stretch"):
            state.goto("ingest")
        return
    if st.button(
        "Run what is missing",
        type="primary" if waiting else "secondary",
        key="home.run",
        disabled=running or not waiting,
        help="A job is running." if running else jobs_panel.command_line(workspace),
        width="stretch",
    ):
        jobs_panel.launch(workspace, ["run", str(workspace.path)], title="Run", run=None)


def _status(workspace: Workspace) -> list[Any]:
    """The pipeline's states; read again only when a file that they depend on changed."""
    stamps = []
    for name in ("workspace.json", "manifest.json", "listing.parquet"):
        path = workspace.path / name
        stamps.append(path.stat().st_mtime_ns if path.is_file() else 0)
    return _cached_status(str(workspace.path), tuple(stamps))


@st.cache_resource(max_entries=32, show_spinner=False)
def _cached_status(path: str, stamps: tuple[int, ...]) -> list[Any]:
    from curation import pipeline  # loads the kernels' libraries, so only where it is needed

    return pipeline.status(Workspace.open(path))


def _facts(workspace: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("videos", "filtered", "clips"):
        if workspace.artefact_path(key).is_file():
            artefact = workspace.artefact(key)
            found[key] = {**(artefact.info if artefact else {}), "rows": workspace.n_rows(key)}
    features = [workspace.artefact(key) for key in workspace.keys("features")]
    found["layers"] = sum(len(artefact.info.get("layers", {})) for artefact in features if artefact)
    health = workspace.artefact("health")
    found["healthy"] = health.info.get("healthy") if health is not None and workspace.fits(health) else None
    found["clusterings"] = len(data.clusterings(workspace))
    selections, current = data.selections(workspace), state.current_selection(workspace)
    found["selections"] = [selections[current]] if current else []
    found["neighbours"] = len(workspace.keys("neighbours"))
    found["maps"] = len(workspace.keys("projections"))
    return found
