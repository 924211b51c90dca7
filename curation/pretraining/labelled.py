"""Labelled media in: folders, tables, and the layouts of UCF101, ESC-50 and Kinetics-Sounds; spans with classes out."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import InputError
from curation.pretraining.decoding import Span

LEARN, TEST, UNSAID = 1, 2, 0
SHOWN = 8
MEDIA = frozenset(  # endings of files that are looked at
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ogv", ".wav", ".flac", ".mp3", ".ogg", ".opus",
     ".m4a", ".aac", ".jpg", ".jpeg", ".png")
)  # fmt: skip
_PARTS = {"train": LEARN, "training": LEARN, "test": TEST, "testing": TEST, "val": TEST, "valid": TEST,
          "validate": TEST, "validation": TEST}  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    """n labelled pieces of media. `label` int (n,) into `classes`; `source`: n names, pieces of one share a recording;
    `part` int8 (n,): 1 to learn from, 2 to test on, 0 where the data do not say. `sources_said`: the data name the
    sources; else they are names of files, which say nothing across folders. `left_out`: rows of a table without a path
    or a label.
    """

    spans: list[Span]
    label: np.ndarray
    classes: tuple[str, ...]
    source: list[str]
    part: np.ndarray
    sources_said: bool = False
    left_out: int = 0

    @property
    def on_both_sides(self) -> list[str]:
        """Sources of which pieces are to be learnt from and others to be tested on; files, where no source is said."""
        names = self.source if self.sources_said else [span.path for span in self.spans]
        learnt, tested = ({name for name, own in zip(names, self.part) if own == part} for part in (LEARN, TEST))
        return sorted(learnt & tested)

    def of_sources(self, names: Iterable[str]) -> np.ndarray:
        """Bool (n,): pieces of some of `on_both_sides`."""
        wanted = set(names)
        own = self.source if self.sources_said else [span.path for span in self.spans]
        return np.array([name in wanted for name in own], bool)


def read(kind: str, place: str | Path, *, fold: int = 1) -> Labelled:
    """Labelled data of a kind (`READERS`). `fold`: which of UCF101's three splits, or the fold of ESC-50 to test on.

    Raises `InputError` that says what was looked for.
    """
    if kind not in READERS:
        raise InputError(f"There is no reader {kind!r} of labelled data.", hint=f"Readers: {', '.join(READERS)}.")
    path = Path(place).expanduser()
    if not path.exists():
        raise InputError(f"There is no {path}.")
    found = READERS[kind](path, fold)
    if not found:
        raise InputError(f"{path} holds no labelled media in the layout of {kind}.", hint=LAYOUTS[kind])
    left_out = len(rows_of(path)) - len(found) if kind == "table" else 0
    return replace(_labelled(found), sources_said=_says_sources(kind, path), left_out=left_out)


def _says_sources(kind: str, path: Path) -> bool:
    """Groups of UCF101, recordings of ESC-50, videos of Kinetics, a table's column `source`."""
    if kind == "table":
        return "source" in rows_of(path)[0]
    return kind in ("ucf101", "esc50") or (kind == "kinetics-sounds" and any(path.glob("*.csv")))


Piece = tuple[Span, str, str, int]  # span, class, source, part


def _labelled(found: list[Piece]) -> Labelled:
    classes = tuple(sorted({name for _, name, _, _ in found}))
    if len(classes) < 2:
        raise InputError(f"The labelled data are all of one class, {classes[0]!r}.", hint="A probe needs two or more.")
    place = {name: k for k, name in enumerate(classes)}
    return Labelled(
        [span for span, *_ in found],
        np.array([place[name] for _, name, _, _ in found], np.int64),
        classes,
        [source for _, _, source, _ in found],
        np.array([part for *_, part in found], np.int8),
    )


def _folder(folder: Path, _fold: int) -> list[Piece]:
    """A folder a class, or `train` and `test` with a folder a class in each."""
    tops = [p for p in sorted(folder.iterdir()) if p.is_dir()]
    split = [p for p in tops if p.name.lower() in _PARTS]
    groups = [(p, _PARTS[p.name.lower()]) for p in split] if split else [(folder, UNSAID)]
    found: list[Piece] = []
    for top, part in groups:
        for kind in sorted(p for p in top.iterdir() if p.is_dir()):
            found += [(Span(str(file)), kind.name, file.stem, part) for file in _media(kind)]
    return found


def _table(file: Path, _fold: int) -> list[Piece]:
    """Columns path, label and, if any, split, source, start_s, end_s; paths from the table's folder."""
    rows = rows_of(file)
    _columns(file, rows, ("path", "label"))
    found: list[Piece] = []
    for row in rows:
        label = row["label"]
        if not row["path"] or label is None or label != label or not str(label).strip():
            continue
        path = Path(str(row["path"]))
        path = path if path.is_absolute() else file.parent / path
        start, end = (_number(row.get(name)) for name in ("start_s", "end_s"))
        span = Span(str(path), 0.0 if math.isnan(start) else start, end)
        part = _PARTS.get(str(row.get("split") or "").lower(), UNSAID)
        found.append((span, str(label).strip(), str(row.get("source") or path.stem), part))
    return found


def _ucf101(folder: Path, fold: int) -> list[Piece]:
    """`<class>/v_<class>_gNN_cNN.avi`, and `trainlistNN.txt` and `testlistNN.txt` somewhere below."""
    part: dict[str, int] = {}
    for which, value in (("trainlist", LEARN), ("testlist", TEST)):
        for file in sorted(folder.rglob(f"{which}{fold:02d}.txt"))[:1]:
            lines = file.read_text("utf-8", "replace").split("\n")
            part |= {line.split()[0].rpartition("/")[2]: value for line in lines if line.strip()}
    if not part:
        raise InputError(f"{folder} holds no trainlist{fold:02d}.txt.", hint=LAYOUTS["ucf101"])
    found: list[Piece] = []
    for file in _media(folder):
        name = re.fullmatch(r"v_(.+)_(g\d+)_c\d+", file.stem)
        if name and file.name in part:
            found.append((Span(str(file)), name[1], f"{name[1]} {name[2]}", part[file.name]))
    return found


def _esc50(folder: Path, fold: int) -> list[Piece]:
    """`meta/esc50.csv` (filename, fold, category, src_file) and `audio/`."""
    meta = folder / "meta" / "esc50.csv"
    if not meta.is_file():
        raise InputError(f"There is no {meta}.", hint=LAYOUTS["esc50"])
    rows = rows_of(meta)
    _columns(meta, rows, ("filename", "fold", "category"))
    folds = sorted({str(row["fold"]) for row in rows})
    if str(fold) not in folds:
        raise InputError(f"{meta} has no fold {fold}.", hint=f"Its folds: {', '.join(folds[:SHOWN])}.")
    return [
        (
            Span(str(folder / "audio" / str(row["filename"]))),
            str(row["category"]),
            str(row.get("src_file") or row["filename"]),
            TEST if str(row["fold"]) == str(fold) else LEARN,
        )
        for row in rows
    ]


def _kinetics_sounds(folder: Path, _fold: int) -> list[Piece]:
    """Csv files with label, youtube_id, time_start, time_end, split; videos anywhere below, the id in their names, cut
    to the annotated time or whole. Without a csv: `train/<class>/`, `test/<class>/`.
    """
    tables = [(file, rows_of(file)) for file in sorted(folder.glob("*.csv"))]
    tables = [(file, rows) for file, rows in tables if rows and "youtube_id" in rows[0]]
    if not tables:
        return _folder(folder, 1)
    videos: dict[str, list[Path]] = {}
    for file in _media(folder):
        videos.setdefault(file.stem[:11], []).append(file)
    found: list[Piece] = []
    for table, rows in tables:
        _columns(table, rows, ("label", "youtube_id", "time_start", "time_end"))
        for row in rows:
            start, end = _number(row["time_start"]), _number(row["time_end"])
            for file in videos.get(str(row["youtube_id"]), [])[:1]:
                is_cut = bool(re.search(r"_\d+_\d+$", file.stem[11:]))
                span = Span(str(file)) if is_cut or math.isnan(start) else Span(str(file), start, end)
                said = str(row.get("split") or table.stem.rpartition("_")[2]).lower()
                found.append((span, str(row["label"]), str(row["youtube_id"]), _PARTS.get(said, UNSAID)))
    return found


READERS: dict[str, Callable[[Path, int], list[Piece]]] = {
    "folder": _folder,
    "table": _table,
    "ucf101": _ucf101,
    "esc50": _esc50,
    "kinetics-sounds": _kinetics_sounds,
}
LAYOUTS = {name: " ".join((reader.__doc__ or "").split()) for name, reader in READERS.items()}


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Rows of a csv, tsv or parquet table. Raises `InputError` where it cannot be read."""
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            return pq.read_table(file, partitioning=None).to_pylist()
        with file.open(newline="", encoding="utf-8-sig") as handle:
            return list(csv.DictReader(handle, delimiter="\t" if file.suffix == ".tsv" else ","))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as a table ({error}).", hint="Give a csv, tsv or parquet.") from error


def _columns(file: Path, rows: list[dict[str, Any]], wanted: Iterable[str]) -> None:
    missing = [name for name in wanted if not rows or name not in rows[0]]
    if missing:
        there = ", ".join(map(str, rows[0])) if rows else "none"
        raise InputError(f"{file} has no column {', '.join(missing)}.", hint=f"Its columns: {there}.")


def _media(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in MEDIA and p.is_file())


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
