"""What stands at the left of every page: workspace, links to the pages, the run that is shown, named views, jobs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import data, jobs_panel, named_views, recent, state
from explorer.navigation import PageInfo, draw_links
from explorer.views import words
from explorer.views.overview import selection_labels

_WORKSPACE_WIDGET = "sidebar.workspace"
_RUN_WIDGET = "sidebar.run"
PAGES_WITH_OWN_PANEL = ("home",)  # they draw the running job large, in the page


def draw(pages: list[tuple[PageInfo, Page]], workspace: Workspace | None, here: str) -> None:
    """Draw the sidebar. `here` is the name of the page that is shown."""
    _workspace_picker(workspace)
    draw_links(pages)
    if workspace is None:
        return
    _run_picker(workspace)
    named_views.draw(workspace, pages, here)
    if here not in PAGES_WITH_OWN_PANEL:
        jobs_panel.draw(workspace)


def _workspace_picker(workspace: Workspace | None) -> None:
    current = str(workspace.path) if workspace else None
    paths = recent.paths()
    if current and current not in paths:
        paths.insert(0, current)
    if not paths:
        return
    labels = _labels(paths)
    st.session_state[_WORKSPACE_WIDGET] = current
    st.selectbox(
        "Workspace",
        paths,
        format_func=lambda path: labels.get(path, path),
        index=None,
        placeholder="Open a recent one",
        key=_WORKSPACE_WIDGET,
        on_change=_open_chosen,
    )


def _open_chosen() -> None:
    chosen = st.session_state.get(_WORKSPACE_WIDGET)
    if chosen is None:
        state.close_workspace()
        return
    try:
        state.open_workspace_at(chosen)
    except ConcordError:
        recent.forget(chosen)


def _labels(paths: list[str]) -> dict[str, str]:
    """Names of workspaces; those with the same name show their folder too."""
    names = {}
    for path in paths:
        try:
            names[path] = Workspace.open(path).name
        except (ConcordError, OSError):
            names[path] = Path(path).name
    often = Counter(names.values())
    return {path: name if often[name] == 1 else f"{name} ({path})" for path, name in names.items()}


def _run_picker(workspace: Workspace) -> None:
    selections = data.selections(workspace)
    if not selections:
        return
    # A poll that was on its way while a run ended brings the old choice back: a new list is a new widget, and the
    # answer to an old one is not taken.
    key = f"{_RUN_WIDGET}.{hash(tuple(selections))}"
    current = state.current_selection(workspace)
    wanted = state.param("run")
    if wanted not in selections:
        state.set_params(run=None)
    if not jobs_panel.is_running(workspace):
        state.set_params(run=current)  # a copied link shows this run, also when there is a newer one
    st.session_state[key] = current
    labels = selection_labels(selections)
    st.selectbox(
        "Selection shown",
        list(selections),
        format_func=lambda name: labels.get(name, name),
        key=key,
        help=f"Its name: {words.literal(current or '')}",
        on_change=_show_chosen,
        args=(workspace, tuple(selections), key),
    )
    if wanted and wanted not in selections:
        st.caption("The selection in the address is not in this workspace; this one is shown instead.")


def _show_chosen(workspace: Workspace, offered: tuple[str, ...], key: str) -> None:
    if tuple(data.selections(workspace)) == offered:
        state.set_params(run=st.session_state.get(key))
