"""Results of pre-training on disk: `evaluations/pretrain-<name>/`. Read without torch, by pages and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from curation.atomic import read_json, write_json
from curation.errors import InputError
from curation.workspace import Workspace, check_name

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
    ordered = sorted(found, key=lambda folder: (read_json(folder / "plan.json").get("made", 0.0), folder.name))
    return [folder.name.removeprefix(PREFIX) for folder in ordered]


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
    if not isinstance(found, dict):
        raise InputError(f"{path} is damaged.", hint="Remove the folder and run it again.")
    return found


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
