"""Blind audits on disk: `audits/<name>/plan.json` (what is listened to) and `answers.jsonl` (what was said).

Answers are lines that are only ever appended; of the same auditor and item the last one counts, and null takes it back.
No stage reads this folder: what judges a selection never helps to make one.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import lines
from curation.atomic import read_json, write_json
from curation.errors import InputError, WorkspaceError
from curation.locks import writer_lock
from curation.media.location import locate
from curation.records import real_path
from curation.urls import is_url
from curation.workspace import Workspace

FOLDER = "audits"
ANSWERS = {
    "seen": "the sound comes from what is seen",
    "plausible": "plausible but not seen",
    "overlaid": "laid over (music, narration, dub)",
    "unclear": "cannot tell",
}
CLIPS = 120
REPEATS = 0.1
CLIPS_MAX = 5000
EXPORT_FORMATS = ("csv", "jsonl")
_VERSION = 1
_WAIT_S = 10.0


@dataclass(frozen=True)
class Item:
    """One presentation of a clip. `origin`: chosen, rejected or random; `bands`: its score's band in each run, -1 none.

    `repeat_of`: the item that it repeats, or None.
    """

    clip_id: str
    stratum: int
    origin: str
    bands: tuple[int, ...]
    repeat_of: int | None = None


@dataclass(frozen=True)
class Stratum:
    """`chosen_by`: for each run whether it chose these clips; `clips` there are, `drawn` of them are listened to."""

    chosen_by: tuple[bool, ...]
    clips: int
    drawn: int


@dataclass(frozen=True)
class ScoreBand:
    """A fifth of the candidates by a run's score; `estimated`: their false share as decoys say it, None without."""

    low: float
    high: float
    clips: int
    estimated: float | None


@dataclass(frozen=True)
class Plan:
    """An audit as it was drawn. `prints`: fingerprints of clips and runs; `clips`: clips of the first draw."""

    name: str
    made: float
    seed: int
    runs: tuple[str, ...]
    prints: tuple[str, ...]
    clips: int
    strata: tuple[Stratum, ...]
    bands: tuple[tuple[ScoreBand, ...], ...]
    items: tuple[Item, ...]

    @property
    def candidates(self) -> int:
        return sum(stratum.clips for stratum in self.strata)

    @property
    def first_items(self) -> list[int]:
        """Items that are no repeats."""
        return [i for i, item in enumerate(self.items) if item.repeat_of is None]


@dataclass(frozen=True)
class Answer:
    """`answer` is a key of `ANSWERS`; `time` in UTC, ISO 8601."""

    item: int
    answer: str
    auditor: str
    time: str


# -- media -------------------------------------------------------------------------------------------------------------


def media_paths(workspace: Workspace, clip_ids: Sequence[str]) -> dict[str, str]:
    """Media file of each clip that the workspace knows one for; whether it is there is not looked at."""
    wanted = pa.array(sorted(set(clip_ids)), pa.string())
    if not workspace.artefact_path("videos").is_file() or not workspace.artefact_path("clips").is_file():
        return {}
    clips = pq.read_table(
        workspace.artefact_path("clips"),
        columns=["clip_id", "video_id"],
        filters=pc.field("clip_id").isin(wanted),
        partitioning=None,
    )
    videos = pq.read_table(
        workspace.artefact_path("videos"),
        columns=["video_id", "root", "path_bytes"],
        filters=pc.field("video_id").isin(clips["video_id"].combine_chunks()),
        partitioning=None,
    ).to_pylist()
    roots = workspace.roots
    files = {
        video["video_id"]: real_path(roots[video["root"]], video["path_bytes"])
        for video in videos
        if video["path_bytes"] and 0 <= video["root"] < len(roots)
    }
    return {c["clip_id"]: files[c["video_id"]] for c in clips.to_pylist() if c["video_id"] in files}


def file_there(path: str | None) -> bool:
    """Whether a medium's file is on the disk. An object of a store counts as there until it is played."""
    if path is None:
        return False
    return is_url(path) or os.path.isfile(locate(path).file)  # noqa: PTH113  (Path would not keep odd bytes)


def media_there(workspace: Workspace, clip_ids: Sequence[str]) -> dict[str, bool]:
    """For each clip whether its media file is on the disk."""
    paths = media_paths(workspace, clip_ids)
    return {clip_id: file_there(paths.get(clip_id)) for clip_id in clip_ids}


# -- plans -------------------------------------------------------------------------------------------------------------


def names(workspace: Workspace) -> list[str]:
    """Names of the audits, oldest first."""
    found = [path.parent for path in (workspace.path / FOLDER).glob("[!.]*/plan.json")]
    return [folder.name for folder in sorted(found, key=lambda f: (read_json(f / "plan.json").get("made", 0), f.name))]


def read_plan(workspace: Workspace, name: str) -> Plan:
    """The plan of an audit. Raises `InputError` that names those there are, `WorkspaceError` for a damaged one."""
    folder = workspace.path / FOLDER / name
    if folder.parent != workspace.path / FOLDER or not (folder / "plan.json").is_file():
        known = ", ".join(names(workspace)) or "none yet"
        raise InputError(f"There is no audit {name!r} in {workspace.name}.", hint=f"There are: {known}.")
    found = read_json(folder / "plan.json")
    if isinstance(found, dict) and found.get("version", 0) > _VERSION:
        raise WorkspaceError(f"The audit {name!r} was made by a newer version of Concord.", hint="Update Concord.")
    try:
        return Plan(
            name,
            float(found["made"]),
            int(found["seed"]),
            tuple(found["runs"]),
            tuple(found["prints"]),
            int(found["clips"]),
            tuple(Stratum(tuple(s["chosen_by"]), s["clips"], s["drawn"]) for s in found["strata"]),
            tuple(tuple(ScoreBand(**band) for band in bands) for bands in found["bands"]),
            tuple(Item(**item | {"bands": tuple(item["bands"])}) for item in found["items"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WorkspaceError(
            f"{folder / 'plan.json'} is damaged ({error}).", hint="Restore it from a copy, or draw a new audit."
        ) from error


def write_plan(workspace: Workspace, plan: Plan) -> None:
    """Put a plan in place of the one with its name; under `lock`."""
    found = asdict(plan)
    del found["name"]
    write_json(workspace.path / FOLDER / plan.name / "plan.json", {"version": _VERSION, **found})


def free_name(workspace: Workspace) -> str:
    """A name that no audit has."""
    taken, n = names(workspace), 1
    while f"audit-{n}" in taken:
        n += 1
    return f"audit-{n}"


def lock(workspace: Workspace) -> contextlib.AbstractContextManager[None]:
    """Held while a plan or an answer is written, so that two auditors lose nothing."""
    return writer_lock(workspace.path / "locks" / "audits.lock", purpose="audit", wait_s=_WAIT_S)


# -- answers -----------------------------------------------------------------------------------------------------------


def check_auditor(auditor: str) -> str:
    """A name as it is kept: one line of 1 to 40 characters. Raises `InputError`."""
    cleaned = " ".join(auditor.split())
    if not cleaned or len(cleaned) > 40 or not cleaned.isprintable():
        raise InputError("The name of an auditor has 1 to 40 characters.")
    return cleaned


def record(workspace: Workspace, name: str, item: int, answer: str | None, auditor: str) -> None:
    """Append one answer; None takes an earlier one back. Raises `InputError` for another item or answer."""
    plan = read_plan(workspace, name)
    if not 0 <= item < len(plan.items) or (answer is not None and answer not in ANSWERS):
        raise InputError(
            f"{answer!r} to item {item} is no answer of the audit {name!r}.",
            hint=f"Items: 0 to {len(plan.items) - 1}. Answers: {', '.join(ANSWERS)}.",
        )
    auditor = check_auditor(auditor)
    with lock(workspace):
        _append(workspace, name, plan.items[item], item, answer, auditor)


def _append(workspace: Workspace, name: str, asked: Item, item: int, answer: str | None, auditor: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"item": item, "clip_id": asked.clip_id, "answer": answer, "auditor": auditor, "time": now}
    lines.append(workspace.path / FOLDER / name / "answers.jsonl", [line])


def answers(workspace: Workspace, name: str) -> list[Answer]:
    """Answers that count, one for each auditor and item, in the order in which they were given."""
    found: dict[tuple[str, int], Answer] = {}
    for one in lines.read(workspace.path / FOLDER / name / "answers.jsonl"):
        try:
            given = Answer(int(one["item"]), one["answer"], str(one["auditor"]), str(one["time"]))
        except (ValueError, TypeError, KeyError):
            continue
        found.pop((given.auditor, given.item), None)
        if given.answer in ANSWERS:
            found[given.auditor, given.item] = given
    return list(found.values())


def open_items(plan: Plan, given: Sequence[Answer], auditor: str) -> list[int]:
    """Items that an auditor has not answered, in the order in which they are presented."""
    done = {answer.item for answer in given if answer.auditor == auditor}
    return [i for i in range(len(plan.items)) if i not in done]


def undo(workspace: Workspace, name: str, auditor: str) -> int | None:
    """Take back an auditor's last answer; returns its item, None where there is none."""
    plan = read_plan(workspace, name)
    with lock(workspace):  # read inside: of two at once the second takes back the answer before
        own = [answer for answer in answers(workspace, name) if answer.auditor == auditor]
        if not own:
            return None
        item = own[-1].item
        _append(workspace, name, plan.items[item], item, None, auditor)
    return item


def export_text(workspace: Workspace, name: str, format: str) -> str:
    """All answers as csv or jsonl: clip_id, answer, auditor, time, stratum, origin, repeat, weight, and who chose it.

    `weight`: clips of the stratum for each one drawn. Raises `InputError` for another format.
    """
    plan = read_plan(workspace, name)
    rows = []
    for given in answers(workspace, name):
        item = plan.items[given.item]
        stratum = plan.strata[item.stratum]
        chosen_by = [run for run, chosen in zip(plan.runs, stratum.chosen_by) if chosen]
        rows.append(
            {
                "clip_id": item.clip_id,
                "answer": given.answer,
                "auditor": given.auditor,
                "time": given.time,
                "stratum": item.stratum,
                "origin": item.origin,
                "repeat": item.repeat_of is not None,
                "weight": stratum.clips / max(1, stratum.drawn),
                "chosen_by": " ".join(chosen_by),
            }
        )
    if format == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if format != "csv":
        raise InputError(f"There is no format {format!r} for answers.", hint=f"Formats: {', '.join(EXPORT_FORMATS)}.")
    out = io.StringIO()
    columns = ["clip_id", "answer", "auditor", "time", "stratum", "origin", "repeat", "weight", "chosen_by"]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
