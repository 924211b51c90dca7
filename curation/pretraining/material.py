"""What a workspace gives an evaluation: a request in, tiny clips, probes, and a maker of sets out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from curation.errors import InputError, SettingError
from curation.pretraining import power, results, sources
from curation.pretraining.answers import Answers, read_answers
from curation.pretraining.comparison import Choice, Pool, default_held_out, sets_of
from curation.pretraining.dataset import TinyClips, TinyFormat
from curation.pretraining.decoding import Span, decode
from curation.pretraining.experiment import Experiment
from curation.pretraining.labelled import LEARN, TEST, Labelled, read
from curation.pretraining.overlap import overlap
from curation.pretraining.probe import ProbeSet
from curation.pretraining.train import PairSet, TrainConfig
from curation.progress import Progress
from curation.records import real_path
from curation.workspace import Workspace

POOL_MAX = 50_000  # candidates; more are sampled
TRUTH = "truth_match"
SHARED = ("remove", "refuse", "keep")
SHARED_LISTED = 1000


@dataclass(frozen=True)
class Request:
    """What was asked for. `picture_label`, ...: columns with labels of the workspace's
    own clips, of the table `labels` or joined to it; `probes`:
    labelled data from elsewhere, `kind:folder`. `selection`: whose method and budget are used (comparison).
    `shared_sources`: what is done with sources that labelled data have both to learn from and to test on (`SHARED`).
    """

    kind: str
    name: str
    config: TrainConfig
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    selection: str = ""
    labels: str = ""
    key: str = "path"
    picture_label: str = ""
    sound_label: str = ""
    picture_source: str = ""
    sound_source: str = ""
    probes: tuple[str, ...] = ()
    fold: int = 1
    assume_right: bool = False
    keep_near_duplicates: bool = False
    shared_sources: str = "remove"
    clips_per_title: int = 8
    window_s: float = 0.0
    frames: int = 4
    size_px: int = 40
    held_out: tuple[str, ...] = ()
    keep_models: bool = False


@dataclass
class _Clips:
    """A workspace's clips as they are trained on: `rows` of clips.parquet that are used, in order."""

    tiny: TinyClips
    rows: np.ndarray
    source: np.ndarray
    title: np.ndarray
    start_s: np.ndarray
    answers: Answers | None
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    near: list[dict[str, Any]] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)


def prepare(
    workspace: Workspace, request: Request, progress: Progress
) -> tuple[Experiment, Callable[[int], list[PairSet]]]:
    """Decode what is needed and put together what is compared. Raises `InputError` where something is missing."""
    if request.kind not in results.KINDS:
        raise SettingError(f"There is no evaluation {request.kind!r}.", hint=f"Kinds: {', '.join(results.KINDS)}.")
    if request.shared_sources not in SHARED:
        raise SettingError(
            f"shared_sources={request.shared_sources!r} is no choice.", hint=f"One of {', '.join(SHARED)}."
        )
    held = _clips(workspace, request, progress)
    questions, pool = _questions(workspace, request, held, progress)
    pool = _without_near_duplicates(request, held, pool, questions)
    if request.config.batch_size > len(pool):
        raise InputError(
            f"A batch of {request.config.batch_size} clips is larger than the data: {len(pool)} clips are left.",
            hint="Give a smaller --batch-size, or more clips.",
        )
    makers = {"power": _power, "comparison": _comparison, "sampling": _sampling}
    make_sets, made_of = makers[request.kind](workspace, request, held, pool)
    made_of |= {"clips": workspace.fingerprint("clips"), "pool": len(pool)}
    folder = results.folder_of(workspace, request.name)
    experiment = Experiment(
        request.kind, folder, held.tiny, questions, request.config, made_of, held.notes, request.keep_models, held.near,
        held.shared,
    )  # fmt: skip
    return experiment, make_sets


def cache_folder(workspace: Workspace) -> Path:
    """Where tiny clips lie."""
    return workspace.path / results.FOLDER / "tiny"


def _clips(workspace: Workspace, request: Request, progress: Progress) -> _Clips:
    workspace.require("clips", "segment")
    answers = None
    if request.picture_label or request.sound_label:
        answers = read_answers(
            workspace, Path(request.labels).expanduser() if request.labels else None, key=request.key,
            picture_label=request.picture_label, sound_label=request.sound_label,
            picture_source=request.picture_source, sound_source=request.sound_source,
        )  # fmt: skip
    table = workspace.table("clips", ["video_id", "source", "title", "start_s", "end_s", "status"])
    rows = np.flatnonzero(pc.equal(table["status"], "ok").to_numpy(zero_copy_only=False))
    notes = []
    if len(rows) > POOL_MAX:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:POOL_MAX])
        notes.append(f"{POOL_MAX:,} of {table.num_rows:,} clips take part, drawn at random.")
    table = table.take(rows)
    files = _files(workspace)
    spans = [
        Span(files[video], float(start), float(end))
        for video, start, end in zip(*(table[name].to_pylist() for name in ("video_id", "start_s", "end_s")))
        if video in files
    ]
    if len(spans) < table.num_rows or not spans:
        raise InputError(f"{workspace.name} has no media file for {table.num_rows - len(spans)} of its clips.")
    length_s = float(np.median([span.end_s - span.start_s for span in spans]))
    form = TinyFormat.for_clips_of(length_s, frames=request.frames, size_px=request.size_px)
    tiny = decode(spans, form, cache_folder(workspace), progress)
    _, source = np.unique(np.asarray(table["source"].to_pylist(), dtype=object).astype(str), return_inverse=True)
    title = np.asarray(table["title"].to_pylist(), dtype=object).astype(str)
    _, title = np.unique(np.where(title == "", source.astype(str), title), return_inverse=True)
    answers = None if answers is None else answers.of(rows)
    usable = tiny.seen & tiny.heard
    if not usable.all():
        notes.append(f"{int((~usable).sum())} clips without a readable picture or sound are left out.")
    return _Clips(
        tiny, rows, source, title, table["start_s"].to_numpy(), answers, [span.path for span in spans], notes
    )  # fmt: skip


def _files(workspace: Workspace) -> dict[str, str]:
    """Media file of each video."""
    videos = workspace.table("videos", ["video_id", "root", "path_bytes"]).to_pylist()
    roots = workspace.roots
    return {
        video["video_id"]: real_path(roots[video["root"]], video["path_bytes"])
        for video in videos
        if video["path_bytes"] and 0 <= video["root"] < len(roots)
    }


def _questions(
    workspace: Workspace, request: Request, held: _Clips, progress: Progress
) -> tuple[list[ProbeSet], np.ndarray]:
    """Probes, and the clips that pre-training may use."""
    questions: list[ProbeSet] = []
    pool = np.flatnonzero(held.tiny.seen & held.tiny.heard)
    if held.answers is not None:
        own, parts = _own_questions(held, held.answers)
        questions += own
        pool = np.intersect1d(pool, parts.pool)
        held.notes.append(
            f"Pre-training, probe training and probe testing share no source: {len(parts.pool):,} clips are for "
            f"pre-training; {parts.lost:,} whose sources lie on both sides are left out."
        )
    for text in request.probes:
        found, tested_files = _foreign_questions(workspace, request, text, held, progress)
        questions += found
        pool = _without_files(request, held, pool, text, tested_files)
    if not questions:
        raise InputError(
            "There is nothing to probe with.",
            hint="Name labels of these clips (--picture-label, --sound-label), or other data (--probe ucf101:FOLDER).",
        )
    for question in questions:
        _note_question(held, question)
    return questions, pool


def _note_question(held: _Clips, question: ProbeSet) -> None:
    """Say what makes a probe's accuracy too low or too high for every set alike."""
    if question.never_learnt:
        held.notes.append(
            f"{question.name}: {question.never_learnt:,} of {len(question.test):,} test clips are of classes that no "
            "clip to learn from has; they are never right."
        )
    alike = overlap(question.clips, question.test, question.clips, question.train, sees=question.sees).alike
    if alike.any():
        held.notes.append(
            f"{question.name}: {int(alike.sum()):,} of {len(alike):,} test clips are nearly like a clip that the "
            "classifier learns from; accuracy is rather too high, for all sets alike."
        )


def _without_files(request: Request, held: _Clips, pool: np.ndarray, text: str, files: set[str]) -> np.ndarray:
    """The pool without clips of files that labelled data hold as well, at whatever moment."""
    inside = np.array([str(Path(held.files[row]).resolve()) in files for row in pool], bool)
    if not inside.any():
        return pool
    done = "stay (asked for)" if request.keep_near_duplicates else "are left out of every set"
    held.notes.append(f"{int(inside.sum()):,} clips are of files that {text} holds as well; they {done}.")
    return pool if request.keep_near_duplicates else pool[~inside]


def _own_questions(held: _Clips, answers: Answers) -> tuple[list[ProbeSet], sources.Parts]:
    alone = answers.picture_source == answers.sound_source  # one kind of source for both
    parts = sources.split(
        answers.picture_source, None if alone else answers.sound_source,
        picture_class=answers.picture_label, sound_class=answers.sound_label,
    )  # fmt: skip
    plans = [
        ("pictures", "picture", answers.picture_label, parts.picture_source, held.tiny.seen),
        ("sounds", "sound", answers.sound_label, parts.sound_source, held.tiny.heard),
        ("both", "both", np.where(answers.right, answers.picture_label, -1) if answers.right is not None else None,
         parts.sound_source, held.tiny.seen & held.tiny.heard),
    ]  # fmt: skip
    second = None if alone else parts.picture_source  # of a picture with its sound
    found = []
    for name, sees, label, source, there in plans:
        if label is None or not (label >= 0).any():
            continue
        rows = [np.intersect1d(parts.rows(sees, part), np.flatnonzero((label >= 0) & there)) for part in (1, 2)]
        if name == "both" and (len(np.unique(label[rows[0]])) < 2 or not len(rows[1])):
            held.notes.append("Too few clips with a right sound are left for a probe of both; it is left out.")
            continue
        other = second if sees == "both" else None
        found.append(
            ProbeSet(name, sees, held.tiny, rows[0], rows[1], label, source, answers.classes, other)  # type: ignore[arg-type]
        )
    return found, parts


def _foreign_questions(
    workspace: Workspace, request: Request, text: str, held: _Clips, progress: Progress
) -> tuple[list[ProbeSet], set[str]]:
    """Probes of labelled data from elsewhere, and the files that they are of."""
    kind, colon, place = text.partition(":")
    if not colon:
        raise InputError(f"{text!r} names no labelled data.", hint="Give KIND:PATH, such as esc50:/data/ESC-50.")
    data = read(kind, place, fold=request.fold)
    if data.left_out:
        held.notes.append(f"{text}: {data.left_out:,} rows without a path or a label are left out.")
    part = _said_or_drawn(data, request, text, held)
    clips = decode(data.spans, held.tiny.format, cache_folder(workspace), progress, what="labelled clips")
    _, source = np.unique(np.asarray(data.source, dtype=object).astype(str), return_inverse=True)
    plans = {"ucf101": ("picture",), "esc50": ("sound",), "kinetics-sounds": ("both",)}
    found = []
    for sees in plans.get(kind, ("picture", "sound", "both")):
        there = {"picture": clips.seen, "sound": clips.heard, "both": clips.seen & clips.heard}[sees]
        rows = [np.flatnonzero((part == which) & there) for which in (LEARN, TEST)]
        if min(map(len, rows)):
            name = f"{Path(place).name or kind} ({sees})"
            found.append(ProbeSet(name, sees, clips, rows[0], rows[1], data.label, source, data.classes))  # type: ignore[arg-type]
    if not found:
        raise InputError(
            f"{text} leaves no readable piece to learn from, or none to test on.", hint="Look at the files by hand."
        )
    return found, {str(Path(span.path).resolve()) for span in data.spans}


def _said_or_drawn(data: Labelled, request: Request, text: str, held: _Clips) -> np.ndarray:
    """1 to learn from, 2 to test on: as the data say, else half of the sources each. Where the data's own split has
    sources on both sides these are listed, and left out of what is learnt from (0), refused, or kept.
    """
    if (data.part > 0).all():
        return _apart(data, request, text, held)
    if (data.part > 0).any():
        raise InputError(f"{int((data.part == 0).sum())} of {len(data.part)} labelled pieces are of no split.")
    names = sorted(set(data.source))
    drawn = dict(zip(names, np.random.default_rng(0).permutation(len(names)) % 2 + 1))
    return np.array([drawn[name] for name in data.source], np.int8)


def _apart(data: Labelled, request: Request, text: str, held: _Clips) -> np.ndarray:
    for part, what in ((LEARN, "to learn from"), (TEST, "to test on")):
        if not (data.part == part).any():
            raise InputError(f"The split of {text} has no pieces {what}.", hint="It needs both; see also --fold.")
    shared = data.on_both_sides
    if not shared:
        return data.part
    held.shared += [
        {"probe": text, "source": name, "learnt": int((own & (data.part == LEARN)).sum()),
         "tested": int((own & (data.part == TEST)).sum())}
        for name in shared[:SHARED_LISTED]
        for own in [data.of_sources([name])]
    ]  # fmt: skip
    of_shared = data.of_sources(shared)
    gone, some = of_shared & (data.part == LEARN), ", ".join(shared[:4]) + (", ..." if len(shared) > 4 else "")
    told = f"{text}: {len(shared):,} sources are both in its training and in its test part ({some})"
    if request.shared_sources == "refuse":
        raise InputError(f"{told}.", hint="Mend the split, or give --shared-sources remove (or keep).")
    if request.shared_sources == "keep":
        held.notes.append(f"{told}; they stay (asked for), so accuracy is too high. See shared_sources.parquet.")
        return data.part
    held.notes.append(
        f"{told}; their {int(gone.sum()):,} pieces to learn from are left out. See shared_sources.parquet."
    )
    if not (data.part[~gone] == LEARN).any():
        raise InputError(f"{told}: nothing would be left to learn from.", hint="Mend the split of the labelled data.")
    return np.where(gone, 0, data.part).astype(np.int8)


def _without_near_duplicates(request: Request, held: _Clips, pool: np.ndarray, questions: list[ProbeSet]) -> np.ndarray:
    alike = np.zeros(len(pool), bool)
    for question in questions:
        found = overlap(held.tiny, pool, question.clips, np.union1d(question.train, question.test))
        alike |= found.alike
        own = question.clips is held.tiny
        for what, pairs in (("picture", found.picture), ("sound", found.sound)):
            held.near += [
                {"row": int(held.rows[a]), "alike_in": what, "probe": question.name,
                 "probe_row": int(held.rows[b]) if own else int(b)}
                for a, b in pairs
            ]  # fmt: skip
    if alike.any():
        done = "stay (asked for)" if request.keep_near_duplicates else "are left out of every set"
        held.notes.append(
            f"{int(alike.sum())} clips look or sound nearly like clips of a probe; they {done}. "
            f"{len(held.near)} pairs are listed in near_duplicates.parquet."
        )
    return pool if request.keep_near_duplicates else pool[~alike]


def _set_of(held: _Clips, rows: np.ndarray, name: str = "right", **more: Any) -> PairSet:
    return PairSet(name, rows, rows, held.title[rows], held.start_s[rows], **more)


def _right(workspace: Workspace, request: Request, held: _Clips) -> np.ndarray:
    """Bool: clips of which it is known that sound and picture belong together."""
    if held.answers is not None and held.answers.right is not None:
        return held.answers.right
    if f"columns/{TRUTH}" in workspace.keys("columns"):
        table = workspace.table(f"columns/{TRUTH}")
        ids = workspace.table("clips", ["clip_id"])["clip_id"].take(held.rows)
        known = table[TRUTH].combine_chunks().take(pc.index_in(ids.combine_chunks(), table["clip_id"].combine_chunks()))
        return pc.fill_null(known, False).to_numpy(zero_copy_only=False)
    if request.assume_right:
        return np.ones(len(held.rows), bool)
    raise InputError(
        "A power check starts from clips whose sound is known to be right, and nothing says which are.",
        hint=f"Join a column {TRUTH}, give labels of pictures and sounds, or take all as right: --assume-right.",
    )


def _power(
    workspace: Workspace, request: Request, held: _Clips, pool: np.ndarray
) -> tuple[Callable[[int], list[PairSet]], dict[str, Any]]:
    rows = pool[_right(workspace, request, held)[pool]]
    if len(rows) < request.config.batch_size:
        raise InputError(
            f"{len(rows)} clips of the pool are known to be right, fewer than a batch of {request.config.batch_size}.",
            hint="Give a smaller --batch-size, or more answers.",
        )
    kind = held.answers.picture_label[rows] if held.answers is not None and held.answers.right is not None else None
    group = held.source[rows]

    def make_sets(seed: int) -> list[PairSet]:
        right = _set_of(held, rows)
        return [power.degraded(right, share, seed, group, kind=kind) for share in power.SHARES]

    return make_sets, {"shares": list(power.SHARES)}


def _sampling(
    _workspace: Workspace, request: Request, held: _Clips, pool: np.ndarray
) -> tuple[Callable[[int], list[PairSet]], dict[str, Any]]:
    plan = {"clips_per_title": request.clips_per_title, "window_s": request.window_s}
    counts = np.unique(held.title[pool], return_counts=True)[1]
    if counts.max() < 2 or request.clips_per_title < 2:
        one = "clips_per_title is 1" if request.clips_per_title < 2 else "every title has one clip"
        raise InputError(
            f"Hierarchical sampling would be ordinary sampling: {one}.",
            hint="It needs several clips a title: longer files, or a title column that joins files.",
        )
    if (counts < request.clips_per_title).any():
        held.notes.append(
            f"{int((counts < request.clips_per_title).sum()):,} of {len(counts):,} titles have fewer than "
            f"{request.clips_per_title} clips ({int((counts == 1).sum()):,} have one): they come in smaller groups."
        )

    def make_sets(_seed: int) -> list[PairSet]:
        return [_set_of(held, pool, "hierarchical", **plan), _set_of(held, pool, "ordinary")]  # type: ignore[arg-type]

    return make_sets, dict(plan)


def _comparison(
    workspace: Workspace, request: Request, held: _Clips, pool: np.ndarray
) -> tuple[Callable[[int], list[PairSet]], dict[str, Any]]:
    name = request.selection or workspace.current_selection
    if name is None:
        raise InputError(f"{workspace.name} has no selection yet.", hint="Make one on the Selection page.")
    info = workspace.require(f"selections/{name}", "select").info
    known = {key.partition("/")[2]: workspace.require(key, "cluster").info for key in workspace.keys("clusterings")}
    known = {layer: own for layer, own in known.items() if layer in info.get("clusterings", known)}
    valid = np.ones(len(held.rows), bool)
    for layer in known:
        valid &= np.asarray(workspace.array(f"clusterings/{layer}", "assignments"))[held.rows] >= 0
    rows = pool[valid[pool]]
    modality = {layer: str(own["modality"]) for layer, own in known.items()}
    held_out = request.held_out or default_held_out(modality)
    features = {
        layer: workspace.features(own["extractor"], own["layer"], held.rows[rows]) for layer, own in known.items()
    }
    right = None if held.answers is None or held.answers.right is None else held.answers.right[rows]
    pool_of = Pool(
        rows, features, modality, tuple(held_out), held.source[rows], right, held.title[rows], held.start_s[rows]
    )
    share = info["clips"] / max(1, info["candidates"])
    budget = max(request.config.batch_size, round(share * len(rows)))
    if budget >= len(rows):
        raise InputError(
            f"{name} takes {100 * share:.0f} % of the candidates: of the {len(rows)} clips that pre-training may use "
            f"that is no choice at batches of {request.config.batch_size}.",
            hint="Give a smaller --batch-size, or judge a run with a smaller budget.",
        )
    n_clusters = max(int(own.get("n_clusters", 2)) for own in known.values())
    choice = Choice(budget, str(info["method"]), min(n_clusters, len(rows) // 4 or 2), 3, dict(info.get("options", {})))
    held.notes.append(
        f"{name}: {choice.method}, {budget:,} of {len(rows):,} clips, {choice.n_clusters} clusters a layer, chosen "
        f"anew for each seed; held out of the choice: {', '.join(held_out) or 'no layer'}."
    )
    made_of = {"choice": asdict(choice), "held_out": list(held_out), "selection": name}
    return lambda seed: sets_of(pool_of, choice, seed), made_of


def prepare_probes(workspace: Workspace, request: Request, progress: Progress) -> list[ProbeSet]:
    """The probes alone, for a model that is there."""
    return _questions(workspace, request, _clips(workspace, request, progress), progress)[0]
