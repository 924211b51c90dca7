"""One setting: a documented field of a dataclass; a value or text in, a checked value of its type out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from curation.errors import SettingError


def setting(
    default: Any,
    help: str,
    *,
    affects: bool = True,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    pattern: str | None = None,
    allowed: str = "",
) -> Any:
    """A documented dataclass field. `affects=False`: changes how fast a result comes, never the result itself."""
    return field(
        default=default,
        metadata={
            "help": help,
            "affects": affects,
            "low": low,
            "high": high,
            "choices": choices,
            "pattern": pattern,
            "allowed": allowed,
        },
    )


def allowed_values(kind: type, metadata: Mapping[str, Any]) -> str:
    """What a setting of this type may be, in words; `metadata` as `setting` made it."""
    if metadata["allowed"]:
        return str(metadata["allowed"])
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    if kind is bool:
        return "true, false"
    if kind in (int, float):
        noun = "a whole number" if kind is int else "a number"
        low, high = metadata["low"], metadata["high"]
        if low is not None and high is not None:
            return f"{noun} from {low:g} to {high:g}" if high < 1e6 else f"{noun}, at least {low:g}"
        return f"{noun}, at least {low:g}" if low is not None else noun
    return "text"


def converted(key: str, value: Any, kind: type, metadata: Mapping[str, Any]) -> Any:
    """`value` (text too) as the setting's type, within its range. Raises `SettingError` naming what is allowed."""
    refusal = SettingError(f"{key} cannot be {value!r}.", hint=f"Allowed: {allowed_values(kind, metadata)}.")
    try:
        found = _as_type(value, kind)
    except (ValueError, TypeError):
        raise refusal from None
    if isinstance(found, float) and not math.isfinite(found):
        raise refusal
    low, high = metadata["low"], metadata["high"]
    if (low is not None and found < low) or (high is not None and found > high):
        raise refusal
    if metadata["choices"] and found not in metadata["choices"]:
        raise refusal
    if metadata["pattern"] and not re.fullmatch(metadata["pattern"], found):
        raise refusal
    return found


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _as_type(value: Any, kind: type) -> Any:
    if kind is bool:
        if str(value).lower() not in _BOOLEANS:
            raise ValueError(value)
        return _BOOLEANS[str(value).lower()]
    if kind is int:
        number = int(value) if isinstance(value, str) else float(value)
        if number != int(number):
            raise ValueError(value)
        return int(number)
    return kind(value)


def parse_assignments(items: Iterable[str]) -> dict[str, str]:
    """`["select.budget=0.2", ...]` as a dictionary. Raises `SettingError` for an item without `=`."""
    changes = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise SettingError(
                f"{item!r} is not of the form stage.setting=value.", hint="Example: --set select.budget=0.2"
            )
        changes[key.strip()] = value.strip()
    return changes
