"""The command `retrieval`: how many of the clips that a method returns are right, where the answers are known."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation import jobs
from curation.commands.base import Commands, job
from curation.commands.run import run_stages
from curation.errors import InputError
from curation.progress import Progress
from curation.truth import TRUTH_COLUMN
from curation.urls import local_path
from curation.workspace import Workspace

_PICTURES, _SOUNDS = ("images", "pictures", "videos"), ("audio", "sounds")
_TABLES = ("items.csv", "truth/items.csv", "labels.csv")


def register(commands: Commands) -> None:
    """retrieval."""
    command = commands.add(
        "retrieval", "how many of the clips that each method returns are right, where the answers are known", _retrieval
    )
    command.add_argument("--name", default="", help="name of the result; made of what is tried by default")
    command.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="methods to try; all by default")
    command.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="each redoes k-means and pairs")
    command.add_argument(
        "--budgets", nargs="+", type=float, default=[], help="sizes, as multiples of the number of right clips"
    )
    command.add_argument("--pairing", default="bipartite", help="as select.pairing")
    command.add_argument("--clusters", type=int, default=0, help="a layer; the workspace's own, 32 for labelled sets")
    command.add_argument("--replicates", type=int, default=0, help="further runs of k-means that concord averages over")
    command.add_argument("--column", default=TRUTH_COLUMN, help="true/false column with the answers of the workspace")
    command.add_argument("--layers", nargs="+", default=[], help="clusterings of the workspace to use; all by default")
    command.add_argument(
        "--pictures", type=local_path, default=None, help="labelled pictures or videos: a folder a class"
    )
    command.add_argument(
        "--sounds", type=local_path, default=None, help="labelled sounds: a folder a class, named alike"
    )
    command.add_argument(
        "--labels", type=local_path, default=None, help="table (file, label) instead of a folder a class"
    )
    command.add_argument(
        "--data",
        type=local_path,
        default=None,
        help="both sets in one folder (images/ and audio/), or clips/ with truth.csv",
    )
    command.add_argument(
        "--mismatch", nargs="+", default=["class"], help="of pairs: class, sample, half, independent; one result each"
    )
    command.add_argument("--share", type=float, default=0.5, help="of the pairs that are matched")
    command.add_argument("--features", default="auto", help="of labelled sets: auto, plain or extractors")
    command.add_argument(
        "--shuffle", default="whole", help="whole; `leaky` shows the leak of the reference's shuffle and is no result"
    )
    command.add_argument("--out", type=local_path, default=None, help="also write the tables here, as Markdown")
    command.add_argument("--job", default=None, help=argparse.SUPPRESS)


@dataclass(frozen=True)
class _Sets:
    """Where two labelled sets lie."""

    pictures: Path
    sounds: Path
    labels: Path | None


def _retrieval(options: argparse.Namespace) -> None:
    from curation.retrieval import BUDGETS, Settings, report_lines, run

    sets = _labelled_sets(options)
    clips = options.data if options.data is not None and sets is None else None
    settings = Settings(
        tuple(options.methods), tuple(options.seeds), tuple(options.budgets) or BUDGETS, options.pairing
    ).checked()
    if options.out is not None and options.out.exists():
        raise InputError(f"{options.out} is there already.", hint="Choose another name; nothing is overwritten.")
    workspace = _workspace(options, clips, is_new=sets is not None)
    lines: list[str] = []
    with job(workspace, options, "retrieval") as (progress, record):
        if clips is not None:
            _prepare(workspace, clips, progress, record)
        for name, task in _tasks(workspace, options, sets, progress):
            found = run(workspace, task, settings, name, progress)
            lines += [*report_lines(found), ""]
            print("\n".join(report_lines(found)), end="\n\n", flush=True)
            record.result({"retrieval": {"name": name}})
    if options.out is not None:
        from curation.atomic import write_bytes

        write_bytes(options.out, ("# Retrieval\n\n" + "\n".join(lines)).encode())


def _workspace(options: argparse.Namespace, clips: Path | None, *, is_new: bool) -> Workspace:
    """The workspace; one is made to keep the result of labelled sets, or for clips with answers."""
    if (options.workspace / "workspace.json").is_file() or (not is_new and clips is None):
        return Workspace.open(options.workspace)
    return Workspace.create(options.workspace, roots=[str((clips / "clips").resolve())] if clips is not None else [])


def _labelled_sets(options: argparse.Namespace) -> _Sets | None:
    """The two folders that are named, or found in `--data`; None where a workspace is to be judged."""
    if options.data is not None:
        if options.pictures is not None or options.sounds is not None:
            raise InputError("--data names both sets already.", hint="Give --data, or --pictures and --sounds.")
        if not options.data.is_dir():
            raise InputError(f"There is no folder {options.data}.")
        shown, heard = (
            next((options.data / name for name in names if (options.data / name).is_dir()), None)
            for names in (_PICTURES, _SOUNDS)
        )
        if shown is not None and heard is not None:
            table = next((options.data / name for name in _TABLES if (options.data / name).is_file()), None)
            return _Sets(shown, heard, options.labels or table)
        if (options.data / "clips").is_dir() and (options.data / "truth.csv").is_file():
            return None
        raise InputError(
            f"{options.data} holds neither images/ and audio/ nor clips/ and truth.csv.",
            hint="Name the two labelled folders: --pictures FOLDER --sounds FOLDER",
        )
    if (options.pictures is None) != (options.sounds is None):
        raise InputError("Pairs need two labelled sets.", hint="Give --pictures FOLDER and --sounds FOLDER.")
    return None if options.pictures is None else _Sets(options.pictures, options.sounds, options.labels)


def _prepare(workspace: Workspace, folder: Path, progress: Progress, record: jobs.JobRecord) -> None:
    """Run the stages up to clusters on clips/, and join the answers of truth.csv."""
    from curation.importers import import_columns

    run_stages(workspace, progress, record, ("scan", "filter", "segment", "features", "cluster"))
    if f"columns/{TRUTH_COLUMN}" not in workspace.keys("columns"):
        import_columns(workspace, folder / "truth.csv", "clip", {"is_match": TRUTH_COLUMN})


def _tasks(
    workspace: Workspace, options: argparse.Namespace, sets: _Sets | None, progress: Progress
) -> Iterator[tuple[str, Any]]:
    """Each thing to try, with the name of its result."""
    from curation.evaluation.labelled import read_labelled
    from curation.evaluation.trial import PairTask, WorkspaceTask

    cache = workspace.path / "evaluations" / ".cache"
    if sets is None:
        task = WorkspaceTask(
            workspace, column=options.column, layers=options.layers, clusters=options.clusters,
            replicates=options.replicates,
        )  # fmt: skip
        yield options.name or options.column, task
        return
    pictures, sounds = (
        read_labelled(folder, modality, sets.labels)
        for folder, modality in ((sets.pictures, "visual"), (sets.sounds, "audio"))
    )
    for protocol in dict.fromkeys(options.mismatch):
        of = sets.pictures.resolve()
        parts = [options.name or (of.parent if of.name in _PICTURES else of).name, protocol]
        parts += ["leaky"] if options.shuffle == "leaky" else []
        yield (
            "-".join(parts),
            PairTask(
                pictures, sounds, cache, protocol=protocol, share=options.share, clusters=options.clusters or 32,
                shuffle=options.shuffle, features=options.features, replicates=options.replicates, progress=progress,
            ),
        )  # fmt: skip
