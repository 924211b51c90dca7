"""The list of export formats: a name in, an exporter out."""

from __future__ import annotations

from curation.errors import SettingError
from curation.exporters.acav_csv import AcavCsvExporter
from curation.exporters.base import Exporter, FolderExporter, Format, PageExporter
from curation.exporters.bundle import BundleExporter
from curation.exporters.csv import CsvExporter
from curation.exporters.fiftyone import FiftyOneExporter
from curation.exporters.files import FilesExporter
from curation.exporters.jsonl import JsonlExporter
from curation.exporters.parquet import ParquetExporter
from curation.exporters.report import ReportExporter
from curation.exporters.videofolder import VideoFolderExporter
from curation.exporters.webdataset import WebDatasetExporter

_LISTS: tuple[Exporter, ...] = (AcavCsvExporter(), CsvExporter(), ParquetExporter(), JsonlExporter(), FilesExporter())
_FOLDERS: tuple[FolderExporter, ...] = (
    WebDatasetExporter(),
    VideoFolderExporter(),
    FiftyOneExporter(),
    BundleExporter(),
)
_PAGES: tuple[PageExporter, ...] = (ReportExporter(),)


def formats() -> tuple[Format, ...]:
    """All formats, in the order in which pages offer them: lists, folders, documents."""
    return (*_LISTS, *_FOLDERS, *_PAGES)


def exporters() -> tuple[Exporter, ...]:
    """The formats that are one file with a piece of text or a few bytes a clip."""
    return _LISTS


def names() -> tuple[str, ...]:
    """Names of all formats."""
    return tuple(found.name for found in formats())


def get(name: str) -> Format:
    """The format called `name`. Raises `SettingError` listing the formats when there is none."""
    for found in formats():
        if found.name == name:
            return found
    raise SettingError(f"There is no export format {name!r}.", hint=f"Formats: {', '.join(names())}.")
