"""What a link carries: the open workspace, the selection shown, and the parameters of a page, kept in the address.

The address bar always holds `ws` (and `run` when one was chosen), so that a copied link opens the same view. The
session remembers the workspace only so that a page switch without parameters keeps it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NoReturn

import streamlit as st

from curation import jobs
from curation.errors import ConcordError
from curation.export import default_selection
from curation.home import open_allowed
from curation.workspace import Workspace
from explorer import data, recent

PAGES = Path(__file__).resolve().parent.parent / "pages"
Needs = Literal["clips", "features", "clusterings", "selections"]

TITLE_KEY = "concord.title"  # title of the page that is shown, set by the frame
_WORKSPACE_KEY = "concord.workspace"
_ERROR_KEY = "concord.workspace_error"
_EMPTY = {
    "clips": ("No video of this workspace was cut into clips yet.", "Choose videos and run", "ingest"),
    "features": ("The clips' sound and picture were not measured yet.", "Run what is missing", "home"),
    "clusterings": ("The clips' sounds and pictures are not grouped into clusters yet.", "Make clusters", "cluster"),
    "selections": ("No subset was selected yet.", "Select one", "selection"),
}


def param(name: str, default: str = "") -> str:
    """A parameter of the address, or `default`."""
    value = st.query_params.get(name)
    return default if value is None else str(value)


def whole_number(text: str) -> int | None:
    """A whole number of at most nine digits, as the address may carry it; None for anything else."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 9 else None


def whole_numbers(text: str, n: int) -> list[int] | None:
    """`n` whole numbers, separated by commas, from the address; None for anything else."""
    found = [whole_number(part) for part in text[:100].split(",")]
    known = [number for number in found if number is not None]
    return known if len(known) == len(found) == n else None


def set_params(**values: object) -> None:
    """Write parameters into the address; None removes one. Does not rerun the page."""
    for name, value in values.items():
        if value is None:
            st.query_params.pop(name, None)
        elif param(name, "\0") != str(value):
            st.query_params[name] = str(value)


def fill(key: str, value: object) -> None:
    """Give the widget `key`, not drawn yet in this run, its value.

    One that it has already is not given again: it would be sent back to the browser as an answer, and a hand that has
    moved on in the meantime would see its next step undone.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def current_workspace() -> Workspace | None:
    """The workspace named by the address (`ws`), else the one this session had open; None when there is none.

    A path that cannot be opened gives None, and `workspace_error` says why.
    """
    wanted = param("ws") or st.session_state.get(_WORKSPACE_KEY, "")
    if not wanted:
        return None
    try:
        workspace = open_allowed(wanted)
    except ConcordError as error:
        st.session_state[_ERROR_KEY] = error
        st.session_state.pop(_WORKSPACE_KEY, None)
        return None
    st.session_state.pop(_ERROR_KEY, None)
    path = str(workspace.path)
    if st.session_state.get(_WORKSPACE_KEY) != path:
        st.session_state[_WORKSPACE_KEY] = path
        recent.remember(workspace)
    set_params(ws=path)
    return workspace


def workspace_error() -> ConcordError | None:
    """Why the workspace in the address could not be opened, or None."""
    return st.session_state.get(_ERROR_KEY)


def open_workspace_at(path: str | Path) -> Workspace:
    """Make the workspace at `path` the open one; what the address said of another is dropped. Raises `ConcordError`."""
    workspace = open_allowed(path)
    st.query_params.from_dict({"ws": str(workspace.path)})
    st.session_state[_WORKSPACE_KEY] = str(workspace.path)
    st.session_state.pop(_ERROR_KEY, None)
    recent.remember(workspace)
    return workspace


def close_workspace() -> None:
    """Open none."""
    st.session_state.pop(_WORKSPACE_KEY, None)
    st.session_state.pop(_ERROR_KEY, None)
    st.query_params.clear()


def require_workspace(needs: Needs | None = None) -> Workspace:
    """The open workspace with what a page needs; otherwise draws the page's title, a sentence, a button, and stops.

    Pages call it before they draw their own title.
    """
    workspace = current_workspace()
    if workspace is None:
        empty_state("No workspace is open.", "Open one", "home", error=workspace_error())
    if needs and not _has(workspace, needs):
        sentence, label, page = _EMPTY[needs]
        running = jobs.running_jobs(workspace)
        if running:
            sentence = f"{sentence} “{running[0]['title']}” is running; this page fills when it is done."
        empty_state(sentence, label, page)
    return workspace


def current_selection(workspace: Workspace) -> str | None:
    """Name of the selection that every page shows; None when there is none.

    `run` in the address; else the one that the last run meant, also where that was found done; else the newest.
    """
    names = list(data.selections(workspace))
    for wanted in (param("run"), default_selection(workspace)):
        if wanted in names:
            return wanted
    return names[0] if names else None


def goto(page: str, **params: object) -> NoReturn:
    """Switch to `pages/<page>.py`, keeping workspace and run, with the given parameters in the address."""
    st.switch_page(PAGES / f"{page}.py", query_params=link_params(**params))


def link_params(**params: object) -> dict[str, str]:
    """Parameters for a link to another page: workspace, run, and `params` (None leaves one out)."""
    kept = {name: param(name) for name in ("ws", "run") if param(name)}
    kept |= {name: str(value) for name, value in params.items() if value is not None}
    return {name: value for name, value in kept.items() if params.get(name, value) is not None}


def empty_state(
    sentence: str, label: str, page: str, *, error: ConcordError | None = None, **params: object
) -> NoReturn:
    """The page's title, one sentence why there is nothing, one button to the page that makes it; the page ends here.

    Called before a page draws its own title.
    """
    st.title(st.session_state.get(TITLE_KEY, "Concord"))
    show_error(error)
    with st.container(border=True):
        st.text(sentence)
        if st.button(label, type="primary", key=f"empty.{page}"):
            goto(page, **params)
    st.stop()


def show_error(error: ConcordError | None) -> None:
    """Draw what happened and what to do, as plain text; nothing for None."""
    if error is None:
        return
    with st.container(border=True, key=f"error.{abs(hash((error.message, error.hint)))}"):
        st.text(f"{error.message}\n{error.hint}".strip())


def _has(workspace: Workspace, needs: Needs) -> bool:
    if needs == "clips":
        return workspace.artefact("clips") is not None
    if needs == "clusterings":
        return bool(data.clusterings(workspace))
    if needs == "selections":
        return bool(data.selections(workspace))
    return bool(workspace.keys(needs))
