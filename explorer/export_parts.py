"""The pieces of the Export page: what, format, where; the first rows and the cost; the run as a job; what is there.

What is exported is in the address: `what` (a selection, `reviewed`, `filter`, `all`), `format`, `cut`, and for a filter
the conditions of the Clips page, under the names that they have there.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from curation import export as engine
from curation import jobs, review
from curation.errors import ConcordError, InputError
from curation.export import ALL_CLIPS, CutSettings
from curation.exporters import registry
from curation.home import check_allowed
from curation.workspace import Workspace
from explorer import data, filters, forms, jobs_panel, marks, state
from explorer.choosers import choose
from explorer.state import fill, param, set_params, whole_number
from explorer.views import clips as clip_views
from explorer.views import export, overview, words

PREVIEW_ROWS = 10
PREVIEW_CHARS = 6000
LANGUAGES = {"jsonl": "json", "webdataset": "json", "videofolder": "json", "fiftyone": "json", "bundle": "json"}
REVIEWED, FILTERED = "@reviewed", "@filter"
_ADDRESS = {REVIEWED: "reviewed", FILTERED: "filter"}


@dataclass(frozen=True)
class Choice:
    """What will be written: a selection's name, `all`, `REVIEWED` or `FILTERED`; how many clips; the format; where
    (None: refused); how clips are cut. `rows` and the `token` they are kept under are those of a filter."""

    what: str
    run: str | None
    n_rows: int
    format: str
    out: Path | None
    settings: CutSettings
    rows: np.ndarray | None = None
    token: str = ""

    @property
    def selection(self) -> str | None:
        """The selection whose ranks are written, `all` for none."""
        if self.what in (REVIEWED, FILTERED):
            return self.run or ALL_CLIPS
        return self.what


def filter_params() -> dict[str, str]:
    """Parameters of a link to this page that exports what the conditions of this address leave."""
    return {"what": "filter"} | {name: param(name) for name in filters.PARAMETERS if param(name)}


def draw_choices(workspace: Workspace) -> Choice:
    """What, which format, where."""
    run = state.current_selection(workspace)
    what, rows, n_rows = _what(workspace, run)
    titles = {found.name: f"{found.title} · {export.KINDS.get(found.name, '')}" for found in registry.formats()}
    format = choose("Format", titles, "format", next(iter(titles)))
    exporter = registry.get(format)
    st.caption(exporter.description)
    settings = _cut_settings() if exporter.cuts else CutSettings()
    named = {ALL_CLIPS: "all clips", REVIEWED: f"{run} reviewed", FILTERED: "filtered"}.get(what, what)
    default = workspace.path / export.FOLDER / export.default_name(workspace.name, named, exporter.suffix)
    text = st.text_input(
        "Where",
        str(export.free_path(default)),
        key=f"export.out.{default.name}",
        help="A file or folder on this machine; nothing is overwritten.",
    )
    token = ""
    if rows is not None:
        try:
            token = marks.save(workspace, rows)
        except ConcordError as error:
            forms.show_problem(error)
    return Choice(what, run, n_rows, format, _place(text), settings, rows, token)


def _what(workspace: Workspace, run: str | None) -> tuple[str, np.ndarray | None, int]:
    """What is exported, its rows where it is a filter, and how many clips."""
    selections = data.selections(workspace)
    labels = {name: f"selected: {label}" for name, label in overview.selection_labels(selections).items()}
    active = filters.active(workspace, run)
    rows = _filtered(workspace, run, active) if active else None
    if run is not None and review.stamp(workspace):
        labels[REVIEWED] = f"final, as reviewed: {overview.selection_labels(selections)[run]}"
    if rows is not None:
        labels[FILTERED] = f"filtered: {', '.join(item.words for item in active)[:80]} · {words.count(len(rows))}"
    labels[ALL_CLIPS] = f"all clips · {words.count(data.n_clips(workspace))}"
    address = param("what")
    meant = {said: name for name, said in _ADDRESS.items()}.get(address, address)
    default = FILTERED if rows is not None and address == "filter" else run or ALL_CLIPS
    what = meant if meant in labels else default
    if address and meant not in labels:
        set_params(what=None)
        st.caption("What the address names cannot be exported here; this is shown instead.")
    key = f"export.what.{run}"
    fill(key, what)

    def keep() -> None:
        chosen = st.session_state[key]
        set_params(what=None if chosen == (run or ALL_CLIPS) else _ADDRESS.get(chosen, chosen))

    st.selectbox("What", list(labels), format_func=lambda name: labels.get(name, name), key=key, on_change=keep)
    if what == FILTERED:
        assert rows is not None
        return what, rows, len(rows)
    if what == REVIEWED:
        stamp = f"{_stamp(workspace, run or '')}:{review.stamp(workspace)}"
        return what, None, _n_final(str(workspace.path), run or "", stamp)
    return what, None, data.n_clips(workspace) if what == ALL_CLIPS else int(selections[what].get("clips", 0))


def _filtered(workspace: Workspace, run: str | None, active: list[filters.Filter]) -> np.ndarray | None:
    try:
        return filters.found(workspace, run, active, clip_views.Order("row")).rows.astype(np.int64)
    except InputError as error:
        forms.show_problem(error)
        return None


@st.cache_data(max_entries=32, show_spinner=False)
def _n_final(path: str, run: str, stamp: str) -> int:
    return len(review.final_rows(Workspace.open(path), run))


def _cut_settings() -> CutSettings:
    cut = choose("Clips are cut by", export.CUTS, "cut", "auto")
    with st.expander("Shards"):
        clips = _number("Most clips of a shard", "shard_clips", 1000, 1, 100_000)
        megabytes = _number("About how large, MB", "shard_mb", 1000, 1, 100_000)
    return CutSettings(cut=cut, shard_clips=clips, shard_mb=megabytes)  # type: ignore[arg-type]


def _number(label: str, name: str, default: int, low: int, high: int) -> int:
    """A whole number that is kept in the address."""
    given = whole_number(param(name))
    key = f"export.{name}"
    fill(key, default if given is None else min(high, max(low, given)))

    def keep() -> None:
        value = st.session_state[key]
        set_params(**{name: None if value == default else value})

    return int(st.number_input(label, low, high, step=1, key=key, on_change=keep))


def _place(text: str) -> Path | None:
    """A path that may be written and is free (a number is added where it is not), or None with the reason drawn."""
    if not text.strip():
        return None
    try:
        path = check_allowed(text.strip())
    except ConcordError as error:
        forms.show_problem(error)
        return None
    return export.free_path(path)


def draw_preview(workspace: Workspace, choice: Choice) -> None:
    """The first rows as text, and what it will cost."""
    stamp = f"{_stamp(workspace, choice.selection or '')}:{review.stamp(workspace)}"
    key = (str(workspace.path), choice.what, choice.run or "", choice.format, choice.token, stamp)
    try:
        text = _preview(key, workspace, choice)
        cost = _cost((*key, str(choice.settings)), workspace, choice)
    except (ConcordError, OSError) as error:
        forms.show_problem(error)
        return
    as_text = {"parquet": ", here as text", "report": ", its methods"}.get(choice.format, "")
    shown = min(export.PREVIEWED.get(choice.format, PREVIEW_ROWS), choice.n_rows)
    begin = f"The first {words.count(shown, 'rows')} as they will be written"
    if choice.format in ("bundle", "report"):
        begin = "How it begins"
    told = export.cost_line(cost.rows, cost.size_bytes, cost.seconds, _free(choice.out))
    st.caption(f"{begin}{as_text} · {told}")
    cut = "\n…" if len(text) > PREVIEW_CHARS else ""
    st.code(text[:PREVIEW_CHARS] + cut, language=LANGUAGES.get(choice.format), wrap_lines=choice.format == "report")


@st.cache_data(max_entries=32, show_spinner=False)
def _preview(key: tuple[str, ...], _workspace: Workspace, _choice: Choice) -> str:
    return engine.preview(
        _workspace, _choice.format, selection=_choice.selection, reviewed=_choice.what == REVIEWED, rows=_choice.rows,
        n=PREVIEW_ROWS,
    )  # fmt: skip


@st.cache_data(max_entries=32, show_spinner=False)
def _cost(key: tuple[str, ...], _workspace: Workspace, _choice: Choice) -> engine.Estimate:
    return engine.estimate(
        _workspace, _choice.format, selection=_choice.selection, reviewed=_choice.what == REVIEWED, rows=_choice.rows,
        settings=_choice.settings,
    )  # fmt: skip


def _free(out: Path | None) -> int | None:
    place = out
    while place is not None and not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free if place is not None else None
    except OSError:
        return None


def _stamp(workspace: Workspace, selection: str) -> str:
    known = selection and selection != ALL_CLIPS
    own = workspace.fingerprint(f"selections/{selection}") if known else ""
    layers = [str(info["fingerprint"]) for info in data.clusterings(workspace).values()]
    return ":".join([workspace.fingerprint("clips") or "", own or "", *layers])


def draw_run(workspace: Workspace, choice: Choice) -> None:
    """Run as a job, with the command that does the same."""
    out, exporter = choice.out, registry.get(choice.format)
    argv = export.argv_of(workspace.path, choice.format, str(out or ""), _source(workspace, choice), _cut(choice))
    busy = jobs_panel.is_running(workspace)
    if out is not None:
        st.caption(f"Writes {words.literal(out.name, 120)}")
    unfit = exporter.needs_selection and (choice.selection == ALL_CLIPS or choice.rows is not None)
    why = "A job is running." if busy else "It tells of a selection: choose one." if unfit else None
    if st.button("Export", type="primary", key="export.run", disabled=bool(why) or out is None, help=why):
        assert out is not None
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            st.error(words.literal(f"{out.parent} cannot be made ({error.strerror}). Choose another place.", 300))
        else:
            jobs_panel.launch(workspace, argv, title=f"Export {exporter.title}")
    _draw_result(workspace)
    st.caption("The same on the command line")
    st.code(shlex.join(["python", "-m", "curation", *argv]), language="bash", wrap_lines=True)


def _source(workspace: Workspace, choice: Choice) -> list[str]:
    selection = ["--selection", choice.selection or ALL_CLIPS]
    if choice.what == REVIEWED:
        return [*selection, "--reviewed"]
    return [*selection, "--rows", str(workspace.path / "marks" / f"{choice.token}.npy")] if choice.token else selection


def _cut(choice: Choice) -> dict[str, object] | None:
    if not registry.get(choice.format).cuts:
        return None
    settings = choice.settings
    return {"cut": settings.cut, "shard-clips": settings.shard_clips, "shard-mb": settings.shard_mb}


def _draw_result(workspace: Workspace) -> None:
    """What became of the newest job, where it was an export."""
    last = jobs.list_jobs(workspace, limit=1)
    facts = (last[0].get("result") or {}).get("export") if last and last[0].get("state") == "done" else None
    if not isinstance(facts, dict):
        return
    with st.container(border=True, key="export.result"):
        for line in export.result_lines(facts):
            st.text(line)


def draw_files(workspace: Workspace) -> None:
    """Files in the workspace's folder of exports; small ones can be downloaded."""
    folder = workspace.path / export.FOLDER
    _draw_unfinished(folder)
    files = export.exported_files(folder)
    if not files:
        return
    st.subheader("Written so far", anchor=False)
    table, download = st.columns([3, 2], gap="large")
    frame = pd.DataFrame(
        {
            "file": [f"{file.name}/" if file.is_folder else file.name for file in files],
            "size": ["many files" if file.size_bytes is None else overview.size(file.size_bytes) for file in files],
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


def _draw_unfinished(folder: Path) -> None:
    left = export.unfinished(folder)
    if not left:
        return
    with st.container(border=True, key="export.unfinished"):
        st.text("Not finished: give the same command again, and they go on where they were.")
        for name, folders in left.items():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(name, width="content")
                st.button(
                    "Discard", key=f"export.discard.{name}", type="tertiary", icon=":material/delete:",
                    on_click=_discard, args=(folders,),
                )  # fmt: skip


def _discard(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
