"""All kinds of sources by name; a new kind is one class added here and its name in `curation.sourcespec.KINDS`."""

from __future__ import annotations

from curation.sources.base import Source
from curation.sources.file_list import FileListSource
from curation.sources.folder import FolderSource
from curation.sources.metadata_tsv import MetadataSource
from curation.sources.webdataset import WebDatasetSource
from curation.sourcespec import SourceSpec

SOURCES: dict[str, type[Source]] = {
    kind.kind: kind for kind in (FolderSource, FileListSource, MetadataSource, WebDatasetSource)
}


def source_of(spec: SourceSpec) -> Source:
    """The reader of a source."""
    return SOURCES[spec.kind](spec)
