"""Export: a selection, what people made of it, a list of rows or every clip in; a file or a folder out, whole or not.

Lists are written to a hidden file and renamed. Folders are gathered under a hidden name beside their place, which
survives a kill, so that the same command goes on where it was; they are renamed when they are whole.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.atomic import disk_error, replacing
from curation.errors import InputError, WorkspaceError
from curation.exporters import registry
from curation.exporters.base import CutSettings, Exporter, FolderExporter, Format, PageExporter, RowStream, Task
from curation.exporters.rows import ALL_CLIPS, MEDIA, Plan, Wanted, batches, plan, read_rows
from curation.locks import writer_lock
from curation.progress import Progress
from curation.urls import local_path
from curation.workspace import Workspace, fingerprint_of

__all__ = ["ALL_CLIPS", "CutSettings", "Estimate", "default_selection", "estimate", "export", "preview", "read_rows"]

BATCH_ROWS = 65_536
FOLDER_BATCH_ROWS = 1024
ESTIMATED_ON = 512  # clips whose sizes stand for all
UNFINISHED = ".unfinished"
COPIED_MB_S = 60.0  # of media, by one worker; rough, from a dozen cuts of 360p to 1080p web videos
ENCODED_PIXELS_S = 25e6  # of pictures, by one worker; rough, from the same cuts


def export(
    workspace: Workspace,
    format: str,
    out: str | os.PathLike[str],
    *,
    selection: str | None = None,
    reviewed: bool = False,
    rows: np.ndarray | None = None,
    settings: CutSettings | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the clips of `selection` to `out` in picking order.

    `format`: a name of `curation.exporters.registry`. `selection`: its name; None: the newest one, or every clip when
    there is none; "all": every clip, in the order of clips.parquet. `reviewed`: the selection as people left it: what
    they dropped is missing, what they kept comes behind. `rows` int64 (m,): those clips instead, in their order.
    `settings` are for the formats that cut clips. Returns facts: format, out, rows, hours (None when times are
    unknown), bytes, selection, seconds, notices, and what the format adds.

    Raises `SettingError` (format), `InputError` (no such selection, nothing to write, `out` is there already or in a
    store), `WorkspaceError` (disk full, not writable), `LockedError` (the same is being written), `Cancelled`.
    Whatever is raised, `out` is as it was before; what is finished of a folder is kept beside it for the next run.
    """
    exporter = registry.get(format)
    place = Path(os.path.abspath(local_path(out).expanduser()))  # noqa: PTH100  (links are not followed: the name is kept)
    _check_place(place, overwrite)
    planned = _plan(workspace, exporter, selection, reviewed, rows)
    settings = settings or CutSettings()
    try:
        _check_room(estimate_of(planned, exporter, settings), place)
    except OSError as error:
        raise disk_error(error, place) from error
    started = time.monotonic()
    if progress is not None:
        progress.start("export", planned.n_rows, "clips")
    if isinstance(exporter, Exporter):
        facts = _write_list(exporter, planned, place, progress, overwrite)
    elif isinstance(exporter, PageExporter):
        facts = _write_page(exporter, planned, place, settings, progress, overwrite)
    else:
        assert isinstance(exporter, FolderExporter)
        facts = _write_folder(exporter, planned, place, settings, progress)
    if progress is not None:
        progress.flush()
    return {
        "format": exporter.name,
        "out": str(place),
        "rows": planned.n_rows,
        **facts,
        "selection": planned.words,
        "seconds": time.monotonic() - started,
        "notices": planned.notices,
    }


def preview(
    workspace: Workspace,
    format: str,
    *,
    selection: str | None = None,
    reviewed: bool = False,
    rows: np.ndarray | None = None,
    n: int = 10,
) -> str:
    """The first `n` rows as `export` would write them (Parquet: as CSV text). Raises as `export` does."""
    exporter = registry.get(format)
    planned = _plan(workspace, exporter, selection, reviewed, rows)
    with tempfile.TemporaryDirectory(prefix="export-") as spill:
        if isinstance(exporter, Exporter):
            found = batches(planned, spill, BATCH_ROWS, n, exporter.columns)
            return exporter.preview(RowStream(_schema(planned, exporter), found))
        task = _task(planned, Path(spill), "clips", CutSettings(), None, n)
        assert isinstance(exporter, (FolderExporter, PageExporter))
        return exporter.preview(task)


@dataclass(frozen=True)
class Estimate:
    """About how many bytes will be written, and how long cutting takes in seconds (None: only writing)."""

    rows: int
    size_bytes: int
    seconds: float | None


def estimate(
    workspace: Workspace,
    format: str,
    *,
    selection: str | None = None,
    reviewed: bool = False,
    rows: np.ndarray | None = None,
    settings: CutSettings | None = None,
) -> Estimate:
    """What an export will cost, from a few of its clips. Raises as `export` does."""
    exporter = registry.get(format)
    return estimate_of(_plan(workspace, exporter, selection, reviewed, rows), exporter, settings or CutSettings())


def estimate_of(planned: Plan, exporter: Format, settings: CutSettings) -> Estimate:
    """As `estimate`, for rows that are planned already."""
    if isinstance(exporter, Exporter):
        with tempfile.TemporaryDirectory(prefix="export-") as spill:
            found = batches(planned, spill, BATCH_ROWS, ESTIMATED_ON, exporter.columns)
            n_bytes = len(exporter.preview(RowStream(_schema(planned, exporter), found)).encode("utf-8", "replace"))
        share = 0.35 if exporter.name == "parquet" else 1.0  # compressed, beside the same rows as text
        return Estimate(planned.n_rows, round(n_bytes * share * planned.n_rows / _shown(planned)), None)
    if not exporter.cuts:
        n_clips = planned.workspace.n_rows("clips")
        each = {"fiftyone": 900 * planned.n_rows, "bundle": 60 * n_clips + 5 * n_clips * len(planned.assignments)}
        return Estimate(planned.n_rows, each.get(exporter.name, 500_000), None)
    return _cut_estimate(planned, settings)


def default_selection(workspace: Workspace) -> str | None:
    """Name of the selection that the last run meant, else of the newest, or None when there is none."""
    return workspace.current_selection


def unfinished(place: Path) -> list[Path]:
    """Folders that hold what is finished of an export to `place`."""
    return sorted(place.parent.glob(f".{_globbed(place.name)}.*{UNFINISHED}"))


# -- inside ------------------------------------------------------------------------------------------------------------


def _plan(
    workspace: Workspace, exporter: Format, selection: str | None, reviewed: bool, rows: np.ndarray | None
) -> Plan:
    workspace.require("clips", "segment")
    name = None if selection == ALL_CLIPS else default_selection(workspace) if selection is None else selection
    planned = plan(workspace, Wanted(name, reviewed and rows is None, rows))
    if exporter.needs_selection and (name is None or rows is not None):
        raise InputError(
            f"A {exporter.title.lower()} tells of a selection, and none is meant.",
            hint=f"Choose one, or make one with: python -m curation select {workspace.path}",
        )
    return planned


def _schema(planned: Plan, exporter: Exporter) -> pa.Schema:
    return pa.schema([*planned.schema, *(pa.field(name, pa.binary()) for name in exporter.columns)])


def _shown(planned: Plan) -> int:
    return max(1, min(ESTIMATED_ON, planned.n_rows))


def _cut_estimate(planned: Plan, settings: CutSettings) -> Estimate:
    """From the bytes a second and the pixels a second of the first clips' videos."""
    columns = ("size_bytes", "duration_s", "width", "height", "rate_num", "rate_den")
    n_bytes = pixels = 0.0
    with tempfile.TemporaryDirectory(prefix="export-") as spill:
        for batch in batches(planned, spill, BATCH_ROWS, ESTIMATED_ON, columns):
            values = [_numbers(batch[f"video_{name}"]) for name in columns]
            size, duration_s, width, height, rate_num, rate_den = values
            length_s = _numbers(batch["end_s"]) - _numbers(batch["start_s"])
            with np.errstate(divide="ignore", invalid="ignore"):
                n_bytes += float(np.nansum(length_s * size / np.maximum(duration_s, 1e-3)))
                pixels += float(np.nansum(length_s * width * height * rate_num / rate_den))
    scale = planned.n_rows / _shown(planned)
    copied_s = n_bytes / 1e6 / COPIED_MB_S
    seconds = copied_s if settings.cut == "copy" else pixels / ENCODED_PIXELS_S
    return Estimate(planned.n_rows, round(n_bytes * scale), seconds * scale / settings.workers)


def _numbers(column: pa.Array) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _check_place(place: Path, overwrite: bool) -> None:
    if place.is_dir() and not place.is_symlink():
        raise InputError(
            f"{place} is a folder that is there already.",
            hint=f"Name something new in it, for example {place / 'clips'}; an export never overwrites anything.",
        )
    if not overwrite and (place.exists() or place.is_symlink()):
        raise InputError(f"{place} is there already.", hint="Give another name; an export never overwrites a file.")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{place.parent} is no folder.", hint="Choose another place.") from error
    except NotADirectoryError as error:
        raise InputError(f"{place.parent} lies below a file.", hint="Choose another place.") from error
    except OSError as error:
        raise disk_error(error, place) from error
    if not os.access(place.parent, os.W_OK):
        raise WorkspaceError(
            f"{place.parent} cannot be written.",
            hint="Choose a folder that you may write to, or change its permissions.",
            code="read_only",
        )


def _check_room(wanted: Estimate, place: Path) -> None:
    free = shutil.disk_usage(place.parent).free
    if wanted.size_bytes > free:
        raise WorkspaceError(
            f"About {wanted.size_bytes / 1e9:,.1f} GB would be written, "
            f"{free / 1e9:,.1f} GB are free at {place.parent}.",
            hint="Choose another disk, or export fewer clips.",
            code="disk_full",
        )


def _task(
    planned: Plan, place: Path, name: str, settings: CutSettings, progress: Progress | None, limit: int | None = None
) -> Task:
    spill = place / ".spill"
    return Task(
        workspace=planned.workspace,
        selection=planned.selection,
        reviewed=planned.wanted.reviewed,
        n_rows=planned.n_rows,
        schema=planned.schema,
        place=place,
        name=name,
        settings=settings,
        rows=partial(_rows, planned, spill, limit),
        progress=progress,
        notices=planned.notices,
    )


def _rows(planned: Plan, spill: Path, limit: int | None, columns: tuple[str, ...] = ()) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches(planned, spill, FOLDER_BATCH_ROWS, limit, columns)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _write_list(
    exporter: Exporter, planned: Plan, place: Path, progress: Progress | None, overwrite: bool
) -> dict[str, Any]:
    counts = _Counts()
    with replacing(place) as temporary, tempfile.TemporaryDirectory(dir=place.parent, prefix=".export-") as spill:
        found = _counted(batches(planned, spill, BATCH_ROWS, None, exporter.columns), counts, progress)
        with temporary.open("wb") as handle:
            exporter.write(RowStream(_schema(planned, exporter), found), handle)
        if counts.rows != planned.n_rows:
            raise InputError(
                f"{planned.n_rows} rows were to be written, {counts.rows} were found: clip ids are not unique, or the "
                "workspace changed meanwhile.",
                hint="Nothing was written. Export again; if it stays, run select again.",
            )
        n_bytes = temporary.stat().st_size
        _check_place(place, overwrite)  # somebody may have written it since
    if MEDIA in exporter.columns and counts.without_media:
        planned.notices.append(f"{counts.without_media:,} clips have no known media file and no line.")
    return {"hours": counts.seconds / 3600 if math.isfinite(counts.seconds) else None, "bytes": n_bytes}


def _write_page(
    exporter: PageExporter,
    planned: Plan,
    place: Path,
    settings: CutSettings,
    progress: Progress | None,
    overwrite: bool,
) -> dict[str, Any]:
    with replacing(place) as temporary, tempfile.TemporaryDirectory(dir=place.parent, prefix=".export-") as spill:
        task = _task(planned, Path(spill), place.stem, settings, progress)
        with temporary.open("wb") as handle:
            facts = exporter.write(task, handle)
        n_bytes = temporary.stat().st_size
        _check_place(place, overwrite)
    return {**facts, "bytes": n_bytes}


def _write_folder(
    exporter: FolderExporter, planned: Plan, place: Path, settings: CutSettings, progress: Progress | None
) -> dict[str, Any]:
    meant = fingerprint_of([exporter.name, planned.fingerprint(), asdict(settings) | {"workers": 0}])
    folder = place.with_name(f".{place.name}.{meant[:16]}{UNFINISHED}")
    with writer_lock(place.with_name(f".{place.name}.{meant[:16]}.lock"), purpose="export"):
        try:
            folder.mkdir(exist_ok=True)
            name = place.name.removesuffix(".zip")
            facts = exporter.fill(_task(planned, folder, name, settings, progress))
            shutil.rmtree(folder / ".parts", ignore_errors=True)
            n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            _check_place(place, False)
            if place.suffix == ".zip":
                _zip(folder, place, name)
                shutil.rmtree(folder)
            else:
                folder.rename(place)
        except OSError as error:
            raise disk_error(error, place) from error
        except InputError as error:
            if error.code == "nothing_cut":  # no second run would find more
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return {**facts, "bytes": n_bytes}


def _zip(folder: Path, place: Path, name: str) -> None:
    """All files of a folder as one zip, below `name`, with the same times everywhere: same files, same bytes."""
    with replacing(place) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(f"{name}/{file.relative_to(folder).as_posix()}")
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with file.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)


@dataclass
class _Counts:
    rows: int = 0
    seconds: float = 0.0
    without_media: int = 0


def _counted(batches: Iterator[pa.RecordBatch], counts: _Counts, progress: Progress | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        counts.rows += batch.num_rows
        spans = batch["end_s"].to_numpy(zero_copy_only=False) - batch["start_s"].to_numpy(zero_copy_only=False)
        counts.seconds += float(spans.sum())
        if MEDIA in batch.schema.names:
            counts.without_media += batch[MEDIA].null_count
        if progress is not None:
            progress.advance(batch.num_rows)
            progress.check_cancelled()


def _globbed(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
