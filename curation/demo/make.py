"""The made demo set: clips in which picture and sound belong together in kind and time, part of them not.

In: a folder, a seed, a count, the recipe of assets/. Out: `folder/clips/000000.mp4 ...`, `folder/truth.csv`
(the truth and, written last, the marker that all is there) and `folder/demo.json` (what it was made from).
"""

from __future__ import annotations

import csv
import hashlib
import io
import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import PIL

from curation.atomic import PARTIAL_SUFFIX, read_json, write_bytes, write_json
from curation.demo.clip import encode_clip, render_clip
from curation.demo.plan import ClipPlan, plan_clips
from curation.demo.recipe import MAX_CLIPS, Recipe, load_recipe
from curation.errors import InputError, SettingError

VERSION = 1  # raised when the drawing or the sounds change, so that an older demo is made anew
TRUTH_COLUMNS = ("file", "truth_match", "label_visual", "label_audio")
_MAX_WORKERS = 8
_BATCH = 2  # clips a task: small, so that a cancel is answered within a second
_CHECK_S = 0.5


class Progress(Protocol):
    """What is told while clips are made."""

    def advance(self, n: int = 1) -> None: ...

    def check_cancelled(self) -> None: ...

    def note(self, text: str) -> None: ...


class _Silent:
    """Progress that nobody reads."""

    def advance(self, n: int = 1) -> None:
        """Nothing to tell."""

    def check_cancelled(self) -> None:
        """Nobody can cancel."""

    def note(self, text: str) -> None:
        """Nothing to tell."""


def make_demo_media(
    folder: Path,
    *,
    seed: int = 0,
    n_clips: int | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Path:
    """Make the demo set in `folder` and return `folder`.

    `n_clips` None takes the recipe's count (160); `workers` None takes the cores, at most 8; 1 works in this
    process. The files depend on the recipe, `seed` and `n_clips` alone, byte for byte, not on the workers.
    Finished clips are never made again: a finished folder returns at once, a half-made one is completed, one
    made from another recipe, seed or count is replaced. `truth.csv` has the columns file (name within
    clips/), truth_match (True/False), label_visual, label_audio. Raises `SettingError` for a faulty recipe or
    number, `InputError` for a folder that holds other things, `Cancelled` through `progress`.
    """
    recipe = load_recipe()
    count = recipe.n_clips if n_clips is None else n_clips
    _check_numbers(seed, count, workers)
    told = progress if progress is not None else _Silent()
    folder = Path(folder)
    clips, truth = folder / "clips", folder / "truth.csv"
    plans = plan_clips(recipe, count, seed)
    _claim(folder, _origin(recipe, seed, count))
    missing = [plan for plan in plans if not (clips / plan.file_name).is_file()]
    if not missing and truth.is_file():
        told.advance(count)
        return folder
    told.note("Drawing the demo clips and making their sounds")
    told.advance(count - len(missing))
    told.check_cancelled()
    clips.mkdir(parents=True, exist_ok=True)
    wanted = workers if workers is not None else min(os.cpu_count() or 1, _MAX_WORKERS)
    _make(recipe, missing, clips, told, min(wanted, max(1, len(missing) // (2 * _BATCH))))
    write_bytes(truth, _truth(recipe, plans))
    return folder


def _check_numbers(seed: int, count: int, workers: int | None) -> None:
    if not 1 <= count <= MAX_CLIPS:
        raise SettingError(f"The demo can have from 1 to {MAX_CLIPS:,} clips, not {count}.")
    if seed < 0:
        raise SettingError(f"The demo's seed must be a whole number from 0 on, not {seed}.")
    if workers is not None and workers < 1:
        raise SettingError(f"The demo needs at least one worker, not {workers}.")


def _origin(recipe: Recipe, seed: int, count: int) -> dict[str, object]:
    """What the clips depend on, kept beside them; versions count because they may change pixels or bytes."""
    versions = {"numpy": np.__version__, "av": av.__version__, "pillow": PIL.__version__}
    return {
        "made_by": "Concord demo",
        "version": VERSION,
        "seed": seed,
        "n_clips": count,
        "made_with": versions,
        "recipe_sha256": hashlib.sha256(recipe.text.encode("utf-8")).hexdigest(),
    }


def _claim(folder: Path, origin: dict[str, object]) -> None:
    """Make `folder` the demo of this origin: remove what another origin, or a kill, left in it."""
    record, clips = folder / "demo.json", folder / "clips"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file.", hint="Choose a folder for the demo.")
    if record.is_file():
        with_partials = clips.glob(f".*{PARTIAL_SUFFIX}") if clips.is_dir() else iter(())
        _remove(with_partials)
        if read_json(record) == origin:
            return
        # the truth goes first: without it nobody takes a mixture for a finished demo
        (folder / "truth.csv").unlink(missing_ok=True)
        _remove(clips.glob("[0-9][0-9][0-9][0-9][0-9][0-9].mp4"))
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files.", hint="Choose an empty or a new folder for the demo.")
    write_json(record, origin)


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)


def _make(recipe: Recipe, plans: list[ClipPlan], clips: Path, told: Progress, workers: int) -> None:
    """Make the clips of `plans`, in processes where that pays."""
    if workers > 1:
        counted = _make_in_pool(recipe, plans, clips, told, workers)
        left = [plan for plan in plans if not (clips / plan.file_name).is_file()]
        told.advance(len(plans) - counted - len(left))
        plans = left  # none, unless the pool broke
    for plan in plans:
        told.check_cancelled()
        _make_batch(recipe, [plan], clips)
        told.advance(1)


def _make_in_pool(recipe: Recipe, plans: list[ClipPlan], clips: Path, told: Progress, workers: int) -> int:
    """Make clips in processes; returns how many were counted. A broken pool ends early, no error."""
    batches: Iterator[list[ClipPlan]] = (plans[i : i + _BATCH] for i in range(0, len(plans), _BATCH))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_die_with_parent)
    counted = 0
    try:
        running: set[Future[int]] = set()
        while True:
            while len(running) < 2 * workers and (batch := next(batches, None)) is not None:
                running.add(pool.submit(_make_batch, recipe, batch, clips))
            if not running:
                break
            finished, running = wait(running, timeout=_CHECK_S, return_when=FIRST_COMPLETED)
            for future in finished:
                made = future.result()
                counted += made
                told.advance(made)
            told.check_cancelled()
    except BrokenProcessPool:
        told.note("The helper processes died; going on in one process")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return counted


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever: it leaves when the parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _make_batch(recipe: Recipe, plans: list[ClipPlan], clips: Path) -> int:
    """Make some clips, each file whole or not at all; returns how many."""
    for plan in plans:
        write_bytes(clips / plan.file_name, encode_clip(recipe, render_clip(recipe, plan)))
    return len(plans)


def _truth(recipe: Recipe, plans: list[ClipPlan]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(TRUTH_COLUMNS)
    for plan in plans:
        rows.writerow([plan.file_name, plan.matches, recipe.kinds[plan.seen].name, recipe.kinds[plan.heard].name])
    return text.getvalue().encode("utf-8")
