"""Named views in the sidebar: the address that is shown can be kept under a name, opened, renamed and deleted."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.navigation.page import Page

from curation import named_views
from curation.errors import ConcordError
from curation.named_views import View
from curation.workspace import Workspace
from explorer import state
from explorer.navigation import PageInfo
from explorer.views import words

SHOWN = 8
LISTED = 100
_NEW = "views.new"
_ERROR = "views.error"
_OPEN = "views.open"


def draw(workspace: Workspace, pages: list[tuple[PageInfo, Page]], here: str) -> None:
    """The newest views as links that can be copied, and a popover that keeps, renames and deletes."""
    there = {info.name: page for info, page in pages}
    try:
        found = [view for view in named_views.views(workspace) if view.page in there]
    except OSError as error:
        st.caption(f"The named views cannot be read ({error.strerror}).")
        return
    with st.container(gap="xsmall", key="named-views"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption("Views", width="content")
            _editor(workspace, found, here)
        for view in found[:SHOWN]:
            _link(workspace, there, view)
        if len(found) > SHOWN:
            st.caption(f"{len(found) - SHOWN:,} more are listed behind the bookmark.")


def _link(workspace: Workspace, there: dict[str, Page], view: View) -> None:
    st.page_link(
        there[view.page],
        label=words.literal(view.name, named_views.NAME_MAX),
        icon=":material/bookmark:",
        query_params={"ws": str(workspace.path), **view.params},
        width="stretch",
    )


def _editor(workspace: Workspace, found: list[View], here: str) -> None:
    editor = st.popover("", icon=":material/bookmark_add:", help="Keep this view", type="tertiary", key=_OPEN)
    with editor:
        st.text_input(
            "Keep this view as",
            key=_NEW,
            max_chars=named_views.NAME_MAX,
            placeholder="what it shows",
            help="The page and all that its address says. A name that is there already is replaced.",
        )
        st.button("Keep", key="views.keep", type="primary", on_click=_keep, args=(workspace, here))
        if _ERROR in st.session_state:
            st.caption(words.literal(st.session_state[_ERROR], 300))
        if not found:
            return
        names = [view.name for view in found[:LISTED]]
        chosen = st.selectbox(
            f"Change one of {words.count(len(found), 'views')}", names, key="views.chosen", index=None,
            placeholder="choose a view",
        )  # fmt: skip
        if chosen is not None:
            _change(workspace, next(view for view in found if view.name == chosen))


def _change(workspace: Workspace, view: View) -> None:
    said = ", ".join(f"{name} {value}" for name, value in view.params.items()) or "as it opens"
    st.caption(words.literal(f"{view.page}: {said}", 200))
    key = f"views.name.{view.name}"
    st.text_input("New name", view.name, key=key, max_chars=named_views.NAME_MAX)
    with st.container(horizontal=True):
        st.button("Open", key="views.go", on_click=_go, args=(workspace, view), icon=":material/open_in_browser:")
        st.button("Rename", key="views.rename", on_click=_rename, args=(workspace, view.name, key))
        st.button("Delete", key="views.delete", on_click=_delete, args=(workspace, view.name), type="tertiary")
    if st.session_state.pop("views.going", None) == view.name:
        state.goto(view.page, **{"run": None, **view.params})


def _go(workspace: Workspace, view: View) -> None:
    st.session_state["views.going"] = view.name


def _keep(workspace: Workspace, here: str) -> None:
    params = {name: value for name, value in st.query_params.to_dict().items() if name != "ws"}
    if _tried(lambda: named_views.keep(workspace, st.session_state.get(_NEW, ""), here, params)):
        st.session_state[_NEW] = ""


def _rename(workspace: Workspace, name: str, key: str) -> None:
    new_name = str(st.session_state.get(key, ""))
    if _tried(lambda: named_views.rename(workspace, name, new_name)):
        st.session_state["views.chosen"] = None


def _delete(workspace: Workspace, name: str) -> None:
    if _tried(lambda: named_views.delete(workspace, name)):
        st.session_state["views.chosen"] = None


def _tried(change: Callable[[], object]) -> bool:
    """Do it; what went wrong is drawn by the next run."""
    try:
        change()
    except (ConcordError, OSError) as error:
        st.session_state[_ERROR] = str(error)
        return False
    st.session_state.pop(_ERROR, None)
    return True
