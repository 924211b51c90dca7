"""The command line: one command a stage, plus run, status, cancel, import, export, demo, select-array, settings."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from curation import jobs
from curation.config import describe_settings, parse_assignments
from curation.errors import Cancelled, ConcordError, InputError
from curation.progress import Progress
from curation.workspace import Workspace

DEMO_CLIPS = 160
STAGE_NAMES = ("scan", "filter", "segment", "features", "cluster", "select", "project")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 2 an error that is said in words, 130 cancelled."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments)
    options.argv = arguments
    try:
        options.handler(options)
        return 0
    except Cancelled as error:
        print(f"\n{error}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nStopped. Finished work is kept; run again to go on.", file=sys.stderr)
        return 130
    except ConcordError as error:
        print(f"\nerror: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"       {error.hint}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (the reader of a pipe went away; nothing to say to)
        return 0


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m curation",
        description="Curate audio-visual data sets by what sound and picture tell about each other.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help: str, handler: Callable[[argparse.Namespace], None], workspace: bool = True) -> Any:
        command = commands.add_parser(name, help=help, description=help)
        command.set_defaults(handler=handler)
        if workspace:
            command.add_argument("workspace", type=Path, help="folder of the workspace")
        return command

    def add_settings(command: Any) -> None:
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="STAGE.SETTING=VALUE",
            help="change and keep a setting",
        )
        command.add_argument("--job", default=None, help=argparse.SUPPRESS)

    command = add("init", "make a workspace", _init)
    command.add_argument(
        "--media", action="append", default=[], metavar="FOLDER", help="folder of videos; may be repeated"
    )
    command.add_argument("--name", default="", help="name shown in the explorer")
    add_settings(command)

    command = add("run", "run every stage that is missing or stale", _run)
    command.add_argument(
        "--media", action="append", default=[], metavar="FOLDER", help="folder of videos; makes the workspace"
    )
    command.add_argument("--until", choices=STAGE_NAMES, default=None, help="stop after this stage")
    add_settings(command)

    for name, help in {
        "scan": "find and probe the media files",
        "filter": "choose the videos that go on",
        "segment": "cut the videos into clips",
        "features": "measure the clips' sound and picture",
        "cluster": "cluster every layer",
        "select": "choose the subset",
        "project": "lay out the maps of sound and picture",
    }.items():
        add_settings(add(name, help, _stage))

    command = add("status", "what is done, stale, failed and why", _status)
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--files", action="store_true", help="list every file that is not used, with its reason")

    command = add("cancel", "ask the running jobs (or one) to stop", _cancel)
    command.add_argument("job_id", nargs="?", default=None, help="id of the job; all running ones by default")

    command = add("import", "bring in clips, features, assignments, or a column made elsewhere", _import)
    command.add_argument(
        "--clips", type=Path, default=None, help="csv or parquet: one row a clip, in the order of the arrays"
    )
    command.add_argument(
        "--features",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="features (N, dim), .npy or parquet",
    )
    command.add_argument("--modality", choices=("audio", "visual"), default=None, help="modality of --features")
    command.add_argument("--assignments", type=Path, default=None, help="integer (N, D) .npy")
    command.add_argument("--names", default="", help="names of the D columns, e.g. audio:a0,audio:a1,visual:v0")
    command.add_argument(
        "--truth",
        "--columns",
        type=Path,
        default=None,
        dest="table",
        help="csv, tsv, jsonl or parquet to join",
    )
    command.add_argument("--key", default="", help="its column that names the clip: id, file name, path or stem")
    command.add_argument("--column", default="", help="its column that is joined")
    command.add_argument("--name", default="", help="name in the workspace; `truth_match` is what evaluations read")

    command = add("export", "write the selected clips (or all) as a list", _export)
    command.add_argument("--format", required=True, help="acav-csv, csv, parquet, jsonl")
    command.add_argument("--out", type=Path, required=True, help="file to write; never overwritten")
    command.add_argument(
        "--selection", default=None, help="name of the selection; the newest by default; `all` = every clip"
    )
    add_settings(command)

    command = add("precision", "how many of the selected clips correspond, where that is known", _precision)
    command.add_argument("--selection", default=None, help="name of the selection; the newest by default")
    command.add_argument("--column", default="truth_match", help="boolean column with the answers")

    command = add("demo", "make the demo clips and curate them", _demo)
    add_settings(command)

    command = add(
        "select-array",
        "select from an array of assignments, without a workspace",
        _select_array,
        workspace=False,
    )
    command.add_argument("assignments", type=Path, help="integer (N, D) .npy, memory-mapped")
    command.add_argument(
        "--modalities", required=True, help="audio or visual for each column, e.g. audio,audio,visual,visual"
    )
    command.add_argument("--out", type=Path, required=True, help=".npy of int64 row numbers in picking order")
    command.add_argument("--budget", default="0.2", help="share below 1 or number of clips")
    command.add_argument("--method", default="batch-greedy")
    command.add_argument("--options", default="", help="settings that only this method has, e.g. rounds=30")
    command.add_argument("--pairing", default="bipartite")
    command.add_argument("--batch-size", type=int, default=100)
    command.add_argument("--selection-size", type=int, default=25)
    command.add_argument("--refill", default="redraw")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default="auto")

    command = add("settings", "list every setting with its default and what is allowed", _settings, workspace=False)
    command.add_argument("--markdown", action="store_true", help="as the table in docs/settings.md")
    return parser


# -- commands ----------------------------------------------------------------------------------------------------------


def _init(options: argparse.Namespace) -> None:
    workspace = _open_or_create(options)
    print(f"{workspace.path} is ready. Next: python -m curation run {workspace.path}")


def _run(options: argparse.Namespace) -> None:
    workspace = _open_or_create(options)
    only = STAGE_NAMES[: STAGE_NAMES.index(options.until) + 1] if options.until else None
    with _job(workspace, options, "run") as (progress, record):
        _run_stages(workspace, progress, record, only)


def _stage(options: argparse.Namespace) -> None:
    workspace = Workspace.open(options.workspace)
    _keep_settings(workspace, options)
    for line in _stale_before(workspace, options.command):
        print(line)
    with _job(workspace, options, options.command) as (progress, record):
        _run_stages(workspace, progress, record, (options.command,))


def _stale_before(workspace: Workspace, stage: str) -> list[str]:
    """A line for each earlier stage whose result is older than the settings; a stage alone uses it as it is."""
    from curation import pipeline

    states = {status.stage: status for status in pipeline.status(workspace)}
    reads, lines = pipeline.READS.get(stage), []
    while reads:
        if states[reads].state == "stale":
            lines.append(
                f"note: {reads} is stale ({states[reads].reason}); {stage} uses it as it is. `run` makes it anew."
            )
        reads = pipeline.READS.get(reads)
    return lines


def _run_stages(workspace: Workspace, progress: Progress, record: jobs.JobRecord, only: Sequence[str] | None) -> None:
    from curation import pipeline

    def say(name: str, report: Any, seconds: float) -> None:
        facts = {key: value for key, value in report.facts.items() if value is not None}
        if facts.pop("skipped", False):
            print(f"{name:9} already done")
            return
        shown = ", ".join(f"{key.replace('_', ' ')} {_short(value)}" for key, value in facts.items())
        print(f"{name:9} {seconds:7.1f} s  {shown}")
        for code, count in sorted(report.failures.items()):
            print(f"{'':9} {count} {code}")
        for notice in report.notices:
            print(f"{'':9} note: {notice}")
        record.result({name: facts})
        sys.stdout.flush()

    pipeline.run(workspace, progress, only=only, on_stage=say)


def _status(options: argparse.Namespace) -> None:
    from curation import pipeline
    from curation.listing import unused_files

    workspace = Workspace.open(options.workspace)
    stages = pipeline.status(workspace)
    unused = unused_files(workspace)
    running = jobs.running_jobs(workspace)
    if options.json:
        print(
            json.dumps(
                {
                    "workspace": str(workspace.path),
                    "name": workspace.name,
                    "settings": workspace.settings,
                    "stages": [vars(stage) for stage in stages],
                    "unused": {
                        "counts": unused.counts,
                        "files": unused.rows if options.files else unused.rows[:100],
                    },
                    "selections": [key.partition("/")[2] for key in workspace.keys("selections")],
                    "jobs": jobs.list_jobs(workspace, 10),
                },
                indent=1,
                ensure_ascii=False,
                default=str,
            )
        )
        return
    print(f"{workspace.name}  {workspace.path}")
    for stage in stages:
        facts = next(iter(stage.facts.values()), {}) if len(stage.facts) == 1 else {"artefacts": len(stage.facts)}
        shown = ", ".join(
            f"{key} {_short(facts[key])}" for key in ("files", "kept", "clips", "hours", "artefacts") if key in facts
        )
        print(f"  {stage.stage:9} {stage.state:9} {shown}{'  ' if shown and stage.reason else ''}{stage.reason}")
    for code, count in unused.counts.items():
        print(f"  not used: {count} {code}")
    if options.files:
        for row in unused.rows:
            print("    " + _printable(f"{row['path']}: {row['stage']}, {row['code']}: {row['message']}"))
    for job in running:
        print(
            f"  running: {job['id']} {job['title']} {job.get('stage', '')} {job.get('done', 0)}/{job.get('total', 0)}"
        )


def _cancel(options: argparse.Namespace) -> None:
    workspace = Workspace.open(options.workspace)
    wanted = [options.job_id] if options.job_id else [job["id"] for job in jobs.running_jobs(workspace)]
    for job_id in wanted:
        jobs.cancel(workspace, job_id)
        print(f"asked {job_id} to stop; what is finished is kept")
    if not wanted:
        print("no job is running")


def _import(options: argparse.Namespace) -> None:
    from curation import importers

    workspace = Workspace.create(options.workspace)
    reports = []
    if options.assignments:
        names = [name for name in options.names.split(",") if name]
        reports.append(importers.import_assignments(workspace, options.assignments, names, clips_file=options.clips))
    for item in options.features:
        name, equals, file = item.partition("=")
        if not equals or options.modality is None:
            raise InputError("--features needs NAME=FILE and --modality audio or visual.")
        reports.append(
            importers.import_features(workspace, name, Path(file), options.modality, clips_file=options.clips)
        )
    if options.table:
        if not options.key or not options.column:
            raise InputError("--truth needs --key (the column that names the clip) and --column (the column to join).")
        name = options.name or options.column
        reports.append(importers.import_columns(workspace, options.table, options.key, {options.column: name}))
    if not reports:
        raise InputError("Nothing to import.", hint="Give --assignments, --features or --truth; see: import --help")
    for report in reports:
        print(", ".join(f"{key.replace('_', ' ')} {_short(value)}" for key, value in report.items()))


def _export(options: argparse.Namespace) -> None:
    from curation.export import export

    workspace = Workspace.open(options.workspace)
    with _job(workspace, options, "export") as (progress, record):
        facts = export(workspace, options.format, options.out, selection=options.selection, progress=progress)
        record.result({"export": facts})
    notices = facts.pop("notices")
    print(", ".join(f"{key.replace('_', ' ')} {_short(value)}" for key, value in facts.items()))
    for notice in notices:
        print(f"note: {notice}")


def _precision(options: argparse.Namespace) -> None:
    from curation.truth import precision_report

    for line in precision_report(Workspace.open(options.workspace), options.selection, options.column):
        print(line)


def _demo(options: argparse.Namespace) -> None:
    from curation import importers
    from curation.demo import make_demo_media

    workspace = Workspace.create(options.workspace, name="demo")
    with _job(workspace, options, "demo") as (progress, record):
        progress.start("demo", DEMO_CLIPS, "clips")
        media = make_demo_media(workspace.path / "demo", n_clips=DEMO_CLIPS, progress=progress)
        workspace.configure({"cluster.n_clusters": "8", "select.budget": "0.5"}, roots=[str(media / "clips")])
        _keep_settings(workspace, options)
        _run_stages(workspace, progress, record, ("scan", "filter", "segment"))
        answers = {"truth_match": "truth_match", "label_visual": "label_visual", "label_audio": "label_audio"}
        importers.import_columns(workspace, media / "truth.csv", "file", answers)
        _run_stages(workspace, progress, record, None)


def _select_array(options: argparse.Namespace) -> None:
    import numpy as np

    from curation.atomic import write_array
    from curation.selection import select

    out = options.out.with_name(options.out.name.removesuffix(".npy") + ".npy")
    if out.exists():
        raise InputError(f"{out} is there already.", hint="Give another name for --out; nothing is overwritten.")
    try:
        assignments = np.load(options.assignments, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{options.assignments} cannot be read as a .npy array ({error}).") from error
    found = select(
        assignments,
        [modality.strip() for modality in options.modalities.split(",")],
        budget=options.budget,
        method=options.method,
        options=parse_assignments(filter(None, options.options.split(","))),
        pairing=options.pairing,
        batch_size=options.batch_size,
        selection_size=options.selection_size,
        refill=options.refill,
        seed=options.seed,
        device=options.device,
        progress=Progress(_Terminal(sys.stderr)),
    )
    write_array(out, found.order)
    report = found.report
    device = report["device"]
    print(f"{len(found.order)} of {len(assignments)} rows to {out}, on {device['used']}: {device['why']}")
    print(
        f"mutual information {found.objective:.4f} nats; permuted sounds {_short(report.get('objective_permuted'))}; "
        f"random {_short(report.get('objective_random'))} (same size)"
    )
    for notice in report.get("notices", []):
        print(f"note: {notice}")


def _settings(options: argparse.Namespace) -> None:
    if options.markdown:
        print(settings_table())
        return
    for info in describe_settings():
        print(f"{info.key} = {info.default!r}\n    {info.help}\n    allowed: {info.allowed}")


def settings_table() -> str:
    """docs/settings.md as text."""
    lines = [
        "# Settings",
        "",
        "Change one with `--set stage.setting=value` on any command that takes a workspace, or on its page.",
        "It is kept in the workspace. This page is made by `python -m curation settings --markdown`.",
        "",
        "| setting | default | meaning | allowed |",
        "| --- | --- | --- | --- |",
    ]
    for info in describe_settings():
        shown = str(info.default).lower() if isinstance(info.default, bool) else str(info.default) or "(empty)"
        cells = [f"`{info.key}`", f"`{shown}`", info.help, info.allowed]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


# -- shared ------------------------------------------------------------------------------------------------------------


def _open_or_create(options: argparse.Namespace) -> Workspace:
    for folder in options.media:
        if not Path(folder).expanduser().is_dir():
            raise InputError(
                f"The media folder {folder} does not exist.",
                hint="Give the path of a folder that holds videos.",
            )
    if (options.workspace / "workspace.json").is_file() or not options.media:
        if options.command == "init":
            workspace = Workspace.create(options.workspace, name=options.name)
        else:
            workspace = Workspace.open(options.workspace)
        added = [root for root in map(str, map(_absolute, options.media)) if root not in workspace.roots]
        if added:
            workspace.configure(roots=[*workspace.roots, *added])
    else:
        # Settings are checked first, so that a wrong one leaves no half-made workspace.
        from curation.config import Config

        Config().replace(parse_assignments(options.set))
        workspace = Workspace.create(options.workspace, name=getattr(options, "name", ""), roots=options.media)
    _keep_settings(workspace, options)
    return workspace


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().resolve()


def _keep_settings(workspace: Workspace, options: argparse.Namespace) -> None:
    changes = parse_assignments(options.set)
    if changes:
        workspace.configure(changes)


@contextlib.contextmanager
def _job(workspace: Workspace, options: argparse.Namespace, title: str) -> Iterator[tuple[Progress, jobs.JobRecord]]:
    """Every long command is a job: its record is what the explorer shows, whoever started it."""
    job_id = options.job or jobs.new_job(workspace, options.argv, title=title)
    stop = _StopSignals()
    with jobs.JobRecord(workspace, job_id) as record:
        try:
            yield Progress(record, _Terminal(sys.stderr), stop), record
        except ConcordError:
            raise
        except Exception:
            traceback.print_exc()
            raise InputError(
                "Something unexpected went wrong; the lines above say where.",
                hint="Finished work is kept. Please report it with those lines.",
                code="internal",
            ) from None


class _StopSignals:
    """Turns SIGTERM and SIGINT into a cancel, so that a stopped job ends between two items."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not in the main thread: nothing to catch there
                signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        """Nothing to show."""

    def cancelled(self) -> bool:
        return self._asked


class _Terminal:
    """One line on a terminal, or one line every ten seconds in a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0
        self._live = stream.isatty()

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        now = time.monotonic()
        if now - self._last < (0.2 if self._live else 10.0) or not state["total"]:
            return
        self._last = now
        rate = f"{state['rate_per_s']:.1f} {state['unit']}/s" if state.get("rate_per_s") else ""
        left = f"{state['remaining_s']:.0f} s left" if state.get("remaining_s") else ""
        text = f"{state['stage']} {state['done']}/{state['total']} {state['unit']}  {rate}  {left}  {state['message']}"
        end = "\r" if self._live and state["done"] < state["total"] else "\n"
        print(f"{text[:110]:110}" if self._live else text.rstrip(), end=end, file=self._stream, flush=True)

    def cancelled(self) -> bool:
        return False


def _printable(text: str) -> str:
    """Names of files as one line that cannot steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
