"""Clips, features, assignments and columns made elsewhere: files in, workspace artefacts of origin "imported" out."""

from curation.importers.assignments import import_assignments
from curation.importers.columns import import_columns
from curation.importers.features import import_features

__all__ = ["import_assignments", "import_columns", "import_features"]
