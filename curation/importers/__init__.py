"""Clips, features, assignments, columns, shards and lists made elsewhere in; artefacts of origin "imported" out."""

from curation.importers.arrays import FeatureFile, import_arrays, parse_feature_file
from curation.importers.assignments import import_assignments
from curation.importers.columns import import_columns
from curation.importers.features import import_features
from curation.importers.growth import import_clips
from curation.importers.lists import import_list
from curation.importers.shard_import import import_shards

__all__ = [
    "FeatureFile",
    "import_arrays",
    "import_assignments",
    "import_clips",
    "import_columns",
    "import_features",
    "import_list",
    "import_shards",
    "parse_feature_file",
]
