"""The list of export formats: a name in, an exporter out."""

from __future__ import annotations

from curation.errors import SettingError
from curation.exporters.acav_csv import AcavCsvExporter
from curation.exporters.base import Exporter
from curation.exporters.csv import CsvExporter
from curation.exporters.jsonl import JsonlExporter
from curation.exporters.parquet import ParquetExporter

_EXPORTERS: tuple[Exporter, ...] = (AcavCsvExporter(), CsvExporter(), ParquetExporter(), JsonlExporter())


def exporters() -> tuple[Exporter, ...]:
    """All formats, in the order in which pages offer them."""
    return _EXPORTERS


def names() -> tuple[str, ...]:
    """Names of all formats."""
    return tuple(exporter.name for exporter in _EXPORTERS)


def get(name: str) -> Exporter:
    """The exporter called `name`. Raises `SettingError` listing the formats when there is none."""
    for exporter in _EXPORTERS:
        if exporter.name == name:
            return exporter
    raise SettingError(f"There is no export format {name!r}.", hint=f"Formats: {', '.join(names())}.")
