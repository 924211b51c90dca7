"""The pieces of the Ingest page: what a source holds, 20 random clips, filters and settings with a Run, the funnel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from curation.columns import is_answer
from curation.config import Config
from curation.errors import ConcordError, SettingError
from curation.home import workspaces_folder
from curation.preview import ITEMS_MAX, JUDGED_MAX, Preview, judge, look_into, shown
from curation.sourcespec import SourceSpec
from curation.workspace import Workspace
from explorer import charts, data, forms, ingest_sources, jobs_panel, routes, state
from explorer.choosers import number
from explorer.components.clip_grid import GridEvent, GridItem, clip_grid
from explorer.components.player import PlayerEvent, player
from explorer.layout import split, wrapped
from explorer.views import ingest, words

PREVIEWS = 20
FILTER_KEYS = ("filter.streams", "filter.duplicates", "filter.min_duration_s", "filter.max_duration_s")
MORE_KEYS = ("filter.min_height_px", "filter.min_size_bytes", "filter.max_size_bytes", "filter.where")
SEGMENT_KEYS = (
    "segment.mode", "segment.clip_s", "segment.max_clips", "segment.choice", "segment.detector", "segment.threshold",
    "segment.hop_s",
)  # fmt: skip
METADATA_KEYS = (
    "filter.metadata_min_duration_s", "filter.metadata_max_duration_s", "filter.languages", "filter.drop_categories",
)  # fmt: skip
WORD_KEYS = (
    "filter.drop_artist", "filter.drop_animation", "filter.drop_gaming", "filter.drop_tutorial", "filter.drop_official",
    "filter.keywords_in",
)  # fmt: skip


# -- what a source holds -----------------------------------------------------------------------------------------------


def draw_found(workspace: Workspace | None, spec: SourceSpec | None) -> Preview | None:
    """What lies in the source that is looked at; None when there is nothing to look at, and why is drawn."""
    if spec is None:
        if workspace is not None and data.n_clips(workspace):
            st.text(
                "The clips of this workspace were brought in from elsewhere; there is no folder of videos behind them."
            )
        elif workspace is not None:
            ingest_sources.draw_question(workspace)
        return None
    try:
        found = _found(spec)
    except ConcordError as error:
        forms.show_problem(error)
        _draw_other(workspace)
        return None
    line = ingest.found_line(
        len(found.paths), not found.is_whole, found.n_skipped, found.problems, found.files_looked_at
    )
    st.text(f"{ingest.KINDS[spec.kind]} · {spec.path}\n{line}")
    if spec.kind == "list":
        ingest_sources.draw_columns(workspace, spec)
    if spec.kind != "folder" and found.examples:
        _draw_examples(found)
    if not found.n:
        st.text("No media files here. Choose the folder that holds the videos (mp4, mkv, webm, mov, avi, ...).")
        _draw_other(workspace)
        return None
    return found


def _draw_other(workspace: Workspace | None) -> None:
    """A way back from a source that holds nothing; a workspace's own has the chooser above it."""
    if (workspace is None or ingest_sources.is_pending()) and st.button("Choose another source", key="ingest.other"):
        ingest_sources.forget()
        st.rerun()


def _draw_examples(found: Preview) -> None:
    """The first rows of a list, of metadata or of tars, as they will be kept."""
    frame = pd.DataFrame(found.examples)
    empty = [name for name in ("title", "code", "message") if not frame[name].astype(bool).any()]
    with st.expander(f"First {len(frame):,} rows", icon=":material/table_rows:"):
        st.dataframe(frame.drop(columns=empty), hide_index=True, height=280, key="ingest.examples")


@st.cache_resource(ttl=60, max_entries=8, show_spinner="Looking into it")
def _found(spec: SourceSpec) -> Preview:
    return look_into(spec, ITEMS_MAX)


# -- 20 random clips ---------------------------------------------------------------------------------------------------


def draw_preview(found: Preview) -> None:
    """Stills of 20 random files with one player; nothing is stored in a workspace for it."""
    seed = number("seed", 0)
    files = ingest.draw_sample(found.paths, PREVIEWS, seed)
    if not files:
        return
    head = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom")
    head.subheader(f"{len(files)} random clips", anchor=False, width="content")
    if len(found.paths) > PREVIEWS and head.button("Other clips", icon=":material/casino:", key="ingest.other_clips"):
        state.set_params(seed=seed + 1, preview=None)
        st.rerun()
    at = number("preview", 0, high=len(files) - 1)
    names = [shown(file).rpartition("/")[2] for file in files]

    def step(event: PlayerEvent) -> None:
        state.set_params(preview=max(0, min(len(files) - 1, at + event.step)))  # from the clip that the browser shows

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
            on_event=step,
        )


def _choose(event: GridEvent) -> None:
    state.set_params(preview=event.clip_id)


# -- filters of metadata -----------------------------------------------------------------------------------------------


def draw_metadata_filters(workspace: Workspace | None, spec: SourceSpec, found: Preview) -> dict[str, Any]:
    """The reference's filters with what each would drop, before anything runs; returns the settings as entered."""
    if spec.kind != "metadata":
        return {}
    config = workspace.config if workspace else Config()
    prefix = f"ingest.{workspace.path if workspace else spec.path}"
    st.subheader("Filters by metadata", anchor=False)
    left, right = split([1, 1], "metadata")
    with left:
        changes = forms.setting_widgets(config, METADATA_KEYS, prefix)
        with st.expander("Words that drop a video", icon=":material/match_word:"):
            changes |= forms.setting_widgets(config, WORD_KEYS, prefix)
    with right:
        try:
            dropped = judge(found, config.replace(changes).filter)
        except SettingError as error:
            forms.show_problem(error)
            return changes
        of = f"of the first {JUDGED_MAX:,} lines" if dropped.looked_at == JUDGED_MAX else "of all lines"
        share = words.percent(dropped.kept / dropped.looked_at) if dropped.looked_at else words.MISSING
        st.markdown(f"**{dropped.kept:,} of {words.count(dropped.looked_at, 'videos')} would go on** · {share} {of}")
        frame = pd.DataFrame(
            {
                "filter": [ingest.CODES.get(code, code) for code in dropped.counts],
                "would drop": list(dropped.counts.values()),
            }
        )
        if len(frame):
            st.dataframe(frame, hide_index=True, key="ingest.would_drop")
            with st.expander("Which ones", icon=":material/list:"):
                st.dataframe(pd.DataFrame(dropped.examples), hide_index=True, height=240, key="ingest.would_rows")
        st.caption("The first reason counts. What the metadata do not say speaks for no reason.")
    return changes


# -- settings and run --------------------------------------------------------------------------------------------------


def draw_settings(workspace: Workspace | None, spec: SourceSpec, found: Preview, changes: dict[str, Any]) -> None:
    """Filters, segmentation, the sample, and the buttons that keep them and run. `changes`: what was entered above."""
    config = workspace.config if workspace else Config()
    prefix = f"ingest.{workspace.path if workspace else spec.path}"
    st.subheader("Settings", anchor=False)
    with st.form("ingest.settings", border=True):
        name = ""
        if workspace is None:
            name = st.text_input(
                "Name of the workspace",
                _name_of(spec),
                key="ingest.name",
                help="Kept under " + str(workspaces_folder()),
            )
        left, middle, right = st.columns(3, gap="large")
        with left:
            st.markdown("**Which videos go on**")
            changes |= forms.setting_widgets(config, FILTER_KEYS, prefix)
        with middle:
            st.markdown("**Picture, size, any column**")
            changes |= forms.setting_widgets(config, MORE_KEYS, prefix)
        with right:
            st.markdown("**How they are cut into clips**")
            changes |= forms.setting_widgets(config, SEGMENT_KEYS, prefix)
            changes["segment.source"] = _source_choice(config, found, prefix)
        changes["scan.sample"] = _sample_choice(workspace, config, found.n)
        busy = workspace is not None and jobs_panel.is_running(workspace)
        run, clips_only, _ = wrapped([1, 1, 4], "ingest-run")
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
        target = workspace or _create(name, spec, changes)
        if target is not None and forms.apply_settings(target, changes):
            options = ["--until", "segment"] if until_clips else []
            title = "Clips only" if until_clips else "Run"
            jobs_panel.launch(target, ["run", str(target.path), *options], title=title, run=None)
    st.caption("The same on the command line")
    if workspace is not None:
        st.code(jobs_panel.command_line(workspace), language="bash", wrap_lines=True)
    else:
        st.code(ingest.source_command("WORKSPACE", spec), language="bash", wrap_lines=True)


def _name_of(spec: SourceSpec) -> str:
    path = Path(spec.path)
    return path.stem if spec.kind != "folder" and path.suffix else path.name


def _source_choice(config: Config, found: Preview, prefix: str) -> str:
    """What counts as one source of clips: the file, its title, or one of the columns that come with the media."""
    columns = [f"column:{name}" for name in found.columns if not is_answer(name)]
    options = list(dict.fromkeys(["video", "title", *columns, config.segment.source]))
    said = {"video": "each file", "title": "title, or folder"}
    return str(
        st.selectbox(
            "One source is",
            options,
            index=options.index(config.segment.source),
            format_func=lambda one: said.get(one, one.removeprefix("column:")),
            key=f"{prefix}.segment.source",
            help="For bounds a source, audits (one clip a source) and copies of a sound: a film, a channel, a folder.",
        )
    )


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


def _create(name: str, spec: SourceSpec, changes: dict[str, object]) -> Workspace | None:
    """A new workspace for a source, opened; None with the reason drawn. Settings are checked before it is made."""
    stem = re.sub(r"[^\w .%+-]+", "-", name.strip()).strip(" .-")[:60] or "workspace"
    place, number = workspaces_folder() / stem, 1
    while place.exists():
        number += 1
        place = workspaces_folder() / f"{stem}-{number}"
    try:
        Config().replace(changes)
        Workspace.create(place, name=name.strip() or stem, sources=[spec])
        return state.open_workspace_at(place)
    except (SettingError, ConcordError, OSError) as error:
        forms.show_problem(error)
        return None


# -- the funnel --------------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=16, show_spinner=False)
def _steps(path: str, made: tuple[str | None, ...]) -> tuple[list[ingest.Step], ingest.Step | None]:
    """The funnel and what the metadata filters dropped; counted again only when a table was made anew."""
    workspace = Workspace.open(path)
    return ingest.funnel(workspace), ingest.by_metadata(workspace)


def draw_funnel(workspace: Workspace) -> None:
    """Bars found, readable, after filters, cut into clips; a step's losses with their reasons beside them."""
    tables = ("videos", "filtered", "segmented", "clips")
    steps, metadata = _steps(str(workspace.path), tuple(workspace.fingerprint(key) for key in tables))
    clips = workspace.artefact("clips")
    line = ingest.clips_line({"clips": data.n_clips(workspace), **clips.info}) if clips else ""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{line}**" if line else "**No clips yet**", width="content")
        if data.selections(workspace) and st.button(
            "See sound against picture", icon=":material/grid_on:", key="ingest.next"
        ):
            state.goto("contingency")
    chart, reasons = split([2, 3], "funnel")
    with chart:
        dark = st.context.theme.type == "dark"
        figure = charts.funnel([(step.name, step.left) for step in steps], unit="files", dark=dark)
        st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="ingest.funnel")
    with reasons:
        _draw_reasons(workspace, [*steps, *([metadata] if metadata else [])])


_LABELS = {
    ingest.READABLE: "not readable", ingest.FILTERED: "dropped by filters", ingest.CUT: "gave no clip",
    ingest.METADATA: "by metadata",
}  # fmt: skip


def _draw_reasons(workspace: Workspace, steps: list[ingest.Step]) -> None:
    losing = {step.name: step for step in steps if step.n_lost}
    if not losing:
        st.text("Every file was used.")
        return
    names = list(losing)
    wanted = state.param("lost")
    chosen = st.segmented_control(
        "Files that are not used",
        names,
        format_func=lambda name: f"{losing[name].n_lost:,} {_LABELS.get(name, name)}",
        default=wanted if wanted in names else names[0],
        required=True,
        key="ingest.lost",
    )
    state.set_params(lost=chosen if chosen != names[0] else None)
    step = losing[chosen or names[0]]
    code = _code(step)
    n = dict(step.lost)[code] if code else step.n_lost
    frame = ingest.lost_rows(workspace, step.name, code)
    if step.name == ingest.METADATA:
        frame = frame.rename(columns={"file": "title"})
    st.dataframe(frame, hide_index=True, height=240, key="ingest.lost_rows")
    if n > len(frame):
        st.caption(f"and {n - len(frame):,} more; all of them: `python -m curation status WORKSPACE --files`")


def _code(step: ingest.Step) -> str:
    """The reason whose files are listed, "" for all of a step; kept in the address."""
    codes = dict(step.lost)
    wanted = state.param("code")
    if len(codes) < 2:
        st.caption(" · ".join(f"{n:,} {ingest.CODES.get(code, code)}" for code, n in step.lost))
        return ""
    chosen = st.pills(
        "Why",
        list(codes),
        format_func=lambda code: f"{codes[code]:,} {ingest.CODES.get(code, code)}",
        default=wanted if wanted in codes else None,
        key=f"ingest.code.{step.name}",
        label_visibility="collapsed",
    )
    state.set_params(code=chosen)
    return chosen or ""
