"""Where the media come from, on the Ingest page: a chooser for the four kinds of sources, the sources of a workspace.

What is being looked at and not yet part of a workspace stands in the address: `folder`, or `source` with `file`,
`media`, `titles` and `keep`; of a workspace's own sources `look` is the number.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st

from curation import sourcespec
from curation.errors import ConcordError
from curation.home import browsable_roots, check_allowed, check_allowed_place, files_in, subfolders
from curation.preview import columns_of_list
from curation.sourcespec import SourceSpec
from curation.urls import is_url
from curation.workspace import Workspace
from explorer import forms, state
from explorer.choosers import number
from explorer.state import param
from explorer.views import ingest, words

PARAMS = ("folder", "source", "file", "media", "titles", "keep")
SUFFIXES = {"list": (".txt", ".lst", ".csv", ".tsv", ".parquet"), "metadata": (".tsv", ".txt"), "tars": (".tar",)}
HELP = {
    "folder": "All media files below one folder, also of a store (s3://bucket/folder, where CONCORD_ROOTS names it). "
    "They stay where they are and are only read.",
    "list": "A txt with one path a line, or a csv, tsv or parquet with a column `path`; other columns are kept and can "
    "filter, colour and bound.",
    "metadata": "The reference's metadata.tsv (an address or YouTube id and a JSON object a line), and the folder of "
    "the videos, whose names hold the ids. Duration, language, category and words can then drop videos.",
    "tars": "One uncompressed WebDataset tar, or a folder of them. Videos are read inside; json beside them is kept.",
}


def pending() -> SourceSpec | None:
    """The source that the address names and that is not part of the workspace yet; None without one, or with the
    reason drawn where it may not be read."""
    if param("folder"):
        folder = _allowed_folder(param("folder"))
        return sourcespec.folder(folder) if folder else None
    kind, file = param("source"), param("file")
    if kind not in ("list", "metadata", "tars") or not file:
        return None
    try:
        path = check_allowed_place(file)
        media = check_allowed_place(param("media")) if param("media") else None
        if kind == "list":
            keep = [name for name in param("keep").split("\n") if name]
            return sourcespec.file_list(path, media, title=param("titles"), columns=keep)
        if kind == "tars":
            return sourcespec.tars(path)
        return sourcespec.metadata(path, media or sourcespec.file_list(path).media)
    except ConcordError as error:
        forms.show_problem(error)
        return None


def is_pending() -> bool:
    """Does the address name a source that is not part of the workspace yet?"""
    return bool(param("source") or param("folder"))


def forget() -> None:
    """Nothing is being looked at any more."""
    state.set_params(**dict.fromkeys((*PARAMS, "preview", "seed")))


def draw_question(workspace: Workspace | None = None) -> None:
    """Ask for a source of any kind; an answer goes into the address."""
    with st.container(border=True):
        st.markdown("**Where are the videos?**")
        kind = st.segmented_control(
            "Kind of source",
            list(ingest.KINDS),
            format_func=lambda one: f":material/{ingest.ICONS[one]}: {ingest.KINDS[one]}",
            default="folder",
            required=True,
            label_visibility="collapsed",
            key="ingest.kind",
        )
        st.caption(HELP[kind or "folder"])
        if kind in (None, "folder"):
            _folder_question(workspace)
        else:
            _file_question(kind)


def _folder_question(workspace: Workspace | None) -> None:
    text = forms.folder_input("Folder on this machine", "ingest.folder" if workspace is None else "ingest.root")
    key = "ingest.look" if workspace is None else "ingest.use"
    if st.button("Look into this folder", type="primary", icon=":material/search:", key=key):
        folder = _allowed_folder(text)
        if folder is not None:
            forget()
            state.set_params(folder=folder)
            st.rerun()


def _allowed_folder(text: str) -> str | None:
    """A folder of this machine or of a store; None with the reason drawn."""
    if not is_url(text):
        folder = forms.allowed_folder(text)
        return None if folder is None else str(folder)
    try:
        return check_allowed_place(text)
    except ConcordError as error:
        forms.show_problem(error)
        return None


def _file_question(kind: str) -> None:
    label = {"list": "List of files", "metadata": "metadata.tsv", "tars": "Tar, or folder of tars"}[kind]
    file = _file_input(label, f"ingest.file.{kind}", SUFFIXES[kind])
    media = ""
    if kind == "metadata":
        media = forms.folder_input("Folder of the videos", "ingest.media.metadata")
    elif kind == "list":
        media = forms.folder_input("Folder that its paths are below (empty = the list's own)", "ingest.media.list")
    if st.button("Look into it", type="primary", icon=":material/search:", key=f"ingest.look.{kind}"):
        if not file or (kind == "metadata" and not media):
            st.caption("Enter the file and the folder of the videos first." if file else "Enter a path first.")
            return
        try:
            path = check_allowed_place(file)
            folder = check_allowed_place(media) if media else None
        except ConcordError as error:
            forms.show_problem(error)
            return
        if not is_url(path) and not Path(path).exists():
            st.error(words.literal(f"There is no {path}.", 300), icon=":material/error:")
            return
        forget()
        state.set_params(source=kind, file=path, media=folder)
        st.rerun()


def _file_input(label: str, key: str, suffixes: tuple[str, ...]) -> str:
    """A text field for a file on this machine, with a browser of folders and such files beside it."""
    st.session_state.setdefault(key, "")
    field, button = st.columns([6, 1], vertical_alignment="bottom")
    text = field.text_input(label, key=key, placeholder=f"/home/me/videos{suffixes[0]}")
    browser = button.popover(
        "", icon=":material/folder_open:", help="Browse", width="stretch", on_change="rerun", key=f"{key}.open"
    )
    if browser.open:
        with browser:
            _browse(key, suffixes)
    return text.strip()


def _browse(key: str, suffixes: tuple[str, ...]) -> None:
    """Walk the allowed folders; choosing a folder or a file puts it into the field."""
    here = _folder_of(st.session_state.get(key, ""))
    if here is None:
        choices = [str(folder) for folder in browsable_roots()]
        st.caption("Folders that may be read")
    else:
        choices = ["..", *(str(here / name) for name in (*subfolders(here), *files_in(here, suffixes)))]
        st.text(str(here))
    widget = f"{key}.browse.{here}"

    def step() -> None:
        chosen = st.session_state.get(widget)
        if chosen == "..":
            parent = str(here.parent) if here is not None else ""
            chosen = parent if _folder_of(parent) is not None else ""
        if chosen is not None:
            st.session_state[key] = chosen

    st.selectbox(
        "Here",
        choices,
        index=None,
        format_func=lambda path: path if here is None or path == ".." else Path(path).name,
        placeholder="Choose" if len(choices) > 1 else "Nothing to choose in here",
        key=widget,
        on_change=step,
    )


def _folder_of(text: str) -> Path | None:
    """The folder that is meant, or that holds the file that is; None where it may not be read."""
    try:
        path = check_allowed(text) if text.strip() else None
    except ConcordError:
        return None
    if path is None or path.is_dir():
        return path
    return path.parent if path.is_file() else None


# -- columns of a list -------------------------------------------------------------------------------------------------


def draw_columns(workspace: Workspace | None, spec: SourceSpec) -> None:
    """Which column of a list holds titles, and which are kept; the answers go into the address, or into the workspace
    where the list is part of it.
    """
    try:
        names = columns_of_list(spec)
    except ConcordError:  # said by the preview
        return
    if not names:
        return
    default = next((name for name in names if name.lower() == "title"), "")
    left, right = st.columns([1, 2])
    title = left.selectbox(
        "Column of titles",
        ["", *names],
        index=["", *names].index(spec.title if spec.title in names else default),
        format_func=lambda name: name or "none: the folder's name",
        key="ingest.titles",
        help="Films and series: one title may have many files.",
    )
    others = [name for name in names if name != title]
    kept = right.multiselect(
        "Columns to keep",
        others,
        default=[name for name in spec.columns if name in others],
        placeholder="all",
        key=f"ingest.keep.{title}",
    )
    if (title, kept) == (spec.title or default, [name for name in spec.columns if name in others]):
        return
    title = title if title != default else ""
    if is_pending() or workspace is None:
        state.set_params(titles=title or None, keep="\n".join(kept) or None)
    else:
        changed = sourcespec.with_source(workspace.sources, replace(spec, title=title, columns=tuple(kept)))
        try:
            workspace.configure(sources=changed)
        except (ConcordError, OSError) as error:
            forms.show_problem(error)
            return
    st.rerun()


# -- sources of a workspace --------------------------------------------------------------------------------------------


def draw_sources(workspace: Workspace) -> SourceSpec | None:
    """The sources that a workspace has, with a way to remove and to add; the one that is looked at, None without."""
    sources = workspace.sources
    there = [i for i, spec in enumerate(sources) if not spec.removed]
    at = number("look", there[0] if there else 0)
    if at not in there and there:
        at = there[0]
    if len(there) > 1 or (there and sources[there[0]].kind != "folder"):
        counts = ingest.videos_of_sources(workspace)
        st.markdown("**Sources**")
        for i in there:
            _draw_source(workspace, i, sources[i], counts.get(i), i == at and not is_pending())
    if there and not is_pending():
        with st.expander("Add a source", icon=":material/add:"):
            draw_question(workspace)
    return sources[at] if there else None


def _draw_source(workspace: Workspace, i: int, spec: SourceSpec, n: int | None, is_shown: bool) -> None:
    text, look, remove = st.columns([8, 1, 1], vertical_alignment="center")
    text.markdown(
        f":material/{ingest.ICONS[spec.kind]}: {ingest.KINDS[spec.kind]} · {words.literal(spec.path, 120)}"
        + (f" · {words.count(n, 'readable videos')}" if n is not None else "")
    )
    if look.button("Look", key=f"ingest.source.{i}", disabled=is_shown, type="tertiary", width="stretch"):
        forget()
        state.set_params(look=i)
        st.rerun()
    if remove.button("", key=f"ingest.remove.{i}", icon=":material/close:", type="tertiary", width="stretch",
                     help="Leave this source out. Its clips go with the next run; the files stay."):  # fmt: skip
        try:
            workspace.configure(sources=sourcespec.without_source(workspace.sources, i))
        except (ConcordError, OSError) as error:
            forms.show_problem(error)
            return
        state.set_params(look=None)
        st.rerun()


def draw_adding(workspace: Workspace, spec: SourceSpec) -> None:
    """Buttons that make what is looked at part of the workspace, or not."""
    add, leave, _ = st.columns([1, 1, 3])
    if add.button("Add this source", type="primary", key="ingest.add", width="stretch"):
        try:
            workspace.configure(sources=sourcespec.with_source(workspace.sources, spec))
        except (ConcordError, OSError) as error:
            forms.show_problem(error)
            return
        forget()
        at = next(i for i, one in enumerate(workspace.sources) if one.is_of(spec))
        state.set_params(look=at)
        st.rerun()
    if leave.button("Not this one", key="ingest.other", width="stretch"):
        forget()
        st.rerun()
    st.caption("The same on the command line")
    st.code(ingest.source_command(str(workspace.path), spec), language="bash", wrap_lines=True)
