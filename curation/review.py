"""What people say of single clips: `review.jsonl` in the workspace. Answers go in; decisions, masks and rows come out.

Lines are only ever appended. Of one reviewer and clip the last line counts, and an empty one takes the earlier back; of
several reviewers of a clip the one who spoke last decides, and what each of them said is kept. The machine's choice
stays as it is: `final_rows` is that choice with what was kept and without what was dropped.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import lines
from curation.errors import InputError, MissingArtefactError
from curation.locks import writer_lock
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

FILE = "review.jsonl"
DECISIONS = ("keep", "drop", "maybe")
ANSWERS_MAX = 100_000
"""Clips that one batch may hold."""
NOTE_MAX = 2000
ID_MAX = 500
SCHEMA = pa.schema([(name, pa.string()) for name in ("clip_id", "decision", "note", "reviewer", "time")])
_WAIT_S = 10.0
_LOGS_MAX = 8


class Answer(NamedTuple):
    """What stands of one reviewer and clip. `decision` is None for a note alone; `time` in UTC, ISO 8601."""

    decision: str | None
    note: str
    time: str
    batch: str
    place: int  # of its line among all lines: the higher was said later


def check_reviewer(reviewer: str) -> str:
    """A name as it is kept: one line of 1 to 40 characters. Raises `InputError`."""
    cleaned = " ".join(str(reviewer).split())
    if not cleaned or len(cleaned) > 40 or not cleaned.isprintable():
        raise InputError("The name of a reviewer has 1 to 40 characters.", hint="Give your name or initials.")
    return cleaned


# -- saying ------------------------------------------------------------------------------------------------------------


def record(workspace: Workspace, answers: Sequence[Mapping[str, Any]], reviewer: str, batch: str = "") -> int:
    """Append answers (`clip_id`, `decision`, `note`), in their order, as one batch; returns how many are safe.

    A decision of None with an empty note takes the reviewer's earlier answer back. A batch that the file already holds
    is not written again, so whoever got no word may send it once more. Raises `InputError` for what is no answer.
    """
    reviewer, batch = check_reviewer(reviewer), _checked_text(batch, "batch", 100)
    if len(answers) > ANSWERS_MAX:
        raise InputError(
            f"{len(answers):,} answers are more than one batch may hold ({ANSWERS_MAX:,}).",
            hint="Narrow what is meant, and answer in parts.",
        )
    checked = [_checked(answer) for answer in answers]
    path = workspace.path / FILE
    with _writing(workspace):
        if not batch or (reviewer, batch) not in _log(path).batches:
            _append(path, checked, reviewer, batch)
    return len(checked)


def fresh_batch() -> str:
    """A name that no batch has."""
    return secrets.token_hex(8)


def undo(workspace: Workspace, batch: str, reviewer: str) -> int:
    """Take a whole batch back: what its reviewer had said of these clips before stands again.

    Clips of which the reviewer has said something since are left as they are. Returns how many were taken back.
    """
    reviewer, path = check_reviewer(reviewer), workspace.path / FILE
    with _writing(workspace):  # read inside: two undos at once, or an answer in between, must not undo what is newer
        before: dict[str, dict[str, Any]] = {}
        last: dict[str, tuple[str, dict[str, Any]]] = {}
        for line in lines.read(path):
            clip = str(line.get("clip_id"))
            if str(line.get("reviewer")) != reviewer:
                continue
            if line.get("batch") == batch and clip not in before:
                before[clip] = last.get(clip, ("", {}))[1]
            last[clip] = (str(line.get("batch")), line)
        taken = [
            _checked({"clip_id": clip, "decision": said.get("decision"), "note": said.get("note")})
            for clip, said in before.items()
            if last[clip][0] == batch
        ]
        _append(path, taken, reviewer, "")
    return len(taken)


# -- reading -----------------------------------------------------------------------------------------------------------


def stamp(workspace: Workspace) -> str:
    """Changes whenever something was said: a key for caches."""
    try:
        found = (workspace.path / FILE).stat()
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"


def answers_of(workspace: Workspace, reviewer: str) -> dict[str, Answer]:
    """What stands of one reviewer: clip_id -> answer."""
    log = _log(workspace.path / FILE)
    with log.lock:
        return dict(log.said.get(check_reviewer(reviewer), {}))


def reviewers(workspace: Workspace) -> dict[str, int]:
    """Who has said something that stands, and of how many clips."""
    log = _log(workspace.path / FILE)
    with log.lock:
        return {name: len(said) for name, said in log.said.items() if said}


def said_of(workspace: Workspace, clip_ids: Sequence[str]) -> dict[str, list[tuple[str, Answer]]]:
    """What stands of some clips, for those of which something does: (reviewer, answer) of each, who spoke last at the
    end."""
    found: dict[str, list[tuple[str, Answer]]] = {}
    log = _log(workspace.path / FILE)
    with log.lock:
        for reviewer, said in log.said.items():
            for clip in clip_ids:
                if clip in said:
                    found.setdefault(clip, []).append((reviewer, said[clip]))
    return {clip: sorted(spoken, key=lambda one: one[1].place) for clip, spoken in found.items()}


def decision_of(workspace: Workspace, clip_id: str) -> tuple[str, str] | None:
    """Who decided last on a clip, and what; None where nobody has decided."""
    spoken = said_of(workspace, [clip_id]).get(clip_id, [])
    return next(((who, one.decision) for who, one in reversed(spoken) if one.decision is not None), None)


def decisions(workspace: Workspace) -> pa.Table:
    """What counts, one row a clip: clip_id, decision (null for a note alone), note, reviewer, time; oldest first.

    Of several reviewers the one who decided last; a note alone does not take another one's decision away.
    """
    log = _log(workspace.path / FILE)
    with log.lock:
        ordered = sorted(log.latest.items(), key=lambda item: item[1][1].place)
    columns = [
        [clip for clip, _ in ordered],
        [answer.decision for _, (_, answer) in ordered],
        [answer.note for _, (_, answer) in ordered],
        [reviewer for _, (reviewer, _) in ordered],
        [answer.time for _, (_, answer) in ordered],
    ]
    return pa.table([pa.array(values, pa.string()) for values in columns], SCHEMA)


def decided_ids(workspace: Workspace) -> dict[str, list[str]]:
    """Ids of the clips with each decision, whether or not they are still there: `{"keep": [...], ...}`."""
    found: dict[str, list[str]] = {name: [] for name in DECISIONS}
    log = _log(workspace.path / FILE)
    with log.lock:
        for clip, (_, answer) in log.latest.items():
            if answer.decision is not None:
                found[answer.decision].append(clip)
    return found


def decided_rows(workspace: Workspace) -> dict[str, np.ndarray]:
    """Rows of the present clips with each decision, int64, ascending: `{"keep": ..., "drop": ..., "maybe": ...}`.

    Copies of a clip share its id and get its decision; decisions on clips that are not there any more wait.
    """
    said = decisions(workspace).select(["clip_id", "decision"])
    if not said.num_rows or workspace.artefact("clips") is None:
        return {name: np.zeros(0, np.int64) for name in DECISIONS}
    found = workspace.query(
        "SELECT clips.row AS row, said.decision AS decision FROM clips JOIN said USING (clip_id) ORDER BY row",
        said=said,
    )
    row, decision = found["row"].to_numpy(), np.asarray(found["decision"].to_pylist(), dtype=object)
    return {name: row[decision == name].astype(np.int64) for name in DECISIONS}


def masks(workspace: Workspace) -> dict[str, np.ndarray]:
    """Which clips have each decision, bool (N,): `{"keep": ..., "drop": ..., "maybe": ...}`."""
    n_clips, found = workspace.n_rows("clips"), {}
    for name, rows in decided_rows(workspace).items():
        found[name] = np.zeros(n_clips, bool)
        found[name][rows] = True
    return found


def machine_rows(workspace: Workspace, selection: str) -> np.ndarray:
    """Rows of the clips that a selection chose, int64, ascending; of one of another list of clips those still there.

    Raises `MissingArtefactError` that names the selections there are.
    """
    key = f"selections/{selection}"
    if key not in workspace.keys("selections"):
        there = ", ".join(name.partition("/")[2] for name in workspace.keys("selections")) or "none yet"
        raise MissingArtefactError(f"There is no selection {selection!r}.", hint=f"Selections: {there}.")
    artefact = workspace.require(key, "select")
    picks = pq.read_table(workspace.artefact_path(key) / "picks.parquet", columns=["row", "clip_id"], partitioning=None)
    if CLIPS_FINGERPRINT in artefact.info and not workspace.fits(artefact):
        picks = workspace.query("SELECT clips.row AS row FROM clips SEMI JOIN said USING (clip_id)", said=picks)
    return np.unique(picks["row"].to_numpy().astype(np.int64))


def final_rows(workspace: Workspace, selection: str) -> np.ndarray:
    """Rows of a selection with what people kept and without what they dropped, int64, ascending."""
    said = decided_rows(workspace)
    return np.setdiff1d(np.union1d(machine_rows(workspace, selection), said["keep"]), said["drop"])


def fingerprint(workspace: Workspace) -> str:
    """Hash of what was kept and dropped, by clip id: the same decisions, by whomever and whenever, have the same."""
    said = decisions(workspace)
    pairs = zip(said["clip_id"].to_pylist(), said["decision"].to_pylist(), strict=True)
    return fingerprint_of(sorted([clip, decision] for clip, decision in pairs if decision in ("keep", "drop")))


# -- inside ------------------------------------------------------------------------------------------------------------


def _checked(answer: Mapping[str, Any]) -> dict[str, Any]:
    decision, clip = answer.get("decision"), answer.get("clip_id")
    if decision is not None and decision not in DECISIONS:
        raise InputError(f"{decision!r} is no decision.", hint=f"Decisions: {', '.join(DECISIONS)}, or none.")
    if not isinstance(clip, str) or not clip or len(clip) > ID_MAX:
        raise InputError("An answer names no clip.", hint="Give the clip_id of each answer.")
    return {"clip_id": clip, "decision": decision, "note": _checked_text(answer.get("note") or "", "note", NOTE_MAX)}


def _checked_text(text: object, what: str, limit: int) -> str:
    if not isinstance(text, str) or len(text) > limit:
        raise InputError(f"A {what} has at most {limit:,} characters.", hint="Make it shorter.")
    return text.strip()


def _append(path: Path, checked: Sequence[Mapping[str, Any]], reviewer: str, batch: str) -> None:
    """Lines with who and when. The caller holds the lock."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    lines.append(path, [{**answer, "reviewer": reviewer, "time": time, "batch": batch} for answer in checked])


def _writing(workspace: Workspace) -> Any:
    return writer_lock(workspace.path / "locks" / "review.lock", purpose="review", wait_s=_WAIT_S)


@dataclass
class _Log:
    """The file as far as it was read; more is read when it has grown."""

    path: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    identity: tuple[int, int] = (0, 0)
    read_to: int = 0
    n_lines: int = 0
    said: dict[str, dict[str, Answer]] = field(default_factory=dict)
    latest: dict[str, tuple[str, Answer]] = field(default_factory=dict)  # clip -> who decided last, and what
    batches: set[tuple[str, str]] = field(default_factory=set)
    _texts: dict[str, str] = field(default_factory=dict)

    def refresh(self) -> None:
        with self.lock:
            try:
                info = self.path.stat()
            except OSError:
                self._forget((0, 0))
                return
            identity = (info.st_dev, info.st_ino)
            if identity != self.identity or info.st_size < self.read_to:
                self._forget(identity)
            if info.st_size == self.read_to:
                return
            with self.path.open("rb") as handle:
                handle.seek(self.read_to)
                while (line := handle.readline()).endswith(b"\n"):
                    self.read_to += len(line)
                    self.n_lines += 1
                    self._take(line)

    def _forget(self, identity: tuple[int, int]) -> None:
        self.identity, self.read_to, self.n_lines = identity, 0, 0
        self.said, self.latest, self.batches, self._texts = {}, {}, set(), {}

    def _take(self, line: bytes) -> None:
        """One line; what is no answer (cut short by a kill, written by hand) is left out."""
        try:
            one = json.loads(line.decode("utf-8", "replace"))
            clip, decision, reviewer = one["clip_id"], one.get("decision"), self._same(str(one["reviewer"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        if not isinstance(clip, str) or (decision is not None and decision not in DECISIONS):
            return
        note, batch = str(one.get("note") or ""), self._same(str(one.get("batch") or ""))
        if batch:
            self.batches.add((reviewer, batch))
        said = self.said.setdefault(reviewer, {})
        if decision is None and not note:
            said.pop(clip, None)
        else:
            decision = None if decision is None else self._same(decision)
            said[clip] = Answer(decision, note, self._same(str(one.get("time") or "")), batch, self.n_lines)
        spoken = [(who, theirs[clip]) for who, theirs in self.said.items() if clip in theirs]
        if spoken:
            self.latest[clip] = max(spoken, key=lambda one: (one[1].decision is not None, one[1].place))
        else:
            self.latest.pop(clip, None)

    def _same(self, text: str) -> str:
        """One object for equal texts: a batch of a hundred thousand answers has one time and one name."""
        if len(self._texts) > 1000:
            self._texts.clear()
        return self._texts.setdefault(text, text)


_LOGS: OrderedDict[str, _Log] = OrderedDict()
_LOGS_LOCK = threading.Lock()


def _log(path: Path) -> _Log:
    """What was read of a file, up to its end."""
    with _LOGS_LOCK:
        log = _LOGS.setdefault(os.fspath(path), _Log(path))
        _LOGS.move_to_end(os.fspath(path))
        while len(_LOGS) > _LOGS_MAX:
            _LOGS.popitem(last=False)
    log.refresh()
    return log
