"""All settings of a configuration in order, as rows to show, and those that differ from the defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, get_type_hints

from curation.config import Config
from curation.setting import allowed_values


@dataclass(frozen=True)
class SettingInfo:
    """One row of the settings table."""

    key: str
    default: Any
    help: str
    allowed: str
    affects: bool


def describe_settings() -> list[SettingInfo]:
    """All settings in order, for `python -m curation settings`, the documentation and the pages."""
    rows = []
    for section in dataclasses.fields(Config):
        for item in dataclasses.fields(getattr(Config(), section.name)):
            key = f"{section.name}.{item.name}"
            kind = get_type_hints(type(getattr(Config(), section.name)))[item.name]
            rows.append(
                SettingInfo(
                    key,
                    item.default,
                    item.metadata["help"],
                    allowed_values(kind, item.metadata),
                    item.metadata["affects"],
                )
            )
    return rows


def differences(config: Config) -> dict[str, Any]:
    """The settings whose values are not the defaults, by key: `{"select.budget": "0.5"}`."""
    found = {}
    for info in describe_settings():
        section, name = info.key.split(".")
        value = getattr(getattr(config, section), name)
        if value != info.default:
            found[info.key] = value
    return found
