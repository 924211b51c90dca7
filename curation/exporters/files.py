"""files: the media files behind the clips, one absolute path a line, each once, in the order of their first clip."""

from __future__ import annotations

import os
from typing import IO

import numpy as np

from curation.exporters.base import Exporter, RowStream
from curation.exporters.rows import MEDIA
from curation.records import clip_keys

_LINE_ENDS = (b"\n", b"\r")


class FilesExporter(Exporter):
    """Names as the operating system has them, byte for byte, so that other programs find the files.

    Clips without a known file have no line; a file whose name holds the end of a line cannot have one either.
    """

    name = "files"
    title = "List of files"
    suffix = ".txt"
    description = "The videos that hold the clips, one path a line, each once; read by `--list`, ffmpeg, rsync."
    columns = (MEDIA,)

    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        seen = np.zeros(0, np.uint64)  # eight bytes a video, whatever their number
        for batch in rows.batches:
            media = [_whole_file(path) for path in batch[MEDIA].to_pylist()]
            usable = [path for path in media if path and not any(end in path for end in _LINE_ENDS)]
            keys = clip_keys([os.fsdecode(path).encode("utf-8", "backslashreplace").decode() for path in usable])
            _, first = np.unique(keys, return_index=True)
            fresh = np.sort(first[~np.isin(keys[first], seen)])
            handle.write(b"".join(usable[at] + b"\n" for at in fresh))
            seen = np.union1d(seen, keys[fresh])


def _whole_file(path: bytes | None) -> bytes | None:
    """The file itself; for a member of a tar the tar."""
    if path is None:
        return None
    from curation.media.location import locate

    return os.fsencode(locate(os.fsdecode(path)).file)
