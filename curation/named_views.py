"""Named views: `views.jsonl` in the workspace, a page with the parameters of its address under a name that people gave.

Lines are only ever appended, the last one of a name counts and one without a page takes the name away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from curation import lines
from curation.errors import InputError
from curation.locks import writer_lock
from curation.workspace import Workspace

FILE = "views.jsonl"
NAME_MAX = 60
VIEWS_MAX = 500
PARAMS_MAX = 8000
"""Characters of all parameters of a view: what browsers take in an address."""
_WAIT_S = 10.0


@dataclass(frozen=True)
class View:
    """`page` is a page's name, `params` its parameters without the workspace; `time` in UTC, ISO 8601."""

    name: str
    page: str
    params: dict[str, str]
    time: str


def views(workspace: Workspace) -> list[View]:
    """The views that are kept, the newest first."""
    found: dict[str, View] = {}
    for line in lines.read(workspace.path / FILE):
        view = _view(line)
        if view is None:
            continue
        found.pop(view.name, None)  # what is said again stands behind
        if view.page:
            found[view.name] = view
    return list(reversed(found.values()))


def keep(workspace: Workspace, name: str, page: str, params: Mapping[str, str]) -> View:
    """Keep a view under a name; one that had the name before is replaced. Raises `InputError`."""
    view = View(check_name(name), page, {str(k): str(v) for k, v in params.items()}, _now())
    if sum(len(key) + len(value) for key, value in view.params.items()) > PARAMS_MAX:
        raise InputError("This view's address is too long to be kept.", hint="Leave out some conditions.")
    with _writing(workspace):
        there = {other.name for other in views(workspace)}
        if len(there) >= VIEWS_MAX and view.name not in there:
            raise InputError(f"{VIEWS_MAX} views are kept already.", hint="Delete some first.")
        lines.append(workspace.path / FILE, [_line(view)])
    return view


def rename(workspace: Workspace, name: str, new_name: str) -> None:
    """Give a view another name. Raises `InputError` when there is no such view, or the new name is taken."""
    wanted = check_name(new_name)
    with _writing(workspace):
        there = {view.name: view for view in views(workspace)}
        view = _there(there, name)
        if wanted == name:
            return
        if wanted in there:
            raise InputError(f"A view is called {wanted!r} already.", hint="Give another name.")
        renamed = View(wanted, view.page, view.params, _now())
        lines.append(workspace.path / FILE, [_line(renamed), {"name": name, "page": None, "time": _now()}])


def delete(workspace: Workspace, name: str) -> None:
    """Take a view away. Raises `InputError` when there is no such view."""
    with _writing(workspace):
        _there({view.name: view for view in views(workspace)}, name)
        lines.append(workspace.path / FILE, [{"name": name, "page": None, "time": _now()}])


def check_name(name: str) -> str:
    """A name as it is kept: one line of 1 to 60 characters. Raises `InputError`."""
    cleaned = " ".join(str(name).split())
    if not cleaned or len(cleaned) > NAME_MAX or not cleaned.isprintable():
        raise InputError(f"The name of a view has 1 to {NAME_MAX} characters.", hint="Give a short name.")
    return cleaned


# -- inside ------------------------------------------------------------------------------------------------------------


def _there(known: Mapping[str, View], name: str) -> View:
    if name not in known:
        raise InputError(f"There is no view called {name!r} any more.", hint="Somebody may have deleted it.")
    return known[name]


def _view(line: Mapping[str, Any]) -> View | None:
    """One line; None for what is no view (written by hand, cut short)."""
    name, page, params = line.get("name"), line.get("page"), line.get("params") or {}
    if not isinstance(name, str) or not name or not isinstance(params, dict) or not isinstance(page, (str, type(None))):
        return None
    kept = {str(key): str(value) for key, value in params.items()}
    return View(name[:NAME_MAX], page or "", kept, str(line.get("time") or ""))


def _line(view: View) -> dict[str, Any]:
    return {"name": view.name, "page": view.page, "params": view.params, "time": view.time}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _writing(workspace: Workspace) -> Any:
    return writer_lock(workspace.path / "locks" / "views.lock", purpose="views", wait_s=_WAIT_S)
