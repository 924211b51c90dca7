"""The rows of the workspace's tables (units in the names) and the ids made from content."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curation.urls import is_url

VIDEOS = pa.schema(
    [
        (
            "video_id",
            pa.string(),
        ),  # from root and path: one row a file, also for a second file of the same content
        ("path", pa.string()),  # relative to its root, or absolute; bytes that are not UTF-8 are shown as \xNN
        ("path_bytes", pa.binary()),  # the name as the file system has it; for a member of a tar its place in it
        ("root", pa.int32()),  # index into the workspace's sources
        ("title", pa.string()),  # what a list says, else the folder that holds the file; empty at the top of the root
        ("content_id", pa.string()),  # BLAKE2b-128; empty when the file could not be read
        ("duplicate_of", pa.string()),  # video_id of the first file with this content; empty for the first
        ("status", pa.string()),  # ok | failed
        ("code", pa.string()),
        ("message", pa.string()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("container", pa.string()),
        ("duration_s", pa.float64()),
        ("has_video", pa.bool_()),
        ("has_audio", pa.bool_()),
        ("n_video_streams", pa.int32()),
        ("n_audio_streams", pa.int32()),
        ("video_codec", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("rate_num", pa.int64()),  # frames per second as an exact fraction
        ("rate_den", pa.int64()),
        ("rotation_deg", pa.int32()),
        ("audio_codec", pa.string()),
        ("sample_rate_hz", pa.int32()),
        ("channels", pa.int32()),
    ]
)

FILTERED = pa.schema(
    [
        ("video_id", pa.string()),
        ("status", pa.string()),  # ok | dropped
        ("code", pa.string()),
        ("message", pa.string()),
        ("language", pa.string()),  # of title and description, where there are metadata; empty: none, or not told
    ]
)

SEGMENTED = pa.schema(
    [
        ("video_id", pa.string()),
        ("content_id", pa.string()),
        ("status", pa.string()),  # ok | failed
        ("code", pa.string()),
        ("message", pa.string()),
        ("duration_s", pa.float64()),  # of what can be decoded, where that was looked at
        ("n_clips", pa.int32()),
        ("cuts_s", pa.list_(pa.float64())),  # shot boundaries, seconds from the start; null when not searched
        ("scores", pa.list_(pa.float64())),  # the detector's score of each cut
        ("signatures", pa.binary()),  # what the video shows: 24 bytes every step_s seconds
        ("step_s", pa.float64()),
    ]
)

CLIPS = pa.schema(
    [
        ("row", pa.int64()),
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("path", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("source", pa.string()),  # what counts as one source: title, channel or video
        ("title", pa.string()),
        ("status", pa.string()),  # ok | dropped | failed
        ("code", pa.string()),
        ("message", pa.string()),
    ]
)

PICKS = pa.schema(
    [
        ("rank", pa.int64()),  # 1 = picked first
        ("row", pa.int64()),
        ("clip_id", pa.string()),
        ("gain", pa.float64()),  # nats: how much n * F grew when picked; null when not greedy
    ]
)

FAILURES = pa.schema([("row", pa.int64()), ("code", pa.string()), ("message", pa.string())])


def empty_row(schema: pa.Schema) -> dict[str, object]:
    """A row of `schema` with every value at its neutral: empty text, false, null for numbers."""
    neutral = {pa.string(): "", pa.bool_(): False, pa.binary(): b""}
    return {field.name: neutral.get(field.type) for field in schema}


def video_id(root: int, path: bytes) -> str:
    """Id of a file by its place: 26 base-32 characters."""
    return _id(b"video", str(root).encode(), path)


def clip_id(content_id: str, start_s: float, end_s: float) -> str:
    """Id of a clip by its content and its place in it (to the millisecond): 26 base-32 characters."""
    return _id(b"clip", content_id.encode(), str(round(start_s * 1000)).encode(), str(round(end_s * 1000)).encode())


def clip_keys(clip_ids: Sequence[str]) -> np.ndarray:
    """uint64 (n,): the first eight bytes of a hash of each clip id, by which tables are matched."""
    digests = b"".join(hashlib.blake2b(clip.encode(), digest_size=8).digest() for clip in clip_ids)
    return np.frombuffer(digests, np.uint64)


def shown_path(path: bytes) -> str:
    """A file system name as text that any table can hold: what is not UTF-8 becomes \\xNN."""
    return path.decode("utf-8", "backslashreplace")


def real_path(root: str | os.PathLike[str], path_bytes: bytes) -> str:
    """The file behind a row of videos.parquet, as the operating system wants it; or the address of an object."""
    path = os.fsdecode(path_bytes)
    if is_url(path):
        return path
    return os.path.join(os.fspath(root), path)  # noqa: PTH118  (Path would not keep odd bytes)


def _id(*parts: bytes) -> str:
    digest = hashlib.blake2b(b"\0".join(parts), digest_size=17).digest()
    return base64.b32encode(digest).decode("ascii")[:26].lower()
