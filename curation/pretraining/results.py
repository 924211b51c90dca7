"""Results of pre-training on disk: `evaluations/pretrain-<name>/`. Read without torch, by pages and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from curation.atomic import read_json, write_json
from curation.errors import ConcordError, InputError
from curation.workspace import Workspace, check_name

VERSION = 2  # of what is written; raised when intervals or verdicts are made otherwise. None before 2
FOLDER = "evaluations"
PREFIX = "pretrain-"
KINDS = {
    "power": "Could this evaluation see a difference?",
    "comparison": "Does the subset teach?",
    "sampling": "Does hierarchical sampling teach more?",
}


def folder_of(workspace: Workspace, name: str) -> Path:
    """Where an evaluation lies. Raises `SettingError` for what cannot be a name."""
    return workspace.path / FOLDER / f"{PREFIX}{check_name(name, 'evaluation')}"


def names(workspace: Workspace) -> list[str]:
    """Evaluations that were begun, oldest first."""
    found = [path.parent for path in (workspace.path / FOLDER).glob(f"{PREFIX}*/plan.json")]
    ordered = sorted(found, key=lambda folder: (_made(folder), folder.name))
    return [folder.name.removeprefix(PREFIX) for folder in ordered]


def _made(folder: Path) -> float:
    """When an evaluation was begun; 0 where its plan is damaged, which is said when it is read."""
    try:
        return float(read_json(folder / "plan.json").get("made", 0.0))
    except (ConcordError, OSError, ValueError, TypeError, AttributeError):
        return 0.0


def read_plan(workspace: Workspace, name: str) -> dict[str, Any]:
    """What an evaluation was asked to do. Raises `InputError` that names those there are."""
    return _read(workspace, name, "plan.json")


def read_result(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """What was found so far; None before the first seed is done."""
    if not (folder_of(workspace, name) / "result.json").is_file():
        return None
    return _read(workspace, name, "result.json")


def _read(workspace: Workspace, name: str, file: str) -> dict[str, Any]:
    path = folder_of(workspace, name) / file
    if not path.is_file():
        known = ", ".join(names(workspace)) or "none yet"
        raise InputError(f"{workspace.name} has no evaluation {name!r}.", hint=f"There are: {known}.")
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("version", 1), int):
        raise InputError(f"{path} is damaged.", hint="Run it again: what was trained is kept.")
    if found.get("version", 1) > VERSION:
        raise InputError(f"{name} was written by a newer version of this program.", hint="Look at it with that one.")
    return found


def age(found: Mapping[str, Any]) -> str:
    """What to know of numbers that an earlier version wrote, in a sentence; empty for those of this one."""
    if found.get("version", 1) == VERSION:
        return ""
    return (
        "An earlier version wrote these numbers, with other rules for intervals. Run the evaluation again under the "
        "same name to have them judged anew; nothing is trained twice."
    )


def power_check(workspace: Workspace, name: str, probe: str) -> tuple[bool | None, str]:
    """Can the evaluation `name` tell sets apart by `probe`? By the newest power check of the same clips and training.

    True or False and its verdict, as a sentence that names it; None where there is no such power check.
    """
    wanted = _asked(read_plan(workspace, name), probe)
    for other in reversed(names(workspace)):
        try:
            plan, found = read_plan(workspace, other), read_result(workspace, other)
        except ConcordError:  # a damaged or newer one says nothing here, and says so where it is shown
            continue
        if plan.get("kind") != "power" or not found or _asked(plan, probe) != wanted or None in wanted:
            continue
        for said in found.get("power", []):
            if said["probe"] == probe:
                return bool(said["tells"]), f"Power check {other!r}, same probe and training: {said['verdict']}"
    return None, (
        "No power check was made with this probe and this training: whether it can tell sets apart at all is not known."
    )


def _asked(plan: Mapping[str, Any], probe: str) -> tuple[Any, Any]:
    """What a probe was asked, and how was trained."""
    identity = plan.get("identity", {})
    return identity.get("questions", {}).get(probe), identity.get("config")


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON whose infinite and undefined numbers are null."""
    write_json(path, plain(value))


def plain(value: Any) -> Any:
    """`value` as JSON has it: dataclasses as objects, numbers that are not finite as None."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
