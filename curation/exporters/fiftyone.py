"""fiftyone: `metadata.json` and `samples.json` as `fo.Dataset.from_dir(..., fo.types.FiftyOneDataset)` reads them.

One sample a clip, pointing at the video it lies in; the clip itself is a temporal detection in the field `clip`, so
`dataset.to_clips("clip")` plays the clips. Media are neither cut nor copied.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from curation.atomic import replacing, write_bytes
from curation.errors import InputError
from curation.exporters.base import FolderExporter, Task
from curation.exporters.parts import dataset_facts
from curation.exporters.rows import MEDIA
from curation.records import shown_path

VERSION = "1.0.0"  # of FiftyOne; a newer one brings what it reads up to date itself
PREVIEWED = 2
_OWN_FIELDS = ("id", "filepath", "tags", "metadata", "created_at", "last_modified_at", "clip")
_FIELDS = "fiftyone.core.fields."
_VIDEO = ("size_bytes", "width", "height", "rate_num", "rate_den", "duration_s")
_KINDS = {"string": "StringField", "int64": "IntField", "int32": "IntField", "double": "FloatField"}


class FiftyOneExporter(FolderExporter):
    """Columns become fields (dots become underscores, see `field_names`), absent values are left out of a sample."""

    name = "fiftyone"
    title = "FiftyOne dataset"
    suffix = ""
    description = (
        "Samples in FiftyOne's own JSON: each video with its clip as a temporal detection. No media are copied."
    )

    def fill(self, task: Task) -> dict[str, Any]:
        n_written = n_without = 0
        fields = field_names(task.schema.names)
        samples = task.place / "samples.json"
        with replacing(samples) as temporary, temporary.open("wb") as handle:
            handle.write(b'{"samples": [')
            for batch in task.rows((MEDIA, *_VIDEO)):
                for row in batch.to_pylist():
                    if row[MEDIA] is None:
                        n_without += 1
                        continue
                    handle.write(b",\n" if n_written else b"\n")
                    handle.write(_json(_sample(task.name, row, fields)))
                    n_written += 1
                task.advance(batch.num_rows)
            handle.write(b"\n]}\n")
        if not n_written:
            raise InputError(
                "The workspace knows no media file of these clips: FiftyOne has nothing to show.",
                hint="Export them as csv or parquet.",
            )
        if n_without:
            task.notices.append(f"{n_without:,} clips have no known media file and are not in the dataset.")
        failed = {"no_media": n_without} if n_without else {}
        facts = {"clips": n_written, "failed": failed}
        write_bytes(task.place / "metadata.json", _json(_metadata(task, facts)) + b"\n")
        return facts

    def preview(self, task: Task) -> str:
        fields = field_names(task.schema.names)
        samples = [
            _sample(task.name, row, fields)
            for batch in task.rows((MEDIA, *_VIDEO))
            for row in batch.to_pylist()
            if row[MEDIA] is not None
        ]
        return json.dumps({"samples": samples[:PREVIEWED]}, ensure_ascii=False, indent=1)


def field_names(columns: Sequence[str]) -> dict[str, str]:
    """Of each column its field, as FiftyOne allows it: letters, digits and underscores, each once.

    A column whose name can stay keeps it; of others that would get the same name the later ones get a number behind.
    """
    plain = {column: _field_name(column) for column in columns}
    found = {column: name for column, name in plain.items() if column == name and name not in _OWN_FIELDS}
    taken = {*found.values(), *_OWN_FIELDS}
    for column, name in plain.items():
        if column not in found:
            numbered = (f"{name}_{k}" for k in count(2))
            unused = next(one for one in chain([name], numbered) if one not in taken)
            found[column] = unused
            taken.add(unused)
    return {column: found[column] for column in columns}


def _field_name(column: str) -> str:
    name = re.sub(r"\W", "_", column, flags=re.ASCII)
    return f"f{name}" if not name or name[0].isdigit() or name[0] == "_" else name


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")


def _id(*parts: object) -> dict[str, str]:
    """An ObjectId (12 bytes) that the same clip always gets."""
    return {"$oid": hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=12).hexdigest()}


def _sample(dataset: str, row: dict[str, Any], fields: dict[str, str]) -> dict[str, Any]:
    key = (dataset, row["clip_id"], row["row"])
    sample: dict[str, Any] = {
        "_id": _id("sample", *key),
        "filepath": shown_path(row[MEDIA]),
        "tags": [],
        "_media_type": "video",
        "_rand": int(_id("rand", *key)["$oid"][:8], 16) / 2**32,
    }
    sample |= {field: row[name] for name, field in fields.items() if row[name] is not None}
    rate, num, den = None, row["video_rate_num"], row["video_rate_den"]
    if num and den:
        rate = num / den
        sample["metadata"] = _video_metadata(row, rate)
    if rate and row["start_s"] is not None and row["end_s"] is not None:
        frames = max(1, round((row["video_duration_s"] or row["end_s"]) * rate))
        first = min(frames, math.floor(row["start_s"] * rate + 1e-6) + 1)
        last = min(frames, max(first, math.ceil(row["end_s"] * rate - 1e-6)))
        name = Path(os.fsdecode(row[MEDIA])).stem
        shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
        detection = {"_id": _id("clip", *key), "_cls": "TemporalDetection", "tags": [], "label": shown}
        detection |= {"support": [first, last]}
        sample["clip"] = {"_cls": "TemporalDetections", "detections": [detection]}
    return sample


def _video_metadata(row: dict[str, Any], rate: float) -> dict[str, Any]:
    found = {
        "_cls": "VideoMetadata",
        "size_bytes": row["video_size_bytes"],
        "frame_width": row["video_width"],
        "frame_height": row["video_height"],
        "frame_rate": rate,
        "duration": row["video_duration_s"],
    }
    if row["video_duration_s"]:
        found["total_frame_count"] = round(row["video_duration_s"] * rate)
    return {name: value for name, value in found.items() if value is not None}


def _metadata(task: Task, facts: dict[str, Any]) -> dict[str, Any]:
    """The dataset's own document: what its samples are made of."""
    names = field_names(task.schema.names)
    video = [
        _field("size_bytes", "IntField"),
        _field("mime_type", "StringField"),
        _field("frame_width", "IntField"),
        _field("frame_height", "IntField"),
        _field("frame_rate", "FloatField"),
        _field("total_frame_count", "IntField"),
        _field("duration", "FloatField"),
        _field("encoding_str", "StringField"),
    ]
    detection = [
        _field("id", "ObjectIdField", db_field="_id"),
        _field("tags", "ListField", subfield=_FIELDS + "StringField"),
        _field("label", "StringField"),
        _field("confidence", "FloatField"),
        _field("support", "FrameSupportField", subfield=_FIELDS + "IntField"),
    ]
    detections = _field("detections", "ListField", subfield=_FIELDS + "EmbeddedDocumentField", fields=detection)
    detections["embedded_doc_type"] = "fiftyone.core.labels.TemporalDetection"
    fields = [
        _field("id", "ObjectIdField", db_field="_id"),
        _field("filepath", "StringField"),
        _field("tags", "ListField", subfield=_FIELDS + "StringField"),
        _field("metadata", "EmbeddedDocumentField", fields=video) | {
            "embedded_doc_type": "fiftyone.core.metadata.VideoMetadata"
        },
        _field("_media_type", "StringField"),
        _field("_rand", "FloatField"),
        _field("_dataset_id", "ObjectIdField"),
        _field("created_at", "DateTimeField") | {"read_only": True},
        _field("last_modified_at", "DateTimeField") | {"read_only": True},
        _field("clip", "EmbeddedDocumentField", fields=[detections]) | {
            "embedded_doc_type": "fiftyone.core.labels.TemporalDetections"
        },
        *[_field(names[column.name], _KINDS[str(column.type)]) for column in task.schema],
    ]  # fmt: skip
    return {
        "_id": _id("dataset", task.name),
        "name": task.name,
        "slug": re.sub(r"[^a-z0-9]+", "-", task.name.lower()).strip("-") or "clips",
        "version": VERSION,
        "media_type": "video",
        "persistent": False,
        "group_media_types": {},
        "tags": [],
        "info": dataset_facts(task, facts),
        "app_config": {},
        "classes": {},
        "default_classes": [],
        "mask_targets": {},
        "default_mask_targets": {},
        "skeletons": {},
        "sample_fields": fields,
        "frame_fields": [
            _field("id", "ObjectIdField", db_field="_id"),
            _field("frame_number", "FrameNumberField"),
            _field("_sample_id", "ObjectIdField"),
            _field("_dataset_id", "ObjectIdField"),
            _field("created_at", "DateTimeField") | {"read_only": True},
            _field("last_modified_at", "DateTimeField") | {"read_only": True},
        ],
        "saved_views": [],
        "workspaces": [],
        "annotation_runs": {},
        "brain_methods": {},
        "evaluations": {},
        "runs": {},
    }


def _field(
    name: str, kind: str, *, subfield: str | None = None, fields: list[dict[str, Any]] | None = None, db_field: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": _FIELDS + kind,
        "embedded_doc_type": None,
        "subfield": subfield,
        "fields": fields or [],
        "db_field": db_field or name,
        "description": None,
        "info": None,
        "read_only": False,
    }
