"""Form parts made from the settings' own descriptions, and the choice of a folder within the allowed roots.

A setting's label carries its unit, its help says what it does; what is entered is checked by the engine, never here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from curation.config import Config
from curation.errors import ConcordError
from curation.home import browsable_roots, check_allowed, subfolders
from curation.setting_list import SettingInfo, describe_settings
from curation.workspace import Workspace
from explorer.views import words

LABELS = {
    "scan.sample": "Probe only, files (0 = all)",
    "scan.seed": "Seed of the sample",
    "scan.full_hash": "Identify files by all of their bytes",
    "scan.time_limit_s": "Time limit for probing a file, s",
    "scan.memory_limit_mb": "Memory limit for probing a file, MB",
    "filter.min_duration_s": "Shortest video, s",
    "filter.max_duration_s": "Longest video, s (0 = no limit)",
    "filter.min_size_bytes": "Smallest file, bytes",
    "filter.max_size_bytes": "Largest file, bytes (0 = no limit)",
    "filter.min_height_px": "Least picture height, pixels",
    "filter.streams": "Streams a video must have",
    "filter.duplicates": "Second files of the same content",
    "filter.where": "Condition on any column, SQL",
    "filter.metadata_min_duration_s": "Shortest, s",
    "filter.metadata_max_duration_s": "Longest, s (0 = no limit)",
    "filter.languages": "Languages that go on (empty = all)",
    "filter.drop_categories": "Categories that are dropped",
    "filter.drop_artist": "Artists",
    "filter.drop_animation": "Animation",
    "filter.drop_gaming": "Games",
    "filter.drop_tutorial": "Tutorials",
    "filter.drop_official": "Official videos",
    "filter.keywords_in": "Words are looked for in",
    "segment.clip_s": "Length of a clip, s",
    "segment.mode": "Cut by",
    "segment.max_clips": "Most clips of one video (0 = all)",
    "segment.hop_s": "Distance of two windows, s (0 = a clip's length)",
    "segment.detector": "Shots found by",
    "segment.choice": "Which shots, where there are more",
    "segment.threshold": "Threshold for a cut (0 = the detector's own)",
    "segment.time_limit_s": "Time limit for a search for shots, s",
    "segment.memory_limit_mb": "Memory limit for a search for shots, MB",
}

CHOICES = {
    "both": "picture and sound",
    "audio": "sound, with or without picture",
    "video": "picture, with or without sound",
    "any": "any",
    "drop": "drop them",
    "keep": "keep them",
    "shots": "shots: the middle of each long one",
    "windows": "fixed windows",
    "structure": "structure: what the picture shows changed",
    "scdet": "scdet: FFmpeg's filter, the reference's rule",
    "different": "those that look most different",
    "even": "evenly spread",
    "title": "the title",
    "title+description": "title and description",
}


def setting_widgets(config: Config, keys: Sequence[str], prefix: str) -> dict[str, Any]:
    """Draw one widget a setting (`"filter.streams"`, ...) with its present value; returns what they hold."""
    infos = {info.key: info for info in describe_settings()}
    return {key: _widget(infos[key], _value(config, key), f"{prefix}.{key}") for key in keys}


def apply_settings(workspace: Workspace, changes: Mapping[str, Any], *, roots: Sequence[str] | None = None) -> bool:
    """Check and keep settings. A refusal is drawn with its hint, and the answer is False."""
    try:
        workspace.configure(dict(changes), roots=roots)
    except (ConcordError, OSError) as error:
        show_problem(error)
        return False
    return True


def show_problem(error: ConcordError | OSError) -> None:
    """What happened and what to do, with names as they are: plain text."""
    message = error.message if isinstance(error, ConcordError) else str(error)
    hint = error.hint if isinstance(error, ConcordError) else ""
    text = words.literal(message, 600) + (f"\n\n{words.literal(hint, 600)}" if hint else "")
    st.error(text, icon=":material/error:")


def folder_input(label: str, key: str, *, placeholder: str = "/home/me/videos") -> str:
    """A text field for a folder on this machine, with a browser beside it; returns the text as entered."""
    if key not in st.session_state:
        st.session_state[key] = ""
    field, button = st.columns([6, 1], vertical_alignment="bottom")
    text = field.text_input(label, key=key, placeholder=placeholder)
    browser = button.popover(
        "", icon=":material/folder_open:", help="Browse", width="stretch", on_change="rerun", key=f"{key}.open"
    )
    if browser.open:
        with browser:
            _browse(key)
    return text.strip()


def allowed_folder(text: str) -> Path | None:
    """The folder behind what was entered, or None with the reason drawn."""
    if not text:
        return None
    try:
        folder = check_allowed(text)
    except ConcordError as error:
        show_problem(error)
        return None
    if not folder.is_dir():
        st.error(words.literal(f"There is no folder {text}.", 300), icon=":material/error:")
        return None
    return folder


def _browse(key: str) -> None:
    """Walk the allowed folders: choosing one puts it into the field, and shows what is inside it."""
    here = _browsed(st.session_state.get(key, ""))
    if here is None:
        choices = [str(folder) for folder in browsable_roots()]
        st.caption("Folders that may be read")
    else:
        choices = [str(here / name) for name in subfolders(here)]
        st.text(str(here))
    up = [] if here is None else [".."]
    widget = f"{key}.browse.{here}"
    st.selectbox(
        "Folders here",
        up + choices,
        index=None,
        format_func=lambda path: path if here is None or path == ".." else Path(path).name,
        placeholder="Choose" if choices else "No folders in here",
        key=widget,
        on_change=_step_into,
        args=(key, widget, str(here or "")),
    )


def _step_into(key: str, widget: str, here: str) -> None:
    chosen = st.session_state.get(widget)
    if chosen == "..":
        parent = Path(here).parent
        chosen = str(parent) if _browsed(str(parent)) is not None else ""
    if chosen is not None:
        st.session_state[key] = chosen


def _browsed(text: str) -> Path | None:
    try:
        folder = check_allowed(text) if text.strip() else None
    except ConcordError:
        return None
    return folder if folder is not None and folder.is_dir() else None


def _widget(info: SettingInfo, value: Any, key: str) -> Any:
    label, metadata = LABELS.get(info.key, info.key), _metadata(info.key)
    if isinstance(info.default, bool):
        return st.toggle(label, value, key=key, help=info.help)
    if metadata["choices"]:
        choices = list(metadata["choices"])
        return st.selectbox(
            label,
            choices,
            index=choices.index(value),
            format_func=lambda one: CHOICES.get(one, one),
            key=key,
            help=info.help,
        )
    if isinstance(info.default, (int, float)):
        kind = type(info.default)
        low, high = metadata["low"], metadata["high"]
        return st.number_input(
            label,
            min_value=None if low is None else kind(low),
            max_value=None if high is None or high > 1e15 else kind(high),
            value=kind(value),
            step=kind(1),
            format="%g" if kind is float else None,
            key=key,
            help=info.help,
        )
    return st.text_input(label, value, key=key, help=info.help)


def _metadata(key: str) -> Mapping[str, Any]:
    section, _, name = key.partition(".")
    return next(field.metadata for field in dataclasses.fields(getattr(Config(), section)) if field.name == name)


def _value(config: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)
