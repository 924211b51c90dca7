"""The pieces of the Ingest page: the folder, 20 random clips, settings with one Run, the funnel with its reasons."""

from __future__ import annotations

import os
import re
from pathlib import Path

import streamlit as st

from curation.config import Config
from curation.errors import ConcordError, SettingError
from curation.home import Found, media_in, workspaces_folder
from curation.workspace import Workspace
from explorer import charts, data, forms, jobs_panel, routes, state
from explorer.choosers import number
from explorer.components.clip_grid import GridEvent, GridItem, clip_grid
from explorer.components.player import PlayerEvent, player
from explorer.views import ingest, words

COUNTED_MAX = 20_000
PREVIEWS = 20
FILTER_KEYS = ("filter.streams", "filter.duplicates", "filter.min_duration_s", "filter.max_duration_s")
MORE_KEYS = ("filter.min_height_px", "filter.min_size_bytes", "filter.max_size_bytes", "filter.where")
SEGMENT_KEYS = (
    "segment.mode", "segment.clip_s", "segment.max_clips", "segment.choice", "segment.detector", "segment.threshold",
    "segment.hop_s",
)  # fmt: skip


# -- the folder --------------------------------------------------------------------------------------------------------


def draw_folder_question() -> None:
    """Nothing is open: ask for a folder."""
    with st.container(border=True):
        st.markdown("**Which folder holds the videos?** They stay where they are and are only read.")
        text = forms.folder_input("Folder on this machine", "ingest.folder")
        if st.button("Look into this folder", type="primary", icon=":material/search:", key="ingest.look"):
            folder = forms.allowed_folder(text)
            if folder is not None:
                state.set_params(folder=str(folder))
                st.rerun()


def draw_folder(workspace: Workspace | None, folder: Path | None) -> Found | None:
    """The media folder and what lies in it; None when there is nothing to look at."""
    if folder is None:
        if workspace is not None and data.n_clips(workspace):
            st.text(
                "The clips of this workspace were brought in from elsewhere; there is no folder of videos behind them."
            )
        elif workspace is not None:
            _draw_root_question(workspace)
        return None
    try:
        found = _found(str(folder))
    except ConcordError as error:
        forms.show_problem(error)
        if workspace is not None:
            _draw_root_question(workspace)
        return None
    problems = len(found.problems)
    st.text(f"{folder}\n{ingest.found_line(len(found.entries) - problems, found.truncated, found.n_skipped, problems)}")
    if not found.entries:
        st.text("No media files here. Choose the folder that holds the videos (mp4, mkv, webm, mov, avi, ...).")
        if workspace is not None:
            _draw_root_question(workspace)
        elif st.button("Choose another folder", key="ingest.other"):
            state.set_params(folder=None)
            st.rerun()
        return None
    return found


def _draw_root_question(workspace: Workspace) -> None:
    text = forms.folder_input("Folder of videos", "ingest.root")
    if st.button("Use this folder", type="primary", key="ingest.use"):
        folder = forms.allowed_folder(text)
        if folder is not None and forms.apply_settings(workspace, {}, roots=[str(folder)]):
            st.rerun()


@st.cache_resource(ttl=60, max_entries=8, show_spinner="Looking into the folder")
def _found(folder: str) -> Found:
    return media_in(folder, COUNTED_MAX)


# -- 20 random clips ---------------------------------------------------------------------------------------------------


def draw_preview(folder: Path, found: Found) -> None:
    """Stills of 20 random files with one player; nothing is stored in a workspace for it."""
    seed = number("seed", 0)
    paths = [entry.path_bytes for entry in found.entries if not entry.problem]
    sample = ingest.draw_sample(paths, PREVIEWS, seed)
    if not sample:
        return
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader(f"{len(sample)} random clips", anchor=False)
    if len(paths) > PREVIEWS and button.button(
        "Other clips", icon=":material/casino:", key="ingest.other_clips", width="stretch"
    ):
        state.set_params(seed=seed + 1, preview=None)
        st.rerun()
    at = number("preview", 0, high=len(sample) - 1)
    files = [os.path.join(os.fspath(folder), os.fsdecode(path)) for path in sample]  # noqa: PTH118  (odd bytes stay)
    names = [path.decode("utf-8", "replace") for path in sample]
    grid, stage = st.columns([3, 2], gap="medium")
    with grid:
        items = [
            GridItem(str(i), routes.preview_still_url(file), caption=name, media_url=routes.preview_proxy_url(file))
            for i, (file, name) in enumerate(zip(files, names))
        ]
        clip_grid(items, current=str(at), tile_width=132, key="ingest.grid", on_event=_choose)
    with stage:
        player(
            routes.preview_proxy_url(files[at]),
            poster_url=routes.preview_still_url(files[at]),
            preload=[routes.preview_proxy_url(files[at + 1])] if at + 1 < len(files) else [],
            title=names[at],
            bands=(),
            has_previous=at > 0,
            has_next=at + 1 < len(files),
            height=300,
            key="ingest.player",
            on_event=_step,
        )


def _choose(event: GridEvent) -> None:
    state.set_params(preview=event.clip_id)


def _step(event: PlayerEvent) -> None:
    state.set_params(preview=max(0, min(PREVIEWS - 1, number("preview", 0) + event.step)))


# -- settings and run --------------------------------------------------------------------------------------------------


def draw_settings(workspace: Workspace | None, folder: Path, found: Found) -> None:
    """Filters and segmentation, the sample, and the buttons that keep them and run."""
    config = workspace.config if workspace else Config()
    prefix = f"ingest.{workspace.path if workspace else folder}"
    st.subheader("Settings", anchor=False)
    with st.form("ingest.settings", border=True):
        if workspace is None:
            name = st.text_input(
                "Name of the workspace", folder.name, key="ingest.name", help="Kept under " + str(workspaces_folder())
            )
        left, middle, right = st.columns(3, gap="large")
        with left:
            st.markdown("**Which videos go on**")
            changes = forms.setting_widgets(config, FILTER_KEYS, prefix)
        with middle:
            st.markdown("**Picture, size, any column**")
            changes |= forms.setting_widgets(config, MORE_KEYS, prefix)
        with right:
            st.markdown("**How they are cut into clips**")
            changes |= forms.setting_widgets(config, SEGMENT_KEYS, prefix)
        changes["scan.sample"] = _sample_choice(workspace, config, len(found.entries))
        busy = workspace is not None and jobs_panel.is_running(workspace)
        run, clips_only, _ = st.columns([1, 1, 4])
        everything = run.form_submit_button("Run", type="primary", width="stretch", disabled=busy, key="ingest.run")
        until_clips = clips_only.form_submit_button(
            "Clips only",
            width="stretch",
            disabled=busy,
            key="ingest.clips_only",
            help="Stop when the clips are listed.",
        )
        if busy:
            st.caption("A job is running; its progress is in the sidebar.")
    if everything or until_clips:
        target = workspace or _create(name, folder, changes)
        if target is not None and forms.apply_settings(target, changes):
            options = ["--until", "segment"] if until_clips else []
            title = "Clips only" if until_clips else "Run"
            jobs_panel.launch(target, ["run", str(target.path), *options], title=title, run=None)
    if workspace is not None:
        st.caption("The same on the command line")
        st.code(jobs_panel.command_line(workspace), language="bash", wrap_lines=True)


def _sample_choice(workspace: Workspace | None, config: Config, n_files: int) -> int:
    if n_files <= ingest.SAMPLE_FILES:
        return config.scan.sample
    fresh = workspace is None or workspace.artefact("videos") is None
    on = st.checkbox(
        f"On a sample of {ingest.SAMPLE_FILES:,} files first",
        value=fresh or bool(config.scan.sample),
        key="ingest.sample",
        help="Drawn at random. Run again without it to take in the rest; what was done is kept.",
    )
    return (config.scan.sample or ingest.SAMPLE_FILES) if on else 0


def _create(name: str, folder: Path, changes: dict[str, object]) -> Workspace | None:
    """A new workspace for a folder, opened; None with the reason drawn. Settings are checked before it is made."""
    stem = re.sub(r"[^\w .%+-]+", "-", name.strip()).strip(" .-")[:60] or "workspace"
    place, number = workspaces_folder() / stem, 1
    while place.exists():
        number += 1
        place = workspaces_folder() / f"{stem}-{number}"
    try:
        Config().replace(changes)
        Workspace.create(place, name=name.strip() or stem, roots=[str(folder)])
        return state.open_workspace_at(place)
    except (SettingError, ConcordError, OSError) as error:
        forms.show_problem(error)
        return None


# -- the funnel --------------------------------------------------------------------------------------------------------


def draw_funnel(workspace: Workspace) -> None:
    """Bars found, readable, after filters, cut into clips; a step's losses with their reasons beside them."""
    steps = ingest.funnel(*(data.table(workspace, key) for key in ("videos", "filtered", "segmented")))
    clips = workspace.artefact("clips")
    line = ingest.clips_line({"clips": data.n_clips(workspace), **clips.info}) if clips else ""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{line}**" if line else "**No clips yet**", width="content")
        if data.selections(workspace) and st.button(
            "See sound against picture", icon=":material/grid_on:", key="ingest.next"
        ):
            state.goto("contingency")
    chart, reasons = st.columns([2, 3], gap="large")
    with chart:
        dark = st.context.theme.type == "dark"
        figure = charts.funnel([(step.name, step.left) for step in steps], unit="files", dark=dark)
        st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="ingest.funnel")
    with reasons:
        _draw_reasons(steps)


def _draw_reasons(steps: list[ingest.Step]) -> None:
    losing = {step.name: step for step in steps if step.n_lost}
    if not losing:
        st.text("Every file was used.")
        return
    labels = {"readable": "not readable", "after filters": "dropped by filters", "cut into clips": "gave no clip"}
    names = list(losing)
    wanted = state.param("lost")
    chosen = st.segmented_control(
        "Files that are not used",
        names,
        format_func=lambda name: f"{losing[name].n_lost:,} {labels.get(name, name)}",
        default=wanted if wanted in names else names[0],
        required=True,
        key="ingest.lost",
    )
    state.set_params(lost=chosen if chosen != names[0] else None)
    step = losing[chosen or names[0]]
    counts = ingest.code_counts(step)
    st.caption(words.literal(" · ".join(f"{n:,} {ingest.CODES.get(code, code)}" for code, n in counts), 400))
    frame, more = ingest.lost_rows(step)
    st.dataframe(frame, hide_index=True, height=240, key="ingest.lost_rows")
    if more:
        st.caption(f"and {more:,} more; all of them: `python -m curation status WORKSPACE --files`")
