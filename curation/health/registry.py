"""The list of checks, in the order of the table's columns."""

from __future__ import annotations

from curation.health.base import Check, Column
from curation.health.duplicates import DuplicatesCheck
from curation.health.picture import PictureCheck
from curation.health.sound import SoundCheck
from curation.health.streams import StreamsCheck
from curation.health.timing import FineTimingCheck, TimingCheck

CHECKS: tuple[Check, ...] = (
    StreamsCheck(),
    SoundCheck(),
    PictureCheck(),
    DuplicatesCheck(),
    TimingCheck(),
    FineTimingCheck(),
)


def columns() -> tuple[Column, ...]:
    """Every column of every check."""
    return tuple(column for check in CHECKS for column in check.columns)
